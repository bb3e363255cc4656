#include "core/map/build.h"

#include "core/checked.h"

struct vf_build {
    struct vf_tree *tree;
    struct vf_map_sink *sink;
    vf_tree_fn *on_node;
    void *ctx;
};

static int take_node(void *ctx, unsigned level, const struct vf_node *nodes, size_t n,
                     struct vf_error *err)
{
    struct vf_build *b = ctx;

    if (b->sink && b->sink->ops->nodes(b->sink, level, nodes, n, err) < 0)
        return -1;
    return b->on_node && level > 1 ? b->on_node(b->ctx, level, nodes, n, err) : 0;
}

struct vf_build *vf_build_new(uint64_t size, struct vf_map_sink *sink, vf_tree_fn *on_node,
                              void *ctx, struct vf_error *err)
{
    struct vf_build *b = vf_calloc(1, sizeof *b, err);

    if (!b)
        return NULL;
    b->sink = sink;
    b->on_node = on_node;
    b->ctx = ctx;
    b->tree = vf_tree_new(size, take_node, b, err);
    if (!b->tree) {
        free(b);
        return NULL;
    }
    return b;
}

void vf_build_free(struct vf_build *b)
{
    if (!b)
        return;
    vf_tree_free(b->tree);
    free(b);
}

int vf_build_add(struct vf_build *b, const struct vf_node *segs, size_t n,
                 const uint8_t (*md5)[VF_MD5_LEN], struct vf_error *err)
{
    size_t i = 0, at = 0;

    while (b->sink && i < n) { /* segments that touch make one run */
        uint64_t first = segs[i].first, len = 0;

        while (i < n && segs[i].first == first + len)
            len += segs[i++].span;
        if (b->sink->ops->digests(b->sink, first, (size_t)len, md5 + at, err) < 0)
            return -1;
        at += (size_t)len;
    }
    return vf_tree_add(b->tree, segs, n, err);
}

int vf_build_finish(struct vf_build *b, struct vf_map_info *ret, struct vf_error *err)
{
    return vf_tree_finish(b->tree, ret, err);
}
