/* core/similar/predict.c - compresses pieces of an image around its samples. */
#include "core/similar/predict.h"

#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/literals/literals.h"
#include "core/similar/sketch_impl.h"

#define DIGESTS 16384u /* read at once */
#define NODES   256u   /* likewise */
/* Pieces that a node's ratio should rest on: with fewer, all pieces count as so many as are short.
 */
#define ENOUGH 32.0
#define SPACE  32u /* blocks of data for each piece at least */
void vf_pieces_free(struct vf_pieces *p)
{
    free(p->piece);
    *p = (struct vf_pieces){0, NULL, 0};
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
    struct vf_sampler *sampler;
    uint8_t (*md5)[VF_MD5_LEN];
};

static int stopped(const struct reading *r, struct vf_error *err)
{
    return r->stop && *r->stop ? vf_error_set(err, VF_ERR_CANCELLED, 0, "interrupted") : 0;
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

static int look_at(struct reading *r, struct vf_run run, struct vf_error *err)
{
    if (run.n == 0)
        return 0;
    if (stopped(r, err) < 0 ||
        r->map->ops->digests(r->map, run.first, (size_t)run.n, r->md5, err) < 0)
        return -1;
    for (uint64_t i = 0; i < run.n; i++)
        look(r, vf_sample_of(r->md5[i]), run.first + i);
    return 0;
}

/* Where the samples occur first.  Holes have none, and may be nearly all of the image: only what
 * the segments cover is looked at, as many of them at once as one reading of digests takes. */
static int find_places(struct reading *r, const struct vf_map_info *info, struct vf_error *err)
{
    struct vf_node some[NODES];
    struct vf_run run = {0, 0};

    for (uint64_t at = 0, n; info->top && at < info->nodes[1] && r->found < r->n; at += n) {
        n = info->nodes[1] - at < NODES ? info->nodes[1] - at : NODES;
        if (r->map->ops->nodes(r->map, 1, at, (size_t)n, some, err) < 0)
            return -1;
        for (uint64_t i = 0; i < n; i++) {
            const struct vf_node *seg = &some[i];

            if (seg->span > DIGESTS || seg->first < run.first + run.n ||
                seg->first > info->blocks || seg->span > info->blocks - seg->first)
                return vf_error_set(err, VF_ERR_FORMAT, 0, "the stored map has a segment outside");
            if (seg->first + seg->span - run.first > DIGESTS) {
                if (look_at(r, run, err) < 0)
                    return -1;
                run = (struct vf_run){seg->first, 0};
            }
            run.n = seg->first + seg->span - run.first;
        }
    }
    return r->found < r->n ? look_at(r, run, err) : 0;
}

/* Keeps those of n blocks that are not zero, at the front; returns their bytes. */
static size_t squeeze(uint8_t *data, size_t n)
{
    static const uint8_t zero[VF_BLOCK];
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        if (memcmp(data + i * VF_BLOCK, zero, VF_BLOCK) == 0)
            continue;
        memmove(data + kept, data + i * VF_BLOCK, VF_BLOCK);
        kept += VF_BLOCK;
    }
    return kept;
}

/* The blocks of place number i: those around it that are not nearer to another. */
static struct vf_run around(const struct reading *r, size_t i)
{
    const uint64_t block = r->place[i].block, half = VF_PIECE_AROUND / 2;
    uint64_t begin = block > half ? block - half : 0, end = block + half;

    if (i > 0 && (r->place[i - 1].block + block + 1) / 2 > begin)
        begin = (r->place[i - 1].block + block + 1) / 2;
    if (i + 1 < r->found && (block + r->place[i + 1].block + 1) / 2 < end)
        end = (block + r->place[i + 1].block + 1) / 2;
    return (struct vf_run){begin, end - begin};
}

static int read_piece(struct reading *r, struct vf_run run, uint8_t *data, struct vf_piece *ret,
                      struct vf_error *err)
{
    const uint64_t blocks = vf_blocks_of(r->image->size);
    size_t len, near = 0, far = 0;

