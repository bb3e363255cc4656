/* core/literals/repeats.c */
#include "core/literals/repeats.h"

#include "tests/lib/check.h"

TEST(finds_what_was_sent)
{
    struct vf_error err;
    struct vf_repeats *r = vf_repeats_new(300000, UINT64_C(64) << 20, &err);
    uint8_t md5[VF_MD5_LEN];
    uint64_t first;

    CHECK_OK(r, &err);
    for (uint64_t i = 0; i < 300000; i++) {
        vf_test_random(i, md5, sizeof md5);
        CHECK(!vf_repeats_seen(r, md5, i, &first));
    }
    for (uint64_t i = 0; i < 300000; i += 7) {
        vf_test_random(i, md5, sizeof md5);
        CHECK(vf_repeats_seen(r, md5, 300000 + i, &first));
        CHECK_EQ_U64(first, i);
    }
    vf_repeats_free(r);
}

/* Full: what does not fit is not remembered, the rest is. */
TEST(bounded)
{
    struct vf_error err;
    struct vf_repeats *r = vf_repeats_new(1000000, 1, &err);
    uint8_t md5[VF_MD5_LEN];
    uint64_t first, found = 0;

    CHECK_OK(r, &err);
    for (uint64_t i = 0; i < 200000; i++) {
        vf_test_random(i, md5, sizeof md5);
        CHECK(!vf_repeats_seen(r, md5, i, &first));
    }
    for (uint64_t i = 0; i < 200000; i++) {
        vf_test_random(i, md5, sizeof md5);
        found += vf_repeats_seen(r, md5, 1000000, &first);
    }
    CHECK(found > 40000 && found < 50000);
    CHECK(vf_repeats_full(r));
    vf_repeats_free(r);
}

/* A block is never a repeat of itself or of a later one: a batch may be sent again. */
TEST(only_earlier_blocks)
{
    struct vf_error err;
    struct vf_repeats *r = vf_repeats_new(1000000, 1, &err);
    uint8_t md5[VF_MD5_LEN];
    uint64_t first;

    CHECK_OK(r, &err);
    vf_test_random(1, md5, sizeof md5);
    CHECK(!vf_repeats_seen(r, md5, 50, &first));
    CHECK(!vf_repeats_seen(r, md5, 50, &first));
    CHECK(!vf_repeats_seen(r, md5, 49, &first));
    CHECK(vf_repeats_seen(r, md5, 51, &first));
    vf_repeats_free(r);
}

TEST(added_blocks)
{
    struct vf_error err;
    struct vf_repeats *r = vf_repeats_new(100, 0, &err);
    uint8_t md5[50][VF_MD5_LEN];
    uint64_t first;

    CHECK_OK(r, &err);
    vf_test_random(1, md5, sizeof md5);
    vf_repeats_add(r, (const uint8_t(*)[VF_MD5_LEN])md5, 1000, 50);
    for (uint64_t i = 0; i < 50; i++) {
        CHECK(vf_repeats_seen(r, md5[i], 5000, &first));
        CHECK_EQ_U64(first, 1000 + i);
    }
    vf_repeats_free(r);
}

TESTS(finds_what_was_sent, bounded, only_earlier_blocks, added_blocks)
