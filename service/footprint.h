/* service/footprint.h - leaves the page cache as it was: what reading a file has brought in is
 * dropped, what was there before stays.
 *
 * Thread rules: belongs to one thread at a time. */
#ifndef VF_SERVICE_FOOTPRINT_H
#define VF_SERVICE_FOOTPRINT_H

#include <stdint.h>

struct vf_footprint;
/* Notes which parts of the file are in the cache.  NULL when that cannot be done; that costs
 * nothing but cache. */
struct vf_footprint *vf_footprint_new(const char *path);
/* Drops what was not there at the beginning. */
void vf_footprint_drop(struct vf_footprint *f); /* NULL is fine */
void vf_footprint_free(struct vf_footprint *f); /* the same */

/* Pages of the file that are in the cache, in bytes; 0 also when that is not known. */
uint64_t vf_footprint_cached(const char *path);

#endif
