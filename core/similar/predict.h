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

/* A piece compressed alone at level 3 takes more than it does within a stream that has a long
 * window and knows what surrounds it: in the five cases of bench/cases.sh, migrations took 0.73 to
 * 0.89 of what the pieces say, the least where few blocks are missing between many that are shared.
 */
#define VF_PIECE_TO_STREAM 0.81

struct vf_piece {
    uint64_t fp;          /* the sample, as in a sketch */
    uint32_t raw, packed; /* bytes that are not zero blocks; compressed */
};
struct vf_pieces {
    size_t n;
    struct vf_piece *piece; /* ascending by fp, each once */
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
