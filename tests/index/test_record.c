/* Small records: round trips, limits, and no trust in what is read. */
#include <stdlib.h>
#include <string.h>

#include "index/record.h"
#include "tests/lib/check.h"

static struct vf_image_record sample(void)
{
    static char path[] = "images/\x01\xff\xc3 db.raw", format[] = "raw", group[] = "tenant 7";
    struct vf_image_record rec = {
        .path = path,
        .format = format,
        .group = group,
        .cluster_size = 65536,
        .state = VF_IMAGE_PARTIAL,
        .st = {1, UINT64_MAX, 3, -5, INT64_MAX, true, false},
        .indexed_at = -1,
        .generation = 42,
        .info = {.size = 1000001,
                 .blocks = 1954,
                 .zero_blocks = 954,
                 .distinct_blocks = 900,
                 .top = 3,
                 .nodes = {1000, 90, 4, 1}},
    };

    vf_test_random(9, rec.info.root, VF_SHA_LEN);
    return rec;
}

static void check_equal(const struct vf_image_record *a, const struct vf_image_record *b)
{
    CHECK_STR(a->path, b->path);
    CHECK_STR(a->format, b->format);
    CHECK_STR(a->group, b->group);
    CHECK_EQ_U64(a->cluster_size, b->cluster_size);
    CHECK_EQ_U64(a->state, b->state);
    CHECK_EQ_U64(a->st.dev, b->st.dev);
    CHECK_EQ_U64(a->st.ino, b->st.ino);
    CHECK_EQ_U64(a->st.size, b->st.size);
    CHECK_EQ_I64(a->st.mtime_ns, b->st.mtime_ns);
    CHECK_EQ_I64(a->st.ctime_ns, b->st.ctime_ns);
    CHECK(a->st.regular == b->st.regular);
    CHECK_EQ_I64(a->indexed_at, b->indexed_at);
    CHECK_EQ_U64(a->generation, b->generation);
    CHECK_EQ_U64(a->info.size, b->info.size);
    CHECK_EQ_U64(a->info.blocks, b->info.blocks);
    CHECK_EQ_U64(a->info.zero_blocks, b->info.zero_blocks);
    CHECK_EQ_U64(a->info.distinct_blocks, b->info.distinct_blocks);
    CHECK_EQ_U64(a->info.top, b->info.top);
    CHECK_MEM(a->info.nodes, b->info.nodes, sizeof a->info.nodes);
    CHECK_MEM(a->info.root, b->info.root, VF_SHA_LEN);
}

TEST(image_round_trip)
{
    struct vf_image_record rec = sample(), got, copy;
    struct vf_buf b = VF_BUF_INIT;
    struct vf_error err;

    CHECK_OK(vf_image_record_encode(&b, &rec, &err), &err);
    CHECK_OK(vf_image_record_decode(b.data, b.len, &got, &err), &err);
    check_equal(&rec, &got);
    CHECK_OK(vf_image_record_copy(&got, &copy, &err), &err);
    vf_image_record_clear(&got);
    check_equal(&rec, &copy);
    vf_image_record_clear(&copy);
    CHECK(!copy.path && !copy.generation);
    vf_buf_free(&b);
}

/* No byte can be changed, cut off or added. */
TEST(image_damage)
{
    struct vf_image_record rec = sample(), got;
    struct vf_buf b = VF_BUF_INIT;
    struct vf_error err;

    CHECK_OK(vf_image_record_encode(&b, &rec, &err), &err);
    for (size_t i = 0; i < b.len; i++) {
        CHECK_FAIL(vf_image_record_decode(b.data, i, &got, &err), &err, VF_ERR_FORMAT);
        for (unsigned bit = 0; bit < 8; bit++) {
            b.data[i] ^= (uint8_t)(1u << bit);
            CHECK_FAIL(vf_image_record_decode(b.data, b.len, &got, &err), &err, VF_ERR_FORMAT);
            b.data[i] ^= (uint8_t)(1u << bit);
        }
    }
    CHECK_OK(vf_buf_u8(&b, 0, &err), &err);
    CHECK_FAIL(vf_image_record_decode(b.data, b.len, &got, &err), &err, VF_ERR_FORMAT);
    vf_buf_free(&b);
}

TEST(image_limits)
{
    struct vf_image_record rec = sample(), got;
    struct vf_buf b = VF_BUF_INIT;
    struct vf_error err;
    char *longest = malloc(VF_INDEX_PATH_MAX + 2);

    CHECK(longest != NULL);
    memset(longest, 'p', VF_INDEX_PATH_MAX + 1);
    longest[VF_INDEX_PATH_MAX + 1] = 0;
    rec.path = longest;
    CHECK_FAIL(vf_image_record_encode(&b, &rec, &err), &err, VF_ERR_USAGE);
    longest[VF_INDEX_PATH_MAX] = 0;
    CHECK_OK(vf_image_record_encode(&b, &rec, &err), &err);
    CHECK_OK(vf_image_record_decode(b.data, b.len, &got, &err), &err);
    CHECK_STR(got.path, longest);
    vf_image_record_clear(&got);

    rec.group = longest; /* 255 bytes and one more */
    longest[VF_INDEX_GROUP_MAX + 1] = 0;
    CHECK_FAIL(vf_image_record_encode(&b, &rec, &err), &err, VF_ERR_USAGE);
    longest[VF_INDEX_GROUP_MAX] = 0;
    CHECK_OK(vf_image_record_encode(&b, &rec, &err), &err);
    rec.format = longest;
    CHECK_FAIL(vf_image_record_encode(&b, &rec, &err), &err, VF_ERR_USAGE);
    rec.format = NULL;
    rec.group = NULL;
    CHECK_OK(vf_image_record_encode(&b, &rec, &err), &err);
    CHECK_OK(vf_image_record_decode(b.data, b.len, &got, &err), &err);
    CHECK_STR(got.group, "");
    vf_image_record_clear(&got);
    free(longest);
    vf_buf_free(&b);
}

