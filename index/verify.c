/* index/verify.c - proves that what is stored of an image is whole. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/map/tree.h"
#include "index/le.h"
#include "index/lists.h"
#include "index/sketch.h"

#define NODES_AT_ONCE 512u

/* The stored nodes of a level, in order. */
struct node_stream {
    uint64_t next; /* number of the node to come */
    size_t at, n;
    struct vf_node buf[NODES_AT_ONCE];
};

struct verify {
    struct vf_index *ix;
    struct vf_gen gen;
    struct vf_lists *lists;
    struct vf_lists_prints prints; /* of the lists, that are compared next */
    struct node_stream *level[VF_LEVELS];
    bool listed;        /* all nodes have gone into lists */
    struct vf_run open; /* level-1 node that the digests have reached, what is left of it */
    uint64_t values, seen_values;
    uint64_t digests, distinct;
    struct vf_sketch_builder *sketch;
};

static int wrong(struct verify *v, const char *what, struct vf_error *err)
{
    (void)vf_error_set(err, VF_ERR_FORMAT, 0, "%s", what);
    return vf_store_damaged(&v->ix->store, err);
}

/* ---- every value by itself ---- */

typedef int page_fn(struct verify *v, struct vf_txn *t, struct vf_bytes key, struct vf_bytes value,
                    struct vf_error *err);

/* Calls fn for every value whose key begins with the prefix, each in a transaction of its own. */
static int each_value(struct verify *v, const struct vf_key *prefix, page_fn *fn,
                      struct vf_error *err)
{
    struct vf_key at = *prefix;
    bool seen = false;
    int rc;

    do {
        struct vf_cursor c = {0};
        struct vf_txn t;

        if (vf_gen_read(v->ix, &v->gen, &t, err) < 0)
            return -1;
        rc = vf_cursor_open(&c, &t, err);
        if (rc == 0)
            rc = vf_cursor_seek(&c, vf_key_bytes(&at), err);
        if (rc == VF_FOUND && seen && c.key.len == at.len && vf_key_begins(c.key, &at, at.len))
            rc = vf_cursor_next(&c, err);
        if (rc == VF_FOUND && !vf_key_begins(c.key, prefix, prefix->len))
            rc = VF_ABSENT;
        if (rc == VF_FOUND && c.key.len > sizeof at.b)
            rc = wrong(v, "a page has a wrong key", err);
        if (rc == VF_FOUND) {
            memcpy(at.b, c.key.p, c.key.len);
            at.len = c.key.len;
            seen = true;
            if (fn(v, &t, c.key, c.value, err) < 0)
                rc = vf_store_damaged(&v->ix->store, err);
            else
                vf_txn_touched(&t, c.value, c.value.len);
        }
        vf_cursor_close(&c);
        vf_txn_end(&t);
    } while (rc == VF_FOUND);
    return rc;
}

static int check_sum(struct verify *v, struct vf_txn *t, struct vf_bytes key, struct vf_bytes value,
                     struct vf_error *err)
{
    (void)t;
    (void)key;
    v->values++;
    return vf_page_sound(value.p, value.len) ? 0 : wrong(v, "a page has a wrong checksum", err);
}

/* ---- nodes ---- */

/* 1 with the next stored node of the level, 0 at the end, -1.  t: the transaction that the caller
 * is in, or NULL (a second one must not be begun). */
static int next_node(struct verify *v, struct vf_txn *t, unsigned level, struct vf_node *ret,
                     struct vf_error *err)
{
    struct node_stream *s = v->level[level];

    if (s->at == s->n) {
        const uint64_t left = v->gen.info.nodes[level] - s->next;
        struct vf_txn own;
        int rc;

        s->at = 0;
        s->n = left < NODES_AT_ONCE ? (size_t)left : NODES_AT_ONCE;
        if (s->n == 0)
            return 0;
        if (!t && vf_gen_read(v->ix, &v->gen, &own, err) < 0)
            return -1;
        rc = vf_gen_nodes(t ? t : &own, &v->gen, level, s->next, s->n, s->buf, err);
        if (!t)
            vf_txn_end(&own);
        if (rc < 0 ||
            (!v->listed && vf_lists_nodes(v->lists, level, s->next, s->buf, s->n, err) < 0))
            return -1;
        s->next += s->n;
    }
    *ret = s->buf[s->at++];
    return 1;
}

