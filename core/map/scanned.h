/* core/map/scanned.h - all segments of a piece of an image at once, for pieces that fit into memory
 * (core/map/scan.h gives them as they come).
 *
 * Thread rules: one thread at a time for each struct. */
#ifndef VF_CORE_SCANNED_H
#define VF_CORE_SCANNED_H

#include "core/buf.h"
#include "core/image.h"
#include "core/map.h"

/* All zero but workers: nothing yet. */
struct vf_scanned {
    unsigned workers;           /* set before the first call; 0: as many as CPUs */
    struct vf_buf nodes;        /* of level 1, in order: first, span, data, sha */
    struct vf_buf md5s;         /* of all their blocks, one after the other */
    struct vf_scanner *scanner; /* from the first call on */
};

/* Scans the range (see vf_scan), in place of what *s held.  After a failure it holds a part. */
int vf_scanned_read(struct vf_scanned *s, struct vf_image *image, struct vf_run range,
                    const volatile int *stop, struct vf_error *err) VF_MUST_CHECK;

/* Both until the next call that reads or frees. */
const struct vf_node *vf_scanned_nodes(const struct vf_scanned *s, size_t *ret_n);
const uint8_t (*vf_scanned_md5s(const struct vf_scanned *s))[VF_MD5_LEN];

/* To nothing again. */
void vf_scanned_free(struct vf_scanned *s);

#endif
