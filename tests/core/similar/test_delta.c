/* Deltas through librsync: right results, and nothing but errors for hostile bytes. */
#include <stdlib.h>
#include <string.h>

#include "core/hash/digest.h"
#include "core/similar/delta.h"
#include "tests/lib/check.h"

static void sha_of(const uint8_t *p, size_t len, uint8_t ret[VF_SHA_LEN])
{
    struct vf_error err;
    struct vf_sha *sha = vf_sha_new(&err);

    CHECK_OK(sha, &err);
    CHECK_OK(vf_sha_of(sha, p, len, ret, &err), &err);
    vf_sha_free(sha);
}

/* Signature, delta, result; returns the bytes of the delta. */
static size_t round_trip(const uint8_t *old, size_t old_len, const uint8_t *new, size_t new_len)
{
    struct vf_buf sig = VF_BUF_INIT, delta = VF_BUF_INIT, got = VF_BUF_INIT;
    uint8_t sha[VF_SHA_LEN];
    struct vf_error err;
    size_t len;

    sha_of(new, new_len, sha);
    CHECK_OK(vf_delta_signature(old, old_len, &sig, &err), &err);
    CHECK_OK(vf_delta_signature_check(sig.data, sig.len, &err), &err);
    CHECK(sig.len <= 12 + 20 * (old_len / 1024 + 1));
    CHECK_OK(vf_delta_make(sig.data, sig.len, new, new_len, new_len + 4096, &delta, &err), &err);
    CHECK_OK(vf_buf_add(&got, "before", 6, &err), &err);
    CHECK_OK(vf_delta_apply(old, old_len, delta.data, delta.len, new_len, sha, &got, &err), &err);
    CHECK_EQ_U64(got.len, 6 + new_len);
    CHECK_MEM(got.data, "before", 6);
    if (new_len)
        CHECK_MEM(got.data + 6, new, new_len);
    /* The wrong promise is found, and so is the wrong basis. */
    sha[3] ^= 1;
    got.len = 6;
    CHECK_FAIL(vf_delta_apply(old, old_len, delta.data, delta.len, new_len, sha, &got, &err), &err,
               VF_ERR_MISMATCH);
    CHECK_EQ_U64(got.len, 6);
    len = delta.len;
    vf_buf_free(&sig);
    vf_buf_free(&delta);
    vf_buf_free(&got);
    return len;
}

TEST(changed_files)
{
    enum { LEN = 3000000 };
    uint8_t *old = malloc(LEN), *new = malloc(LEN + 5000);
    size_t len;

    CHECK(old && new);
    vf_test_random(1, old, LEN);
    memcpy(new, old, LEN);
    CHECK(round_trip(old, LEN, new, LEN) < 100); /* the same */
    vf_test_random(2, new + 1000000, 30000);     /* one piece replaced */
    len = round_trip(old, LEN, new, LEN);
    CHECK(len > 30000 && len < 36000);
    memmove(new + 500 + 777, new + 500, LEN - 500); /* and something put in */
    vf_test_random(3, new + 500, 777);
    len = round_trip(old, LEN, new, LEN + 777);
    CHECK(len > 30777 && len < 40000);
    vf_test_random(4, new, LEN); /* nothing in common */
    CHECK(round_trip(old, LEN, new, LEN) > LEN);
    CHECK(round_trip(old, 0, new, 100000) >= 100000);
    (void)round_trip(old, 100000, new, 0);
    (void)round_trip(old, 0, new, 0);
    (void)round_trip(old, 1, new, 1);
    for (size_t n = 1020; n < 1030; n++)
        (void)round_trip(old, n, old, n);
    free(old);
    free(new);
}

TEST(limits)
{
    uint8_t old[5000], new[9000], sha[VF_SHA_LEN];
    struct vf_buf sig = VF_BUF_INIT, delta = VF_BUF_INIT, got = VF_BUF_INIT;
    struct vf_error err;

    vf_test_random(5, old, sizeof old);
    vf_test_random(6, new, sizeof new);
    sha_of(new, sizeof new, sha);
    CHECK_OK(vf_delta_signature(old, sizeof old, &sig, &err), &err);
    CHECK_FAIL(vf_delta_make(sig.data, sig.len, new, sizeof new, 5000, &delta, &err), &err,
               VF_ERR_RANGE);
    CHECK_EQ_U64(delta.len, 0);
    CHECK_OK(vf_delta_make(sig.data, sig.len, new, sizeof new, 10000, &delta, &err), &err);
    CHECK_FAIL(vf_delta_apply(old, sizeof old, delta.data, delta.len, 8999, sha, &got, &err), &err,
               VF_ERR_PROTOCOL);
    CHECK_EQ_U64(got.len, 0);
    CHECK_OK(vf_delta_apply(old, sizeof old, delta.data, delta.len, 9000, sha, &got, &err), &err);
    /* Bytes behind the end. */
    CHECK_OK(vf_buf_u8(&delta, 0, &err), &err);
    CHECK_FAIL(vf_delta_apply(old, sizeof old, delta.data, delta.len, 9000, sha, &got, &err), &err,
               VF_ERR_PROTOCOL);
    vf_buf_free(&sig);
    vf_buf_free(&delta);
    vf_buf_free(&got);
}

