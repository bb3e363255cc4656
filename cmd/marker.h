/* cmd/marker.h - a sign that images travel from or to this machine just now.  Who works in the
 * background steps back meanwhile.
 *
 * Locks on STORE/run/transfers, for whoever uses that store, and on `transfers` in the directory
 * that all processes of this user share (core/rundir.h), for services of other stores.  They go
 * with the process, however that ends.
 *
 * Thread rules: any. */
#ifndef VF_CMD_MARKER_H
#define VF_CMD_MARKER_H

#include <stdbool.h>

struct vf_marker {
    int store, host; /* descriptors that hold the locks; -1: not set */
};
#define VF_MARKER_INIT                                                                             \
    {                                                                                              \
        -1, -1                                                                                     \
    }

/* Sets it until it is cleared.  Where it cannot be set, that is no reason not to work. */
void vf_marker_set(struct vf_marker *m, int store_fd);
void vf_marker_clear(struct vf_marker *m); /* harmless when it is not set */

/* Has some process set it, for that store or for this machine? */
bool vf_marker_is_set(int store_fd);

#endif
