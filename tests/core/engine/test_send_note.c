/* core/engine/send_note.c: known content waits until the line has work, and is then all noted. */
#include "core/engine/send_note.h"

#include <string.h>

#include "core/map.h"
#include "tests/lib/check.h"
#include "tests/lib/mem_image.h"

#define BLOCKS 8192u
#define HALF   (BLOCKS / 2)
#define PART   (VF_SEG_MAX / 2)
#define MUCH   (1u << 20) /* literal blocks: more than it takes until the line has work */

static uint8_t data[BLOCKS * VF_BLOCK];

/* Its second half repeats the first, moved by no whole block. */
static struct vf_quoter *begin(struct vf_image **ret_image)
{
    struct vf_error err;
    struct vf_quoter *q;
    uint8_t *bytes;

    vf_test_random(11, data, sizeof data);
    memcpy(data + HALF * VF_BLOCK + 100, data, HALF / 2 * VF_BLOCK);
    *ret_image = vf_mem_image(sizeof data, &bytes);
    memcpy(bytes, data, sizeof data);
    q = vf_quoter_new(*ret_image, 1u << 20, &err);
    CHECK_OK(q, &err);
    return q;
}

/* Bytes that a record of the second half quotes.  To look remembers what it saw, so it is asked
 * about another part each time. */
static uint64_t quoted(struct vf_quoter *q, uint64_t part)
{
    uint64_t first = HALF + part * 512, sum = 0;
    struct vf_buf quotes = VF_BUF_INIT;
    const struct vf_quote *c;
    struct vf_error err;

    CHECK_OK(vf_quoter_find(q, HALF, first, 512, data + first * VF_BLOCK, 0, &quotes, &err), &err);
    c = (const void *)quotes.data;
    for (size_t i = 0; i < quotes.len / sizeof *c; i++)
        sum += c[i].len;
    vf_buf_free(&quotes);
    return sum;
}

static void add_all(struct vf_notes *t)
{
    struct vf_error err;

    for (uint64_t at = 0; at < HALF; at += PART)
        CHECK_OK(vf_notes_add(t, at, PART, &err), &err);
}

TEST(waits_and_is_noted)
{
    struct vf_image *im;
    struct vf_quoter *q = begin(&im);
    struct vf_notes t;
    struct vf_error err;
    unsigned times = 0;

    CHECK_OK(vf_notes_init(&t, im, q, &err), &err);
    add_all(&t);
    CHECK_EQ_U64(t.n, 1); /* side by side: one run */
    CHECK_EQ_U64(quoted(q, 0), 0);
    while (t.n) {
        CHECK_OK(vf_notes_some(&t, &err), &err);
        times++;
    }
    CHECK_EQ_U64(times, HALF / VF_SEG_MAX); /* a little at a time */
    CHECK(quoted(q, 1) > 511 * VF_BLOCK);
    vf_notes_free(&t);
    vf_quoter_free(q);
    vf_image_close(im);
}

TEST(at_once_when_the_line_has_work)
{
    struct vf_image *im;
    struct vf_quoter *q = begin(&im);
    struct vf_notes t;
    struct vf_error err;

    CHECK_OK(vf_notes_init(&t, im, q, &err), &err);
    vf_notes_passed(&t, MUCH);
    add_all(&t);
    CHECK_EQ_U64(t.n, 0);
    CHECK(quoted(q, 1) > 511 * VF_BLOCK);
    vf_notes_free(&t);
    vf_quoter_free(q);
    vf_image_close(im);
}

/* What waited before the line had work stays, and is noted later. */
TEST(earlier_ones_stay)
{
    struct vf_image *im;
    struct vf_quoter *q = begin(&im);
    struct vf_notes t;
    struct vf_error err;

    CHECK_OK(vf_notes_init(&t, im, q, &err), &err);
    CHECK_OK(vf_notes_add(&t, 0, PART, &err), &err);
    CHECK_OK(vf_notes_add(&t, 2 * PART, PART, &err), &err);
    CHECK_EQ_U64(t.n, 2);
    vf_notes_passed(&t, MUCH);
    CHECK_OK(vf_notes_add(&t, 3 * PART, PART, &err), &err);
    CHECK_EQ_U64(t.n, 2);
    CHECK_OK(vf_notes_some(&t, &err), &err);
    CHECK_EQ_U64(t.n, 1);
    CHECK_EQ_U64(t.run[t.at].first, 2 * PART);
    vf_notes_free(&t);
    vf_quoter_free(q);
    vf_image_close(im);
}

/* More runs than there is room for: those are noted at once, nothing is lost. */
TEST(bounded)
{
    struct vf_image *im;
    struct vf_quoter *q = begin(&im);
    struct vf_notes t;
    struct vf_error err;

    CHECK_OK(vf_notes_init(&t, im, q, &err), &err);
    for (uint64_t i = 0; i < VF_NOTES_RUNS + 10; i++)
        CHECK_OK(vf_notes_add(&t, 2 * i % HALF, 1, &err), &err);
    CHECK_EQ_U64(t.n, VF_NOTES_RUNS);
    while (t.n)
        CHECK_OK(vf_notes_some(&t, &err), &err);
    vf_notes_free(&t);
    vf_quoter_free(q);
    vf_image_close(im);
}

TEST(without_quotes)
{
    struct vf_notes t;
    struct vf_error err;

    CHECK_OK(vf_notes_init(&t, NULL, NULL, &err), &err);
    CHECK_EQ_U64(t.n, 0);
    vf_notes_free(&t);
}

TESTS(waits_and_is_noted, at_once_when_the_line_has_work, earlier_ones_stay, bounded,
      without_quotes)
