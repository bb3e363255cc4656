/* core/similar/sketch_union.c - what several images hold together. */
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/similar/sketch_impl.h"

void vf_sketch_set_free(struct vf_sketch_set *set)
{
    free(set->fp);
    free(set->heavy_fp);
    *set = (struct vf_sketch_set)VF_SKETCH_SET_INIT;
}

struct vf_sketch_set vf_sketch_as_set(const struct vf_sketch *s)
{
    return (struct vf_sketch_set){
        .scale = s->scale,
        .n = s->n,
        .fp = s->fp,
        .heavy_n = s->heavy_n,
        .heavy_fp = s->heavy_fp,
        .images = 1,
        .resident = vf_sketch_distinct(s),
        .has_zero = s->zero_blocks != 0,
    };
}

static int ascending(const void *x, const void *y)
{
    const uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

    return a < b ? -1 : a > b;
}

/* Merges two ascending lists, each entry once; returns how many. */
static size_t merge(const uint64_t *a, size_t na, const uint64_t *b, size_t nb, uint64_t *to)
{
    size_t i = 0, k = 0, n = 0;

    while (i < na && k < nb) {
        const uint64_t x = a[i], y = b[k];

        to[n++] = x < y ? x : y;
        i += x <= y;
        k += y <= x;
    }
    for (; i < na; i++)
        to[n++] = a[i];
    for (; k < nb; k++)
        to[n++] = b[k];
    return n;
}

/* The lists of sets [lo, hi), merged in pairs; *ret is owned. */
static int merge_all(const struct vf_sketch_set *sets, size_t lo, size_t hi, unsigned scale,
                     uint64_t **ret, size_t *ret_n, struct vf_error *err)
{
    uint64_t *a = NULL, *b = NULL, *to = NULL;
    size_t na = 0, nb = 0;
    int rc = -1;

    if (hi - lo == 1) {
        na = vf_sketch_below(sets[lo].fp, sets[lo].n, scale);
        a = vf_calloc(na, sizeof *a, err);
        if (!a)
            return -1;
        if (na)
            memcpy(a, sets[lo].fp, na * sizeof *a);
        *ret = a;
        *ret_n = na;
        return 0;
    }
    if (merge_all(sets, lo, lo + (hi - lo) / 2, scale, &a, &na, err) == 0 &&
        merge_all(sets, lo + (hi - lo) / 2, hi, scale, &b, &nb, err) == 0 &&
        (to = vf_calloc(na + nb, sizeof *to, err)) != NULL) {
        *ret_n = merge(a, na, b, nb, to);
        *ret = to;
        rc = 0;
    }
    free(a);
    free(b);
    return rc;
}

struct named {
    uint64_t fp, sets;
};

static int by_sets(const void *x, const void *y)
{
    const struct named *a = x, *b = y;

    if (a->sets != b->sets)
        return a->sets > b->sets ? -1 : 1;
    return a->fp < b->fp ? -1 : a->fp > b->fp;
}

int vf_heavy_pick(uint64_t *fp, size_t n, struct vf_sketch_set *to, struct vf_error *err)
{
    struct named *named = vf_calloc(n, sizeof *named, err);
    size_t kinds = 0;

    if (!named)
        return -1;
    if (n)
        qsort(fp, n, sizeof *fp, ascending);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || fp[i] != fp[i - 1])
            named[kinds++] = (struct named){fp[i], 0};
        named[kinds - 1].sets++;
    }
    if (kinds > VF_SET_HEAVY) {
        qsort(named, kinds, sizeof *named, by_sets);
        kinds = VF_SET_HEAVY;
    }
    for (size_t i = 0; i < kinds; i++)
        fp[i] = named[i].fp;
    if (kinds)
        qsort(fp, kinds, sizeof *fp, ascending);
    free(named);
    to->heavy_fp = fp;
    to->heavy_n = kinds;
    return 0;
}

static int unite_heavy(const struct vf_sketch_set *sets, size_t n, struct vf_sketch_set *to,
                       struct vf_error *err)
{
    size_t all = 0;
    uint64_t *fp;

    for (size_t i = 0; i < n; i++)
        all += sets[i].heavy_n;
    fp = vf_calloc(all, sizeof *fp, err);
    if (!fp)
        return -1;
    all = 0;
    for (size_t i = 0; i < n; i++) {
        if (sets[i].heavy_n)
            memcpy(fp + all, sets[i].heavy_fp, sets[i].heavy_n * sizeof *fp);
        all += sets[i].heavy_n;
    }
    if (vf_heavy_pick(fp, all, to, err) == 0)
        return 0;
    free(fp);
    return -1;
}

int vf_sketch_union(const struct vf_sketch_set *sets, size_t n, size_t samples, unsigned scale_max,
                    struct vf_sketch_set *ret, struct vf_error *err)
{
    struct vf_sketch_set to = VF_SKETCH_SET_INIT;

    for (size_t i = 0; i < n; i++) {
        if (sets[i].scale > to.scale)
            to.scale = sets[i].scale;
        to.images += sets[i].images;
        to.resident += sets[i].resident;
        to.has_zero |= sets[i].has_zero;
    }
    if (n && merge_all(sets, 0, n, to.scale, &to.fp, &to.n, err) < 0)
        return -1;
    while (samples && to.n > samples && to.scale < scale_max)
        to.n = vf_sketch_below(to.fp, to.n, ++to.scale);
    while (to.n > VF_SKETCH_SAMPLES_MAX && to.scale < VF_SKETCH_SCALE_MAX)
        to.n = vf_sketch_below(to.fp, to.n, ++to.scale);
    if (unite_heavy(sets, n, &to, err) < 0) {
        vf_sketch_set_free(&to);
        return -1;
    }
    *ret = to;
    return 0;
}
