/* core/literals/quote.c: what is quoted is the same bytes, before the record, and not in zero
 * blocks. */
#include "core/literals/quote.h"

#include <string.h>

#include "tests/lib/check.h"
#include "tests/lib/mem_image.h"

#define BLOCKS 8192u
#define HALF   (BLOCKS / 2)

static uint8_t data[BLOCKS * VF_BLOCK];

/* A quoter that has been shown the first half: noted, or as literals. */
static struct vf_quoter *after_half(struct vf_image **ret_image, bool noted)
{
    struct vf_error err;
    struct vf_quoter *q;
    uint8_t *bytes;
    struct vf_buf ignored = VF_BUF_INIT;

    *ret_image = vf_mem_image(sizeof data, &bytes);
    memcpy(bytes, data, sizeof data);
    q = vf_quoter_new(*ret_image, 1u << 20, &err);
    CHECK_OK(q, &err);
    for (uint64_t at = 0; at < HALF; at += 1024)
        if (noted) {
            vf_quoter_note(q, at, 1024, data + at * VF_BLOCK);
        } else {
            CHECK_OK(vf_quoter_find(q, at, at, 1024, data + at * VF_BLOCK, 0, &ignored, &err),
                     &err);
        }
    vf_buf_free(&ignored);
    return q;
}

/* Looks through blocks [HALF, HALF + n); all quotes must be right.  Bytes quoted. */
static uint64_t find(struct vf_quoter *q, size_t n)
{
    struct vf_buf quotes = VF_BUF_INIT;
    const struct vf_quote *c;
    struct vf_error err;
    uint64_t end = 0, sum = 0;

    CHECK_OK(vf_quoter_find(q, HALF, HALF, n, data + HALF * VF_BLOCK, 0, &quotes, &err), &err);
    c = (const void *)quotes.data;
    CHECK(quotes.len / sizeof *c <= VF_QUOTES_MAX);
    for (size_t i = 0; i < quotes.len / sizeof *c; i++) {
        CHECK(c[i].at >= end && c[i].len >= VF_QUOTE_LEAST);
        end = c[i].at + c[i].len;
        CHECK(end <= n * VF_BLOCK && c[i].from + c[i].len <= HALF * VF_BLOCK);
        CHECK_MEM(data + HALF * VF_BLOCK + c[i].at, data + c[i].from, (size_t)c[i].len);
        for (uint64_t b = c[i].from; b < c[i].from + c[i].len; b++) { /* no byte of a zero block */
            static const uint8_t zero[VF_BLOCK];

            if (data[b] == 0 && (b == c[i].from || b % VF_BLOCK == 0))
                CHECK(memcmp(data + b / VF_BLOCK * VF_BLOCK, zero, VF_BLOCK) != 0);
        }
        sum += c[i].len;
    }
    vf_buf_free(&quotes);
    return sum;
}

static void prepare(void)
{
    vf_test_random(7, data, sizeof data);
    memcpy(data + HALF * VF_BLOCK + 12345, data + 777, 300000); /* moved by no whole block */
    memcpy(data + HALF * VF_BLOCK + 400001, data + 5000, 600);  /* short */
    memcpy(data + HALF * VF_BLOCK + 500000, data + 900000, 63); /* too short */
}

static void moved(bool noted)
{
    struct vf_image *im;
    struct vf_quoter *q;
    uint64_t n;

    prepare();
    q = after_half(&im, noted);
    n = find(q, 2048);
    CHECK(n >= 300000 && n <= 300600);
    vf_quoter_free(q);
    vf_image_close(im);
}

TEST(what_was_sent) { moved(false); }
TEST(what_was_there) { moved(true); }

TEST(not_from_zero_blocks)
{
    struct vf_image *im;
    struct vf_quoter *q;
    uint64_t n;

    prepare();
    memset(data + 100 * VF_BLOCK, 0, 3 * VF_BLOCK + 40); /* three zero blocks, and a little more */
    memcpy(data + HALF * VF_BLOCK + 12345, data + 777, 300000);
    q = after_half(&im, false);
    n = find(q, 2048);
    CHECK(n >= 200000 && n <= 300600 - 3 * VF_BLOCK);
    vf_quoter_free(q);
    vf_image_close(im);
}

/* Content that is one pattern over and over: it ends, within limits. */
TEST(patterns)
{
    for (unsigned period = 1; period <= 9; period += 4) {
        struct vf_image *im;
        struct vf_quoter *q;

        for (size_t i = 0; i < sizeof data; i++)
            data[i] = (uint8_t)(i % period + 1);
        q = after_half(&im, false);
        (void)find(q, 2048);
        vf_quoter_free(q);
        vf_image_close(im);
    }
}

/* More noted than quoted: it loses interest, and finds it again. */
TEST(interest)
{
    struct vf_image *im;
    struct vf_quoter *q;
    unsigned wanted = 0;

    prepare();
    q = after_half(&im, true);
    for (unsigned i = 0; i < 1100; i++) /* 1100 MiB */
        wanted += vf_quoter_wants(q, 2048);
    CHECK(wanted > 500 && wanted < 600);
    wanted = 0;
    for (unsigned i = 0; i < 160; i++)
        wanted += vf_quoter_wants(q, 2048);
    CHECK_EQ_U64(wanted, 10);
    CHECK(find(q, 2048) > 0);
    CHECK(vf_quoter_wants(q, 2048));
    vf_quoter_hurry(q, true);
    CHECK(!vf_quoter_wants(q, 2048)); /* not that much of it */
    vf_quoter_free(q);
    vf_image_close(im);
}

TESTS(what_was_sent, what_was_there, not_from_zero_blocks, patterns, interest)
