/* A map goes in through the sink and comes out as it was. */
#include <endian.h>
#include <pthread.h>
#include <unistd.h>

#include "tests/index/synth.h"

static void round_trip(struct synth *s, const char *path)
{
    struct vf_error err;
    struct vf_index *ix = vf_index_open(synth_dir("round"), VF_INDEX_CREATE, &err);
    struct vf_map *map;

    CHECK_OK(ix, &err);
    CHECK_OK(synth_store(ix, s, path, "", &err), &err);
    map = vf_index_map(ix, path, &err);
    CHECK_OK(map, &err);
    synth_check_map(s, map);
    map->ops->close(map);
    CHECK_OK(vf_index_verify(ix, path, &err), &err);
    vf_index_close(ix);

    /* And again by a process that comes later, reading only. */
    ix = vf_index_open(vf_test_path("round"), VF_INDEX_READONLY, &err);
    CHECK_OK(ix, &err);
    map = vf_index_map(ix, path, &err);
    CHECK_OK(map, &err);
    synth_check_map(s, map);
    map->ops->close(map);
    vf_index_close(ix);
}

TEST(random_images)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct synth s =
            synth_random(seed, 1000 + seed * seed * 9000, seed % 2 ? 1u << 30 : 4000, 0);

        round_trip(&s, "images/a.raw");
        synth_free(&s);
    }
}

TEST(empty)
{
    struct synth s = {.size = 0};

    round_trip(&s, "images/empty");
    CHECK_EQ_U64(s.info.distinct_blocks, 0);
}

TEST(all_zero)
{
    struct synth s = {.size = 12345678};

    round_trip(&s, "/abs/zero");
    CHECK_EQ_U64(s.info.distinct_blocks, 1);
}

TEST(one_block)
{
    struct synth s = {.size = 1};

    synth_run(&s, 0, 1, 99);
    synth_cut(&s);
    round_trip(&s, "one");
    CHECK_EQ_U64(s.info.distinct_blocks, 1);
    synth_free(&s);
}

TEST(every_other_block)
{
    struct synth s = {.size = 100000 * 512};

    for (uint64_t b = 0; b < 100000; b += 2)
        synth_run(&s, b, 1, b);
    synth_cut(&s);
    round_trip(&s, "comb");
    synth_free(&s);
}