static bool same_node(const struct vf_node *a, const struct vf_node *b)
{
    return a->first == b->first && a->span == b->span && a->data == b->data && a->kid == b->kid &&
           a->kids == b->kids && memcmp(a->sha, b->sha, VF_SHA_LEN) == 0;
}

/* The tree that follows from the stored segments says what must be stored above them. */
static int on_node(void *ctx, unsigned level, const struct vf_node *nodes, size_t n,
                   struct vf_error *err)
{
    struct verify *v = ctx;

    for (size_t i = 0; level > 1 && i < n; i++) {
        struct vf_node stored;
        int rc = level > v->gen.info.top ? 0 : next_node(v, NULL, level, &stored, err);

        if (rc < 0)
            return -1;
        if (rc == 0 || !same_node(&stored, &nodes[i]))
            return wrong(v, "a node does not follow from those below it", err);
    }
    return 0;
}

static int check_tree(struct verify *v, struct vf_error *err)
{
    struct vf_map_info info, *have = &v->gen.info;
    struct vf_tree *tree = vf_tree_new(have->size, on_node, v, err);
    struct vf_node node;
    uint64_t end = 0;
    int rc, more;

    if (!tree)
        return -1;
    rc = 0;
    while (rc == 0 && have->top && (more = next_node(v, NULL, 1, &node, err)) != 0) {
        if (more < 0)
            rc = -1;
        else if (node.first < end || node.first + node.span > have->blocks)
            rc = wrong(v, "segments overlap", err);
        else
            rc = vf_tree_add(tree, &node, 1, err);
        end = node.first + node.span;
    }
    if (rc == 0)
        rc = vf_tree_finish(tree, &info, err);
    vf_tree_free(tree);
    if (rc < 0)
        return -1;
    if (info.top != have->top || memcmp(info.nodes, have->nodes, sizeof info.nodes) != 0 ||
        memcmp(info.root, have->root, VF_SHA_LEN) != 0)
        return wrong(v, "the tree above the segments is another one", err);
    return 0;
}

/* ---- digests, and that the segments cover them ---- */

/* The run must continue the segment that is open, or begin a new one. */
static int cover(struct verify *v, struct vf_txn *t, struct vf_run run, struct vf_error *err)
{
    while (run.n) {
        uint64_t some;

        if (v->open.n == 0) {
            struct vf_node node;
            int rc = next_node(v, t, 1, &node, err);

            if (rc < 0)
                return -1;
            v->open = rc ? (struct vf_run){node.first, node.span} : (struct vf_run){0, 0};
        }
        if (v->open.n == 0 || v->open.first != run.first)
            return wrong(v, "segments and digests do not cover the same blocks", err);
        some = run.n < v->open.n ? run.n : v->open.n;
        run.first += some;
        run.n -= some;
        v->open.first += some;
        v->open.n -= some;
    }
    return 0;
}

static int check_digests(struct verify *v, struct vf_txn *t, struct vf_bytes key,
                         struct vf_bytes value, struct vf_error *err)
{
    const size_t head = vf_key_digests(0, 0).len - 8;
    struct vf_run_iter it;
    struct vf_page page;
    struct vf_run run;
    uint32_t at;
    int rc;

    if (key.len != head + 8)
        return wrong(v, "a page has a wrong key", err);
    if (vf_page_open(value.p, value.len, VF_PAGE_DIGESTS, 0, &page, err) < 0)
        return -1;
    v->seen_values++;
    v->digests += page.n;
    it = vf_page_runs(&page, vf_be_get(key.p + head, 8));
    while ((rc = vf_run_iter_next(&it, &run, &at, err)) > 0) {
        const void *md5 = page.body + (size_t)at * VF_MD5_LEN;

        if (run.first + run.n > v->gen.info.blocks)
            return wrong(v, "digests lie behind the end of the image", err);
        if (cover(v, t, run, err) < 0 || vf_lists_digests(v->lists, md5, (size_t)run.n, err) < 0)
            return -1;
    }
    return rc;
}

/* ---- the sorted lists ---- */

