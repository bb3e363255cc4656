/* core/similar/predict.h - how well the literals of a migration will compress, found out before it.
 *
 * What a node lacks compresses otherwise than the whole image does, and other nodes lack other
 * parts.  So pieces around the image's samples are read and compressed once; for each node those
 * pieces count whose sample it lacks.
 *
 * Thread rules: pure functions; an object belongs to one thread while it is made. */
#ifndef VF_CORE_PREDICT_H
#define VF_CORE_PREDICT_H

#include "core/image.h"
#include "core/map.h"
#include "core/similar/sketch.h"

#define VF_PIECES_MAX   2048u /* pieces read: 64 MiB at most */
#define VF_PIECE_AROUND 64u   /* blocks in one */

/* The pieces are compressed as one stream, so that each takes what it takes beside others of its
 * kind.  A long window and quotes gain more in a migration than that shows: what a piece repeats
 * has been sampled too only as often as pieces are dense.  So the gain that far matches bring among
 * the pieces counts VF_PIECE_FAR / density times (once at least).  Much of what far matches gain
 * does not depend on the density, hence less than 1: in the five cases of bench/cases.sh, with 3 to
 * 13 % of the data in pieces, 0.43 to 0.52 would be right.  The most that they gained was 15 %. */
#define VF_PIECE_FAR      0.43
#define VF_PIECE_FAR_MOST 0.25

struct vf_piece {
    uint64_t fp;             /* the sample, as in a sketch */
    uint32_t raw, near, far; /* bytes that are not zero blocks; what they take: vf_sampler_add */
};
struct vf_pieces {
    size_t n;
    struct vf_piece *piece; /* ascending by fp, each once */
    double density;         /* bytes in pieces for each byte of the image that is not zero */
};
void vf_pieces_free(struct vf_pieces *p); /* a zeroed one is fine */

/* Reads the pieces: the digests of the map, and up to VF_PIECES_MAX places of the image.  *stop not
 * zero: VF_ERR_CANCELLED (NULL: never).  *ret is owned. */
int vf_pieces_read(struct vf_image *image, struct vf_map *map, const struct vf_sketch *sketch,
                   const volatile int *stop, struct vf_pieces *ret,
                   struct vf_error *err) VF_MUST_CHECK;

/* Compressed bytes for each byte of what the set lacks (NULL: of all), as the stream of a migration
 * takes them at its usual level; 1 when there is nothing to go by.  Where the set lacks so little
 * that few pieces count, all pieces count a little too. */
double vf_pieces_ratio(const struct vf_pieces *p, const struct vf_sketch_set *held);

#endif
