#include "core/map/scanned.h"

#include <string.h>

#include "core/hash/md5_lanes.h"
#include "tests/lib/check.h"
#include "tests/lib/mem_image.h"

enum { BLOCKS = 8192 };

/* Zeros from block 1000 to 2000: what was collected is all the rest, in order. */
static void compare(const struct vf_scanned *s, const uint8_t *data, struct vf_run range)
{
    size_t n, at = 0;
    const struct vf_node *node = vf_scanned_nodes(s, &n);
    const uint8_t(*got)[VF_MD5_LEN] = vf_scanned_md5s(s);
    uint64_t next = range.first;

    for (size_t i = 0; i < n; i++) {
        if (next < 2000 && next >= 1000)
            next = 2000;
        CHECK_EQ_U64(node[i].first, next);
        for (uint64_t b = 0; b < node[i].span; b++, at++) {
            uint8_t want[1][VF_MD5_LEN];

            vf_md5_blocks(VF_SIMD_PORTABLE, data + (next + b) * VF_BLOCK, 1, want);
            CHECK_MEM(got[at], want[0], VF_MD5_LEN);
        }
        next += node[i].span;
    }
    CHECK_EQ_U64(next, range.first + range.n);
    CHECK_EQ_U64(s->md5s.len, at * VF_MD5_LEN);
}

TEST(pieces_one_after_the_other)
{
    uint8_t *data;
    struct vf_image *im = vf_mem_image(BLOCKS * VF_BLOCK, &data);
    struct vf_error err = VF_ERROR_INIT;
    struct vf_scanned s = {.workers = 3};
    volatile int stop = 1;
    size_t n;

    vf_test_random(7, data, BLOCKS * VF_BLOCK);
    memset(data + 1000 * VF_BLOCK, 0, 1000 * VF_BLOCK);
    CHECK_OK(vf_scanned_read(&s, im, (struct vf_run){0, BLOCKS}, NULL, &err), &err);
    compare(&s, data, (struct vf_run){0, BLOCKS});
    CHECK_OK(vf_scanned_read(&s, im, (struct vf_run){2000, 300}, NULL, &err), &err);
    compare(&s, data, (struct vf_run){2000, 300});
    CHECK_OK(vf_scanned_read(&s, im, (struct vf_run){1000, 1000}, NULL, &err), &err);
    (void)vf_scanned_nodes(&s, &n);
    CHECK(n == 0 && s.md5s.len == 0);
    CHECK_FAIL(vf_scanned_read(&s, im, (struct vf_run){0, BLOCKS}, &stop, &err), &err,
               VF_ERR_CANCELLED);
    vf_scanned_free(&s);
    (void)vf_scanned_nodes(&s, &n);
    CHECK(n == 0);
    vf_scanned_free(&s);
    vf_image_close(im);
}

TESTS(pieces_one_after_the_other)
