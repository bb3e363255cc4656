/* index/sink.c - where a new map goes: packed into pages, written in short transactions under a
 * generation of its own, made the current one in the last. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "index/catalog.h"
#include "index/le.h"
#include "index/lists.h"
#include "index/pagequeue.h"
#include "index/sketch.h"
#include "index/tap.h"

struct sink {
    struct vf_map_sink base;
    struct vf_index *ix;
    struct vf_image_record rec;
    uint64_t gen;
    int lock; /* says that this generation's builder lives */
    struct vf_lists *lists;
    struct vf_digest_builder digests;
    struct vf_buf nodes[VF_LEVELS]; /* pages in the making */
    uint64_t count[VF_LEVELS];      /* nodes so far; [0]: digests */
    uint64_t end;                   /* one behind the last block so far */
    uint64_t distinct;              /* fingerprints */
    struct vf_sketch_builder *sketch;
    struct vf_pagequeue *queue;
    struct vf_index_tap *tap; /* borrowed; NULL: nobody looks at the fingerprints */
    bool completed;           /* all pages are written */
    struct vf_map_info info;  /* then: of the whole map */
};

static struct sink *sink_of(struct vf_map_sink *base) { return (struct sink *)base; }

/* ---- writing pages ---- */

static int emit_digests(struct sink *s, struct vf_error *err)
{
    const struct vf_key key = vf_key_digests(s->gen, s->digests.first);
    struct vf_buf page;
    int rc;

    if (vf_digest_builder_finish(&s->digests, &page, err) < 0)
        return -1;
    rc = vf_pagequeue_put(s->queue, &key, &page, err);
    s->digests.md5 = page;
    return rc;
}

static int emit_nodes(struct sink *s, unsigned level, struct vf_error *err)
{
    const struct vf_key key =
        vf_key_nodes(s->gen, level, (s->count[level] - 1) / VF_NODES_PER_PAGE);

    vf_nodes_finish(&s->nodes[level], level);
    return vf_pagequeue_put(s->queue, &key, &s->nodes[level], err);
}

/* ---- what comes in ---- */

static int sink_digests(struct vf_map_sink *base, uint64_t first, size_t n,
                        const uint8_t (*md5)[VF_MD5_LEN], struct vf_error *err)
{
    struct sink *s = sink_of(base);

    if (first < s->end || n > VF_MAX_BLOCKS || first > VF_MAX_BLOCKS - n)
        return vf_error_set(err, VF_ERR_RANGE, 0, "digests of blocks %" PRIu64 " and on come late",
                            first);
    if (vf_lists_digests(s->lists, md5, n, err) < 0)
        return -1;
    s->count[0] += n;
    while (n) {
        long took = vf_digest_builder_add(&s->digests, first, md5, n, err);

        if (took < 0 || (took == 0 && emit_digests(s, err) < 0))
            return -1;
        first += (uint64_t)took;
        md5 += took;
        n -= (size_t)took;
    }
    s->end = first;
    return 0;
}

