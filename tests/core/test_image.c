/* The checked front ends of images, over an image in memory. */
#include "core/image.h"

#include <string.h>

#include "tests/lib/check.h"

enum { SIZE = 1000 };

struct mem_image {
    struct vf_image im;
    uint8_t data[SIZE];
    struct vf_extent next; /* what next_extent answers */
    unsigned calls, closed;
};

static int mem_read(struct vf_image *im, void *buf, size_t len, uint64_t off, struct vf_error *err)
{
    struct mem_image *m = (struct mem_image *)im;

    (void)err;
    m->calls++;
    memcpy(buf, m->data + off, len);
    return 0;
}

static int mem_write(struct vf_image *im, const void *buf, size_t len, uint64_t off,
                     struct vf_error *err)
{
    struct mem_image *m = (struct mem_image *)im;

    (void)err;
    m->calls++;
    memcpy(m->data + off, buf, len);
    return 0;
}

static int mem_zero(struct vf_image *im, uint64_t off, uint64_t len, struct vf_error *err)
{
    struct mem_image *m = (struct mem_image *)im;

    (void)err;
    m->calls++;
    memset(m->data + off, 0, (size_t)len);
    return 0;
}

static int mem_extent(struct vf_image *im, uint64_t off, struct vf_extent *ret,
                      struct vf_error *err)
{
    (void)off;
    (void)err;
    *ret = ((struct mem_image *)im)->next;
    return 0;
}

static int mem_flush(struct vf_image *im, struct vf_error *err)
{
    (void)err;
    ((struct mem_image *)im)->calls++;
    return 0;
}

static int mem_fd(struct vf_image *im)
{
    (void)im;
    return 77;
}

static void mem_close(struct vf_image *im) { ((struct mem_image *)im)->closed++; }

static const struct vf_image_ops least = {.name = "least", .read = mem_read, .close = mem_close};
static const struct vf_image_ops full = {.name = "full",
                                         .read = mem_read,
                                         .next_extent = mem_extent,
                                         .write = mem_write,
                                         .zero = mem_zero,
                                         .flush = mem_flush,
                                         .plain_fd = mem_fd,
                                         .close = mem_close};

