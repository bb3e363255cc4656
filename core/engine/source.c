#include "core/engine/source.h"

#include <string.h>

#include "core/buf.h"
#include "core/checked.h"
#include "core/map/build.h"
#include "core/map/scan.h"

#define BATCH_FULL  (VF_BATCH_BLOCKS / 2) /* blocks after which a batch is closed */
#define BATCH_LEAST 2048u                 /* the same at the ends of the image */
#define WIDE        2048u                 /* blocks whose digests are asked for at a time */
#define MAX_KIDS    256u                  /* children of a group: VF_CUT_MAX */

_Static_assert(WIDE >= VF_SEG_MAX, "a segment fits into what is asked for at a time");

/* Segments that came but lie in no batch yet, and the groups that are complete among them. */
struct source {
    struct vf_build *build;
    vf_batch_fn *fn;
    void *ctx;
    uint64_t blocks; /* of the image */
    uint64_t done;   /* where the next batch begins */
    uint64_t left;   /* non-zero blocks that lie in no batch yet, as far as that is known */
    uint32_t next_id;
    bool keep_md5;      /* live: segments come with their MD5s */
    struct vf_buf segs; /* struct vf_node */
    struct vf_buf md5;
    struct vf_buf groups; /* struct vf_node */
    size_t grouped;       /* segments and blocks of complete groups, at the front */
    size_t grouped_blocks;
};

void vf_batch_free(struct vf_batch *b)
{
    if (!b)
        return;
    free(b->segs);
    free(b->groups);
    free(b->md5);
    free(b);
}

/* The digests of segments from number *i on that lie within WIDE blocks to b->md5 + *at, by way of
 * `wide`, which has room for so many; both numbers move on. */
static int load_some(struct vf_batch *b, struct vf_map *map, uint8_t (*wide)[VF_MD5_LEN], size_t *i,
                     size_t *at, struct vf_error *err)
{
    uint64_t first = b->segs[*i].first, end = first;
    size_t k = *i;

    for (; k < b->nsegs && b->segs[k].first + b->segs[k].span - first <= WIDE; k++)
        end = b->segs[k].first + b->segs[k].span;
    if (map->ops->digests(map, first, (size_t)(end - first), wide, err) < 0)
        return -1;
    for (; *i < k; (*i)++) {
        const struct vf_node *seg = &b->segs[*i];

        memcpy(b->md5 + *at, wide + (seg->first - first), seg->span * VF_MD5_LEN);
        *at += (size_t)seg->span;
    }
    return 0;
}

int vf_batch_load(struct vf_batch *b, struct vf_map *map, struct vf_error *err)
{
    uint8_t(*wide)[VF_MD5_LEN];
    size_t i = 0, at = 0;
    int rc = -1;

    if (b->md5 || b->ndata == 0)
        return 0;
    wide = vf_calloc(WIDE, sizeof *wide, err);
    b->md5 = vf_calloc(b->ndata, VF_MD5_LEN, err);
    if (!wide || !b->md5)
        goto out;
    while (i < b->nsegs)
        if (load_some(b, map, wide, &i, &at, err) < 0)
            goto out;
    rc = 0;
out:
    free(wide);
    return rc;
}

/* The first n bytes of a buffer as memory of their own; the rest moves to the front. */
static void *split(struct vf_buf *b, size_t n, struct vf_error *err)
{
    void *p = vf_calloc(1, n, err);

    if (!p)
        return NULL;
    if (n) {
        memcpy(p, b->data, n);
        memmove(b->data, b->data + n, b->len - n);
        b->len -= n;
    }
    return p;
}

/* Makes a batch of the first nsegs segments, with all complete groups, up to block `end`, and hands
 * it over. */
