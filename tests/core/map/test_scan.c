/* core/map/scan.c: segments against a plain, sequential restatement of the rules. */
#include "core/map/scan.h"

#include <openssl/evp.h>
#include <string.h>

#include "core/hash/md5_lanes.h"
#include "core/map/cut.h"
#include "tests/lib/check.h"
#include "tests/lib/mem_image.h"

#define MAX_SEGS 20000u

struct seen {
    size_t n, blocks;
    struct vf_node seg[MAX_SEGS];
    uint8_t md5[65536][VF_MD5_LEN];
    uint64_t upto;
};

static int take(void *ctx, const struct vf_node *segs, size_t n, const uint8_t (*md5)[VF_MD5_LEN],
                uint64_t upto, struct vf_error *err)
{
    struct seen *s = ctx;
    size_t blocks = 0;

    (void)err;
    CHECK(s->n + n <= MAX_SEGS && upto >= s->upto);
    memcpy(s->seg + s->n, segs, n * sizeof *segs);
    s->n += n;
    for (size_t i = 0; i < n; i++)
        blocks += (size_t)segs[i].span;
    memcpy(s->md5[s->blocks], md5, blocks * VF_MD5_LEN);
    s->blocks += blocks;
    s->upto = upto;
    return 0;
}

static void digest(const EVP_MD *md, const void *p, size_t len, uint8_t *ret)
{
    CHECK(EVP_Digest(p, len, ret, NULL, md, NULL) == 1);
}

/* The rules of core/map.h and core/map/cut.h, one block at a time. */
static void restate(const uint8_t *data, uint64_t size, struct seen *s)
{
    uint64_t blocks = vf_blocks_of(size);
    uint8_t padded[VF_BLOCK];
    struct vf_cut cut = {0};
    uint64_t first = 0, n = 0;
    uint8_t *copy = calloc(blocks + 1, VF_BLOCK);

    CHECK(copy);
    memcpy(copy, data, size);
    for (uint64_t b = 0; b <= blocks; b++) {
        bool end = b == blocks, zero, close = false;

        memset(padded, 0, sizeof padded);
        if (!end)
            memcpy(padded, copy + b * VF_BLOCK, VF_BLOCK);
        zero = end || vf_all_zero(padded, VF_BLOCK);
        if (!zero) {
            if (n++ == 0)
                first = b;
            digest(EVP_md5(), padded, VF_BLOCK, s->md5[s->blocks++]);
            close = vf_cut_block(&cut, s->md5[s->blocks - 1]);
        }
        if (n && (zero || close)) {
            struct vf_node *g = &s->seg[s->n++];

            *g = (struct vf_node){.first = first, .span = n, .data = n};
            digest(EVP_sha256(), copy + first * VF_BLOCK, n * VF_BLOCK, g->sha);
            n = 0;
        }
        if (zero)
            cut.len = 0;
    }
    free(copy);
}

static void same(const struct seen *a, const struct seen *b)
{
    CHECK_EQ_U64(a->n, b->n);
    CHECK_EQ_U64(a->blocks, b->blocks);
    for (size_t i = 0; i < a->n; i++) {
        CHECK_EQ_U64(a->seg[i].first, b->seg[i].first);
        CHECK_EQ_U64(a->seg[i].span, b->seg[i].span);
        CHECK_EQ_U64(a->seg[i].data, b->seg[i].data);
        CHECK_MEM(a->seg[i].sha, b->seg[i].sha, VF_SHA_LEN);
    }
    CHECK_MEM(a->md5, b->md5, a->blocks * VF_MD5_LEN);
}

/* Random data with zero runs of all lengths; `dense` parts without any. */
static void fill(uint8_t *data, uint64_t size, uint64_t seed, unsigned zero_percent)
{
    uint8_t dice[4];

    vf_test_random(seed, data, size);
    for (uint64_t off = 0; off < size;) {
        uint64_t len;

        vf_test_random(seed + off + 1, dice, sizeof dice);
        len = 512u * (1u + dice[0] % 40u + (dice[1] % 16 ? 0 : dice[2] * 8u));
        len = len < size - off ? len : size - off;
        if (dice[3] % 100 < zero_percent)
            memset(data + off, 0, len);
        off += len;
    }
}

static void check_image(uint64_t size, uint64_t seed, unsigned zero_percent, unsigned workers)
{
    uint8_t *data;
    struct vf_image *im = vf_mem_image(size, &data);
    struct seen *want = calloc(1, sizeof *want), *got = calloc(1, sizeof *got);
    struct vf_error err;

    CHECK(want && got);
    fill(data, size, seed, zero_percent);
    restate(data, size, want);
    CHECK_OK(vf_scan(im, (struct vf_run){0, vf_blocks_of(size)}, workers, take, got, NULL, &err),
             &err);
    same(want, got);
    CHECK_EQ_U64(got->upto, vf_blocks_of(size));
    free(want);
    free(got);
    vf_image_close(im);
}

