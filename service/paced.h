/* service/paced.h - an image that is read politely: at a pace, and without filling the page cache.
 *
 * Thread rules: as every image (core/image.h); the count of bytes may be read by any thread. */
#ifndef VF_SERVICE_PACED_H
#define VF_SERVICE_PACED_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/image.h"
#include "service/pace.h"

/* Takes inner (on failure too), keeps pace and ret_bytes; path: of the file, for the page cache.
 * ret_bytes (may be NULL) counts what was read.  NULL when memory is out. */
struct vf_image *vf_paced_new(struct vf_image *inner, struct vf_pace *pace, const char *path,
                              _Atomic uint64_t *ret_bytes, struct vf_error *err);

#endif