/* 1 with the next fingerprint that the digests make, 0 at the end, -1. */
static int next_print(struct verify *v, uint64_t *ret_fp, uint64_t *ret_count, struct vf_error *err)
{
    if (v->prints.n == 0) {
        int rc = vf_lists_next_prints(v->lists, &v->prints, err);

        if (rc <= 0)
            return rc;
    }
    *ret_fp = *v->prints.fp++;
    *ret_count = *v->prints.count++;
    v->prints.n--;
    return 1;
}

static int check_prints(struct verify *v, struct vf_txn *t, struct vf_bytes key,
                        struct vf_bytes value, struct vf_error *err)
{
    const size_t head = vf_key_prints(0, VF_PAGE_PRINTS, 0).len - 8;
    struct vf_page prints, counts;
    struct vf_count_iter it;
    struct vf_bytes other;
    struct vf_key counts_key;
    int rc;

    if (key.len != head + 8)
        return wrong(v, "a page has a wrong key", err);
    counts_key = vf_key_prints(v->gen.number, VF_PAGE_COUNTS, vf_be_get(key.p + head, 8));
    if (vf_page_open(value.p, value.len, VF_PAGE_PRINTS, 0, &prints, err) < 0)
        return -1;
    rc = vf_txn_get(t, vf_key_bytes(&counts_key), &other, err);
    if (rc < 0)
        return -1;
    if (rc == VF_ABSENT || vf_page_open(other.p, other.len, VF_PAGE_COUNTS, 0, &counts, NULL) < 0 ||
        counts.n != prints.n || vf_page_print(&prints, 0) != vf_be_get(key.p + head, 8))
        return wrong(v, "fingerprints and counts do not agree", err);
    v->seen_values += 2;
    v->distinct += prints.n;
    if (vf_count_iter_init(&it, &counts, err) < 0)
        return -1;
    for (uint32_t i = 0; i < prints.n; i++) {
        uint64_t count, fp, want_count;

        if (vf_count_iter_next(&it, &count, err) < 0)
            return -1;
        rc = next_print(v, &fp, &want_count, err);
        if (rc < 0)
            return -1;
        if (rc == 0 || fp != vf_page_print(&prints, i) || count != want_count)
            return wrong(v, "the fingerprints are not those of the digests", err);
        if (vf_sketch_builder_add(v->sketch, fp, count, err) < 0)
            return -1;
    }
    vf_txn_touched(t, other, other.len);
    return 0;
}

static int check_ids(struct verify *v, struct vf_txn *t, struct vf_bytes key, struct vf_bytes value,
                     struct vf_error *err)
{
    const size_t head = vf_key_ids(0, 0, 0).len - VF_ID_LEN;
    struct vf_page page;
    unsigned at_level;

    (void)t;
    if (key.len != head + VF_ID_LEN)
        return wrong(v, "a page has a wrong key", err);
    at_level = key.p[head - 1];
    if (vf_page_open(value.p, value.len, VF_PAGE_IDS, at_level, &page, err) < 0 ||
        vf_page_check_filter(&page, err) < 0)
        return -1;
    v->seen_values++;
    if (vf_page_id(&page, 0) != vf_be_get(key.p + head, VF_ID_LEN))
        return wrong(v, "a page has a wrong key", err);
    for (uint32_t i = 0; i < page.n; i++) {
        uint64_t id, number;
        unsigned level;
        int rc = vf_lists_next_id(v->lists, &level, &id, &number, err);

        if (rc < 0)
            return -1;
        if (rc == 0 || level != at_level || id != vf_page_id(&page, i) ||
            number != vf_page_number(&page, i))
            return wrong(v, "the ids are not those of the nodes", err);
    }
    return 0;
}

static int check_lists(struct verify *v, struct vf_error *err)
{
    struct vf_key prefix = vf_key_prints(v->gen.number, VF_PAGE_PRINTS, 0);
    uint64_t a, b;
    unsigned level;
    int rc;

    prefix.len -= 8;
    if (vf_lists_finish(v->lists, err) < 0 || each_value(v, &prefix, check_prints, err) < 0)
        return -1;
    rc = next_print(v, &a, &b, err);
    if (rc == 0) {
        prefix = vf_key_ids(v->gen.number, 0, 0);
        prefix.len -= 1 + VF_ID_LEN;
        rc = each_value(v, &prefix, check_ids, err);
    }
    if (rc == 0)
        rc = vf_lists_next_id(v->lists, &level, &a, &b, err);
    return rc > 0 ? wrong(v, "the sorted lists are not complete", err) : rc;
}