TEST(odd_sizes)
{
    static const uint64_t sizes[] = {0, 1, 511, 512, 513, 4096, 4097, 196608, 196609, 1000003};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (unsigned workers = 1; workers <= 3; workers++)
            check_image(sizes[i], i, 30, workers);
}

TEST(mixtures)
{
    for (unsigned percent = 0; percent <= 100; percent += 25)
        for (unsigned workers = 1; workers <= 4; workers++)
            check_image(12u << 20, percent, percent, workers);
}

/* The last block counts with its padding: a file of a whole number of blocks with that content is
 * the same. */
TEST(padding)
{
    uint8_t *a, *b;
    struct vf_image *x = vf_mem_image(1000, &a), *y = vf_mem_image(1024, &b);
    struct seen *s = calloc(1, sizeof *s), *t = calloc(1, sizeof *t);
    struct vf_error err;

    CHECK(s && t);
    vf_test_random(1, a, 1000);
    memcpy(b, a, 1000);
    CHECK_OK(vf_scan(x, (struct vf_run){0, 2}, 1, take, s, NULL, &err), &err);
    CHECK_OK(vf_scan(y, (struct vf_run){0, 2}, 1, take, t, NULL, &err), &err);
    same(s, t);
    free(s);
    free(t);
    vf_image_close(x);
    vf_image_close(y);
}

/* A scan that begins at a segment's edge gives the same segments from there on. */
TEST(from_an_edge)
{
    uint8_t *data;
    struct vf_image *im = vf_mem_image(8u << 20, &data);
    struct seen *all = calloc(1, sizeof *all), *part = calloc(1, sizeof *part);
    struct vf_error err;
    uint64_t from, blocks = im->size / VF_BLOCK;

    CHECK(all && part);
    fill(data, im->size, 9, 10);
    CHECK_OK(vf_scan(im, (struct vf_run){0, blocks}, 2, take, all, NULL, &err), &err);
    from = all->seg[all->n / 2].first;
    CHECK_OK(vf_scan(im, (struct vf_run){from, blocks - from}, 1, take, part, NULL, &err), &err);
    CHECK_EQ_U64(part->n, all->n - all->n / 2);
    for (size_t i = 0; i < part->n; i++)
        CHECK_MEM(part->seg[i].sha, all->seg[all->n / 2 + i].sha, VF_SHA_LEN);
    free(all);
    free(part);
    vf_image_close(im);
}

/* The same data 5,000 blocks further on gives mostly the same segments. */
TEST(moved_data)
{
    uint8_t *a, *b;
    struct vf_image *x = vf_mem_image(6u << 20, &a), *y = vf_mem_image(10u << 20, &b);
    struct seen *s = calloc(1, sizeof *s), *t = calloc(1, sizeof *t);
    struct vf_error err;
    size_t found = 0;

    CHECK(s && t);
    vf_test_random(3, a, 6u << 20);
    vf_test_random(4, b, 10u << 20);
    memcpy(b + 5000 * 512, a + 100 * 512, 4u << 20);
    CHECK_OK(vf_scan(x, (struct vf_run){0, 12288}, 2, take, s, NULL, &err), &err);
    CHECK_OK(vf_scan(y, (struct vf_run){0, 20480}, 2, take, t, NULL, &err), &err);
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < t->n; k++)
            found += memcmp(s->seg[i].sha, t->seg[k].sha, VF_SHA_LEN) == 0 ? s->seg[i].span : 0;
    CHECK(found > 8192 * 9 / 10);
    free(s);
    free(t);
    vf_image_close(x);
    vf_image_close(y);
}

static int refuse(void *ctx, const struct vf_node *segs, size_t n, const uint8_t (*md5)[VF_MD5_LEN],
                  uint64_t upto, struct vf_error *err)
{
    (void)ctx, (void)segs, (void)n, (void)md5;
    return upto > 2000 ? vf_error_set(err, VF_ERR_SPACE, 0, "no more") : 0;
}

TEST(errors_end_it)
{
    uint8_t *data;
    struct vf_image *im = vf_mem_image(8u << 20, &data);
    volatile int stop = 1;
    struct vf_error err;

    vf_test_random(1, data, 8u << 20);
    for (unsigned workers = 1; workers <= 4; workers++)
        CHECK_FAIL(vf_scan(im, (struct vf_run){0, 16384}, workers, refuse, NULL, NULL, &err), &err,
                   VF_ERR_SPACE);
    CHECK_FAIL(vf_scan(im, (struct vf_run){0, 16384}, 2, refuse, NULL, &stop, &err), &err,
               VF_ERR_CANCELLED);
    vf_image_close(im);
}

TESTS(odd_sizes, mixtures, padding, from_an_edge, moved_data, errors_end_it)