TEST(signatures_of_others)
{
    uint8_t old[5000];
    struct vf_buf sig = VF_BUF_INIT, delta = VF_BUF_INIT;
    struct vf_error err;

    vf_test_random(7, old, sizeof old);
    CHECK_OK(vf_delta_signature(old, sizeof old, &sig, &err), &err);
    for (size_t len = 0; len < sig.len; len++)
        if (len < 12 || (len - 12) % 20)
            CHECK_FAIL(vf_delta_make(sig.data, len, old, sizeof old, 9000, &delta, &err), &err,
                       VF_ERR_PROTOCOL);
    for (size_t at = 0; at < 12; at++) { /* magic, block length, sum length */
        uint8_t was = sig.data[at];

        if (at == 6 || at == 7)
            continue; /* gives another block length that is allowed */
        sig.data[at] ^= 0x81;
        CHECK_FAIL(vf_delta_make(sig.data, sig.len, old, sizeof old, 9000, &delta, &err), &err,
                   VF_ERR_PROTOCOL);
        sig.data[at] = was;
    }
    /* Sums may say anything. */
    vf_test_random(8, sig.data + 12, sig.len - 12);
    CHECK_OK(vf_delta_make(sig.data, sig.len, old, sizeof old, 9000, &delta, &err), &err);
    vf_buf_free(&sig);
    vf_buf_free(&delta);
}

/* The most blocks, all with the same weak sum: slow, but it ends. */
TEST(many_alike)
{
    enum { BLOCKS = 16384, LEN = 200000 };
    uint8_t *data = calloc(1, LEN), *old = malloc(1024);
    struct vf_buf sig = VF_BUF_INIT, delta = VF_BUF_INIT;
    uint8_t weak[4];
    struct vf_error err;

    CHECK(data && old);
    memset(old, 0, 1024);
    CHECK_OK(vf_delta_signature(old, 1024, &sig, &err), &err);
    memcpy(weak, sig.data + 12, 4);
    for (unsigned i = 1; i < BLOCKS; i++) {
        uint8_t strong[16];

        vf_test_random(i, strong, sizeof strong);
        CHECK_OK(vf_buf_add(&sig, weak, 4, &err), &err);
        CHECK_OK(vf_buf_add(&sig, strong, 16, &err), &err);
    }
    CHECK_OK(vf_delta_make(sig.data, sig.len, data, LEN, LEN, &delta, &err), &err);
    CHECK_OK(vf_buf_add(&sig, sig.data + 12, 20, &err), &err);
    CHECK_FAIL(vf_delta_make(sig.data, sig.len, data, LEN, LEN, &delta, &err), &err,
               VF_ERR_PROTOCOL);
    free(data);
    free(old);
    vf_buf_free(&sig);
    vf_buf_free(&delta);
}

/* Copy commands that lead out of the basis, deltas cut short or changed. */
TEST(hostile_deltas)
{
    /* COPY_N1_N1 of 16 bytes at 250, in a basis of 256; COPY_N4_N4 far outside; one of nothing. */
    static const uint8_t beyond[] = {0x72, 0x73, 0x02, 0x36, 0x45, 250, 16, 0},
                         far[] = {0x72, 0x73, 0x02, 0x36, 0x4f, 0xff, 0xff,
                                  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0},
                         none[] = {0x72, 0x73, 0x02, 0x36, 0x45, 10, 0, 0};
    uint8_t basis[256] = {0}, sha[VF_SHA_LEN] = {0}, junk[64];
    struct vf_buf got = VF_BUF_INIT;
    struct vf_error err;

    CHECK(vf_delta_apply(basis, 256, beyond, sizeof beyond, 1000, sha, &got, &err) == -1);
    CHECK(vf_delta_apply(basis, 256, far, sizeof far, 1000, sha, &got, &err) == -1);
    CHECK(vf_delta_apply(basis, 256, none, sizeof none, 1000, sha, &got, &err) == -1);
    for (size_t len = 0; len < sizeof beyond; len++)
        CHECK(vf_delta_apply(basis, 256, beyond, len, 1000, sha, &got, &err) == -1);
    for (unsigned i = 0; i < 3000; i++) {
        vf_test_random(i, junk, sizeof junk);
        memcpy(junk, beyond, 4);
        CHECK(vf_delta_apply(basis, 256, junk, sizeof junk, 1u << 20, sha, &got, &err) == -1);
        CHECK(err.code == VF_ERR_PROTOCOL || err.code == VF_ERR_MISMATCH);
    }
    CHECK_EQ_U64(got.len, 0);
    vf_buf_free(&got);
}

TESTS(changed_files, limits, signatures_of_others, many_alike, hostile_deltas)
