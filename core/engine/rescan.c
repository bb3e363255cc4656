#include "core/engine/rescan.h"

#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/map/build.h"
#include "core/map/scanned.h"

#define NODES  512u /* segments of the old map that are held at a time */
#define BEYOND 2u   /* old segments behind a change that are read at first, to find its end */

/* The old segments in order.  at: the number of the one that is looked at. */
struct cursor {
    struct vf_map *map;
    uint64_t n, at, loaded, have; /* node[0] is number `loaded` */
    struct vf_node node[NODES];
};

struct again {
    struct vf_image *image;
    struct vf_map *old;
    struct vf_build *build;
    const struct vf_run *changed;
    size_t n, next; /* changes; the first that is not behind us */
    uint64_t blocks, read;
    struct cursor c;
    const struct vf_send_opts *opts;
    struct vf_scanned piece;       /* that was read */
    uint8_t (*digest)[VF_MD5_LEN]; /* room for VF_SEG_MAX * NODES */
};

/* The old segment number i; NULL with *err only when the map cannot be read. */
static const struct vf_node *old_segment(struct cursor *c, uint64_t i, struct vf_error *err)
{
    if (i < c->loaded || i >= c->loaded + c->have) {
        uint64_t n = c->n - i < NODES ? c->n - i : NODES;

        c->have = 0;
        if (c->map->ops->nodes(c->map, 1, i, (size_t)n, c->node, err) < 0)
            return NULL;
        c->loaded = i;
        c->have = n;
    }
    return &c->node[i - c->loaded];
}

/* ---- what has not changed ---- */

/* Gives n old segments from number `from` on to the new map. */
static int keep(struct again *a, uint64_t from, size_t n, struct vf_error *err)
{
    size_t i = 0, at = 0;

    while (i < n) {
        const struct vf_node *s = &a->c.node[from - a->c.loaded + i];
        uint64_t first = s->first, len = 0;

        for (; i < n && s->first == first + len; s++, i++)
            len += s->span;
        if (a->old->ops->digests(a->old, first, (size_t)len, a->digest + at, err) < 0)
            return -1;
        at += (size_t)len;
    }
    return vf_build_add(a->build, &a->c.node[from - a->c.loaded], n,
                        (const uint8_t(*)[VF_MD5_LEN])a->digest, err);
}

/* Keeps all old segments that end before block `end`: not at it, because what follows decides
 * whether a segment ends there. */
static int keep_until(struct again *a, uint64_t end, struct vf_error *err)
{
    struct cursor *c = &a->c;

    while (c->at < c->n) {
        const struct vf_node *s = old_segment(c, c->at, err);
        uint64_t n = 0, left = s ? c->loaded + c->have - c->at : 0;

        if (!s)
            return -1;
        while (n < left && s[n].first + s[n].span < end)
            n++;
        if (n == 0)
            return 0;
        if (keep(a, c->at, (size_t)n, err) < 0)
            return -1;
        c->at += n;
    }
    return 0;
}

/* ---- what has changed ---- */

/* Where reading may end that has to go on to `end` at least. */
struct stop {
    uint64_t block; /* reading ends before it */
    uint64_t at;    /* the old segment that comes next */
    bool sure;      /* zeros follow, or nothing: whatever was read, a segment ends there */
};

/* Before the next zeros, or behind the k-th old segment that begins at `end` or later. */
static int find_stop(struct again *a, uint64_t end, uint64_t k, struct stop *ret,
                     struct vf_error *err)
{
    uint64_t pos = end;

    for (uint64_t i = a->c.at; i < a->c.n; i++) {
        const struct vf_node *s = old_segment(&a->c, i, err);

        if (!s)
            return -1;
        if (s->first + s->span <= end)
            continue;
        if (s->first > pos || k == 0) {
            *ret = (struct stop){pos, i, s->first > pos};
            return 0;
        }
        k -= s->first >= end;
        pos = s->first + s->span;
    }
    *ret = (struct stop){pos, a->c.n, true};
    return 0;
}

/* Is the last segment that was read the same as the last old one before the stop?  Then both go on
 * in the same way. */