/* Positions beyond 32 bits: 512 TiB is the limit, with data at both ends and around 2^32. */
TEST(far_apart)
{
    struct synth s = {.size = VF_MAX_BLOCKS * VF_BLOCK};
    struct vf_error err;
    struct vf_index *ix;
    struct vf_map *map;
    uint8_t md5[64][VF_MD5_LEN], want[VF_MD5_LEN];
    const uint64_t at[] = {0, UINT64_C(1) << 31, (UINT64_C(1) << 32) - 20, UINT64_C(1) << 36,
                           VF_MAX_BLOCKS - 33};

    for (size_t i = 0; i < 5; i++)
        synth_run(&s, at[i], 33, 1000 * i);
    synth_cut(&s);
    round_trip(&s, "far");
    ix = vf_index_open(vf_test_path("round"), 0, &err);
    CHECK_OK(ix, &err);
    map = vf_index_map(ix, "far", &err);
    CHECK_OK(map, &err);
    for (size_t i = 0; i < 5; i++) {
        uint64_t from = at[i] < 10 ? 0 : at[i] - 10;
        size_t n = VF_MAX_BLOCKS - from < 64 ? (size_t)(VF_MAX_BLOCKS - from) : 64;

        CHECK_OK(map->ops->digests(map, from, n, md5, &err), &err);
        for (size_t k = 0; k < n; k++) {
            (void)synth_block(&s, from + k, want);
            CHECK_MEM(md5[k], want, VF_MD5_LEN);
        }
    }
    CHECK_FAIL(map->ops->digests(map, VF_MAX_BLOCKS - 1, 2, md5, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(map->ops->digests(map, UINT64_MAX, 1, md5, &err), &err, VF_ERR_RANGE);
    map->ops->close(map);
    vf_index_close(ix);
    synth_free(&s);
}

/* 1 TiB with data here and there, several pages of digests and of nodes. */
TEST(sparse)
{
    struct synth s = {.size = UINT64_C(1) << 40};
    struct synth_rng rng = {7};
    uint64_t at = 0;

    for (unsigned i = 0; i < 6000; i++) {
        at += 1 + synth_below(&rng, 600000);
        synth_run(&s, at, 1 + i % 40, synth_next(&rng));
        at += 40;
    }
    CHECK(at < s.size / VF_BLOCK);
    synth_cut(&s);
    round_trip(&s, "sparse");
    synth_free(&s);
}

/* The same content over and over: more equal ids and fingerprints than a page holds. */
TEST(repeats)
{
    struct synth s = {.size = 200000 * 512};

    for (uint64_t b = 0; b < 200000; b += 5)
        synth_run(&s, b, 4, b % 10 ? 7 : 100);
    synth_cut(&s);
    round_trip(&s, "repeats");
    CHECK_EQ_U64(s.info.distinct_blocks, 9);
    synth_free(&s);
}

TEST(bounds)
{
    struct synth s = synth_random(3, 5000, 1000, 0);
    struct vf_error err;
    struct vf_index *ix = vf_index_open(synth_dir("bounds"), VF_INDEX_CREATE, &err);
    struct vf_node node[2];
    uint8_t md5[2][VF_MD5_LEN];
    struct vf_map *map;

    CHECK_OK(ix, &err);
    CHECK_OK(synth_store(ix, &s, "x", "", &err), &err);
    map = vf_index_map(ix, "x", &err);
    CHECK_OK(map, &err);
    CHECK_OK(map->ops->nodes(map, 1, s.segs, 0, node, &err), &err);
    CHECK_FAIL(map->ops->nodes(map, 1, s.segs - 1, 2, node, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(map->ops->nodes(map, 0, 0, 1, node, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(map->ops->nodes(map, s.info.top + 1, 0, 1, node, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(map->ops->nodes(map, 1, UINT64_MAX, 2, node, &err), &err, VF_ERR_RANGE);
    CHECK_OK(map->ops->digests(map, 5000, 0, md5, &err), &err);
    CHECK_FAIL(map->ops->digests(map, 4999, 2, md5, &err), &err, VF_ERR_RANGE);
    map->ops->close(map);
    CHECK_FAIL(vf_index_map(ix, "y", &err), &err, VF_ERR_NOTFOUND);
    vf_index_close(ix);
    synth_free(&s);
}

/* What a builder must not say is refused, and the old map stays. */
TEST(refuses_nonsense)
{
    struct synth s = synth_random(5, 3000, 1000, 0);
    struct vf_image_record rec = synth_record("x", "");
    struct vf_error err;
    struct vf_index *ix = vf_index_open(synth_dir("nonsense"), VF_INDEX_CREATE, &err);
    struct vf_map_info info, good;
    struct vf_map_sink *sink;
    struct vf_map *map;
    uint8_t md5[4][VF_MD5_LEN] = {{1}, {2}, {3}, {4}};
    struct vf_node node = {.first = 0, .span = 300, .data = 300};

    CHECK_OK(ix, &err);
    CHECK_OK(synth_store(ix, &s, "x", "", &err), &err);
    good = s.info;

    sink = vf_index_begin(ix, &rec, &err);
    CHECK_OK(sink, &err);
    CHECK_OK(sink->ops->digests(sink, 10, 4, (const void *)md5, &err), &err);
    CHECK_FAIL(sink->ops->digests(sink, 13, 1, (const void *)md5, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(sink->ops->digests(sink, VF_MAX_BLOCKS, 1, (const void *)md5, &err), &err,
               VF_ERR_RANGE);
    CHECK_FAIL(sink->ops->nodes(sink, 1, &node, 1, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(sink->ops->nodes(sink, 0, &node, 1, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(sink->ops->nodes(sink, VF_LEVELS, &node, 1, &err), &err, VF_ERR_RANGE);
    sink->ops->abort(sink);
    sink = vf_index_begin(ix, &rec, &err); /* counts that do not add up */
    CHECK_OK(sink, &err);
    CHECK_OK(synth_feed(&s, sink, &err), &err);
    info = s.info;
    info.nodes[1]++;
    CHECK_FAIL(sink->ops->commit(sink, &info, &err), &err, VF_ERR_RANGE);
    s.info = good;

    map = vf_index_map(ix, "x", &err);
    CHECK_OK(map, &err);
    synth_check_map(&s, map);
    map->ops->close(map);

    rec = synth_record("../x", "");
    CHECK_FAIL(vf_index_begin(ix, &rec, &err), &err, VF_ERR_USAGE);
    rec = synth_record("", "");
    CHECK_FAIL(vf_index_begin(ix, &rec, &err), &err, VF_ERR_USAGE);
    vf_index_close(ix);
    synth_free(&s);
}

/* Abort leaves nothing behind, neither the map nor its pages. */
TEST(abort_leaves_nothing)
{
    struct synth s = synth_random(6, 60000, 1u << 30, 0);
    struct vf_image_record rec = synth_record("x", "");
    const struct vf_index_limits limits = {VF_STORE_MAP_SIZE, 1u << 16};
    struct vf_error err;
    struct vf_index *ix = vf_index_open_with(synth_dir("abort"), VF_INDEX_CREATE, &limits, &err);
    struct vf_map_sink *sink;
    struct vf_image_record got;
    struct vf_cursor c;
    struct vf_txn t;

    CHECK_OK(ix, &err);
    sink = vf_index_begin(ix, &rec, &err);
    CHECK_OK(sink, &err);
    CHECK_OK(synth_feed(&s, sink, &err), &err);
    sink->ops->abort(sink);
    CHECK_EQ_I64(vf_index_get(ix, "x", &got, &err), VF_ABSENT);
    CHECK_OK(vf_store_read(&ix->store, &t, &err), &err);
    CHECK_OK(vf_cursor_open(&c, &t, &err), &err);
    CHECK_EQ_I64(vf_cursor_seek(&c, (struct vf_bytes){(const uint8_t *)"A", 1}, &err), VF_FOUND);
    CHECK_EQ_U64(c.key.p[0], 'V'); /* the version record is all there is */
    vf_cursor_close(&c);
    vf_txn_end(&t);
    vf_index_close(ix);
    synth_free(&s);
}

/* The record can change until the commit. */
TEST(late_record)
{
    struct synth s = synth_random(8, 2000, 1000, 0);
    struct vf_image_record rec = synth_record("a.part", "g1"), got;
    struct vf_error err;
    struct vf_index *ix = vf_index_open(synth_dir("late"), VF_INDEX_CREATE, &err);
    struct vf_map_sink *sink;

    CHECK_OK(ix, &err);
    sink = vf_index_begin(ix, &rec, &err);
    CHECK_OK(sink, &err);
    CHECK_OK(synth_feed(&s, sink, &err), &err);
    rec = synth_record("a", "g2");
    rec.st.size = 77;
    CHECK_OK(vf_index_set_record(sink, &rec, &err), &err);
    CHECK_OK(sink->ops->commit(sink, &s.info, &err), &err);
    CHECK_EQ_I64(vf_index_get(ix, "a.part", &got, &err), VF_ABSENT);
    CHECK_EQ_I64(vf_index_get(ix, "a", &got, &err), VF_FOUND);
    CHECK_STR(got.group, "g2");
    CHECK_EQ_U64(got.st.size, 77);
    vf_image_record_clear(&got);
    vf_index_close(ix);
    synth_free(&s);
}

/* What a thread beside the one that completes takes out, `max` at a time, `most` at most. */
struct taker {
    struct vf_index_tap *tap;
    size_t max, most;
    struct vf_print *print;
    size_t n, cap;
    long rc;
    struct vf_error err;
};

static void *take(void *arg)
{
    struct taker *t = arg;

    do {
        if (t->n + t->max > t->cap) {
            t->cap = 2 * t->cap + t->max;
            t->print = realloc(t->print, t->cap * sizeof *t->print);
            CHECK(t->print);
        }
        t->rc = vf_index_tap_next(t->tap, t->print + t->n, t->max, &t->err);
        t->n += t->rc > 0 ? (size_t)t->rc : 0;
    } while (t->rc > 0 && t->n < t->most);
    vf_index_tap_leave(t->tap);
    return NULL;
}

/* Completes a map with a taker beside it; what was taken is in *t. */
static int complete_beside(struct vf_index *ix, struct synth *s, struct taker *t,
                           struct vf_error *err)
{
    struct vf_image_record rec = synth_record("/tap", "");
    struct vf_map_sink *sink = vf_index_begin(ix, &rec, err);
    pthread_t thread;
    int rc;

    CHECK_OK(sink, err);
    t->tap = vf_index_tap(sink, err);
    CHECK_OK(t->tap, err);
    CHECK_OK(synth_feed(s, sink, err), err);
    CHECK(pthread_create(&thread, NULL, take, t) == 0);
    rc = sink->ops->complete(sink, &s->info, err);
    CHECK(pthread_join(thread, NULL) == 0);
    vf_index_tap_free(t->tap);
    if (rc == 0)
        return sink->ops->commit(sink, &s->info, err);
    sink->ops->abort(sink);
    return rc;
}

TEST(tap)
{
    static const size_t most[] = {SIZE_MAX, 0, 20000};
    struct vf_error err;
    struct vf_index *ix = vf_index_open(synth_dir("tap"), VF_INDEX_CREATE, &err);
    struct synth s = synth_random(7, 100000, 1u << 30, 0);

    CHECK_OK(ix, &err);
    for (size_t i = 0; i < sizeof most / sizeof most[0]; i++) {
        struct taker t = {.max = i % 2 ? 1 : 7000, .most = most[i]};
        struct vf_index_prints *p;
        struct vf_print want;
        struct vf_map *map;
        size_t n = 0;

        CHECK_OK(complete_beside(ix, &s, &t, &err), &err);
        CHECK(t.rc >= 0);
        CHECK((t.rc == 0) == (most[i] == SIZE_MAX));
        CHECK_OK((map = vf_index_map(ix, "/tap", &err)), &err);
        CHECK_OK((p = vf_index_prints_new(map, &err)), &err);
        for (; n < t.n && vf_index_prints_next(p, &want, 1, &err) == 1; n++)
            CHECK(t.print[n].fp == want.fp && t.print[n].count == want.count);
        CHECK_EQ_U64(n, t.n);
        if (most[i] == SIZE_MAX) {
            CHECK(vf_index_prints_next(p, &want, 1, &err) == 0);
            CHECK(n > 2 * 16384); /* more than there is room for at once */
        }
        vf_index_prints_free(p);
        map->ops->close(map);
        free(t.print);
    }
    synth_free(&s);
    vf_index_close(ix);
}

/* Who takes does not wait for what will not come. */
TEST(tap_of_what_fails)
{
    struct vf_error err;
    struct vf_index *ix = vf_index_open(synth_dir("tap-fails"), VF_INDEX_CREATE, &err);
    struct vf_image_record rec = synth_record("/tap", "");
    struct vf_map_info info = {.size = 12345}; /* not that of what was given: nothing */
    struct taker t = {.max = 10, .most = SIZE_MAX};
    struct vf_map_sink *sink;

    CHECK_OK(ix, &err);
    CHECK_OK((sink = vf_index_begin(ix, &rec, &err)), &err);
    CHECK_OK((t.tap = vf_index_tap(sink, &err)), &err);
    CHECK(sink->ops->complete(sink, &info, &err) < 0);
    sink->ops->abort(sink);
    take(&t);
    CHECK(t.n == 0);
    vf_index_tap_free(t.tap);
    free(t.print);
    vf_index_close(ix);
}

/* An index that version 1 wrote: it must stay readable as long as the version is 1.  Made by this
 * very test: VF_TEST_GOLDEN=1 writes it anew, which is right only together with a new version. */
TEST(golden)
{
    const char *tests = getenv("VF_TESTS"), *dir = synth_dir("golden");
    struct synth s = synth_random(42, 900, 300, 0);
    struct vf_image_record rec = synth_record("images/golden.raw", "tenant");
    struct vf_error err;
    struct vf_index *ix;
    struct vf_map *map;
    char from[4096], to[4096];
    uint8_t *bytes;
    long len;
    FILE *f;

    if (htole32(1) != 1 || sysconf(_SC_PAGESIZE) != 4096)
        SKIP("LMDB's files are of another kind on this machine");
    snprintf(from, sizeof from, "%s/golden/index-1.mdb", tests ? tests : "tests");
    snprintf(to, sizeof to, "%s/index/data.mdb", dir);
    rec.indexed_at = 1;
    ix = vf_index_open(dir, VF_INDEX_CREATE, &err);
    CHECK_OK(ix, &err);
    CHECK_OK(synth_store_record(ix, &s, &rec, &err), &err);
    vf_index_close(ix);
    f = fopen(getenv("VF_TEST_GOLDEN") ? to : from, "rb");
    if (!f)
        SKIP("the stored index is not at hand");
    bytes = malloc(1u << 20);
    CHECK(bytes != NULL);
    len = (long)fread(bytes, 1, 1u << 20, f);
    fclose(f);
    CHECK(len > 0);
    vf_test_write_file(getenv("VF_TEST_GOLDEN") ? from : to, bytes, (size_t)len);
    free(bytes);
    ix = vf_index_open(dir, VF_INDEX_READONLY, &err);
    CHECK_OK(ix, &err);
    map = vf_index_map(ix, "images/golden.raw", &err);
    CHECK_OK(map, &err);
    synth_check_map(&s, map);
    map->ops->close(map);
    CHECK_OK(vf_index_verify(ix, "images/golden.raw", &err), &err);
    vf_index_close(ix);
    synth_free(&s);
}

TESTS(tap, tap_of_what_fails, random_images, empty, all_zero, one_block, every_other_block,
      far_apart, sparse, repeats, bounds, refuses_nonsense, abort_leaves_nothing, late_record,
      golden)
