/* tests/index/synth.h - made-up images for the tests of the index: digests without content.
 *
 * A block's content is a number; its MD5 is made from it.  Runs of blocks are data or zeros.  The
 * segments are cut as core/map/cut.h says and the tree above them is the real one; a segment's
 * SHA-256 is taken over its MD5s, which serves as well as the content. */
#ifndef VF_TESTS_INDEX_SYNTH_H
#define VF_TESTS_INDEX_SYNTH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/hash/digest.h"
#include "core/map/build.h"
#include "core/map/cut.h"
#include "index/catalog.h"
#include "index/index.h"
#include "tests/lib/check.h"

/* A run of data; `at` is the number of its first block among the non-zero ones. */
struct synth_run {
    uint64_t first, n, at;
};

struct synth {
    uint64_t size, data;   /* bytes of content; non-zero blocks */
    struct synth_run *run; /* ascending */
    size_t runs;
    uint8_t (*md5)[VF_MD5_LEN]; /* of the non-zero blocks in order */
    struct vf_node *seg;
    size_t segs;
    struct vf_map_info info; /* after synth_store */
};

static inline uint64_t synth_mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* A generator of its own, so that tests do not depend on each other. */
struct synth_rng {
    uint64_t s;
};
static inline uint64_t synth_next(struct synth_rng *r)
{
    return synth_mix(r->s += UINT64_C(0x9e3779b97f4a7c15));
}
static inline uint64_t synth_below(struct synth_rng *r, uint64_t n) { return synth_next(r) % n; }

static inline void synth_md5(uint64_t content, uint8_t ret[VF_MD5_LEN])
{
    uint64_t a = synth_mix(content + 1), b = synth_mix(a ^ UINT64_C(0x5851f42d4c957f2d));

    memcpy(ret, &a, 8);
    memcpy(ret + 8, &b, 8);
}

static inline void synth_free(struct synth *s)
{
    free(s->run);
    free(s->md5);
    free(s->seg);
    memset(s, 0, sizeof *s);
}

static inline void *synth_grow(void *p, size_t n, size_t size)
{
    /* Doubles at powers of two; n entries are in use. */
    if (n & (n - 1))
        return p;
    p = realloc(p, (n ? 2 * n : 1) * size);
    CHECK(p != NULL);
    return p;
}

/* n blocks from `first` on with contents content, content + 1, ... */
static inline void synth_run(struct synth *s, uint64_t first, uint64_t n, uint64_t content)
{
    struct synth_run *last = s->runs ? &s->run[s->runs - 1] : NULL;

    if (last && last->first + last->n == first) {
        last->n += n;
    } else {
        s->run = synth_grow(s->run, s->runs, sizeof *s->run);
        s->run[s->runs++] = (struct synth_run){first, n, s->data};
    }
    for (uint64_t i = 0; i < n; i++) {
        s->md5 = synth_grow(s->md5, (size_t)s->data, sizeof *s->md5);
        synth_md5(content + i, s->md5[s->data++]);
    }
}

/* Cuts what is there into segments. */
static inline void synth_cut(struct synth *s)
{
    struct vf_sha *sha = vf_sha_new(NULL);
    size_t at = 0;

    CHECK(sha != NULL);
    s->segs = 0;
    for (size_t r = 0; r < s->runs; r++) {
        struct vf_cut cut = {0};
        uint64_t first = s->run[r].first, n = 0;

        for (uint64_t i = 0; i < s->run[r].n; i++) {
            n++;
            if (vf_cut_block(&cut, s->md5[at + n - 1]) || i + 1 == s->run[r].n) {
                s->seg = synth_grow(s->seg, s->segs, sizeof *s->seg);
                s->seg[s->segs] = (struct vf_node){.first = first, .span = n, .data = n};
                CHECK(vf_sha_of(sha, s->md5[at], (size_t)n * VF_MD5_LEN, s->seg[s->segs].sha,
                                NULL) == 0);
                s->segs++;
                first += n;
                at += (size_t)n;
                n = 0;
            }
        }
    }
    CHECK_EQ_U64(at, s->data);
    vf_sha_free(sha);
}

/* Random runs in an image of so many blocks, the last of them cut short by 100 bytes.  pool:
 * contents are taken from [1, pool] (small: many repeats); base is added to each. */
static inline struct synth synth_random(uint64_t seed, uint64_t blocks, uint64_t pool,
                                        uint64_t base)
{
    struct synth s = {.size = blocks * VF_BLOCK - (blocks ? 100 : 0)};
    struct synth_rng rng = {seed};
    uint64_t at = 0;

    while (at < blocks) {
        uint64_t n = 1 + synth_below(&rng, 200),
                 zero = synth_below(&rng, 3) ? 0 : 1 + synth_below(&rng, 90);

        at += zero;
        if (at >= blocks)
            break;
        if (n > blocks - at)
            n = blocks - at;
        synth_run(&s, at, n, base + 1 + synth_below(&rng, pool));
        at += n;
    }
    synth_cut(&s);
    return s;
}

/* A record for an image; nothing to free.  The casts are safe: the index only reads them. */
static inline struct vf_image_record synth_record(const char *path, const char *group)
{
    union {
        const char *in;
        char *out;
    } p = {path}, g = {group}, f = {"raw"};

    return (struct vf_image_record){
        .path = p.out, .format = f.out, .group = g.out, .indexed_at = (int64_t)time(NULL)};
}

