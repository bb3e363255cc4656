/* cmd/estimate.h - what a migration would cost, before it is made.
 *
 * Thread rules: as core/image.h. */
#ifndef VF_CMD_ESTIMATE_H
#define VF_CMD_ESTIMATE_H

#include "core/image.h"
#include "core/map.h"

/* Compressed size of the image's content divided by its size, from a sample of up to 16 MiB of its
 * blocks that are not zero; 1 when there are none.  *stop non-zero ends it with
 * VF_ERR_CANCELLED. */
int vf_estimate_ratio(struct vf_image *image, const volatile int *stop, double *ret,
                      struct vf_error *err) VF_MUST_CHECK;

/* Bytes on the wire, both ways: literals compressed by that ratio, and the questions about
 * segments; probes is how many block digests a count has asked with. */
uint64_t vf_estimate_wire(const struct vf_map_info *image, uint64_t literals, uint64_t probes,
                          double ratio);

#endif
