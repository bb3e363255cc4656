/* transport/child.h - a connection whose near end is a child process of ours; private to
 * transport/.
 *
 * A thread of its own starts the child (it is killed when the thread that started it dies, and the
 * caller's thread may be short-lived), collects its stderr, and waits for its end.
 *
 * Thread rules: as for struct vf_conn. */
#ifndef VF_TRANSPORT_CHILD_H
#define VF_TRANSPORT_CHILD_H

#include "core/error.h"
#include "transport/conn_ops.h"

/* Starts argv (borrowed).  ops has the two calls below; program is what runs at the far end, for
 * messages; reason (may be NULL) is copied.  NULL with *err on failure. */
struct vf_conn *vf_child_connect(const struct vf_conn_ops *ops, const struct vf_target *target,
                                 const char *program, const char *reason, const char *const *argv,
                                 struct vf_error *err);

/* For the operations of back ends that are children. */
void vf_child_cut(struct vf_conn *c);
void vf_child_destroy(struct vf_conn *c);

#endif
