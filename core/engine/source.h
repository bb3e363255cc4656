/* core/engine/source.h - an image as a sequence of batches, whether its map is stored or made while
 * it is read.
 *
 * A batch is a range of blocks that begins and ends at groups (nodes of level 2): the unit of
 * asking, sending and verifying. */
#ifndef VF_CORE_SOURCE_H
#define VF_CORE_SOURCE_H

#include "core/engine/engine.h"

struct vf_batch {
    uint32_t id;          /* from 0, without gaps */
    struct vf_run range;  /* batches follow each other and cover the image */
    struct vf_node *segs; /* level 1, in order */
    size_t nsegs;
    struct vf_node *groups; /* level 2; .kid counts from segs[0]; none when the image has a single
                               segment or less */
    size_t ngroups;
    size_t ndata;               /* blocks in all segments */
    uint8_t (*md5)[VF_MD5_LEN]; /* of these, in order; NULL: not loaded (stored map) */
};
void vf_batch_free(struct vf_batch *b);

/* Loads b->md5 from the stored map if it is not there. */
int vf_batch_load(struct vf_batch *b, struct vf_map *map, struct vf_error *err) VF_MUST_CHECK;

/* Takes the batch. */
typedef int vf_batch_fn(void *ctx, struct vf_batch *b, struct vf_error *err);

/* Gives all batches of the image in order.  map NULL: reads the image, and gives its map to sink
 * (may be NULL; stays the caller's, not committed).  ret_info: as vf_build_finish, or the stored
 * info. */
int vf_source_run(struct vf_image *image, struct vf_map *map, struct vf_map_sink *sink,
                  unsigned workers, vf_batch_fn *fn, void *ctx, const volatile int *stop,
                  struct vf_map_info *ret_info, struct vf_error *err) VF_MUST_CHECK;

#endif