/* Feeds a sink: all but the commit. */
static inline int synth_feed(struct synth *s, struct vf_map_sink *sink, struct vf_error *err)
{
    struct vf_build *b = vf_build_new(s->size, sink, NULL, NULL, err);
    size_t at = 0;
    int rc = 0;

    CHECK(b != NULL);
    for (size_t i = 0; rc == 0 && i < s->segs;) {
        size_t n = 1 + (i * 7) % 50, blocks = 0;

        n = n < s->segs - i ? n : s->segs - i;
        for (size_t k = 0; k < n; k++)
            blocks += (size_t)s->seg[i + k].span;
        rc = vf_build_add(b, s->seg + i, n, (const void *)s->md5[at], err);
        at += blocks;
        i += n;
    }
    if (rc == 0)
        rc = vf_build_finish(b, &s->info, err);
    vf_build_free(b);
    return rc;
}

static inline int synth_store_record(struct vf_index *ix, struct synth *s,
                                     const struct vf_image_record *rec, struct vf_error *err)
{
    struct vf_map_sink *sink = vf_index_begin(ix, rec, err);

    if (!sink)
        return -1;
    if (synth_feed(s, sink, err) < 0) {
        sink->ops->abort(sink);
        return -1;
    }
    return sink->ops->commit(sink, &s->info, err);
}

static inline int synth_store(struct vf_index *ix, struct synth *s, const char *path,
                              const char *group, struct vf_error *err)
{
    struct vf_image_record rec = synth_record(path, group);

    return synth_store_record(ix, s, &rec, err);
}

/* The MD5 of a block, and whether it is zero. */
static inline bool synth_block(const struct synth *s, uint64_t block, uint8_t ret[VF_MD5_LEN])
{
    size_t lo = 0, hi = s->runs;

    while (lo < hi) { /* the first run that begins behind the block */
        size_t mid = lo + (hi - lo) / 2;

        if (s->run[mid].first <= block)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo && block - s->run[lo - 1].first < s->run[lo - 1].n) {
        memcpy(ret, s->md5[s->run[lo - 1].at + block - s->run[lo - 1].first], VF_MD5_LEN);
        return true;
    }
    memcpy(ret, vf_zero_md5, VF_MD5_LEN);
    return false;
}

static inline uint64_t synth_fp(const uint8_t *md5)
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v = v << 8 | md5[i];
    return v;
}

static int synth_compare_u64(const void *a, const void *b)
{
    uint64_t x, y;

    memcpy(&x, a, 8);
    memcpy(&y, b, 8);
    return x < y ? -1 : x > y;
}

/* All fingerprints, sorted; the caller frees. */
static inline uint64_t *synth_sorted(const struct synth *s)
{
    uint64_t *v = malloc((s->data ? s->data : 1) * sizeof *v);

    CHECK(v != NULL);
    for (uint64_t i = 0; i < s->data; i++)
        v[i] = synth_fp(s->md5[i]);
    qsort(v, s->data, sizeof *v, synth_compare_u64);
    return v;
}

/* Everything that a map says is what was put in. */
static inline void synth_check_map(const struct synth *s, struct vf_map *map)
{
    struct vf_error err;
    struct vf_map_info info;
    uint8_t md5[700][VF_MD5_LEN], want[VF_MD5_LEN];
    struct vf_node node[300];
    const uint64_t blocks = vf_blocks_of(s->size);

    CHECK_OK(map->ops->info(map, &info, &err), &err);
    CHECK_EQ_U64(info.size, s->size);
    CHECK_EQ_U64(info.blocks, blocks);
    CHECK_EQ_U64(info.zero_blocks, blocks - s->data);
    CHECK_EQ_U64(info.distinct_blocks, s->info.distinct_blocks);
    CHECK_EQ_U64(info.top, s->info.top);
    CHECK_MEM(info.nodes, s->info.nodes, sizeof info.nodes);
    CHECK_MEM(info.root, s->info.root, VF_SHA_LEN);
    for (size_t i = 0; i < s->segs; i += 300) {
        size_t n = s->segs - i < 300 ? s->segs - i : 300;

        CHECK_OK(map->ops->nodes(map, 1, i, n, node, &err), &err);
        for (size_t k = 0; k < n; k++) {
            CHECK_EQ_U64(node[k].first, s->seg[i + k].first);
            CHECK_EQ_U64(node[k].span, s->seg[i + k].span);
            CHECK_EQ_U64(node[k].data, s->seg[i + k].span);
            CHECK_MEM(node[k].sha, s->seg[i + k].sha, VF_SHA_LEN);
        }
    }
    if (blocks <= 300000)
        for (uint64_t b = 0; b < blocks; b += 700) {
            size_t n = blocks - b < 700 ? (size_t)(blocks - b) : 700;

            CHECK_OK(map->ops->digests(map, b, n, md5, &err), &err);
            for (size_t k = 0; k < n; k += b % 3 + 1) {
                (void)synth_block(s, b + k, want);
                CHECK_MEM(md5[k], want, VF_MD5_LEN);
            }
        }
}

/* A new store directory, emptied if it was there; owned by the library until exit. */
static inline const char *synth_dir(const char *name)
{
    const char *dir = vf_test_path(name);
    static const char *const files[] = {"data.mdb", "lock.mdb", "builders"};
    char path[4096];

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/index/%s", dir, files[i]);
        (void)remove(path);
    }
    return dir;
}

#endif
