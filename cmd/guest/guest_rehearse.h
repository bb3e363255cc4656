/* cmd/guest/guest_rehearse.h - tries the store's start command before anything travels.
 *
 * Thread rules: belongs to one thread. */
#ifndef VF_CMD_GUEST_GUEST_REHEARSE_H
#define VF_CMD_GUEST_GUEST_REHEARSE_H

#include "cmd/guest/guest_arrival.h"

/* Files that stand in for a guest's disks are called so, with a number behind it. */
#define VF_STAND_IN "stand-in-"

/* Starts what would take the guest, on empty files in the guest's directory, and ends it again.
 * Nothing of that is left.  0, also where that cannot be tried. */
int vf_guest_rehearse(struct vf_guest_arrival *a, struct vf_error *err) VF_MUST_CHECK;

#endif
