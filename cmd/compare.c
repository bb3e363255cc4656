/* cmd/compare.c - holds a new map against a stored one. */
#include "cmd/compare.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"

#define CHUNK 4096u /* digests, or nodes, read of the stored map at once */

struct compare {
    struct vf_map_sink sink; /* first */
    struct vf_map *with;
    struct vf_map_info info; /* of with */
    uint64_t blocks;         /* non-zero blocks seen */
    uint64_t nodes[VF_LEVELS];
    uint8_t (*md5)[VF_MD5_LEN];
    struct vf_node *node;
};

static int differs(struct vf_error *err, uint64_t block)
{
    return vf_error_set(err, VF_ERR_MISMATCH, 0, "block %" PRIu64 " is not what was indexed",
                        block);
}

static int on_digests(struct vf_map_sink *sink, uint64_t first, size_t n,
                      const uint8_t (*md5)[VF_MD5_LEN], struct vf_error *err)
{
    struct compare *c = (struct compare *)sink;

    for (size_t done = 0; done < n;) {
        size_t part = n - done < CHUNK ? n - done : CHUNK;

        if (first + done + part > c->info.blocks)
            return differs(err, c->info.blocks);
        if (c->with->ops->digests(c->with, first + done, part, c->md5, err) < 0)
            return -1;
        for (size_t i = 0; i < part; i++)
            if (memcmp(c->md5[i], md5[done + i], VF_MD5_LEN) != 0)
                return differs(err, first + done + i);
        done += part;
    }
    c->blocks += n;
    return 0;
}

static bool same_node(const struct vf_node *a, const struct vf_node *b)
{
    return a->first == b->first && a->span == b->span && a->data == b->data && a->kid == b->kid &&
           a->kids == b->kids && memcmp(a->sha, b->sha, VF_SHA_LEN) == 0;
}

static int on_nodes(struct vf_map_sink *sink, unsigned level, const struct vf_node *nodes, size_t n,
                    struct vf_error *err)
{
    struct compare *c = (struct compare *)sink;

    for (size_t done = 0; done < n;) {
        size_t part = n - done < CHUNK ? n - done : CHUNK;

        if (level > c->info.top || c->nodes[level] + part > c->info.nodes[level])
            return differs(err, nodes[done].first);
        if (c->with->ops->nodes(c->with, level, c->nodes[level], part, c->node, err) < 0)
            return -1;
        for (size_t i = 0; i < part; i++)
            if (!same_node(&c->node[i], &nodes[done + i]))
                return differs(err, nodes[done + i].first);
        c->nodes[level] += part;
        done += part;
    }
    return 0;
}

static void free_it(struct vf_map_sink *sink)
{
    struct compare *c = (struct compare *)sink;

    if (!c)
        return;
    free(c->md5);
    free(c->node);
    free(c);
}

/* Nothing is written, so nothing can be done early; commit compares the end. */
static int on_complete(struct vf_map_sink *sink, struct vf_map_info *info, struct vf_error *err)
{
    const struct compare *c = (const struct compare *)sink;

    (void)err;
    info->distinct_blocks = c->info.distinct_blocks;
    return 0;
}

static int on_commit(struct vf_map_sink *sink, struct vf_map_info *info, struct vf_error *err)
{
    struct compare *c = (struct compare *)sink;
    const char *what = NULL;

    if (info->size != c->info.size)
        what = "the size";
    else if (c->blocks != c->info.blocks - c->info.zero_blocks ||
             info->zero_blocks != c->info.zero_blocks)
        what = "the number of zero blocks";
    else if (memcmp(info->root, c->info.root, VF_SHA_LEN) != 0)
        what = "the root digest";
    info->distinct_blocks = c->info.distinct_blocks;
    free_it(sink);
    if (what)
        return vf_error_set(err, VF_ERR_MISMATCH, 0, "%s is not what was indexed", what);
    return 0;
}

static const struct vf_map_sink_ops ops = {on_digests, on_nodes, on_complete, on_commit, free_it};

struct vf_map_sink *vf_compare_new(struct vf_map *with, struct vf_error *err)
{
    struct compare *c = vf_calloc(1, sizeof *c, err);

    if (!c)
        return NULL;
    c->sink.ops = &ops;
    c->with = with;
    c->md5 = vf_calloc(CHUNK, sizeof *c->md5, err);
    c->node = vf_calloc(CHUNK, sizeof *c->node, err);
    if (!c->md5 || !c->node || with->ops->info(with, &c->info, err) < 0) {
        free_it(&c->sink);
        return NULL;
    }
    return &c->sink;
}
