/* index/map.c - a stored map, and its distinct fingerprints. */
#include <stdlib.h>

#include "core/checked.h"
#include "index/sketch.h"

struct map {
    struct vf_map base;
    struct vf_index *ix;
    struct vf_gen gen;
};

static struct map *map_of(struct vf_map *base) { return (struct map *)base; }

static int map_info(struct vf_map *base, struct vf_map_info *ret, struct vf_error *err)
{
    struct map *m = map_of(base);
    struct vf_txn t;

    if (vf_gen_read(m->ix, &m->gen, &t, err) < 0)
        return -1;
    vf_txn_end(&t);
    *ret = m->gen.info;
    return 0;
}

static int map_nodes(struct vf_map *base, unsigned level, uint64_t from, size_t n,
                     struct vf_node *ret, struct vf_error *err)
{
    struct map *m = map_of(base);
    struct vf_txn t;
    int rc;

    if (vf_gen_read(m->ix, &m->gen, &t, err) < 0)
        return -1;
    rc = vf_gen_nodes(&t, &m->gen, level, from, n, ret, err);
    vf_txn_end(&t);
    return rc;
}

static int map_digests(struct vf_map *base, uint64_t first, size_t n, uint8_t (*ret)[VF_MD5_LEN],
                       struct vf_error *err)
{
    struct map *m = map_of(base);
    struct vf_txn t;
    int rc;

    if (vf_gen_read(m->ix, &m->gen, &t, err) < 0)
        return -1;
    rc = vf_gen_digests(&t, &m->gen, first, n, ret, err);
    vf_txn_end(&t);
    return rc;
}

static void map_close(struct vf_map *base) { free(base); }

static const struct vf_map_ops map_ops = {map_info, map_nodes, map_digests, map_close};

struct vf_map *vf_gen_map(struct vf_index *ix, const struct vf_gen *g, struct vf_error *err)
{
    struct map *m = vf_calloc(1, sizeof *m, err);

    if (!m)
        return NULL;
    m->base.ops = &map_ops;
    m->ix = ix;
    m->gen = *g;
    return &m->base;
}

struct vf_map *vf_index_map(struct vf_index *ix, const char *path, struct vf_error *err)
{
    struct vf_image_record rec;
    struct vf_map *map = NULL;
    int rc = vf_index_get(ix, path, &rec, err);

    if (rc == VF_ABSENT)
        (void)vf_error_set(err, VF_ERR_NOTFOUND, 0, "'%s' is not in the index", path);
    if (rc != VF_FOUND)
        return NULL;
    map = vf_gen_map(ix, &(struct vf_gen){rec.generation, rec.info}, err);
    vf_image_record_clear(&rec);
    return map;
}

static struct map *own_map(struct vf_map *map, struct vf_error *err)
{
    if (map->ops == &map_ops)
        return map_of(map);
    (void)vf_error_set(err, VF_ERR_USAGE, 0, "this map is not one of the index");
    return NULL;
}

int vf_index_sketch(struct vf_map *map, struct vf_sketch *ret, struct vf_error *err)
{
    struct map *m = own_map(map, err);

    return m ? vf_gen_sketch(m->ix, &m->gen, ret, err) : -1;
}

/* ---- fingerprints ---- */

/* A page at a time is decoded, and handed out in pieces of any size. */
struct vf_index_prints {
    struct map *map;
    struct vf_print buf[VF_PRINTS_PER_PAGE];
    size_t n, at;
    uint64_t last; /* fingerprint at the end of buf */
    bool started, end;
};

struct vf_index_prints *vf_index_prints_new(struct vf_map *map, struct vf_error *err)
{
    struct map *m = own_map(map, err);
    struct vf_index_prints *p = m ? vf_calloc(1, sizeof *p, err) : NULL;

    if (p)
        p->map = m;
    return p;
}

void vf_index_prints_free(struct vf_index_prints *p) { free(p); }

static int decode_prints(struct vf_index_prints *p, const struct vf_page *prints,
                         const struct vf_page *counts, struct vf_error *err)
{
    struct vf_count_iter it;

    if (counts->n != prints->n)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "fingerprints and counts do not agree");
    if (vf_count_iter_init(&it, counts, err) < 0)
        return -1;
    for (uint32_t i = 0; i < prints->n; i++) {
        uint64_t count;

        if (vf_count_iter_next(&it, &count, err) < 0)
            return -1;
        p->buf[i].fp = vf_page_print(prints, i);
        p->buf[i].count = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
        if ((i || p->started) && p->buf[i].fp <= p->last)
            return vf_error_set(err, VF_ERR_FORMAT, 0, "fingerprints are out of order");
        p->last = p->buf[i].fp;
    }
    p->n = prints->n;
    p->at = 0;
    p->started = true;
    return 0;
}

/* Reads the next page.  VF_FOUND, VF_ABSENT at the end, -1. */
static int next_page(struct vf_index_prints *p, struct vf_txn *t, struct vf_cursor *c,
                     struct vf_error *err)
{
    const uint64_t gen = p->map->gen.number, from = p->started ? p->last + 1 : 0;
    const struct vf_key key = vf_key_prints(gen, VF_PAGE_PRINTS, from);
    struct vf_page prints, counts;
    struct vf_bytes value;
    uint64_t at;
    int rc;

    if (p->started && p->last == UINT64_MAX)
        return VF_ABSENT;
    rc = vf_gen_page_near(c, &key, key.len - 8, VF_PAGE_PRINTS, 0, &prints, &at, err);
    if (rc == VF_FOUND && at < from) /* the one before: seen */
        rc = vf_gen_page_next(c, &key, key.len - 8, VF_PAGE_PRINTS, 0, &prints, &at, err);
    if (rc == VF_FOUND) {
        const struct vf_key other = vf_key_prints(gen, VF_PAGE_COUNTS, at);

        rc = vf_txn_get(t, vf_key_bytes(&other), &value, err);
        if (rc == VF_ABSENT)
            rc = vf_error_set(err, VF_ERR_FORMAT, 0, "a page of counts is missing");
        if (rc == VF_FOUND &&
            (vf_page_open(value.p, value.len, VF_PAGE_COUNTS, 0, &counts, err) < 0 ||
             decode_prints(p, &prints, &counts, err) < 0))
            rc = -1;
        if (rc < 0)
            return vf_store_damaged(t->st, err);
        vf_txn_touched(t, c->value, c->value.len);
        vf_txn_touched(t, value, value.len);
    }
    return rc;
}

long vf_index_prints_next(void *prints, struct vf_print *ret, size_t max, struct vf_error *err)
{
    struct vf_index_prints *p = prints;
    size_t n = 0;

    while (n < max && !p->end) {
        struct vf_cursor c = {0};
        struct vf_txn t;
        int rc;

        while (n < max && p->at < p->n)
            ret[n++] = p->buf[p->at++];
        if (n == max)
            break;
        if (vf_gen_read(p->map->ix, &p->map->gen, &t, err) < 0)
            return -1;
        rc = vf_cursor_open(&c, &t, err);
        if (rc == 0)
            rc = next_page(p, &t, &c, err);
        vf_cursor_close(&c);
        vf_txn_end(&t);
        if (rc < 0)
            return -1;
        p->end = rc == VF_ABSENT;
    }
    return (long)n;
}