static int agrees(struct again *a, const struct stop *stop, struct vf_error *err)
{
    size_t n;
    const struct vf_node *read = vf_scanned_nodes(&a->piece, &n), *old;

    if (stop->sure)
        return 1;
    old = old_segment(&a->c, stop->at - 1, err);
    if (!old)
        return -1;
    return n && read[n - 1].first == old->first && read[n - 1].span == old->span;
}

/* Reads from block `from`, where a segment begins or zeros lie, to `end` and on until old and new
 * map agree again; changes that lie there are taken along. */
static int read_piece(struct again *a, uint64_t from, uint64_t end, struct vf_error *err)
{
    uint64_t k = BEYOND;

    for (;;) {
        const struct vf_run *more = a->next < a->n ? &a->changed[a->next] : NULL;
        struct stop stop;
        int same;

        if (find_stop(a, end, k, &stop, err) < 0)
            return -1;
        if (more && more->first <= stop.block) {
            end = more->first + more->n;
            a->next++;
            continue;
        }
        if (vf_scanned_read(&a->piece, a->image, (struct vf_run){from, stop.block - from},
                            a->opts->stop, err) < 0)
            return -1;
        a->read += stop.block - from;
        same = agrees(a, &stop, err);
        if (same < 0)
            return -1;
        if (same) {
            size_t n;
            const struct vf_node *segs = vf_scanned_nodes(&a->piece, &n);

            a->c.at = stop.at;
            return vf_build_add(a->build, segs, n, vf_scanned_md5s(&a->piece), err);
        }
        k *= 4;
    }
}

static int run(struct again *a, struct vf_map_info *ret_info, struct vf_error *err)
{
    while (a->next < a->n) {
        uint64_t from = a->changed[a->next].first, end = from + a->changed[a->next].n;
        const struct vf_node *s = NULL;

        a->next++;
        if (keep_until(a, from, err) < 0)
            return -1;
        if (a->c.at < a->c.n) {
            s = old_segment(&a->c, a->c.at, err);
            if (!s)
                return -1;
        }
        if (read_piece(a, s && s->first < from ? s->first : from, end, err) < 0)
            return -1;
    }
    if (keep_until(a, UINT64_MAX, err) < 0)
        return -1;
    return vf_build_finish(a->build, ret_info, err);
}

static int check(const struct again *a, const struct vf_map_info *old, struct vf_error *err)
{
    uint64_t end = 0;

    if (old->size != a->image->size)
        return vf_error_set(err, VF_ERR_CHANGED, 0, "the image has got another size");
    for (size_t i = 0; i < a->n; i++) {
        const struct vf_run *r = &a->changed[i];

        if (r->first < end || r->n == 0 || r->n > a->blocks || r->first > a->blocks - r->n)
            return vf_error_set(err, VF_ERR_RANGE, 0, "changes that are not in order");
        end = r->first + r->n;
    }
    return 0;
}

int vf_index_changed(struct vf_image *image, struct vf_map *old, const struct vf_run *changed,
                     size_t n, struct vf_map_sink *sink, const struct vf_send_opts *opts,
                     struct vf_map_info *ret_info, uint64_t *ret_read, struct vf_error *err)
{
    struct again *a = vf_calloc(1, sizeof *a, err);
    struct vf_map_info info;
    int rc = -1;

    if (!a)
        goto out;
    *a = (struct again){.image = image,
                        .old = old,
                        .changed = changed,
                        .n = n,
                        .blocks = vf_blocks_of(image->size),
                        .opts = opts,
                        .piece = {.workers = opts->workers}};
    a->digest = vf_calloc((size_t)NODES * VF_SEG_MAX, VF_MD5_LEN, err);
    a->build = a->digest ? vf_build_new(image->size, sink, NULL, NULL, err) : NULL;
    if (!a->build || old->ops->info(old, &info, err) < 0 || check(a, &info, err) < 0)
        goto out;
    a->c.map = old;
    a->c.n = info.nodes[1];
    rc = run(a, &info, err);
out:
    if (rc == 0) {
        rc = sink->ops->commit(sink, &info, err);
        if (rc == 0 && ret_info)
            *ret_info = info;
        if (ret_read)
            *ret_read = a->read;
    } else {
        sink->ops->abort(sink);
    }
    if (a) {
        vf_build_free(a->build);
        vf_scanned_free(&a->piece);
        free(a->digest);
    }
    free(a);
    return rc;
}
