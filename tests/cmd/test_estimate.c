/* The sample of an image's compressibility, and what it makes of counts. */
#include <string.h>

#include "cmd/estimate.h"
#include "tests/lib/check.h"
#include "tests/lib/mem_image.h"

static struct vf_error err;
static const int go_on;

static double ratio(struct vf_image *im)
{
    double r = -1;

    CHECK_OK(vf_estimate_ratio(im, &go_on, &r, &err), &err);
    vf_image_close(im);
    return r;
}

TEST(nothing_to_sample)
{
    uint8_t *data;

    CHECK(ratio(vf_mem_image(0, &data)) == 1);
    CHECK(ratio(vf_mem_image(1 << 20, &data)) == 1);
}

TEST(noise_and_text)
{
    uint8_t *data;
    struct vf_image *noise = vf_mem_image(8 << 20, &data);
    double r;

    vf_test_random(1, data, 8 << 20);
    r = ratio(noise);
    CHECK(r > 0.99 && r < 1.02);
    noise = vf_mem_image(8 << 20, &data);
    for (unsigned i = 0; i < 8u << 20; i++)
        data[i] = (uint8_t)((unsigned)"the quick brown fox"[i % 19] + (i / 4096) % 7);
    CHECK(ratio(noise) < 0.2);
}

TEST(only_the_data_counts)
{
    uint8_t *data;
    struct vf_image *im = vf_mem_image(16 << 20, &data);
    double r;

    vf_test_random(2, data + (15 << 20), 1 << 20); /* after 15 MiB of zeros */
    r = ratio(im);
    CHECK(r > 0.99 && r < 1.02);
}

TEST(stops)
{
    uint8_t *data;
    const int stop = 1;
    struct vf_image *im = vf_mem_image(1 << 20, &data);
    double r;

    CHECK_FAIL(vf_estimate_ratio(im, &stop, &r, &err), &err, VF_ERR_CANCELLED);
    vf_image_close(im);
}

TEST(wire_bytes)
{
    struct vf_map_info info = {
        .size = 512 << 20, .blocks = 1 << 20, .top = 2, .nodes = {1 << 20, 1 << 14, 1 << 8}};
    uint64_t none = vf_estimate_wire(&info, 0, 0, 0.5);

    CHECK(none < 10000);
    CHECK_EQ_U64(vf_estimate_wire(&info, 1000, 0, 0.5) - none, 256000);
    CHECK_EQ_U64(vf_estimate_wire(&info, 0, 1 << 20, 0.5) - none, (1 << 14) * 8);
    info = (struct vf_map_info){0};
    CHECK(vf_estimate_wire(&info, 0, 0, 1) < 10000);
}

TESTS(nothing_to_sample, noise_and_text, only_the_data_counts, stops, wire_bytes)
