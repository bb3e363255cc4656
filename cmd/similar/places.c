/* cmd/similar/places.c - samples of a disk with their places. */
#include "cmd/similar/places.h"

#include <stdlib.h>
#include <string.h>

#include "core/checked.h"

#define CHUNK       256u       /* segments at a time */
#define SAMPLES_MAX (1u << 20) /* a disk may be full of one content; more change nothing */
#define BITS        (64u - VF_SKETCH_SHIFT)

struct taking {
    struct vf_map *map;
    struct vf_places *p;
    size_t room;
    uint8_t (*md5)[VF_MD5_LEN];
};

static bool is_sample(uint64_t fp, unsigned scale)
{
    return scale < BITS && fp < UINT64_C(1) << (BITS - scale);
}

static int add(struct taking *t, uint64_t block, uint64_t fp, struct vf_error *err)
{
    struct vf_places *p = t->p;

    if (p->n == SAMPLES_MAX)
        return 0;
    if (p->n == t->room) {
        size_t room = t->room ? t->room * 2 : 4096;
        struct vf_sampled *more = reallocarray(p->at, room, sizeof *more);

        if (!more)
            return vf_error_nomem(err);
        p->at = more;
        t->room = room;
    }
    p->at[p->n++] = (struct vf_sampled){.block = block, .fp = fp};
    return 0;
}

static void count_data(struct vf_places *p, uint64_t first, uint64_t n)
{
    while (n) {
        uint64_t cell = first / p->span, left = (cell + 1) * p->span - first;
        uint64_t part = n < left ? n : left;

        p->data[cell] += part;
        first += part;
        n -= part;
    }
}

static int take_segment(struct taking *t, const struct vf_node *seg, struct vf_error *err)
{
    size_t n = (size_t)seg->span;

    if (n > VF_SEG_MAX || seg->first > t->p->blocks || n > t->p->blocks - seg->first)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "the stored map has a segment outside");
    if (t->map->ops->digests(t->map, seg->first, n, t->md5, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        uint64_t fp = vf_sample_of(t->md5[i]);

        if (is_sample(fp, t->p->scale) && add(t, seg->first + i, fp, err) < 0)
            return -1;
    }
    count_data(t->p, seg->first, n);
    return 0;
}

static int by_print(const void *a, const void *b)
{
    const struct vf_sampled *x = *(const struct vf_sampled *const *)a,
                            *y = *(const struct vf_sampled *const *)b;

    if (x->fp != y->fp)
        return x->fp < y->fp ? -1 : 1;
    return x->block < y->block ? -1 : x->block > y->block;
}

static int mark_repeats(struct vf_places *p, struct vf_error *err)
{
    struct vf_sampled **sorted = vf_calloc(p->n, sizeof(struct vf_sampled *), err);

    if (!sorted)
        return -1;
    for (size_t i = 0; i < p->n; i++)
        sorted[i] = &p->at[i];
    qsort(sorted, p->n, sizeof(struct vf_sampled *), by_print);
    for (size_t i = 1; i < p->n; i++)
        sorted[i]->repeat = sorted[i]->fp == sorted[i - 1]->fp;
    free(sorted);
    return 0;
}

int vf_places_take(struct vf_map *map, unsigned scale, const volatile int *stop,
                   struct vf_places *ret, struct vf_error *err)
{
    struct vf_places p = {.scale = scale};
    struct taking t = {.map = map, .p = &p};
    struct vf_node some[CHUNK];
    struct vf_map_info info;
    int rc = -1;

    t.md5 = vf_calloc(VF_SEG_MAX, VF_MD5_LEN, err);
    if (!t.md5 || map->ops->info(map, &info, err) < 0)
        goto out;
    p.blocks = info.blocks;
    p.span = (info.blocks + VF_CELLS - 1) / VF_CELLS;
    p.span = p.span ? p.span : 1;
    p.cells = (uint32_t)((info.blocks + p.span - 1) / p.span);
    for (uint64_t at = 0, n; info.top && at < info.nodes[1]; at += n) {
        n = info.nodes[1] - at < CHUNK ? info.nodes[1] - at : CHUNK;
        if (*stop) {
            (void)vf_error_set(err, VF_ERR_CANCELLED, 0, "interrupted");
            goto out;
        }
        if (map->ops->nodes(map, 1, at, (size_t)n, some, err) < 0)
            goto out;
        for (size_t i = 0; i < n; i++)
            if (take_segment(&t, &some[i], err) < 0)
                goto out;
    }
    rc = mark_repeats(&p, err);
out:
    free(t.md5);
    if (rc == 0)
        *ret = p;
    else
        vf_places_free(&p);
    return rc;
}

void vf_places_free(struct vf_places *p)
{
    free(p->at);
    memset(p, 0, sizeof *p);
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* Is it in the set?  Only for samples that the set would have. */
static bool holds(const struct vf_sketch_set *held, uint64_t fp)
{
    return held->n && bsearch(&fp, held->fp, held->n, sizeof *held->fp, by_value);
}

void vf_places_cells(const struct vf_places *p, const struct vf_sketch_set *held,
                     struct vf_cell *ret)
{
    uint64_t seen[3], last[3] = {0, 0, 1};
    size_t i = 0;

    for (uint32_t c = 0; c < p->cells; c++) {
        uint64_t end = (c + 1) * p->span < p->blocks ? (c + 1) * p->span : p->blocks;
        uint64_t all = end - c * p->span, sum;
        unsigned data = (unsigned)((p->data[c] * 1000 + all - 1) / all);

        memset(seen, 0, sizeof seen);
        for (; i < p->n && p->at[i].block < end; i++)
            if (is_sample(p->at[i].fp, held->scale))
                seen[holds(held, p->at[i].fp) ? 0 : p->at[i].repeat ? 1 : 2]++;
        if (seen[0] + seen[1] + seen[2])
            memcpy(last, seen, sizeof last); /* else too few blocks: most likely as before */
        sum = last[0] + last[1] + last[2];
        ret[c].zero = 1000 - data;
        ret[c].shared = (unsigned)(data * last[0] / sum);
        ret[c].duplicate = (unsigned)(data * last[1] / sum);
        ret[c].literal = data - ret[c].shared - ret[c].duplicate;
    }
}
