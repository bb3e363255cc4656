/* core/map/scan.h - reads an image once and gives its segments: blocks hashed, zeros left out, cut,
 * SHA-256 of each.
 *
 * Several workers read and hash chunks of VF_SCAN_CHUNK blocks at the same time; the cut, which
 * depends on all digests before, is made in order, and so are the calls back.  A chunk is small
 * enough to stay in a core's second cache between the read, the MD5s and the SHA-256, and large
 * enough to have many segments, which are hashed side by side. */
#ifndef VF_CORE_SCAN_H
#define VF_CORE_SCAN_H

#include "core/image.h"
#include "core/map.h"

#define VF_SCAN_CHUNK 2048u /* 1 MiB */

/* n segments in order (first, span, data, sha filled in) and the MD5s of all their blocks, one
 * after the other.  Calls never overlap and come in image order, from changing threads.  Everything
 * is valid only during the call. `upto`: every block before it has been seen; what lies between
 * segments is zero. */
typedef int vf_scan_fn(void *ctx, const struct vf_node *segs, size_t n,
                       const uint8_t (*md5)[VF_MD5_LEN], uint64_t upto, struct vf_error *err);

/* What workers need, kept from one scan to the next: for many small ranges.  workers 0: as many as
 * CPUs.  Returns owned, or NULL.  One thread at a time. */
struct vf_scanner;
struct vf_scanner *vf_scanner_new(unsigned workers, struct vf_error *err);
void vf_scanner_free(struct vf_scanner *sc);

/* Scans blocks [range.first, range.first + range.n), which must begin at a segment's edge (0, or
 * where an earlier segment ended) for the cuts to be the image's own.  stop: see
 * struct vf_send_opts. */
int vf_scanner_run(struct vf_scanner *sc, struct vf_image *image, struct vf_run range,
                   vf_scan_fn *fn, void *ctx, const volatile int *stop,
                   struct vf_error *err) VF_MUST_CHECK;

/* The same once, with a scanner of its own. */
int vf_scan(struct vf_image *image, struct vf_run range, unsigned workers, vf_scan_fn *fn,
            void *ctx, const volatile int *stop, struct vf_error *err) VF_MUST_CHECK;

#endif