TEST(paths)
{
    static const char *const good[] = {"a", "/", "/a/../b", "a/b", "...", "a..", "/a//b", "\xff"};
    static const char *const bad[] = {"",      ".",    "..", "a/..",   "../a",
                                      "a/./b", "a//b", "a/", "a/../b", "./a"};
    struct vf_error err;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        CHECK_OK(vf_record_check_path(good[i], &err), &err);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_FAIL(vf_record_check_path(bad[i], &err), &err, VF_ERR_USAGE);
    CHECK_FAIL(vf_record_check_path(NULL, &err), &err, VF_ERR_USAGE);
}

TEST(info)
{
    struct vf_image_record rec = sample();
    const struct vf_map_info good = rec.info;
    struct vf_map_info m;
    struct vf_error err;

#define WRONG(change)                                                                              \
    do {                                                                                           \
        m = good;                                                                                  \
        change;                                                                                    \
        CHECK_FAIL(vf_map_info_check(&m, &err), &err, VF_ERR_FORMAT);                              \
    } while (0)
    CHECK_OK(vf_map_info_check(&good, &err), &err);
    m = (struct vf_map_info){.size = 0};
    CHECK_OK(vf_map_info_check(&m, &err), &err);
    WRONG(m.blocks++);
    WRONG(m.size = UINT64_MAX; m.blocks = vf_blocks_of(m.size); m.zero_blocks = m.blocks - 1000);
    WRONG(m.zero_blocks++);
    WRONG(m.zero_blocks = m.blocks + 1);
    WRONG(m.distinct_blocks = m.blocks + 1);
    WRONG(m.distinct_blocks = 0);
    WRONG(m.top = VF_LEVELS);
    WRONG(m.top = 0);
    WRONG(m.top = 4);
    WRONG(m.top = 2);
    WRONG(m.nodes[2] = 0);
    WRONG(m.nodes[1] = 1001);
    WRONG(m.nodes[5] = 1);
}

TEST(version)
{
    struct vf_version_record rec = {VF_INDEX_VERSION, 77}, got = {0, 0};
    struct vf_buf b = VF_BUF_INIT;
    struct vf_error err;

    CHECK_OK(vf_version_encode(&b, &rec, &err), &err);
    CHECK_OK(vf_version_decode(b.data, b.len, &got, &err), &err);
    CHECK_EQ_U64(got.next_generation, 77);
    for (size_t i = 0; i < b.len; i++) {
        CHECK_FAIL(vf_version_decode(b.data, i, &got, &err), &err, VF_ERR_FORMAT);
        b.data[i] ^= 0x10;
        CHECK_FAIL(vf_version_decode(b.data, b.len, &got, &err), &err, VF_ERR_FORMAT);
        b.data[i] ^= 0x10;
    }
    rec.version = 9;
    CHECK_OK(vf_version_encode(&b, &rec, &err), &err);
    CHECK_OK(vf_buf_u64(&b, 1, &err), &err); /* whatever a later layout adds */
    CHECK_FAIL(vf_version_decode(b.data, b.len, &got, &err), &err, VF_ERR_FORMAT);
    CHECK_HAS(err.msg, "version 9");
    vf_buf_free(&b);
}

TEST(generation)
{
    enum vf_generation_state got;
    struct vf_buf b = VF_BUF_INIT;
    struct vf_error err;

    for (int s = VF_GEN_BUILDING; s <= VF_GEN_DOOMED; s++) {
        CHECK_OK(vf_generation_encode(&b, (enum vf_generation_state)s, &err), &err);
        CHECK_OK(vf_generation_decode(b.data, b.len, &got, &err), &err);
        CHECK_EQ_I64(got, s);
        CHECK_FAIL(vf_generation_decode(b.data, b.len - 1, &got, &err), &err, VF_ERR_FORMAT);
    }
    CHECK_OK(vf_generation_encode(&b, (enum vf_generation_state)4, &err), &err);
    CHECK_FAIL(vf_generation_decode(b.data, b.len, &got, &err), &err, VF_ERR_FORMAT);
    vf_buf_free(&b);
}

/* The checksum is part of the format: these never change. */
TEST(checksum)
{
    char text[24] = "vmferry";
    uint32_t seen[24];

    CHECK_EQ_U64(vf_index_checksum(text, 0), UINT64_C(0x2e72b465));
    CHECK_EQ_U64(vf_index_checksum(text, 7), UINT64_C(0xf65e8cc1));
    CHECK_EQ_U64(vf_index_checksum(text, 17), UINT64_C(0x4ec5e63e));
    memset(text, 0, sizeof text);
    for (size_t n = 0; n < 24; n++) { /* length counts, not only content */
        seen[n] = vf_index_checksum(text, n);
        for (size_t k = 0; k < n; k++)
            CHECK(seen[n] != seen[k]);
    }
}

TESTS(image_round_trip, image_damage, image_limits, paths, info, version, generation, checksum)