    if (run.first >= blocks)
        return vf_error_set(err, VF_ERR_CHANGED, 0, "the image is smaller than its map says");
    if (run.n > blocks - run.first)
        run.n = blocks - run.first;
    if (vf_image_read_blocks(r->image, data, run.first, (size_t)run.n, err) < 0)
        return -1;
    len = squeeze(data, (size_t)run.n);
    if (len && vf_sampler_add(r->sampler, data, len, &near, &far, err) < 0)
        return -1;
    ret->raw = (uint32_t)len;
    ret->near = (uint32_t)near;
    ret->far = (uint32_t)far;
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
            rc = read_piece(r, around(r, i), data, p, err);
    }
    free(data);
    return rc;
}

/* The smallest samples are as random as any, and are in every coarser sketch.  Where they would be
 * dense, fewer give longer pieces, which compress as a stream does. */
static size_t how_many(const struct vf_sketch *sketch, uint64_t data)
{
    size_t n = sketch->n < VF_PIECES_MAX ? sketch->n : VF_PIECES_MAX;

    return data / SPACE < n ? (size_t)(data / SPACE) + (n > 0) : n;
}

static double density_of(const struct vf_pieces *p, uint64_t data)
{
    double raw = 0;

    for (size_t i = 0; i < p->n; i++)
        raw += p->piece[i].raw;
    return raw > 0 ? raw / ((double)data * VF_BLOCK) : 1;
}

int vf_pieces_read(struct vf_image *image, struct vf_map *map, const struct vf_sketch *sketch,
                   const volatile int *stop, struct vf_pieces *ret, struct vf_error *err)
{
    struct reading r = {.image = image, .map = map, .stop = stop, .fp = sketch->fp};
    struct vf_pieces p = {0, NULL, 0};
    struct vf_map_info info;
    int rc = -1;

    if (map->ops->info(map, &info, err) < 0)
        return -1;
    r.n = p.n = how_many(sketch, info.blocks - info.zero_blocks);
    p.piece = vf_calloc(r.n, sizeof *p.piece, err);
    r.place = vf_calloc(r.n, sizeof *r.place, err);
    r.seen = vf_calloc(r.n, sizeof *r.seen, err);
    r.md5 = vf_calloc(DIGESTS, VF_MD5_LEN, err);
    if (!p.piece || !r.place || !r.seen || !r.md5)
        goto out;
    r.sampler = vf_sampler_new(err);
    if (!r.sampler)
        goto out;
    for (size_t i = 0; i < r.n; i++)
        p.piece[i].fp = sketch->fp[i];
    if (find_places(&r, &info, err) == 0)
        rc = read_all(&r, &p, err);
    p.density = density_of(&p, info.blocks - info.zero_blocks);
out:
    vf_sampler_free(r.sampler);
    free(r.place);
    free(r.seen);
    free(r.md5);
    if (rc == 0)
        *ret = p;
    else
        vf_pieces_free(&p);
    return rc;
}

/* Sums over pieces. */
struct sums {
    double n, raw, near, far;
};

static void add_to(struct sums *s, const struct vf_piece *x)
{
    s->n++;
    s->raw += x->raw;
    s->near += x->near;
    s->far += x->far;
}

static double ratio_of(const struct sums *s, double density)
{
    const double seen = s->near > s->far ? 1 - s->far / s->near : 0,
                 more = density < VF_PIECE_FAR ? seen * VF_PIECE_FAR / density : seen,
                 most = seen > VF_PIECE_FAR_MOST ? seen : VF_PIECE_FAR_MOST,
                 ratio = s->near / s->raw * (1 - (more < most ? more : most));

    return ratio < 1 ? ratio : 1;
}

double vf_pieces_ratio(const struct vf_pieces *p, const struct vf_sketch_set *held)
{
    const uint64_t end = held ? vf_sketch_end(held->scale) : UINT64_MAX;
    struct sums some = {0}, all = {0};
    size_t k = 0;

    for (size_t i = 0; i < p->n; i++) {
        const struct vf_piece *x = &p->piece[i];

        add_to(&all, x);
        while (held && k < held->n && held->fp[k] < x->fp)
            k++;
        if (x->fp < end && !(held && k < held->n && held->fp[k] == x->fp))
            add_to(&some, x);
    }
    if (some.n < ENOUGH && all.n > 0) {
        const double weight = (ENOUGH - some.n) / all.n;

        some.raw += weight * all.raw;
        some.near += weight * all.near;
        some.far += weight * all.far;
    }
    return some.raw > 0 ? ratio_of(&some, p->density) : 1;
}
