/* Damaged values: verification finds every change, and nobody else falls over them. */
#include "index/le.h"
#include "tests/index/synth.h"

struct entry {
    uint8_t key[64];
    size_t key_len;
    uint8_t *value;
    size_t len;
};

struct world {
    struct vf_index *ix;
    struct synth s;
    struct entry *page; /* all pages of the image */
    size_t pages;
};

static void world_make(struct world *w, const char *name)
{
    struct vf_image_record rec = synth_record("x", "");
    struct vf_error err;
    struct vf_cursor c;
    struct vf_txn t;
    int rc;

    memset(w, 0, sizeof *w);
    w->ix = vf_index_open(synth_dir(name), VF_INDEX_CREATE, &err);
    CHECK_OK(w->ix, &err);
    w->s = synth_random(3, 60000, 20000, 0);
    vf_test_write_file(vf_test_path("file"), "x", 1);
    CHECK_OK(vf_index_stat(w->ix, vf_test_path("file"), &rec.st, &err), &err);
    rec.path = (char *)(uintptr_t)vf_test_path("file");
    CHECK_OK(synth_store_record(w->ix, &w->s, &rec, &err), &err);
    CHECK_OK(vf_store_read(&w->ix->store, &t, &err), &err);
    CHECK_OK(vf_cursor_open(&c, &t, &err), &err);
    for (rc = vf_cursor_seek(&c, (struct vf_bytes){(const uint8_t *)"P", 1}, &err);
         rc == VF_FOUND && c.key.p[0] == 'P'; rc = vf_cursor_next(&c, &err)) {
        struct entry *e;

        w->page = synth_grow(w->page, w->pages, sizeof *w->page);
        e = &w->page[w->pages++];
        memcpy(e->key, c.key.p, c.key.len);
        e->key_len = c.key.len;
        e->len = c.value.len;
        e->value = malloc(e->len);
        CHECK(e->value != NULL);
        memcpy(e->value, c.value.p, e->len);
    }
    vf_cursor_close(&c);
    vf_txn_end(&t);
    CHECK(w->pages >= 8);
}

static void world_free(struct world *w)
{
    for (size_t i = 0; i < w->pages; i++)
        free(w->page[i].value);
    free(w->page);
    synth_free(&w->s);
    vf_index_close(w->ix);
}

static int put_entry(struct vf_txn *t, void *ctx, struct vf_error *err)
{
    const struct entry *e = ctx;
    const struct vf_bytes key = {e->key, e->key_len};

    if (!e->value)
        return vf_txn_del(t, key, err) == VF_FOUND ? 0 : -1;
    return vf_txn_put(t, key, (struct vf_bytes){e->value, e->len}, err);
}

static void put(struct world *w, const struct entry *e)
{
    struct entry copy = *e;
    struct vf_error err;

    CHECK_OK(vf_store_write(&w->ix->store, put_entry, &copy, &err), &err);
}

/* All that readers do.  Their answers may be wrong now; errors may be these two only. */
static void use(struct world *w)
{
    const char *path = vf_test_path("file");
    struct vf_error err = VF_ERROR_INIT;
    struct vf_residents *r = vf_index_residents(w->ix, "", NULL, NULL, NULL, &err);
    struct vf_map *map = vf_index_map(w->ix, path, &err);
    struct vf_index_prints *p;
    struct vf_place place[32][VF_PLACES];
    uint8_t md5[500][VF_MD5_LEN], ids[32][VF_ID_LEN];
    struct vf_node node[100];
    struct vf_sketch sketch;
    struct vf_shared each, all;
    bool ok = true;

    CHECK_OK(r, &err);
    CHECK_OK(map, &err);
    p = vf_index_prints_new(map, &err);
    CHECK_OK(p, &err);
#define MAY_FAIL(call)                                                                             \
    do {                                                                                           \
        ok = (call) >= 0;                                                                          \
        CHECK(ok || err.code == VF_ERR_FORMAT || err.code == VF_ERR_RANGE);                        \
    } while (0)
    for (uint64_t b = 0; b + 500 < w->s.info.blocks; b += 4999)
        MAY_FAIL(map->ops->digests(map, b, 500, md5, &err));
    for (unsigned level = 1; level <= w->s.info.top; level++) {
        for (size_t i = 0; i < 32; i++)
            memcpy(ids[i], w->s.seg[i * 3].sha, VF_ID_LEN);
        MAY_FAIL(r->ops->find(r, level, (const void *)ids, 32, place, &err));
        for (uint64_t i = 0; i < w->s.info.nodes[level]; i += 97)
            MAY_FAIL(r->ops->segments(r, 0, level, i, 0, node, 100, &err));
    }
    MAY_FAIL(r->ops->shared(r, vf_index_prints_next, p, &each, &all, &err));
    vf_index_prints_free(p);
    MAY_FAIL(vf_index_sketch(map, &sketch, &err));
    if (ok)
        vf_sketch_free(&sketch);
    map->ops->close(map);
    r->ops->close(r);
}

