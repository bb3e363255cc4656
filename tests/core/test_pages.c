/* core/pages.c: what is read is what is there, also where the image still changes. */
#include "core/pages.h"

#include <string.h>

#include "tests/lib/check.h"
#include "tests/lib/mem_image.h"

#define SIZE (1000000u)

static uint8_t want[SIZE], got[SIZE];

static int some_fd(struct vf_image *im)
{
    (void)im;
    return 0;
}

/* An image in memory; plain: one that says that it is a plain file. */
static struct vf_image *image(bool plain)
{
    static struct vf_image_ops ops;
    uint8_t *bytes;
    struct vf_image *im = vf_mem_image(SIZE, &bytes);

    if (plain) {
        ops = *im->ops;
        ops.plain_fd = some_fd;
        im->ops = &ops;
    }
    return im;
}

static void reads(bool plain)
{
    struct vf_error err;
    struct vf_image *im = image(plain);
    struct vf_pages *p = vf_pages_new(im, &err);
    uint64_t x = 1;

    CHECK_OK(p, &err);
    vf_test_random(3, want, SIZE);
    CHECK_OK(vf_image_write(im, want, SIZE, 0, &err), &err);
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t off = (x = x * 6364136223846793005u + 1442695040888963407u) >> 33,
                 len = i * 37 % 9000;

        off %= SIZE;
        len = len < SIZE - off ? len : SIZE - off;
        CHECK_OK(vf_pages_read(p, got, (size_t)len, off, i % 2 ? UINT64_MAX : off, &err), &err);
        CHECK_MEM(got, want + off, (size_t)len);
    }
    vf_pages_free(p);
    vf_image_close(im);
}

TEST(reads_slots) { reads(false); }
TEST(reads_plain) { reads(true); }

static void settled(bool plain)
{
    struct vf_error err;
    struct vf_image *im = image(plain);
    struct vf_pages *p = vf_pages_new(im, &err);

    CHECK_OK(p, &err);
    CHECK_OK(vf_pages_read(p, got, 10, 100000, 100010, &err), &err);
    CHECK_OK(vf_image_write(im, "0123456789", 10, 100000, &err), &err);
    CHECK_OK(vf_pages_read(p, got, 10, 100000, UINT64_MAX, &err), &err);
    CHECK_MEM(got, "0123456789", 10);
    CHECK_OK(vf_image_write(im, "abcdefghij", 10, 100000, &err), &err);
    vf_pages_drop(p);
    CHECK_OK(vf_pages_read(p, got, 10, 100000, UINT64_MAX, &err), &err);
    CHECK_MEM(got, "abcdefghij", 10);
    CHECK(vf_pages_read(p, got, 10, SIZE - 5, UINT64_MAX, &err) < 0);
    vf_pages_free(p);
    vf_image_close(im);
}

TEST(what_is_not_settled_is_not_kept)
{
    settled(false);
    settled(true);
}

/* Of a plain file, what lies behind is kept only as far as it is settled. */
TEST(ahead)
{
    struct vf_error err;
    struct vf_image *im = image(true);
    struct vf_pages *p = vf_pages_new(im, &err);

    CHECK_OK(p, &err);
    CHECK_OK(vf_pages_read(p, got, 10, 100000, 104000, &err), &err);
    CHECK_OK(vf_image_write(im, "abcdefghij", 10, 104000, &err), &err);
    CHECK_OK(vf_pages_read(p, got, 10, 104000, 200000, &err), &err);
    CHECK_MEM(got, "abcdefghij", 10);
    CHECK_OK(vf_pages_read(p, got, SIZE, 0, UINT64_MAX, &err), &err);
    CHECK_MEM(got + 104000, "abcdefghij", 10);
    CHECK_OK(vf_pages_read(p, got, 10, SIZE - 10, UINT64_MAX, &err), &err);
    vf_pages_free(p);
    vf_image_close(im);
}

TESTS(reads_slots, reads_plain, what_is_not_settled_is_not_kept, ahead)
