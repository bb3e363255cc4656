/* cmd/guest/guest_apply.h - writes what a round brought on the image of a guest that is coming.
 *
 * Thread rules: belongs to the main thread of `serve`. */
#ifndef VF_CMD_GUEST_GUEST_APPLY_H
#define VF_CMD_GUEST_GUEST_APPLY_H

#include "cmd/guest/guest_arrival.h"

/* with: {"disk": number, "image": its name with ".delta", "extents": [off, len, zero, ...],
 * "last"}; after the last the delta is removed. */
int vf_guest_apply(struct vf_guest_arrival *a, const json_t *with,
                   struct vf_error *err) VF_MUST_CHECK;

#endif