static void check_changed(struct world *w, const struct entry *changed, const struct entry *was)
{
    struct vf_error err;

    put(w, changed);
    CHECK_FAIL(vf_index_verify(w->ix, vf_test_path("file"), &err), &err, VF_ERR_FORMAT);
    CHECK_HAS(err.msg, "index add");
    use(w);
    put(w, was);
}

TEST(sound)
{
    struct world w;
    struct vf_error err;

    world_make(&w, "sound");
    for (unsigned kind = 1; kind <= 6; kind++) { /* all kinds are there to be damaged */
        size_t n = 0;

        for (size_t i = 0; i < w.pages; i++)
            n += w.page[i].key[9] == kind;
        CHECK(n > 0);
    }
    CHECK_OK(vf_index_verify(w.ix, vf_test_path("file"), &err), &err);
    CHECK_FAIL(vf_index_verify(w.ix, "other", &err), &err, VF_ERR_NOTFOUND);
    use(&w);
    world_free(&w);
}

/* Changed bytes, with a checksum that fits and one that does not. */
TEST(changed_values)
{
    struct synth_rng rng = {5};
    struct world w;

    world_make(&w, "changed");
    for (size_t i = 0; i < w.pages; i++)
        for (unsigned trial = 0; trial < 12; trial++) {
            const struct entry *was = &w.page[i];
            struct entry e = *was;
            size_t at =
                trial < 8 ? 4 + synth_below(&rng, trial < 4 ? 12 : 60) : synth_below(&rng, e.len);

            e.value = malloc(e.len);
            CHECK(e.value != NULL);
            memcpy(e.value, was->value, e.len);
            if (at >= e.len || at < 4)
                at = e.len - 1;
            e.value[at] ^= (uint8_t)(1 + synth_below(&rng, 255));
            /* Nothing but the checksum protects the second half of an MD5. */
            if (trial % 4 && (was->key[9] != VF_PAGE_DIGESTS || at < 16))
                vf_stn(e.value, 4, vf_index_checksum(e.value + 4, e.len - 4));
            check_changed(&w, &e, was);
            free(e.value);
        }
    world_free(&w);
}

TEST(missing_and_cut)
{
    struct vf_error err;
    struct world w;

    world_make(&w, "missing");
    for (size_t i = 0; i < w.pages; i++) {
        struct entry e = w.page[i];

        e.value = NULL;
        if (e.key[9] == VF_PAGE_SKETCH) { /* older programs wrote none */
            put(&w, &e);
            CHECK_OK(vf_index_verify(w.ix, vf_test_path("file"), &err), &err);
            use(&w);
            put(&w, &w.page[i]);
        } else {
            check_changed(&w, &e, &w.page[i]);
        }
        for (size_t len = 0; len <= 24; len += 8) {
            e = w.page[i];
            e.len = len < 24 ? len : e.len - 1;
            check_changed(&w, &e, &w.page[i]);
        }
    }
    world_free(&w);
}

/* Pages that belong to nothing, and under wrong keys. */
TEST(strangers)
{
    struct vf_error err;
    struct world w;

    world_make(&w, "strangers");
    for (size_t i = 0; i < w.pages; i++)
        for (unsigned trial = 0; trial < 4; trial++) {
            struct entry e = w.page[i], gone = e;

            if (trial == 1 && e.key_len == 10)
                continue; /* a sketch: there is no such place in its key */
            if (trial == 0)
                e.key[e.key_len - 1] ^= 1;
            else if (trial == 1)
                e.key[10] ^= 0x80;
            else if (trial == 2)
                e.key[9] = 77;
            else
                e.key[e.key_len++] = 1;
            gone = e;
            gone.value = NULL;
            put(&w, &e);
            CHECK_FAIL(vf_index_verify(w.ix, vf_test_path("file"), &err), &err, VF_ERR_FORMAT);
            use(&w);
            put(&w, &gone);
        }
    CHECK_OK(vf_index_verify(w.ix, vf_test_path("file"), &err), &err);
    world_free(&w);
}

TESTS(sound, changed_values, missing_and_cut, strangers)