TEST(reads_inside_only)
{
    struct mem_image m = {.im = {&least, SIZE, false, NULL}};
    struct vf_error err;
    uint8_t buf[SIZE];

    vf_test_random(5, m.data, SIZE);
    CHECK_OK(vf_image_read(&m.im, buf, SIZE, 0, &err), &err);
    CHECK_MEM(buf, m.data, SIZE);
    CHECK_OK(vf_image_read(&m.im, buf, 1, SIZE - 1, &err), &err);
    CHECK_EQ_U64(m.calls, 2);
    CHECK_OK(vf_image_read(&m.im, NULL, 0, SIZE, &err), &err);
    CHECK_FAIL(vf_image_read(&m.im, buf, 1, SIZE, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(vf_image_read(&m.im, buf, 2, SIZE - 1, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(vf_image_read(&m.im, buf, 2, UINT64_MAX, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(vf_image_read(&m.im, buf, SIZE_MAX, 1, &err), &err, VF_ERR_RANGE);
    CHECK_EQ_U64(m.calls, 2); /* the implementation never saw those */
}

TEST(blocks_are_padded)
{
    struct mem_image m = {.im = {&least, SIZE, false, NULL}};
    struct vf_error err;
    uint8_t buf[2 * VF_BLOCK], want[2 * VF_BLOCK] = {0};

    vf_test_random(5, m.data, SIZE);
    memcpy(want, m.data, SIZE);
    memset(buf, 'x', sizeof buf);
    CHECK_OK(vf_image_read_blocks(&m.im, buf, 0, 2, &err), &err);
    CHECK_MEM(buf, want, sizeof buf);
    memset(buf, 'x', sizeof buf);
    CHECK_OK(vf_image_read_blocks(&m.im, buf, 1, 1, &err), &err);
    CHECK_MEM(buf, want + VF_BLOCK, VF_BLOCK);
    CHECK_EQ_U64(buf[VF_BLOCK], 'x');
    CHECK_OK(vf_image_read_blocks(&m.im, buf, 0, 1, &err), &err);
    CHECK_MEM(buf, want, VF_BLOCK);
    CHECK_EQ_U64(buf[VF_BLOCK], 'x');
    m.im.size = VF_BLOCK; /* no part of a block at the end */
    CHECK_OK(vf_image_read_blocks(&m.im, buf, 0, 1, &err), &err);
    CHECK_MEM(buf, want, VF_BLOCK);
    CHECK_EQ_U64(m.calls, 4);
}

TEST(blocks_inside_only)
{
    struct mem_image m = {.im = {&least, SIZE, false, NULL}};
    struct vf_error err;
    uint8_t buf[2 * VF_BLOCK];

    CHECK_OK(vf_image_read_blocks(&m.im, NULL, 2, 0, &err), &err);
    CHECK_FAIL(vf_image_read_blocks(&m.im, buf, 2, 1, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(vf_image_read_blocks(&m.im, buf, 1, 2, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(vf_image_read_blocks(&m.im, buf, 3, 0, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(vf_image_read_blocks(&m.im, buf, UINT64_MAX, 2, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(vf_image_read_blocks(&m.im, buf, 1, SIZE_MAX, &err), &err, VF_ERR_RANGE);
    CHECK_EQ_U64(m.calls, 0);
}

TEST(without_an_extent_map_all_is_data)
{
    struct mem_image m = {.im = {&least, SIZE, false, NULL}};
    struct vf_error err;
    struct vf_extent e;

    CHECK_OK(vf_image_next_extent(&m.im, 10, &e, &err), &err);
    CHECK(e.off == 10 && e.len == SIZE - 10 && !e.zero);
    CHECK_FAIL(vf_image_next_extent(&m.im, SIZE, &e, &err), &err, VF_ERR_RANGE);
}

TEST(extents_are_checked)
{
    struct mem_image m = {.im = {&full, SIZE, true, NULL}};
    struct vf_error err;
    struct vf_extent e;

    m.next = (struct vf_extent){100, 50, true};
    CHECK_OK(vf_image_next_extent(&m.im, 100, &e, &err), &err);
    CHECK(e.off == 100 && e.len == 50 && e.zero);
    CHECK_FAIL(vf_image_next_extent(&m.im, 101, &e, &err), &err, VF_ERR_FORMAT);
    m.next.len = 0;
    CHECK_FAIL(vf_image_next_extent(&m.im, 100, &e, &err), &err, VF_ERR_FORMAT);
    m.next.len = UINT64_MAX;
    CHECK_OK(vf_image_next_extent(&m.im, 100, &e, &err), &err);
    CHECK_EQ_U64(e.len, SIZE - 100);
}

TEST(writes_inside_only)
{
    struct mem_image m = {.im = {&full, SIZE, true, NULL}};
    struct vf_error err;

    CHECK_OK(vf_image_write(&m.im, "abc", 3, SIZE - 3, &err), &err);
    CHECK_MEM(m.data + SIZE - 3, "abc", 3);
    CHECK_OK(vf_image_zero(&m.im, SIZE - 2, 2, &err), &err);
    CHECK_MEM(m.data + SIZE - 3, "a\0\0", 3);
    CHECK_OK(vf_image_flush(&m.im, &err), &err);
    CHECK_EQ_U64(m.calls, 3);
    CHECK_FAIL(vf_image_write(&m.im, "abc", 3, SIZE - 2, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(vf_image_zero(&m.im, 1, UINT64_MAX, &err), &err, VF_ERR_RANGE);
    CHECK_EQ_U64(m.calls, 3);
    CHECK_EQ_I64(vf_image_plain_fd(&m.im), 77);
}

TEST(read_only_images_refuse_changes)
{
    struct mem_image a = {.im = {&least, SIZE, false, NULL}};
    struct mem_image b = {.im = {&full, SIZE, false, NULL}};
    struct mem_image *const images[] = {&a, &b};
    struct vf_error err;

    for (int i = 0; i < 2; i++) {
        CHECK_FAIL(vf_image_write(&images[i]->im, "a", 1, 0, &err), &err, VF_ERR_UNSUPPORTED);
        CHECK_FAIL(vf_image_zero(&images[i]->im, 0, 1, &err), &err, VF_ERR_UNSUPPORTED);
        CHECK_FAIL(vf_image_flush(&images[i]->im, &err), &err, VF_ERR_UNSUPPORTED);
        CHECK_EQ_U64(images[i]->calls, 0);
    }
    CHECK_EQ_I64(vf_image_plain_fd(&a.im), -1);
}

TEST(close_passes_null)
{
    struct mem_image m = {.im = {&least, SIZE, false, NULL}};

    vf_image_close(NULL);
    vf_image_close(&m.im);
    CHECK_EQ_U64(m.closed, 1);
}

TESTS(reads_inside_only, blocks_are_padded, blocks_inside_only, without_an_extent_map_all_is_data,
      extents_are_checked, writes_inside_only, read_only_images_refuse_changes, close_passes_null)
