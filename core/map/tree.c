#include "core/map/tree.h"

#include <string.h>

#include "core/checked.h"
#include "core/hash/digest.h"
#include "core/map/cut.h"

/* A node of one level that still gathers children. */
struct open_node {
    struct vf_sha *sha;
    struct vf_cut cut;
    struct vf_node node; /* sha not valid yet */
};

struct vf_tree {
    uint64_t size, data;
    vf_tree_fn *on_node;
    void *ctx;
    uint64_t count[VF_LEVELS];        /* nodes completed on each level */
    struct open_node open[VF_LEVELS]; /* [k] gathers nodes of level k - 1; 0 and 1 unused */
    struct vf_node last[VF_LEVELS];   /* the latest node completed on each level */
};

struct vf_tree *vf_tree_new(uint64_t size, vf_tree_fn *on_node, void *ctx, struct vf_error *err)
{
    struct vf_tree *t = vf_calloc(1, sizeof *t, err);

    if (!t)
        return NULL;
    t->size = size;
    t->on_node = on_node;
    t->ctx = ctx;
    for (unsigned k = 2; k < VF_LEVELS; k++)
        if (!(t->open[k].sha = vf_sha_new(err))) {
            vf_tree_free(t);
            return NULL;
        }
    return t;
}

void vf_tree_free(struct vf_tree *t)
{
    if (!t)
        return;
    for (unsigned k = 2; k < VF_LEVELS; k++)
        vf_sha_free(t->open[k].sha);
    free(t);
}

static int add_child(struct vf_tree *t, unsigned level, const struct vf_node *kid,
                     struct vf_error *err);

/* The open node of this level has its last child. */
static int close_node(struct vf_tree *t, unsigned level, struct vf_error *err)
{
    struct open_node *o = &t->open[level];

    if (vf_sha_end(o->sha, o->node.sha, err) < 0)
        return -1;
    t->last[level] = o->node;
    t->count[level]++;
    memset(&o->node, 0, sizeof o->node);
    o->cut.len = 0;
    if (t->on_node && t->on_node(t->ctx, level, &t->last[level], 1, err) < 0)
        return -1;
    if (level + 1 < VF_LEVELS)
        return add_child(t, level + 1, &t->last[level], err);
    return 0;
}

/* kid, the latest of level - 1, becomes a child of the open node of this level. */
static int add_child(struct vf_tree *t, unsigned level, const struct vf_node *kid,
                     struct vf_error *err)
{
    struct open_node *o = &t->open[level];
    struct vf_node *n = &o->node;

    if (n->kids == 0) {
        n->first = kid->first;
        n->kid = t->count[level - 1] - 1;
        if (vf_sha_begin(o->sha, err) < 0 || vf_sha_add_u64(o->sha, level, err) < 0)
            return -1;
    }
    if (vf_sha_add_u64(o->sha, kid->first - n->first, err) < 0 ||
        vf_sha_add_u64(o->sha, kid->span, err) < 0 ||
        vf_sha_add(o->sha, kid->sha, VF_SHA_LEN, err) < 0)
        return -1;
    n->kids++;
    n->data += kid->data;
    n->span = kid->first + kid->span - n->first;
    return vf_cut_node(&o->cut, kid->sha) ? close_node(t, level, err) : 0;
}

int vf_tree_add(struct vf_tree *t, const struct vf_node *segs, size_t n, struct vf_error *err)
{
    if (n == 0)
        return 0;
    if (t->on_node && t->on_node(t->ctx, 1, segs, n, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        t->count[1]++;
        t->data += segs[i].span;
        t->last[1] = segs[i];
        if (add_child(t, 2, &segs[i], err) < 0)
            return -1;
    }
    return 0;
}

static int root_of(struct vf_tree *t, const struct vf_node *top, uint8_t ret[VF_SHA_LEN],
                   struct vf_error *err)
{
    static const char label[] = "vmferry tree 1\n";
    struct vf_sha *sha = t->open[2].sha;

    if (vf_sha_begin(sha, err) < 0 || vf_sha_add(sha, label, sizeof label - 1, err) < 0 ||
        vf_sha_add_u64(sha, t->size, err) < 0)
        return -1;
    if (top &&
        (vf_sha_add_u64(sha, top->first, err) < 0 || vf_sha_add_u64(sha, top->span, err) < 0 ||
         vf_sha_add(sha, top->sha, VF_SHA_LEN, err) < 0))
        return -1;
    return vf_sha_end(sha, ret, err);
}

int vf_tree_finish(struct vf_tree *t, struct vf_map_info *ret, struct vf_error *err)
{
    unsigned top = t->count[1] ? 1 : 0;

    /* Close what is open, level by level, until a level has a single node. */
    while (top && t->count[top] > 1) {
        top++;
        if (t->open[top].node.kids && close_node(t, top, err) < 0)
            return -1;
    }
    memset(ret, 0, sizeof *ret);
    ret->size = t->size;
    ret->blocks = vf_blocks_of(t->size);
    ret->zero_blocks = ret->blocks - t->data;
    ret->top = top;
    ret->nodes[0] = t->data;
    for (unsigned k = 1; k <= top; k++)
        ret->nodes[k] = t->count[k];
    return root_of(t, top ? &t->last[top] : NULL, ret->root, err);
}

int vf_batch_digest(struct vf_sha *sha, struct vf_run range, const struct vf_node *segs, size_t n,
                    uint8_t ret[VF_SHA_LEN], struct vf_error *err)
{
    if (vf_sha_begin(sha, err) < 0 || vf_sha_add_u64(sha, range.first, err) < 0 ||
        vf_sha_add_u64(sha, range.n, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (vf_sha_add_u64(sha, segs[i].first, err) < 0 ||
            vf_sha_add_u64(sha, segs[i].span, err) < 0 ||
            vf_sha_add(sha, segs[i].sha, VF_SHA_LEN, err) < 0)
            return -1;
    return vf_sha_end(sha, ret, err);
}
