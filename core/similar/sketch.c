/* core/similar/sketch.c - makes sketches, and coarser ones of them. */
#include "core/similar/sketch.h"

#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/similar/sketch_impl.h"

#define HEAVY_ROOM (4u * VF_SKETCH_HEAVY) /* candidates kept; then the lighter ones are dropped */
#define PRINTS     4096u                  /* fingerprints taken at once */

void vf_sketch_free(struct vf_sketch *s)
{
    free(s->fp);
    free(s->count);
    free(s->heavy_fp);
    free(s->heavy_count);
    *s = (struct vf_sketch)VF_SKETCH_INIT;
}

uint64_t vf_sketch_distinct(const struct vf_sketch *s)
{
    uint64_t n = 0;

    for (unsigned g = 0; g < VF_SKETCH_STRATA; g++)
        n += s->stratum[g].contents;
    return n;
}

uint64_t vf_sketch_blocks(const struct vf_sketch *s)
{
    uint64_t n = 0;

    for (unsigned g = 0; g < VF_SKETCH_STRATA; g++)
        n += s->stratum[g].blocks;
    return n;
}

size_t vf_sketch_below(const uint64_t *fp, size_t n, unsigned scale)
{
    const uint64_t end = vf_sketch_end(scale);
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (fp[mid] < end)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* ---- heavy contents ---- */

struct heavy {
    uint64_t fp;
    uint32_t count;
};

static int by_count(const void *x, const void *y)
{
    const struct heavy *a = x, *b = y;

    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return a->fp < b->fp ? -1 : a->fp > b->fp;
}

static int by_fp(const void *x, const void *y)
{
    const struct heavy *a = x, *b = y;

    return a->fp < b->fp ? -1 : a->fp > b->fp;
}

/* The `most` heaviest, in the order of their fingerprints, to *s. */
static int take_heavy(struct heavy *h, size_t n, size_t most, struct vf_sketch *s,
                      struct vf_error *err)
{
    if (n > most) {
        qsort(h, n, sizeof *h, by_count);
        n = most;
    }
    s->heavy_fp = vf_calloc(n, sizeof *s->heavy_fp, err);
    s->heavy_count = vf_calloc(n, sizeof *s->heavy_count, err);
    if (!s->heavy_fp || !s->heavy_count)
        return -1;
    if (n)
        qsort(h, n, sizeof *h, by_fp);
    for (size_t i = 0; i < n; i++) {
        s->heavy_fp[i] = h[i].fp;
        s->heavy_count[i] = h[i].count;
    }
    s->heavy_n = n;
    return 0;
}

/* ---- making ---- */

struct vf_sketch_builder {
    uint64_t *fp; /* the smallest ones, 48 bits */
    uint32_t *count;
    size_t n, cap;
    bool more;      /* some were not kept: */
    uint64_t above; /* none of these is below this one */
    bool any;
    uint64_t last; /* fingerprint added, 64 bits */
    struct heavy heavy[HEAVY_ROOM];
    size_t heavy_n;
    uint32_t heavy_floor; /* lighter ones, and later ones of that weight, need not be kept */
    struct vf_stratum stratum[VF_SKETCH_STRATA];
};

struct vf_sketch_builder *vf_sketch_builder_new(struct vf_error *err)
{
    struct vf_sketch_builder *b = vf_calloc(1, sizeof *b, err);

    if (b)
        b->heavy_floor = VF_SKETCH_HEAVY_COUNT - 1;
    return b;
}

void vf_sketch_builder_free(struct vf_sketch_builder *b)
{
    if (!b)
        return;
    free(b->fp);
    free(b->count);
    free(b);
}

static void add_heavy(struct vf_sketch_builder *b, uint64_t fp, uint32_t count)
{
    if (count <= b->heavy_floor)
        return;
    if (b->heavy_n == HEAVY_ROOM) {
        qsort(b->heavy, b->heavy_n, sizeof *b->heavy, by_count);
        b->heavy_n = VF_SKETCH_HEAVY;
        b->heavy_floor = b->heavy[VF_SKETCH_HEAVY - 1].count;
        if (count <= b->heavy_floor)
            return;
    }
    b->heavy[b->heavy_n++] = (struct heavy){fp, count};
}

static int add_sample(struct vf_sketch_builder *b, uint64_t fp, uint32_t count,
                      struct vf_error *err)
{
    if (b->n && b->fp[b->n - 1] == fp) { /* alike in 48 bits */
        uint32_t *had = &b->count[b->n - 1];

        *had = count > UINT32_MAX - *had ? UINT32_MAX : *had + count;
        return 0;
    }
    if (b->more || b->n == VF_SKETCH_SAMPLES_MAX ||
        (b->n >= VF_SKETCH_SAMPLES && fp >= vf_sketch_end(VF_SKETCH_SCALE))) {
        if (!b->more)
            b->above = fp;
        b->more = true;
        return 0;
    }
    if (b->n == b->cap) {
        const size_t cap = b->cap ? 2 * b->cap : 4096;
        uint64_t *fps = reallocarray(b->fp, cap, sizeof *fps);
        uint32_t *counts;

        if (fps)
            b->fp = fps;
        counts = fps ? reallocarray(b->count, cap, sizeof *counts) : NULL;
        if (!counts)
            return vf_error_nomem(err);
        b->count = counts;
        b->cap = cap;
    }
    b->fp[b->n] = fp;
    b->count[b->n++] = count;
    return 0;
}

static int add_one(struct vf_sketch_builder *b, uint64_t fp, uint64_t count, struct vf_error *err)
{
    const uint32_t few = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
    const unsigned g = 63 - (unsigned)__builtin_clzll(count);

    b->stratum[g].contents++;
    b->stratum[g].blocks += count;
    fp >>= VF_SKETCH_SHIFT;
    add_heavy(b, fp, few);
    return add_sample(b, fp, few, err);
}

_Static_assert(VF_SKETCH_HEAVY_COUNT > 1, "what occurs once is not heavy");

int vf_sketch_builder_add_many(struct vf_sketch_builder *b, const uint64_t *fp,
                               const uint64_t *count, size_t n, struct vf_error *err)
{
    uint64_t plain = 0; /* occur once, and are no samples any more, as nearly all are */
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (count[i] == 0 || count[i] > VF_MAX_BLOCKS || (b->any && fp[i] <= b->last)) {
            rc = vf_error_set(err, VF_ERR_RANGE, 0, "fingerprints are out of order");
            break;
        }
        b->any = true;
        b->last = fp[i];
        if (count[i] == 1 && b->more)
            plain++;
        else
            rc = add_one(b, fp[i], count[i], err);
    }
    b->stratum[0].contents += plain;
    b->stratum[0].blocks += plain;
    return rc;
}