static int sink_nodes(struct vf_map_sink *base, unsigned level, const struct vf_node *nodes,
                      size_t n, struct vf_error *err)
{
    struct sink *s = sink_of(base);

    if (level < 1 || level >= VF_LEVELS)
        return vf_error_set(err, VF_ERR_RANGE, 0, "a map has no level %u", level);
    if (vf_lists_nodes(s->lists, level, s->count[level], nodes, n, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (vf_nodes_add(&s->nodes[level], level, &nodes[i], err) < 0)
            return -1;
        s->count[level]++;
        if (s->count[level] % VF_NODES_PER_PAGE == 0 && emit_nodes(s, level, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the sorted lists ---- */

static int emit_prints(struct sink *s, struct vf_prints_builder *b, struct vf_error *err)
{
    const struct vf_key prints_key = vf_key_prints(s->gen, VF_PAGE_PRINTS, b->first);
    const struct vf_key counts_key = vf_key_prints(s->gen, VF_PAGE_COUNTS, b->first);
    struct vf_buf prints = VF_BUF_INIT, counts = VF_BUF_INIT;
    int rc;

    vf_prints_builder_finish(b, &prints, &counts);
    rc = vf_pagequeue_put(s->queue, &prints_key, &prints, err);
    if (rc == 0)
        rc = vf_pagequeue_put(s->queue, &counts_key, &counts, err);
    b->prints = prints; /* what has come back may be used again */
    b->counts = counts;
    return rc;
}

static int add_prints(struct sink *s, struct vf_prints_builder *b, struct vf_lists_prints p,
                      struct vf_error *err)
{
    if (vf_sketch_builder_add_many(s->sketch, p.fp, p.count, p.n, err) < 0)
        return -1;
    s->distinct += p.n;
    if (s->tap)
        vf_tap_put(s->tap, &p);
    while (p.n) {
        const long took = vf_prints_builder_add(b, p.fp, p.count, p.n, err);

        if (took < 0 || (took == 0 && emit_prints(s, b, err) < 0))
            return -1;
        p.fp += took;
        p.count += took;
        p.n -= (size_t)took;
    }
    return 0;
}

static int write_prints(struct sink *s, struct vf_error *err)
{
    struct vf_prints_builder b = {.n = 0};
    struct vf_lists_prints p;
    int rc;

    while ((rc = vf_lists_next_prints(s->lists, &p, err)) > 0)
        if (add_prints(s, &b, p, err) < 0) {
            rc = -1;
            break;
        }
    if (rc == 0 && s->tap)
        vf_tap_end(s->tap, true);
    if (rc == 0 && b.n)
        rc = emit_prints(s, &b, err);
    vf_prints_builder_free(&b);
    return rc;
}

static int emit_ids(struct sink *s, struct vf_ids_builder *b, unsigned level, struct vf_error *err)
{
    const struct vf_key key = vf_key_ids(s->gen, level, b->first);
    struct vf_buf page;
    int rc;

    if (vf_ids_builder_finish(b, level, &page, err) < 0)
        return -1;
    rc = vf_pagequeue_put(s->queue, &key, &page, err);
    vf_buf_free(&page);
    return rc;
}

static int write_ids(struct sink *s, struct vf_error *err)
{
    struct vf_ids_builder b = {.width = 0};
    unsigned level, at = 0;
    uint64_t id, number;
    int rc, more;

    do {
        more = vf_lists_next_id(s->lists, &level, &id, &number, err);
        rc = more < 0 ? -1 : 0;
        if (rc == 0 && b.n && (!more || level != at || vf_ids_builder_full(&b, id)))
            rc = emit_ids(s, &b, at, err);
        if (rc == 0 && more) {
            at = level;
            b.width = vf_width_of(s->count[level] - 1);
            rc = vf_ids_builder_add(&b, id, number, err);
        }
    } while (rc == 0 && more);
    vf_ids_builder_free(&b);
    return rc;
}

static int write_sketch(struct sink *s, uint64_t zero_blocks, struct vf_error *err)
{
    const struct vf_key key = vf_key_sketch(s->gen);
    struct vf_sketch sketch;
    struct vf_buf page;
    int rc;

    if (vf_sketch_builder_finish(s->sketch, zero_blocks, &sketch, err) < 0)
        return -1;
    rc = vf_sketch_page(&sketch, &page, err);
    vf_sketch_free(&sketch);
    if (rc < 0)
        return -1;
    rc = vf_pagequeue_put(s->queue, &key, &page, err);
    vf_buf_free(&page);
    return rc;
}

/* ---- the end ---- */

static void sink_free(struct sink *s)
{
    vf_pagequeue_free(s->queue);
    vf_lists_free(s->lists);
    vf_sketch_builder_free(s->sketch);
    vf_digest_builder_free(&s->digests);
    for (unsigned k = 0; k < VF_LEVELS; k++)
        vf_buf_free(&s->nodes[k]);
    vf_image_record_clear(&s->rec);
    vf_close_fd(&s->lock);
    free(s);
}

static int do_doom(struct vf_txn *t, void *ctx, struct vf_error *err)
{
    const struct sink *s = ctx;

    return vf_generation_set(t, s->gen, VF_GEN_DOOMED, err);
}

static void sink_abort(struct vf_map_sink *base)
{
    struct vf_index *ix;
    int ignored;

    if (!base)
        return;
    ix = sink_of(base)->ix;
    vf_pagequeue_free(sink_of(base)->queue); /* nothing is written behind what follows */
    sink_of(base)->queue = NULL;
    /* If this fails, the lock that goes away says the same. */
    ignored = vf_store_write(&ix->store, do_doom, sink_of(base), NULL);
    (void)ignored;
    sink_free(sink_of(base));
    vf_generations_tidy(ix);
}

static int do_publish(struct vf_txn *t, void *ctx, struct vf_error *err)
{
    struct sink *s = ctx;
    enum vf_generation_state state;
    int rc = vf_generation_get(t, s->gen, &state, err);

    if (rc < 0)
        return -1;
    if (rc == VF_ABSENT || state != VF_GEN_BUILDING)
        return vf_error_set(err, VF_ERR_CHANGED, 0, "the new map of '%s' has been swept away",
                            s->rec.path);
    if (vf_generation_set(t, s->gen, VF_GEN_LIVE, err) < 0)
        return -1;
    return vf_image_put(t, &s->rec, err);
}

/* Does what the builder says agree with what it gave? */
static int check_info(const struct sink *s, const struct vf_map_info *info, struct vf_error *err)
{
    bool ok = vf_map_info_check(info, NULL) == 0 && s->end <= info->blocks &&
              info->nodes[0] == s->count[0];

    for (unsigned k = 1; ok && k < VF_LEVELS; k++)
        ok = s->count[k] == info->nodes[k];
    return ok ? 0
              : vf_error_set(err, VF_ERR_RANGE, 0, "the new map of '%s' does not add up",
                             s->rec.path);
}

static int complete(struct sink *s, struct vf_map_info *info, struct vf_error *err)
{
    if (s->digests.n && emit_digests(s, err) < 0)
        return -1;
    for (unsigned k = 1; k < VF_LEVELS; k++)
        if (s->nodes[k].len && emit_nodes(s, k, err) < 0)
            return -1;
    if (vf_lists_finish(s->lists, err) < 0 || write_prints(s, err) < 0 || write_ids(s, err) < 0)
        return -1;
    info->distinct_blocks = s->distinct + (info->zero_blocks != 0);
    if (check_info(s, info, err) < 0 || write_sketch(s, info->zero_blocks, err) < 0 ||
        vf_pagequeue_finish(s->queue, err) < 0)
        return -1;
    s->info = *info;
    s->completed = true;
    return 0;
}

static int sink_complete(struct vf_map_sink *base, struct vf_map_info *info, struct vf_error *err)
{
    struct sink *s = sink_of(base);
    int rc = complete(s, info, err);

    if (s->tap)
        vf_tap_end(s->tap, rc == 0);
    return rc;
}

static int sink_commit(struct vf_map_sink *base, struct vf_map_info *info, struct vf_error *err)
{
    struct sink *s = sink_of(base);
    struct vf_index *ix = s->ix;

    if (!s->completed && sink_complete(base, info, err) < 0)
        goto failed;
    *info = s->info;
    s->rec.info = s->info;
    s->rec.generation = s->gen;
    if (vf_store_write(&ix->store, do_publish, s, err) < 0)
        goto failed;
    sink_free(s);
    vf_generations_tidy(ix);
    return 0;
failed:
    sink_abort(base);
    return -1;
}

/* ---- the beginning ---- */

static const struct vf_map_sink_ops sink_ops = {sink_digests, sink_nodes, sink_complete,
                                                sink_commit, sink_abort};

static int set_record(struct sink *s, const struct vf_image_record *rec, struct vf_error *err)
{
    struct vf_image_record copy, probe = *rec;
    struct vf_buf b = VF_BUF_INIT;
    int rc;

    probe.path = vf_image_name(s->ix, rec->path, err);
    if (!probe.path)
        return -1;
    /* Limits are found out now and not at the end of a long work. */
    memset(&probe.info, 0, sizeof probe.info);
    rc = vf_image_record_encode(&b, &probe, err);
    vf_buf_free(&b);
    if (rc == 0)
        rc = vf_image_record_copy(&probe, &copy, err);
    free(probe.path);
    if (rc < 0)
        return -1;
    vf_image_record_clear(&s->rec);
    s->rec = copy;
    return 0;
}

int vf_index_set_record(struct vf_map_sink *sink, const struct vf_image_record *rec,
                        struct vf_error *err)
{
    return set_record(sink_of(sink), rec, err);
}

struct vf_index_tap *vf_index_tap(struct vf_map_sink *sink, struct vf_error *err)
{
    struct sink *s = sink_of(sink);

    s->tap = vf_tap_new(err);
    return s->tap;
}

struct vf_map_sink *vf_index_begin(struct vf_index *ix, const struct vf_image_record *rec,
                                   struct vf_error *err)
{
    struct sink *s = vf_calloc(1, sizeof *s, err);

    if (!s)
        return NULL;
    s->base.ops = &sink_ops;
    s->ix = ix;
    s->lock = -1;
    if (set_record(s, rec, err) < 0)
        goto failed;
    if (!ix->store.readonly)
        vf_generations_tidy(ix);
    s->lists = vf_lists_new(ix->store.dir, err);
    s->sketch = vf_sketch_builder_new(err);
    s->queue = vf_pagequeue_new(ix, err);
    if (!s->lists || !s->sketch || !s->queue || vf_generation_new(ix, &s->gen, &s->lock, err) < 0)
        goto failed;
    return &s->base;
failed:
    sink_free(s);
    return NULL;
}
