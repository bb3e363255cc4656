/* Every way to compute MD5 against OpenSSL; nothing outside the blocks may be read. */
#include "core/hash/md5_lanes.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/check.h"

enum { MOST = 200 };

/* Room for len bytes that end just before a page nobody may touch, and start just behind one if len
 * is a multiple of the page size. */
static uint8_t *guarded(size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (len + page - 1) / page * page;
    uint8_t *p =
        mmap(NULL, body + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(p != MAP_FAILED);
    CHECK(mprotect(p, page, PROT_NONE) == 0);
    CHECK(mprotect(p + page + body, page, PROT_NONE) == 0);
    return p + page + body - len;
}

static void unguard(uint8_t *at, size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (len + page - 1) / page * page;

    CHECK(munmap(at + len - body - page, body + 2 * page) == 0);
}

/* The reference, or a skipped test where OpenSSL is not allowed to compute MD5. */
static void reference(const uint8_t *data, size_t n, uint8_t (*ret)[VF_MD5_LEN])
{
    EVP_MD *md = EVP_MD_fetch(NULL, "MD5", NULL);

    if (!md)
        SKIP("OpenSSL does not offer MD5 here");
    for (size_t i = 0; i < n; i++) {
        unsigned len = 0;

        CHECK(EVP_Digest(data + i * VF_BLOCK, VF_BLOCK, ret[i], &len, md, NULL) == 1);
        CHECK_EQ_U64(len, VF_MD5_LEN);
    }
    EVP_MD_free(md);
}

/* n blocks at every way, with the results of what lies behind them left alone. */
static void compare(const uint8_t *data, size_t n, uint8_t (*want)[VF_MD5_LEN])
{
    for (int way = 0; way < VF_SIMD_WAYS; way++) {
        uint8_t got[MOST + 1][VF_MD5_LEN];

        if (!vf_simd_ok((enum vf_simd)way))
            continue;
        memset(got, 0xa5, sizeof got);
        vf_md5_blocks((enum vf_simd)way, data, n, got);
        CHECK_MEM(got, want, n * VF_MD5_LEN);
        for (size_t i = 0; i < VF_MD5_LEN; i++)
            CHECK_EQ_U64(got[n][i], 0xa5);
    }
}

TEST(every_way_and_count_equals_openssl)
{
    uint8_t want[MOST][VF_MD5_LEN];

    for (size_t n = 0; n <= MOST; n++) {
        uint8_t *data = guarded(n * VF_BLOCK);

        vf_test_random(n, data, n * VF_BLOCK);
        reference(data, n, want);
        compare(data, n, want);
        unguard(data, n * VF_BLOCK);
    }
}

TEST(any_alignment)
{
    uint8_t want[MOST][VF_MD5_LEN], *data = malloc(MOST * VF_BLOCK + 70);

    CHECK(data != NULL);
    vf_test_random(99, data, MOST * VF_BLOCK + 70);
    for (size_t shift = 0; shift < 70; shift++) {
        reference(data + shift, 70, want);
        compare(data + shift, 70, want);
    }
    free(data);
}

/* Every bit of a block counts, in every lane. */
TEST(single_bits)
{
    uint8_t want[64][VF_MD5_LEN], data[64 * VF_BLOCK];

    for (size_t at = 0; at < VF_BLOCK * 8; at += 64) {
        memset(data, 0, sizeof data);
        for (size_t i = 0; i < 64; i++)
            data[i * VF_BLOCK + (at + i) / 8] = (uint8_t)(1u << (at + i) % 8);
        reference(data, 64, want);
        compare(data, 64, want);
    }
}

TEST(zero_blocks_have_the_known_digest)
{
    static const uint8_t zeros[100 * VF_BLOCK];

    for (int way = 0; way < VF_SIMD_WAYS; way++) {
        uint8_t got[100][VF_MD5_LEN];

        if (!vf_simd_ok((enum vf_simd)way))
            continue;
        vf_md5_blocks((enum vf_simd)way, zeros, 100, got);
        for (size_t i = 0; i < 100; i++)
            CHECK_MEM(got[i], vf_zero_md5, VF_MD5_LEN);
    }
}

TEST(all_zero_sees_every_byte)
{
    for (size_t len = 0; len < 700; len += len < 300 ? 1 : 37) {
        uint8_t *data = guarded(len);

        CHECK(vf_all_zero(data, len));
        for (size_t i = 0; i < len; i++) {
            data[i] = (uint8_t)(1u << i % 8);
            CHECK(!vf_all_zero(data, len));
            CHECK(vf_all_zero(data, i));
            data[i] = 0;
        }
        unguard(data, len);
    }
}

TESTS(every_way_and_count_equals_openssl, any_alignment, single_bits,
      zero_blocks_have_the_known_digest, all_zero_sees_every_byte)
