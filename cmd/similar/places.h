/* cmd/similar/places.h - where on a disk the contents lie that sketches know
 * (core/similar/sketch.h).
 *
 * A sketch says which contents an image has, not where.  The same sample with places shows which
 * parts of a disk a node holds, and where to look for what would have to travel.
 *
 * Thread rules: read only once it is made; any thread. */
#ifndef VF_CMD_SIMILAR_PLACES_H
#define VF_CMD_SIMILAR_PLACES_H

#include "core/map.h"
#include "core/similar/sketch.h"

#define VF_CELLS 240u /* of a strip at most */

struct vf_sampled {
    uint64_t block, fp; /* fp: as in a sketch */
    bool repeat;        /* the same content comes earlier */
};

struct vf_places {
    unsigned scale;
    uint64_t blocks; /* of the image */
    size_t n;
    struct vf_sampled *at; /* ascending by block */
    uint32_t cells;        /* the disk in so many equal parts, all but the last of `span` blocks */
    uint64_t span;
    uint64_t data[VF_CELLS]; /* non-zero blocks in each */
};

/* Reads all digests of the map; scale: that of the image's sketch.  *stop non-zero ends it with
 * VF_ERR_CANCELLED.  0 with *ret to be released by vf_places_free, or -1. */
int vf_places_take(struct vf_map *map, unsigned scale, const volatile int *stop,
                   struct vf_places *ret, struct vf_error *err) VF_MUST_CHECK;
void vf_places_free(struct vf_places *p); /* zeroed is fine */

/* What a part of a disk is made of, in shares of 1000 that add up to that. */
struct vf_cell {
    unsigned zero, shared, duplicate, literal;
};
/* Against what a node holds; ret has p->cells.  Zero is exact, the rest is as good as the sample.
 */
void vf_places_cells(const struct vf_places *p, const struct vf_sketch_set *held,
                     struct vf_cell *ret);

#endif
