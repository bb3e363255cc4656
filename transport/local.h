/* transport/local.h - the far end of a store on this machine: our own program as a child. */
#ifndef VF_TRANSPORT_LOCAL_H
#define VF_TRANSPORT_LOCAL_H

#include "core/error.h"
#include "transport/connect.h"

/* As vf_connect, for a VF_TARGET_LOCAL target. */
struct vf_conn *vf_local_connect(const struct vf_target *target, const struct vf_conn_opts *opts,
                                 struct vf_error *err);

#endif
