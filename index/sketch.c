/* index/sketch.c - the sketch of a map: stored as one page, or made from the fingerprints. */
#include "index/sketch.h"

#include "core/checked.h"
#include "index/pages_impl.h"

int vf_sketch_page(const struct vf_sketch *s, struct vf_buf *ret, struct vf_error *err)
{
    const struct vf_page head = {.kind = VF_PAGE_SKETCH, .n = 1};
    struct vf_buf out = VF_BUF_INIT;

    if (vf_page_begin(&out, s->n * 5, err) < 0 || vf_sketch_encode(s, &out, err) < 0) {
        vf_buf_free(&out);
        return -1;
    }
    vf_page_seal(&out, &head);
    *ret = out;
    return 0;
}

int vf_sketch_page_read(struct vf_bytes value, const struct vf_gen *g, struct vf_sketch *ret,
                        struct vf_error *err)
{
    const struct vf_map_info *info = &g->info;
    struct vf_page page;

    if (vf_page_open(value.p, value.len, VF_PAGE_SKETCH, 0, &page, err) < 0 ||
        vf_sketch_decode(page.body, page.len, ret, err) < 0)
        return -1;
    if (ret->zero_blocks == info->zero_blocks &&
        vf_sketch_distinct(ret) + (info->zero_blocks != 0) == info->distinct_blocks)
        return 0;
    vf_sketch_free(ret);
    return vf_error_set(err, VF_ERR_FORMAT, 0, "a sketch is that of another map");
}

/* The stored one.  VF_FOUND, VF_ABSENT or -1. */
static int stored(struct vf_index *ix, const struct vf_gen *g, struct vf_sketch *ret,
                  struct vf_error *err)
{
    const struct vf_key key = vf_key_sketch(g->number);
    struct vf_bytes value;
    struct vf_txn t;
    int rc;

    if (vf_gen_read(ix, g, &t, err) < 0)
        return -1;
    rc = vf_txn_get(&t, vf_key_bytes(&key), &value, err);
    if (rc == VF_FOUND && vf_sketch_page_read(value, g, ret, err) < 0)
        rc = vf_store_damaged(&ix->store, err);
    else if (rc == VF_FOUND)
        vf_txn_touched(&t, value, value.len);
    vf_txn_end(&t);
    return rc;
}

int vf_gen_sketch(struct vf_index *ix, const struct vf_gen *g, struct vf_sketch *ret,
                  struct vf_error *err)
{
    int rc = stored(ix, g, ret, err);
    struct vf_index_prints *prints = NULL;
    struct vf_map *map;

    if (rc != VF_ABSENT)
        return rc < 0 ? -1 : 0;
    map = vf_gen_map(ix, g, err);
    prints = map ? vf_index_prints_new(map, err) : NULL;
    rc = prints ? vf_sketch_make(vf_index_prints_next, prints, g->info.zero_blocks, ret, err) : -1;
    vf_index_prints_free(prints);
    if (map)
        map->ops->close(map);
    return rc;
}
