/* The stored sketch of a map is the one that its fingerprints give. */
#include "index/sketch.h"
#include "tests/index/synth.h"

static int delete_page(struct vf_txn *t, void *ctx, struct vf_error *err)
{
    return vf_txn_del(t, vf_key_bytes(ctx), err) == VF_FOUND ? 0 : -1;
}

static struct vf_buf sketch_bytes(struct vf_index *ix, const char *path, struct vf_sketch *ret)
{
    struct vf_error err;
    struct vf_map *map = vf_index_map(ix, path, &err);
    struct vf_buf b = VF_BUF_INIT;

    CHECK_OK(map, &err);
    CHECK_OK(vf_index_sketch(map, ret, &err), &err);
    CHECK_OK(vf_sketch_encode(ret, &b, &err), &err);
    map->ops->close(map);
    return b;
}

static void check_image(struct synth *s, const char *dir)
{
    struct vf_error err;
    struct vf_index *ix = vf_index_open(synth_dir(dir), VF_INDEX_CREATE, &err);
    struct vf_image_record rec;
    struct vf_sketch sketch;
    struct vf_buf stored, made;
    struct vf_key key;
    uint64_t *fp = synth_sorted(s), distinct = 0;

    CHECK_OK(ix, &err);
    CHECK_OK(synth_store(ix, s, "images/a", "", &err), &err);
    stored = sketch_bytes(ix, "images/a", &sketch);
    for (uint64_t i = 0; i < s->data; i++)
        distinct += i == 0 || fp[i] != fp[i - 1];
    CHECK_EQ_U64(vf_sketch_distinct(&sketch), distinct);
    CHECK_EQ_U64(vf_sketch_blocks(&sketch), s->data);
    CHECK_EQ_U64(sketch.zero_blocks, s->info.zero_blocks);
    for (size_t i = 0, at = 0; i < sketch.n; i++) {
        uint32_t count = 0;

        while (at < s->data && fp[at] >> VF_SKETCH_SHIFT < sketch.fp[i])
            at++;
        while (at < s->data && fp[at] >> VF_SKETCH_SHIFT == sketch.fp[i]) {
            at++;
            count++;
        }
        CHECK_EQ_U64(count, sketch.count[i]);
    }
    vf_sketch_free(&sketch);
    /* An older program did not store it. */
    CHECK(vf_index_get(ix, "images/a", &rec, &err) == VF_FOUND);
    key = vf_key_sketch(rec.generation);
    vf_image_record_clear(&rec);
    CHECK_OK(vf_store_write(&ix->store, delete_page, &key, &err), &err);
    made = sketch_bytes(ix, "images/a", &sketch);
    CHECK_EQ_U64(made.len, stored.len);
    CHECK_MEM(made.data, stored.data, made.len);
    CHECK_OK(vf_index_verify(ix, "images/a", &err), &err);
    vf_sketch_free(&sketch);
    vf_buf_free(&stored);
    vf_buf_free(&made);
    vf_index_close(ix);
    free(fp);
}

TEST(stored_and_made)
{
    struct synth s = synth_random(7, 60000, 20000, 0), empty = {.size = 1 << 20};

    check_image(&s, "some");
    synth_free(&s);
    s = synth_random(8, 200000, 90000, 0);
    check_image(&s, "many");
    synth_free(&s);
    check_image(&empty, "empty");
}

TEST(other_maps_have_none)
{
    static const struct vf_map_ops ops;
    struct vf_map other = {&ops};
    struct vf_sketch s;
    struct vf_error err;

    CHECK_FAIL(vf_index_sketch(&other, &s, &err), &err, VF_ERR_USAGE);
}

/* A sketch that belongs to another map, with a good checksum. */
static int put_page(struct vf_txn *t, void *ctx, struct vf_error *err)
{
    const struct vf_sketch s = {.zero_blocks = 3};
    struct vf_buf page;
    int rc = vf_sketch_page(&s, &page, err);

    if (rc == 0)
        rc = vf_txn_put(t, vf_key_bytes(ctx), (struct vf_bytes){page.data, page.len}, err);
    vf_buf_free(&page);
    return rc;
}

TEST(of_another_map)
{
    struct synth s = synth_random(9, 3000, 900, 0);
    struct vf_error err;
    struct vf_index *ix = vf_index_open(synth_dir("another"), VF_INDEX_CREATE, &err);
    struct vf_image_record rec;
    struct vf_sketch sketch;
    struct vf_map *map;
    struct vf_key key;

    CHECK_OK(ix, &err);
    CHECK_OK(synth_store(ix, &s, "images/a", "", &err), &err);
    CHECK(vf_index_get(ix, "images/a", &rec, &err) == VF_FOUND);
    key = vf_key_sketch(rec.generation);
    vf_image_record_clear(&rec);
    CHECK_OK(vf_store_write(&ix->store, put_page, &key, &err), &err);
    map = vf_index_map(ix, "images/a", &err);
    CHECK_OK(map, &err);
    CHECK_FAIL(vf_index_sketch(map, &sketch, &err), &err, VF_ERR_FORMAT);
    CHECK_HAS(err.msg, "index add");
    map->ops->close(map);
    CHECK_FAIL(vf_index_verify(ix, "images/a", &err), &err, VF_ERR_FORMAT);
    vf_index_close(ix);
    synth_free(&s);
}

TESTS(stored_and_made, other_maps_have_none, of_another_map)