static int emit(struct source *s, size_t nsegs, size_t nblocks, uint64_t end, struct vf_error *err)
{
    struct vf_batch *b = vf_calloc(1, sizeof *b, err);

    if (!b)
        return -1;
    b->id = s->next_id++;
    b->range = (struct vf_run){s->done, end - s->done};
    b->nsegs = nsegs;
    b->ndata = nblocks;
    b->ngroups = s->groups.len / sizeof *b->groups;
    b->segs = split(&s->segs, nsegs * sizeof *b->segs, err);
    b->groups = split(&s->groups, s->groups.len, err);
    if (s->keep_md5)
        b->md5 = split(&s->md5, nblocks * VF_MD5_LEN, err);
    if (!b->segs || !b->groups || (s->keep_md5 && !b->md5)) {
        vf_batch_free(b);
        return -1;
    }
    s->left -= nblocks < s->left ? nblocks : s->left;
    s->done = end;
    s->grouped = s->grouped_blocks = 0;
    return s->fn(s->ctx, b, err);
}

static int emit_groups(struct source *s, struct vf_error *err)
{
    const struct vf_node *last;

    if (s->grouped == 0)
        return 0;
    last = (const struct vf_node *)(const void *)s->segs.data + s->grouped - 1;
    return emit(s, s->grouped, s->grouped_blocks, last->first + last->span, err);
}

/* Blocks after which the batch is closed.  The first ones are small, so that the first answers come
 * soon; and the last ones, so that little is left to be verified when the last literal has come. */
static size_t full(const struct source *s)
{
    uint64_t n = BATCH_FULL;

    if (s->next_id < 8)
        n = BATCH_LEAST << s->next_id < n ? BATCH_LEAST << s->next_id : n;
    if (s->left / 4 < n)
        n = s->left / 4 < BATCH_LEAST ? BATCH_LEAST : s->left / 4;
    return (size_t)n;
}

/* One more group is complete; its segments are in s->segs. */
static int add_group(struct source *s, const struct vf_node *group, struct vf_error *err)
{
    struct vf_node g = *group;

    if ((s->grouped_blocks + g.data > VF_BATCH_BLOCKS || s->grouped + g.kids > VF_MAX_NODES) &&
        emit_groups(s, err) < 0)
        return -1;
    g.kid = s->grouped;
    if (vf_buf_add(&s->groups, &g, sizeof g, err) < 0)
        return -1;
    s->grouped += g.kids;
    s->grouped_blocks += (size_t)g.data;
    return s->grouped_blocks >= full(s) ? emit_groups(s, err) : 0;
}

/* What is left at the end: segments without a group, zeros behind the last segment. */
static int emit_rest(struct source *s, struct vf_error *err)
{
    const struct vf_node *segs;
    size_t n, blocks = 0;

    if (emit_groups(s, err) < 0)
        return -1;
    segs = (const void *)s->segs.data;
    n = s->segs.len / sizeof *segs;
    for (size_t i = 0; i < n; i++)
        blocks += (size_t)segs[i].span;
    return n || s->done < s->blocks ? emit(s, n, blocks, s->blocks, err) : 0;
}

/* ---- live ---- */

static int live_node(void *ctx, unsigned level, const struct vf_node *nodes, size_t n,
                     struct vf_error *err)
{
    struct source *s = ctx;

    for (size_t i = 0; level == 2 && i < n; i++)
        if (add_group(s, &nodes[i], err) < 0)
            return -1;
    return 0;
}

static int live_segments(void *ctx, const struct vf_node *segs, size_t n,
                         const uint8_t (*md5)[VF_MD5_LEN], uint64_t upto, struct vf_error *err)
{
    struct source *s = ctx;
    size_t blocks = 0;

    (void)upto;
    for (size_t i = 0; i < n; i++)
        blocks += (size_t)segs[i].span;
    if (n && (vf_buf_add(&s->segs, segs, n * sizeof *segs, err) < 0 ||
              vf_buf_add(&s->md5, md5, blocks * VF_MD5_LEN, err) < 0))
        return -1;
    return vf_build_add(s->build, segs, n, md5, err);
}

