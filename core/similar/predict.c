/* core/similar/predict.c - compresses pieces of an image around its samples. */
#include "core/similar/predict.h"

#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/literals/literals.h"
#include "core/similar/sketch_impl.h"

#define DIGESTS 16384u /* read at once */
/* Pieces that a node's ratio should rest on: with fewer, all pieces count as so many as are short.
 */
#define ENOUGH 32.0
/* From here on pieces together count as hard to compress. */
#define HARD 0.8

void vf_pieces_free(struct vf_pieces *p)
{
    free(p->piece);
    *p = (struct vf_pieces){0, NULL};
}

struct place {
    uint64_t block, sample; /* sample: its number */
};

struct reading {
    struct vf_image *image;
    struct vf_map *map;
    const volatile int *stop;
    const uint64_t *fp; /* samples wanted */
    size_t n;
    struct place *place; /* of those found */
    size_t found;
    bool *seen; /* for each wanted */
    uint8_t (*md5)[VF_MD5_LEN];
};

static int stopped(const struct reading *r, struct vf_error *err)
{
    return r->stop && *r->stop ? vf_error_set(err, VF_ERR_CANCELLED, 0, "interrupted") : 0;
}

static uint64_t sample_of(const uint8_t *md5)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 8; i++)
        v = v << 8 | md5[i];
    return v >> VF_SKETCH_SHIFT;
}

static void look(struct reading *r, uint64_t fp, uint64_t block)
{
    size_t i = 0, hi = r->n;

    if (fp > r->fp[r->n - 1])
        return;
    while (i < hi) {
        size_t mid = i + (hi - i) / 2;

        if (r->fp[mid] < fp)
            i = mid + 1;
        else
            hi = mid;
    }
    if (r->fp[i] != fp || r->seen[i])
        return;
    r->seen[i] = true;
    r->place[r->found++] = (struct place){block, i};
}

/* Where the samples occur first. */
static int find_places(struct reading *r, uint64_t blocks, struct vf_error *err)
{
    for (uint64_t at = 0; at < blocks && r->found < r->n; at += DIGESTS) {
        const size_t n = blocks - at < DIGESTS ? (size_t)(blocks - at) : DIGESTS;

        if (stopped(r, err) < 0 || r->map->ops->digests(r->map, at, n, r->md5, err) < 0)
            return -1;
        for (size_t i = 0; i < n; i++)
            look(r, sample_of(r->md5[i]), at + i);
    }
    return 0;
}

/* Keeps the blocks that are not zero, at the front; returns their bytes. */
static size_t squeeze(uint8_t *data, size_t len)
{
    static const uint8_t zero[VF_BLOCK];
    size_t kept = 0;

    for (size_t i = 0; i < len; i += VF_BLOCK) {
        const size_t some = len - i < VF_BLOCK ? len - i : VF_BLOCK;

        if (memcmp(data + i, zero, some) == 0)
            continue;
        memmove(data + kept, data + i, some);
        kept += some;
    }
    return kept;
}

static int read_piece(struct reading *r, uint64_t block, uint8_t *data, struct vf_piece *ret,
                      struct vf_error *err)
{
    const uint64_t first = block > VF_PIECE_AROUND / 2 ? block - VF_PIECE_AROUND / 2 : 0,
                   off = first * VF_BLOCK, left = r->image->size - off;
    size_t len = VF_PIECE_AROUND * VF_BLOCK, packed = 0;

    if (off >= r->image->size)
        return vf_error_set(err, VF_ERR_CHANGED, 0, "the image is smaller than its map says");
    if (len > left)
        len = (size_t)left;
    if (vf_image_read(r->image, data, len, off, err) < 0)
        return -1;
    len = squeeze(data, len);
    if (len && vf_literals_sample(data, len, &packed, err) < 0)
        return -1;
    ret->raw = (uint32_t)len;
    ret->packed = (uint32_t)(packed < len ? packed : len); /* what does not compress is stored */
    return 0;
}

static int read_all(struct reading *r, struct vf_pieces *to, struct vf_error *err)
{
    uint8_t *data = vf_calloc(VF_PIECE_AROUND, VF_BLOCK, err);
    int rc = data ? 0 : -1;

    /* In the order of the image, which is how find_places came by them. */
    for (size_t i = 0; rc == 0 && i < r->found; i++) {
        struct vf_piece *p = &to->piece[r->place[i].sample];

        rc = stopped(r, err);
        if (rc == 0)
            rc = read_piece(r, r->place[i].block, data, p, err);
    }
    free(data);
    return rc;
}

int vf_pieces_read(struct vf_image *image, struct vf_map *map, const struct vf_sketch *sketch,
                   const volatile int *stop, struct vf_pieces *ret, struct vf_error *err)
{
    struct reading r = {.image = image, .map = map, .stop = stop, .fp = sketch->fp};
    struct vf_pieces p = {0, NULL};
    struct vf_map_info info;
    int rc = -1;

    /* The smallest ones are as random as any, and are in every coarser sketch. */
    r.n = sketch->n < VF_PIECES_MAX ? sketch->n : VF_PIECES_MAX;
    p.n = r.n;
    p.piece = vf_calloc(r.n, sizeof *p.piece, err);
    r.place = vf_calloc(r.n, sizeof *r.place, err);
    r.seen = vf_calloc(r.n, sizeof *r.seen, err);
    r.md5 = vf_calloc(DIGESTS, VF_MD5_LEN, err);
    if (!p.piece || !r.place || !r.seen || !r.md5 || map->ops->info(map, &info, err) < 0)
        goto out;
    for (size_t i = 0; i < r.n; i++)
        p.piece[i].fp = sketch->fp[i];
    if (find_places(&r, info.blocks, err) == 0)
        rc = read_all(&r, &p, err);
out:
    free(r.place);
    free(r.seen);
    free(r.md5);
    if (rc == 0)
        *ret = p;
    else
        vf_pieces_free(&p);
    return rc;
}

/* What does not compress alone gains nothing from a window either. */
static double to_stream(double alone)
{
    const double hard = alone <= HARD ? 0 : (alone - HARD) / (1 - HARD);

    return alone * (VF_PIECE_TO_STREAM + (1 - VF_PIECE_TO_STREAM) * hard);
}

double vf_pieces_ratio(const struct vf_pieces *p, const struct vf_sketch_set *held)
{
    const uint64_t end = held ? vf_sketch_end(held->scale) : UINT64_MAX;
    double raw = 0, packed = 0, all_raw = 0, all_packed = 0, n = 0;
    size_t k = 0;

    for (size_t i = 0; i < p->n; i++) {
        const struct vf_piece *x = &p->piece[i];

        all_raw += x->raw;
        all_packed += x->packed;
        while (held && k < held->n && held->fp[k] < x->fp)
            k++;
        if (x->fp >= end || (held && k < held->n && held->fp[k] == x->fp))
            continue;
        raw += x->raw;
        packed += x->packed;
        n++;
    }
    if (all_raw <= 0)
        return 1;
    if (n < ENOUGH) {
        const double weight = (ENOUGH - n) / (double)p->n;

        raw += weight * all_raw;
        packed += weight * all_packed;
    }
    return to_stream(packed / raw);
}
