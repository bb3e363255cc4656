/* cmd/marker.h - a sign, on a store, that images travel from or to it just now.  Who works in the
 * background steps back meanwhile.
 *
 * A lock on STORE/run/transfers; it goes with the process, however that ends.
 *
 * Thread rules: any. */
#ifndef VF_CMD_MARKER_H
#define VF_CMD_MARKER_H

#include <stdbool.h>

/* Sets the sign until the descriptor is closed.  -1: it cannot be set, which is no reason not to
 * work. */
int vf_marker_set(int store_fd);

/* Has some process set it? */
bool vf_marker_is_set(int store_fd);

#endif