static int run_live(struct source *s, struct vf_image *image, struct vf_map_sink *sink,
                    unsigned workers, const volatile int *stop, struct vf_map_info *ret_info,
                    struct vf_error *err)
{
    s->keep_md5 = true;
    s->build = vf_build_new(image->size, sink, live_node, s, err);
    if (!s->build)
        return -1;
    if (vf_scan(image, (struct vf_run){0, s->blocks}, workers, live_segments, s, stop, err) < 0)
        return -1;
    return vf_build_finish(s->build, ret_info, err);
}

/* ---- stored ---- */

static int stored_group(struct source *s, struct vf_map *map, const struct vf_node *g,
                        struct vf_error *err)
{
    struct vf_node kids[MAX_KIDS];

    if (g->kids == 0 || g->kids > MAX_KIDS)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "the stored map has a group of %u segments",
                            g->kids);
    if (map->ops->nodes(map, 1, g->kid, g->kids, kids, err) < 0 ||
        vf_buf_add(&s->segs, kids, g->kids * sizeof *kids, err) < 0)
        return -1;
    return add_group(s, g, err);
}

static int run_stored(struct source *s, struct vf_map *map, const volatile int *stop,
                      struct vf_map_info *ret_info, struct vf_error *err)
{
    struct vf_node some[64];
    struct vf_map_info info;

    if (map->ops->info(map, &info, err) < 0)
        return -1;
    s->left = info.blocks - info.zero_blocks;
    for (uint64_t i = 0, n; info.top >= 2 && i < info.nodes[2]; i += n) {
        n = info.nodes[2] - i < 64 ? info.nodes[2] - i : 64;
        if (stop && *stop)
            return vf_error_set(err, VF_ERR_CANCELLED, 0, "interrupted");
        if (map->ops->nodes(map, 2, i, (size_t)n, some, err) < 0)
            return -1;
        for (size_t k = 0; k < n; k++)
            if (stored_group(s, map, &some[k], err) < 0)
                return -1;
    }
    if (info.top == 1) { /* a single segment, in no group */
        if (map->ops->nodes(map, 1, 0, 1, some, err) < 0 ||
            vf_buf_add(&s->segs, some, sizeof some[0], err) < 0)
            return -1;
    }
    *ret_info = info;
    return 0;
}

int vf_source_run(struct vf_image *image, struct vf_map *map, struct vf_map_sink *sink,
                  unsigned workers, vf_batch_fn *fn, void *ctx, const volatile int *stop,
                  struct vf_map_info *ret_info, struct vf_error *err)
{
    struct source s = {
        .fn = fn, .ctx = ctx, .blocks = vf_blocks_of(image->size), .left = UINT64_MAX};
    int rc;

    rc = map ? run_stored(&s, map, stop, ret_info, err)
             : run_live(&s, image, sink, workers, stop, ret_info, err);
    if (rc == 0)
        rc = emit_rest(&s, err);
    vf_build_free(s.build);
    vf_buf_free(&s.segs);
    vf_buf_free(&s.md5);
    vf_buf_free(&s.groups);
    return rc;
}

/* ---- the map alone ---- */

static int index_segments(void *ctx, const struct vf_node *segs, size_t n,
                          const uint8_t (*md5)[VF_MD5_LEN], uint64_t upto, struct vf_error *err)
{
    (void)upto;
    return vf_build_add(ctx, segs, n, md5, err);
}

int vf_index_image(struct vf_image *image, struct vf_map_sink *sink,
                   const struct vf_send_opts *opts, struct vf_map_info *ret_info,
                   struct vf_error *err)
{
    struct vf_run all = {0, vf_blocks_of(image->size)};
    struct vf_build *b = vf_build_new(image->size, sink, NULL, NULL, err);
    struct vf_map_info info;
    int rc = -1;

    if (b && vf_scan(image, all, opts->workers, index_segments, b, opts->stop, err) == 0)
        rc = vf_build_finish(b, &info, err);
    vf_build_free(b);
    if (rc == 0) {
        rc = sink->ops->commit(sink, &info, err);
        if (rc == 0 && ret_info)
            *ret_info = info;
    } else {
        sink->ops->abort(sink);
    }
    return rc;
}
