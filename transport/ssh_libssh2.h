/* transport/ssh_libssh2.h - the built-in SSH client as a back end.
 *
 * Thread rules: as for vf_connect. */
#ifndef VF_TRANSPORT_SSH_LIBSSH2_H
#define VF_TRANSPORT_SSH_LIBSSH2_H

#include "core/error.h"
#include "transport/choose.h"
#include "transport/connect.h"
#include "transport/wait.h"

/* 0 with *ret set: connected, as vf_connect.  0 with *ret untouched and reason filled: only the ssh
 * program can serve this host or these keys.  -1: the errors of vf_connect. */
int vf_libssh2_connect(const struct vf_target *target, const struct vf_conn_opts *opts,
                       const struct vf_wait *wait, struct vf_conn **ret,
                       char reason[VF_CHOOSE_REASON_MAX], struct vf_error *err) VF_MUST_CHECK;

#endif
