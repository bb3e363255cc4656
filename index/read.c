/* index/read.c - reading the pages of one generation. */
#include "index/read.h"

#include <inttypes.h>
#include <string.h>

#include "index/le.h"

int vf_gen_read(struct vf_index *ix, const struct vf_gen *g, struct vf_txn *ret,
                struct vf_error *err)
{
    if (vf_store_read(&ix->store, ret, err) < 0)
        return -1;
    if (vf_generation_live(ret, g->number, err) == 0)
        return 0;
    vf_txn_end(ret);
    return -1;
}

static int damaged(struct vf_txn *t, const char *what, struct vf_error *err)
{
    (void)vf_error_set(err, VF_ERR_FORMAT, 0, "%s", what);
    return vf_store_damaged(t->st, err);
}

/* ---- nodes ---- */

static int nodes_page(struct vf_txn *t, const struct vf_gen *g, unsigned level, uint64_t number,
                      struct vf_bytes *ret_value, struct vf_page *ret, struct vf_error *err)
{
    const struct vf_key key = vf_key_nodes(g->number, level, number);
    const uint64_t left = g->info.nodes[level] - number * VF_NODES_PER_PAGE;
    int rc = vf_txn_get(t, vf_key_bytes(&key), ret_value, err);

    if (rc < 0)
        return -1;
    if (rc == VF_ABSENT)
        return damaged(t, "a page of nodes is missing", err);
    if (vf_page_open(ret_value->p, ret_value->len, VF_PAGE_NODES, level, ret, err) < 0)
        return vf_store_damaged(t->st, err);
    if (ret->n != (left < VF_NODES_PER_PAGE ? left : VF_NODES_PER_PAGE))
        return damaged(t, "a page of nodes has a wrong size", err);
    return 0;
}

int vf_gen_nodes(struct vf_txn *t, const struct vf_gen *g, unsigned level, uint64_t from, size_t n,
                 struct vf_node *ret, struct vf_error *err)
{
    if (level < 1 || level > g->info.top || from > g->info.nodes[level] ||
        n > g->info.nodes[level] - from)
        return vf_error_set(err, VF_ERR_RANGE, 0,
                            "a map has no nodes %" PRIu64 " to %" PRIu64 " on level %u", from,
                            from + n, level);
    while (n) {
        uint32_t at = (uint32_t)(from % VF_NODES_PER_PAGE);
        struct vf_bytes value;
        struct vf_page page;
        size_t some;

        if (nodes_page(t, g, level, from / VF_NODES_PER_PAGE, &value, &page, err) < 0)
            return -1;
        some = n < page.n - at ? n : page.n - at;
        for (size_t i = 0; i < some; i++)
            if (vf_page_node(&page, at + (uint32_t)i, &ret[i], err) < 0)
                return vf_store_damaged(t->st, err);
        vf_txn_touched(t, value, 65536 + some * page.width);
        from += some;
        ret += some;
        n -= some;
    }
    return 0;
}

/* ---- pages by what they begin with ---- */

/* The entry that c stands on, if it is one of the wanted pages. */
static int page_here(struct vf_cursor *c, const struct vf_key *key, size_t prefix,
                     enum vf_page_kind kind, unsigned level, struct vf_page *ret, uint64_t *ret_at,
                     struct vf_error *err)
{
    const size_t tail = kind == VF_PAGE_IDS ? VF_ID_LEN : 8;

    if (!vf_key_begins(c->key, key, prefix))
        return VF_ABSENT;
    if (c->key.len != prefix + tail)
        return damaged(c->t, "a page has a wrong key", err);
    *ret_at = vf_be_get(c->key.p + prefix, (unsigned)tail);
    if (vf_page_open(c->value.p, c->value.len, kind, level, ret, err) < 0)
        return vf_store_damaged(c->t->st, err);
    return VF_FOUND;
}

int vf_gen_page_near(struct vf_cursor *c, const struct vf_key *key, size_t prefix,
                     enum vf_page_kind kind, unsigned level, struct vf_page *ret, uint64_t *ret_at,
                     struct vf_error *err)
{
    int rc = vf_cursor_seek(c, vf_key_bytes(key), err);

    if (rc < 0)
        return -1;
    if (rc == VF_FOUND && c->key.len == key->len && vf_key_begins(c->key, key, key->len))
        return page_here(c, key, prefix, kind, level, ret, ret_at, err);
    rc = vf_cursor_prev(c, err);
    if (rc == VF_FOUND && vf_key_begins(c->key, key, prefix))
        return page_here(c, key, prefix, kind, level, ret, ret_at, err);
    if (rc < 0)
        return -1;
    rc = vf_cursor_seek(c, vf_key_bytes(key), err);
    return rc == VF_FOUND ? page_here(c, key, prefix, kind, level, ret, ret_at, err) : rc;
}

int vf_gen_page_next(struct vf_cursor *c, const struct vf_key *key, size_t prefix,
                     enum vf_page_kind kind, unsigned level, struct vf_page *ret, uint64_t *ret_at,
                     struct vf_error *err)
{
    int rc = vf_cursor_next(c, err);

    return rc == VF_FOUND ? page_here(c, key, prefix, kind, level, ret, ret_at, err) : rc;
}

/* ---- digests ---- */

int vf_gen_digests(struct vf_txn *t, const struct vf_gen *g, uint64_t first, size_t n,
                   uint8_t (*ret)[VF_MD5_LEN], struct vf_error *err)
{
    const struct vf_key key = vf_key_digests(g->number, first);
    const size_t prefix = key.len - 8;
    struct vf_run want = {first, n};
    struct vf_cursor c = {0};
    struct vf_page page;
    uint64_t at, end;
    int rc;

    if (first > g->info.blocks || n > g->info.blocks - first)
        return vf_error_set(err, VF_ERR_RANGE, 0,
                            "an image of %" PRIu64 " blocks has no block %" PRIu64, g->info.blocks,
                            first + n);
    for (size_t i = 0; i < n; i++)
        memcpy(ret[i], vf_zero_md5, VF_MD5_LEN);
    if (n == 0 || g->info.nodes[0] == 0)
        return 0;
    if (vf_cursor_open(&c, t, err) < 0)
        return -1;
    for (rc = vf_gen_page_near(&c, &key, prefix, VF_PAGE_DIGESTS, 0, &page, &at, err);
         rc == VF_FOUND && at < first + n;
         rc = vf_gen_page_next(&c, &key, prefix, VF_PAGE_DIGESTS, 0, &page, &at, err)) {
        if (vf_page_digests(&page, at, want, ret, &end, err) < 0) {
            rc = vf_store_damaged(t->st, err);
            break;
        }
        vf_txn_touched(t, c.value, 2 * 65536 + n * VF_MD5_LEN);
    }
    vf_cursor_close(&c);
    return rc < 0 ? -1 : 0;
}
