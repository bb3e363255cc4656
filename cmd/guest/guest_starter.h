/* cmd/guest/guest_starter.h - the process that starts guests for a far end.
 *
 * `serve` confines itself before it reads a byte of a peer, and so does everything that it starts.
 * A guest must not live in that sandbox.  So, where the settings name a command for guests, serve
 * forks this process first.  It knows the settings' command, takes nothing but a name and disks in
 * the image directory to fill its blanks with, and ends the guest when serve ends, unless it was
 * told to keep it.
 *
 * Thread rules: made by the main thread before any other exists; used by one thread. */
#ifndef VF_CMD_GUEST_GUEST_STARTER_H
#define VF_CMD_GUEST_GUEST_STARTER_H

#include "cmd/storedir.h"
#include "hypervisor/hypervisor.h"

/* Forks.  close_fds: n descriptors that the process must not hold open (the protocol's).  Returns
 * owned. */
struct vf_starter *vf_guest_starter_fork(const struct vf_storedir *store, const int *close_fds,
                                         size_t n, struct vf_error *err);
void vf_guest_starter_end(struct vf_starter *s); /* NULL is fine */

#endif