int vf_sketch_builder_add(struct vf_sketch_builder *b, uint64_t fp, uint64_t count,
                          struct vf_error *err)
{
    return vf_sketch_builder_add_many(b, &fp, &count, 1, err);
}

/* The finest scale at which the n kept samples are all there are, and not too many. */
static unsigned choose_scale(const struct vf_sketch_builder *b)
{
    unsigned scale = 0;

    while (scale < VF_SKETCH_SCALE_MAX) {
        const size_t most = scale < VF_SKETCH_SCALE ? VF_SKETCH_SAMPLES : VF_SKETCH_SAMPLES_MAX;

        if ((!b->more || b->above >= vf_sketch_end(scale)) &&
            vf_sketch_below(b->fp, b->n, scale) <= most)
            break;
        scale++;
    }
    return scale;
}

/* The first n samples of others become those of *s. */
static int copy_samples(const uint64_t *fp, const uint32_t *count, size_t n, struct vf_sketch *s,
                        struct vf_error *err)
{
    s->fp = vf_calloc(n, sizeof *s->fp, err);
    s->count = vf_calloc(n, sizeof *s->count, err);
    if (!s->fp || !s->count)
        return -1;
    if (n) {
        memcpy(s->fp, fp, n * sizeof *fp);
        memcpy(s->count, count, n * sizeof *count);
    }
    s->n = n;
    return 0;
}

int vf_sketch_builder_finish(struct vf_sketch_builder *b, uint64_t zero_blocks,
                             struct vf_sketch *ret, struct vf_error *err)
{
    struct vf_sketch s = {.scale = choose_scale(b), .zero_blocks = zero_blocks};

    memcpy(s.stratum, b->stratum, sizeof s.stratum);
    if (copy_samples(b->fp, b->count, vf_sketch_below(b->fp, b->n, s.scale), &s, err) < 0 ||
        take_heavy(b->heavy, b->heavy_n, VF_SKETCH_HEAVY, &s, err) < 0) {
        vf_sketch_free(&s);
        return -1;
    }
    *ret = s;
    return 0;
}

int vf_sketch_make(vf_print_next *next, void *ctx, uint64_t zero_blocks, struct vf_sketch *ret,
                   struct vf_error *err)
{
    struct vf_print *prints = vf_calloc(PRINTS, sizeof *prints, err);
    struct vf_sketch_builder *b = prints ? vf_sketch_builder_new(err) : NULL;
    int rc = b ? 0 : -1;
    long n = 1;

    while (rc == 0 && n > 0) {
        n = next(ctx, prints, PRINTS, err);
        if (n < 0)
            rc = -1;
        for (long i = 0; i < n && rc == 0; i++)
            rc = vf_sketch_builder_add(b, prints[i].fp, prints[i].count, err);
    }
    if (rc == 0)
        rc = vf_sketch_builder_finish(b, zero_blocks, ret, err);
    vf_sketch_builder_free(b);
    free(prints);
    return rc;
}

int vf_sketch_reduce(const struct vf_sketch *s, size_t samples, struct vf_sketch *ret,
                     struct vf_error *err)
{
    struct vf_sketch out = {.scale = s->scale, .zero_blocks = s->zero_blocks};
    const size_t heavies = samples / 32 > 16 ? samples / 32 : 16;
    struct heavy *heavy = vf_calloc(s->heavy_n, sizeof *heavy, err);
    int rc = -1;

    if (!heavy)
        return -1;
    while (out.scale < VF_SKETCH_SCALE_MAX && vf_sketch_below(s->fp, s->n, out.scale) > samples)
        out.scale++;
    for (size_t i = 0; i < s->heavy_n; i++)
        heavy[i] = (struct heavy){s->heavy_fp[i], s->heavy_count[i]};
    memcpy(out.stratum, s->stratum, sizeof out.stratum);
    if (copy_samples(s->fp, s->count, vf_sketch_below(s->fp, s->n, out.scale), &out, err) == 0 &&
        take_heavy(heavy, s->heavy_n, heavies, &out, err) == 0)
        rc = 0;
    free(heavy);
    if (rc == 0)
        *ret = out;
    else
        vf_sketch_free(&out);
    return rc;
}
