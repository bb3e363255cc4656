/* How fast blocks are hashed: every way to compute the MD5 of many blocks that this machine can
 * run, one library call for each block, SHA-256 as segments get it, and the test for zeros.
 *
 * All in one thread, measured in processor time, so that a busy machine matters less; the median of
 * the rounds, in each of which every candidate has its turn.  "cache": 128 KiB again and again, as
 * after a read into one buffer; "memory": 64 MiB. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/hash/digest.h"
#include "core/hash/md5_lanes.h"

#define ROUNDS 9
#define CACHE  ((size_t)1 << 20)
#define MEMORY ((size_t)64 << 20)
#define PIECE  ((size_t)16 << 10) /* of SHA-256 */

struct bench {
    uint8_t *data, *zeros;
    uint8_t (*digests)[VF_MD5_LEN];
    EVP_MD *md5;
    struct vf_sha *sha;
    enum vf_simd way;
};

/* Each does its work on the first len bytes; false if that failed. */
typedef bool candidate_fn(struct bench *b, size_t len);

static bool library_md5(struct bench *b, size_t len)
{
    for (size_t at = 0; at < len; at += VF_BLOCK)
        if (EVP_Digest(b->data + at, VF_BLOCK, b->digests[at / VF_BLOCK], NULL, b->md5, NULL) != 1)
            return false;
    return true;
}

static bool lanes_md5(struct bench *b, size_t len)
{
    for (size_t at = 0; at < len; at += CACHE)
        vf_md5_blocks(b->way, b->data + at, CACHE / VF_BLOCK, b->digests + at / VF_BLOCK);
    return true;
}

#define SOME 64u /* segments in a chunk of core/map/scan.h, about */

static bool sha256_many(struct bench *b, size_t len)
{
    uint8_t digest[SOME][VF_SHA_LEN];
    struct vf_sha_job jobs[SOME];

    for (size_t at = 0; at + SOME * PIECE <= len; at += SOME * PIECE) {
        for (size_t i = 0; i < SOME; i++)
            jobs[i] = (struct vf_sha_job){b->data + at + i * PIECE, PIECE, digest[i]};
        if (vf_sha_many(b->sha, jobs, SOME, NULL) < 0)
            return false;
    }
    return true;
}

static bool sha256(struct bench *b, size_t len)
{
    uint8_t digest[VF_SHA_LEN];

    for (size_t at = 0; at < len; at += PIECE)
        if (vf_sha_of(b->sha, b->data + at, PIECE, digest, NULL) < 0)
            return false;
    return true;
}

static bool zero_test(struct bench *b, size_t len)
{
    for (size_t at = 0; at < len; at += VF_BLOCK)
        if (!vf_all_zero(b->zeros + at, VF_BLOCK))
            return false;
    return true;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* GB/s over len bytes, repeated to about 20 ms; below 0 if it failed. */
static double speed(struct bench *b, candidate_fn *fn, size_t len)
{
    double start = now(), took = 0;
    size_t times = 0;

    do {
        if (!fn(b, len))
            return -1;
        times++;
        took = now() - start;
    } while (took < 0.02);
    return (double)times * (double)len / took / 1e9;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static double median(double v[ROUNDS])
{
    qsort(v, ROUNDS, sizeof *v, by_value);
    return v[ROUNDS / 2];
}

struct row {
    const char *name;
    candidate_fn *fn;
    enum vf_simd way;
    double cache[ROUNDS], memory[ROUNDS];
};

/* Measures and prints; the first row is what the others are compared with.  0, or 1. */
static int run(struct bench *b, struct row *rows, size_t n)
{
    double base = 0;

    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < n; i++) {
            b->way = rows[i].way;
            rows[i].cache[round] = speed(b, rows[i].fn, CACHE);
            rows[i].memory[round] = speed(b, rows[i].fn, MEMORY);
            if (rows[i].cache[round] < 0 || rows[i].memory[round] < 0) {
                fprintf(stderr, "bench_hash: %s failed\n", rows[i].name);
                return 1;
            }
        }
    printf("GB/s, median of %d rounds, one thread; best way here: %s\n", ROUNDS,
           vf_simd_name(vf_simd_best()));
    printf("%-32s %8s %8s %8s\n", "", "cache", "memory", "ratio");
    for (size_t i = 0; i < n; i++) {
        double c = median(rows[i].cache);

        if (i == 0)
            base = c;
        printf("%-32s %8.2f %8.2f %8.1f\n", rows[i].name, c, median(rows[i].memory), c / base);
    }
    return 0;
}

int main(void)
{
    struct row rows[] = {
        {.name = "MD5, library call per block", .fn = library_md5},
        {.name = "MD5, portable", .fn = lanes_md5, .way = VF_SIMD_PORTABLE},
        {.name = "MD5, avx2", .fn = lanes_md5, .way = VF_SIMD_AVX2},
        {.name = "MD5, avx512", .fn = lanes_md5, .way = VF_SIMD_AVX512},
        {.name = "SHA-256 of 16 KiB, library", .fn = sha256},
        {.name = "SHA-256 of 64 times 16 KiB", .fn = sha256_many},
        {.name = "zero test per block", .fn = zero_test},
    };
    struct vf_error err = VF_ERROR_INIT;
    struct bench b = {.data = malloc(MEMORY),
                      .zeros = malloc(MEMORY),
                      .digests = malloc(MEMORY / VF_BLOCK * VF_MD5_LEN),
                      .md5 = EVP_MD_fetch(NULL, "MD5", NULL),
                      .sha = vf_sha_new(&err)};
    uint64_t x = 88172645463325252u;
    size_t n = 0;
    int rc = 1;

    if (!b.data || !b.zeros || !b.digests || !b.md5 || !b.sha) {
        fprintf(stderr, "bench_hash: %s\n", b.md5 ? "out of memory" : "OpenSSL offers no MD5");
        goto out;
    }
    memset(b.zeros, 0, MEMORY);
    for (size_t i = 0; i < MEMORY; i += sizeof x) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(b.data + i, &x, sizeof x);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].fn != lanes_md5 || vf_simd_ok(rows[i].way))
            rows[n++] = rows[i];
    rc = run(&b, rows, n);
out:
    vf_sha_free(b.sha);
    EVP_MD_free(b.md5);
    free(b.digests);
    free(b.zeros);
    free(b.data);
    return rc;
}
