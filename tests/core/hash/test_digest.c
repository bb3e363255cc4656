/* core/hash/digest.c, core/hash/sha_ni.c and core/hash/sha_avx512.c: all ways give what OpenSSL
 * gives. */
#include "core/hash/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "tests/lib/check.h"

#define MOST 40

static uint8_t data[MOST * 5000];

static void fill(void)
{
    uint64_t x = 88172645463325252u;

    for (size_t i = 0; i < sizeof data; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        data[i] = (uint8_t)x;
    }
}

/* n messages of these lengths, at any alignment; one digest too many must stay as it is. */
static void try(struct vf_sha *s, const size_t *len, size_t n)
{
    uint8_t got[MOST + 1][VF_SHA_LEN], want[VF_SHA_LEN];
    struct vf_sha_job jobs[MOST] = {{0}};
    struct vf_error err;
    size_t at = 0;

    memset(got, 0xee, sizeof got);
    for (size_t i = 0; i < n; at += len[i++] + 1)
        jobs[i] = (struct vf_sha_job){data + at, len[i], got[i]};
    CHECK_OK(vf_sha_many(s, jobs, n, &err), &err);
    for (size_t i = 0; i < n; i++) {
        SHA256(jobs[i].data, jobs[i].len, want);
        CHECK(memcmp(got[i], want, sizeof want) == 0);
        CHECK_OK(vf_sha_of(s, jobs[i].data, jobs[i].len, got[i], &err), &err);
        CHECK(memcmp(got[i], want, sizeof want) == 0);
    }
    for (size_t i = 0; i < VF_SHA_LEN; i++)
        CHECK(got[n][i] == 0xee);
}

static void try_all(void)
{
    struct vf_error err;
    struct vf_sha *s = vf_sha_new(&err);
    size_t len[MOST];

    CHECK_OK(s, &err);
    fill();
    /* Every length about the edges of a chunk and of the padding, beside another. */
    for (size_t a = 0; a <= 260; a++) {
        len[0] = a;
        len[1] = (a * 7) % 261;
        len[2] = 260 - a;
        try(s, len, 1);
        try(s, len, 3);
    }
    for (size_t n = 0; n <= MOST; n++) {
        for (size_t i = 0; i < n; i++)
            len[i] = (i * 2654435761u) % 4999;
        try(s, len, n);
    }
    vf_sha_free(s);
}

TEST(best_way) { try_all(); }

static void try_forced(const char *way)
{
    struct vf_error err;
    struct vf_sha *s;

    CHECK(setenv("VF_SHA_WAY", way, 1) == 0);
    s = vf_sha_new(&err);
    CHECK_OK(s, &err);
    if (strcmp(way, "openssl") == 0)
        CHECK_STR(vf_sha_way(s), way);
    else if (strcmp(vf_sha_way(s), way) != 0)
        printf("# this processor has no %s\n", way);
    vf_sha_free(s);
    try_all();
    CHECK(unsetenv("VF_SHA_WAY") == 0);
}

TEST(by_openssl) { try_forced("openssl"); }

TEST(by_ni) { try_forced("ni"); }

TEST(by_avx512) { try_forced("avx512"); }

TEST(in_pieces)
{
    struct vf_error err;
    struct vf_sha *s = vf_sha_new(&err);
    uint8_t got[VF_SHA_LEN], want[VF_SHA_LEN];
    char hex[2 * VF_SHA_LEN + 1];
    const uint8_t number[8] = {8, 7, 6, 5, 4, 3, 2, 1};

    CHECK_OK(s, &err);
    CHECK_OK(vf_sha_begin(s, &err), &err);
    CHECK_OK(vf_sha_add_u64(s, UINT64_C(0x0102030405060708), &err), &err);
    CHECK_OK(vf_sha_end(s, got, &err), &err);
    SHA256(number, sizeof number, want);
    CHECK(memcmp(got, want, sizeof want) == 0);
    CHECK_OK(vf_sha_of(s, "abc", 3, got, &err), &err);
    vf_hex(got, sizeof got, hex);
    CHECK_STR(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    vf_sha_free(s);
}

TESTS(best_way, by_openssl, by_ni, by_avx512, in_pieces)
