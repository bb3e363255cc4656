/* Tests of formats/raw.c. */
#include "formats/raw.h"

#include "tests/formats/util.h"

#define MIB (UINT64_C(1) << 20)

static struct vf_image *open_rw(const char *name)
{
    int fd = open(vf_test_path(name), O_RDWR | O_CLOEXEC);
    struct vf_error err;
    struct vf_image *im;

    CHECK(fd >= 0);
    im = vf_raw_new(fd, true, &err);
    CHECK_OK(im, &err);
    return im;
}

static void content_of_size(uint64_t size)
{
    struct vf_image_desc d;
    struct vf_error err;
    struct vf_image *im;

    util_make_raw("a.raw", size, size + 1);
    im = util_open("a.raw", NULL, &d, &err);
    CHECK_OK(im, &err);
    CHECK_STR(d.format, "raw");
    CHECK_EQ_U64(d.virtual_size, size);
    CHECK_EQ_U64(d.file.size, size);
    CHECK_EQ_U64(d.files, 1);
    CHECK(!im->writable && vf_image_plain_fd(im) >= 0);
    util_compare(im, vf_test_path("a.raw"));
    vf_image_close(im);
}

TEST(sizes)
{
    static const uint64_t sizes[] = {0, 1, 511, 512, 513, 4095, 65536, 3 * MIB + 7, 16 * MIB};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        content_of_size(sizes[i]);
}

TEST(holes_are_zero_extents)
{
    struct vf_error err;
    struct vf_image *im;
    struct vf_extent x;

    SH("rm -f h.raw; truncate -s 64M h.raw; printf abc | dd of=h.raw bs=1M seek=20 conv=notrunc");
    im = util_open("h.raw", NULL, NULL, &err);
    CHECK_OK(im, &err);
    CHECK_OK(vf_image_next_extent(im, 5, &x, &err), &err);
    if (!x.zero)
        SKIP("this file system does not tell where holes are");
    CHECK(x.off == 5 && x.len == 20 * MIB - 5);
    CHECK_OK(vf_image_next_extent(im, 20 * MIB, &x, &err), &err);
    CHECK(!x.zero && x.len < MIB);
    CHECK_OK(vf_image_next_extent(im, 20 * MIB + x.len, &x, &err), &err);
    CHECK(x.zero && x.off + x.len == 64 * MIB);
    vf_image_close(im);
}

TEST(a_file_that_shrinks_is_reported)
{
    struct vf_error err;
    struct vf_image *im;
    struct vf_extent x;
    uint8_t buf[8192];

    util_make_raw("s.raw", 4 * MIB, 3);
    im = util_open("s.raw", NULL, NULL, &err);
    CHECK_OK(im, &err);
    SH("truncate -s 1M s.raw");
    CHECK_OK(vf_image_read(im, buf, sizeof buf, MIB - sizeof buf, &err), &err);
    CHECK_FAIL(vf_image_read(im, buf, sizeof buf, MIB - 1, &err), &err, VF_ERR_CHANGED);
    CHECK_HAS(err.msg, "shrank");
    CHECK_FAIL(vf_image_next_extent(im, 2 * MIB, &x, &err), &err, VF_ERR_CHANGED);
    CHECK_FAIL(vf_image_read(im, buf, 1, 4 * MIB, &err), &err, VF_ERR_RANGE);
    vf_image_close(im);
}

TEST(writes_and_zeros)
{
    struct vf_image *im;
    struct vf_error err;
    struct stat st;
    uint8_t buf[100] = "x";

    SH("rm -f w.raw; truncate -s 8M w.raw");
    im = open_rw("w.raw");
    vf_test_random(1, buf, sizeof buf);
    CHECK_OK(vf_image_write(im, buf, sizeof buf, 4 * MIB - 50, &err), &err);
    CHECK_OK(vf_image_zero(im, 4 * MIB - 10, 20, &err), &err);
    CHECK_FAIL(vf_image_write(im, buf, sizeof buf, 8 * MIB - 50, &err), &err, VF_ERR_RANGE);
    CHECK_OK(vf_image_flush(im, &err), &err);
    memset(buf + 40, 0, 20);
    vf_test_write_file(vf_test_path("part"), buf, sizeof buf);
    SH("truncate -s 8M want.raw; dd if=part of=want.raw bs=1 seek=$((4194304 - 50)) conv=notrunc");
    util_compare(im, vf_test_path("want.raw"));
    CHECK_OK(vf_image_zero(im, 0, 8 * MIB, &err), &err);
    vf_image_close(im);
    CHECK(stat(vf_test_path("w.raw"), &st) == 0);
    CHECK_EQ_U64((uint64_t)st.st_size, 8 * MIB);
    CHECK(st.st_blocks < 64); /* holes again */
}

TEST(read_only_is_read_only)
{
    struct vf_error err;
    struct vf_image *im;

    util_make_raw("r.raw", MIB, 5);
    im = util_open("r.raw", NULL, NULL, &err);
    CHECK_OK(im, &err);
    CHECK_FAIL(vf_image_write(im, "x", 1, 0, &err), &err, VF_ERR_UNSUPPORTED);
    CHECK_FAIL(vf_image_zero(im, 0, 1, &err), &err, VF_ERR_UNSUPPORTED);
    CHECK_FAIL(vf_image_flush(im, &err), &err, VF_ERR_UNSUPPORTED);
    vf_image_close(im);
}

TEST(block_devices)
{
    char loop[64] = "";
    struct vf_error err;
    struct vf_image *im;
    FILE *f;

    util_make_raw("b.raw", 5 * MIB, 9);
    if (util_try("losetup -f --show b.raw > loop") != 0)
        SKIP("no loop devices here");
    f = fopen(vf_test_path("loop"), "re");
    CHECK(f && fgets(loop, sizeof loop, f));
    (void)fclose(f);
    loop[strcspn(loop, "\n")] = 0;
    im = vf_format_open(AT_FDCWD, loop, NULL, NULL, &err);
    if (im) {
        util_compare(im, vf_test_path("b.raw"));
        vf_image_close(im);
    }
    SH("losetup -d %s", loop);
    CHECK(im != NULL);
}

TESTS(sizes, holes_are_zero_extents, a_file_that_shrinks_is_reported, writes_and_zeros,
      read_only_is_read_only, block_devices)
