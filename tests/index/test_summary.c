/* What a node tells about its images. */
#include <unistd.h>

#include "tests/index/synth.h"

static const char *const groups[] = {"", "tenant"};

/* Stores an image whose file is there: it is fresh until the file is touched. */
static void store(struct vf_index *ix, const char *name, const char *group, uint64_t seed,
                  uint64_t blocks)
{
    struct synth s = synth_random(seed, blocks, 30000, 0);
    struct vf_image_record rec = synth_record(name, group);
    struct vf_error err;
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", ix->store_dir, name);
    vf_test_write_file(path, name, strlen(name));
    CHECK_OK(vf_index_stat(ix, name, &rec.st, &err), &err);
    CHECK_OK(synth_store_record(ix, &s, &rec, &err), &err);
    synth_free(&s);
}

static struct vf_summary summary(struct vf_index *ix, enum vf_summary_size size, size_t n,
                                 const char *exclude)
{
    struct vf_buf b = VF_BUF_INIT;
    struct vf_summary s;
    struct vf_error err;
    uint64_t generation;

    CHECK_OK(vf_index_summary(ix, size, groups, n, exclude, &b, &err), &err);
    CHECK_OK(vf_summary_parse(b.data, b.len, &s, &err), &err);
    CHECK_OK(vf_index_summary_generation(ix, size, groups, n, exclude, &generation, &err), &err);
    CHECK_EQ_U64(s.generation, generation);
    vf_buf_free(&b);
    return s;
}

static uint64_t generation(struct vf_index *ix, size_t n)
{
    uint64_t ret;
    struct vf_error err;

    CHECK_OK(vf_index_summary_generation(ix, VF_SUMMARY_BRIEF, groups, n, NULL, &ret, &err), &err);
    return ret;
}

TEST(own_number)
{
    const char *dir = synth_dir("number");
    struct vf_error err;
    struct vf_index *ix = vf_index_open(dir, VF_INDEX_CREATE, &err), *ro;
    uint8_t a[VF_STORE_ID_LEN], b[VF_STORE_ID_LEN];

    CHECK_OK(ix, &err);
    vf_index_close(ix);
    ro = vf_index_open(dir, VF_INDEX_READONLY, &err);
    CHECK_OK(ro, &err);
    CHECK_FAIL(vf_index_id(ro, a, &err), &err, VF_ERR_NOTFOUND);
    vf_index_close(ro);
    ix = vf_index_open(dir, 0, &err);
    CHECK_OK(ix, &err);
    CHECK_OK(vf_index_id(ix, a, &err), &err);
    CHECK_OK(vf_index_id(ix, b, &err), &err);
    CHECK_MEM(a, b, sizeof a);
    vf_index_close(ix);
    ro = vf_index_open(dir, VF_INDEX_READONLY, &err);
    CHECK_OK(ro, &err);
    CHECK_OK(vf_index_id(ro, b, &err), &err);
    CHECK_MEM(a, b, sizeof a);
    vf_index_close(ro);
}

TEST(of_granted_groups)
{
    struct vf_error err;
    struct vf_index *ix = vf_index_open(synth_dir("granted"), VF_INDEX_CREATE, &err);
    struct vf_summary s;

    CHECK_OK(ix, &err);
    store(ix, "b", "", 1, 40000);
    store(ix, "a", "", 2, 50000);
    store(ix, "c", "tenant", 3, 9000);
    store(ix, "d", "other", 4, 9000);
    s = summary(ix, VF_SUMMARY_FULL, 1, NULL);
    CHECK_EQ_U64(s.groups, 1);
    CHECK_EQ_U64(s.images, 2);
    CHECK_STR(s.image[0].name, "a");
    CHECK(s.image[0].sketched && s.image[0].fresh && s.image[0].sketch.n > 4000);
    vf_summary_free(&s);
    s = summary(ix, VF_SUMMARY_BRIEF, 2, NULL);
    CHECK_EQ_U64(s.images, 3);
    CHECK_STR(s.image[2].group, "tenant");
    CHECK(!s.image[0].sketched);
    CHECK_EQ_U64(s.group[0].held.images, 2);
    CHECK_EQ_U64(s.group[1].held.images, 1);
    vf_summary_free(&s);
    s = summary(ix, VF_SUMMARY_BRIEF, 2, "a");
    CHECK_EQ_U64(s.images, 2);
    CHECK_EQ_U64(s.group[0].held.images, 1);
    vf_summary_free(&s);
    vf_index_close(ix);
}

TEST(generations)
{
    struct vf_error err;
    struct vf_index *ix = vf_index_open(synth_dir("generations"), VF_INDEX_CREATE, &err);
    struct vf_image_record rec;
    struct vf_summary s;
    uint64_t before, now;
    char path[4096];

    CHECK_OK(ix, &err);
    CHECK(generation(ix, 1) != generation(ix, 2));
    store(ix, "a", "", 1, 9000);
    before = generation(ix, 1);
    CHECK_EQ_U64(generation(ix, 1), before);
    store(ix, "z", "other", 5, 9000); /* nothing that this summary has */
    CHECK_EQ_U64(generation(ix, 1), before);
    store(ix, "b", "", 2, 9000);
    now = generation(ix, 1);
    CHECK(now != before);
    CHECK(vf_index_remove(ix, "b", &err) == VF_FOUND);
    CHECK_EQ_U64(generation(ix, 1), before); /* as it was: the same summary */
    store(ix, "a", "", 3, 9000);
    CHECK(generation(ix, 1) != before);
    store(ix, "a", "", 1, 9000);
    CHECK_EQ_U64(generation(ix, 1), before);
    CHECK(vf_index_get(ix, "a", &rec, &err) == VF_FOUND);
    free(rec.path);
    rec.path = strdup("c");
    CHECK_OK(vf_index_update(ix, "a", &rec, &err), &err); /* renamed, and its file is not there */
    vf_image_record_clear(&rec);
    CHECK(generation(ix, 1) != before);
    s = summary(ix, VF_SUMMARY_FULL, 1, NULL);
    CHECK_EQ_U64(s.images, 1);
    CHECK(!s.image[0].fresh && s.image[0].sketched);
    CHECK_EQ_U64(s.group[0].held.images, 0);
    vf_summary_free(&s);
    now = generation(ix, 1);
    store(ix, "a", "", 1, 9000);
    before = generation(ix, 1);
    snprintf(path, sizeof path, "%s/a", ix->store_dir);
    CHECK(unlink(path) == 0); /* its map is not fresh any more */
    CHECK(generation(ix, 1) != before);
    vf_index_close(ix);
}

TESTS(own_number, of_granted_groups, generations)