/* ---- the sketch: older programs wrote none ---- */

static int check_sketch(struct verify *v, struct vf_error *err)
{
    const struct vf_key key = vf_key_sketch(v->gen.number);
    struct vf_sketch sketch;
    struct vf_buf want = VF_BUF_INIT;
    struct vf_bytes value;
    struct vf_txn t;
    int rc = vf_sketch_builder_finish(v->sketch, v->gen.info.zero_blocks, &sketch, err);

    if (rc == 0) {
        rc = vf_sketch_page(&sketch, &want, err);
        vf_sketch_free(&sketch);
    }
    if (rc < 0 || vf_gen_read(v->ix, &v->gen, &t, err) < 0)
        rc = -1;
    else {
        rc = vf_txn_get(&t, vf_key_bytes(&key), &value, err);
        if (rc == VF_FOUND && (value.len != want.len || memcmp(value.p, want.data, want.len) != 0))
            rc = wrong(v, "the sketch is not that of the fingerprints", err);
        else if (rc == VF_FOUND)
            v->seen_values++;
        vf_txn_end(&t);
    }
    vf_buf_free(&want);
    return rc < 0 ? -1 : 0;
}

/* ---- all of it ---- */

static int check_all(struct verify *v, struct vf_error *err)
{
    const struct vf_map_info *info = &v->gen.info;
    struct vf_key prefix = vf_key_pages(v->gen.number);
    struct vf_node node;

    if (each_value(v, &prefix, check_sum, err) < 0 || check_tree(v, err) < 0)
        return -1;
    /* Once more through the segments, this time beside the digests. */
    memset(v->level[1], 0, sizeof *v->level[1]);
    v->listed = true;
    prefix = vf_key_digests(v->gen.number, 0);
    prefix.len -= 8;
    if (each_value(v, &prefix, check_digests, err) < 0)
        return -1;
    if (v->open.n || (info->top && next_node(v, NULL, 1, &node, err) != 0) ||
        v->digests != info->nodes[0])
        return wrong(v, "digests are missing", err);
    if (check_lists(v, err) < 0 || check_sketch(v, err) < 0)
        return -1;
    if (v->distinct + (info->zero_blocks != 0) != info->distinct_blocks)
        return wrong(v, "distinct blocks are not as many as the record says", err);
    for (unsigned k = 1; k <= info->top; k++)
        v->seen_values += (info->nodes[k] + VF_NODES_PER_PAGE - 1) / VF_NODES_PER_PAGE;
    if (v->values != v->seen_values)
        return wrong(v, "there are pages that belong to nothing", err);
    return 0;
}

int vf_index_verify(struct vf_index *ix, const char *path, struct vf_error *err)
{
    struct vf_image_record rec;
    struct verify *v;
    int rc = vf_index_get(ix, path, &rec, err);

    if (rc == VF_ABSENT)
        return vf_error_set(err, VF_ERR_NOTFOUND, 0, "'%s' is not in the index", path);
    if (rc < 0)
        return -1;
    rc = -1;
    v = vf_calloc(1, sizeof *v, err);
    if (!v)
        goto out;
    v->ix = ix;
    v->gen = (struct vf_gen){rec.generation, rec.info};
    v->lists = vf_lists_new(ix->store.dir, err);
    v->sketch = vf_sketch_builder_new(err);
    if (!v->lists || !v->sketch)
        goto out;
    for (unsigned k = 0; k < VF_LEVELS; k++)
        if (!(v->level[k] = vf_calloc(1, sizeof *v->level[k], err)))
            goto out;
    rc = check_all(v, err);
out:
    if (v) {
        vf_lists_free(v->lists);
        vf_sketch_builder_free(v->sketch);
        for (unsigned k = 0; k < VF_LEVELS; k++)
            free(v->level[k]);
        free(v);
    }
    vf_image_record_clear(&rec);
    return rc;
}
