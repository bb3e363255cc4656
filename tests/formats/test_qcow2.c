/* Tests of formats/qcow2.c: every image is compared with what qemu-img reads. */
#include "formats/qcow2.h"

#include "tests/formats/util.h"

#define MIB (UINT64_C(1) << 20)

/* Is the image read without QEMU? */
static void check_direct(const char *name)
{
    struct vf_error err;
    struct vf_image *im = util_open(name, NULL, NULL, &err);

    CHECK_OK(im, &err);
    CHECK_STR(im->ops->name, "qcow2");
    vf_image_close(im);
}

TEST(plain_and_compressed_of_every_cluster_size)
{
    static const char *const compat[] = {"0.10", "1.1"};

    NEED("qemu-img");
    util_make_raw("a.raw", 7 * MIB + 1536, 1);
    for (unsigned bits = 9; bits <= 21; bits += 3)
        for (int c = 0; c < 4; c++) {
            SH("rm -f a.qcow2; qemu-img convert -f raw -O qcow2 %s -o cluster_size=%u,compat=%s "
               "a.raw a.qcow2",
               c & 1 ? "-c" : "", 1u << bits, compat[c >> 1]);
            check_direct("a.qcow2");
            util_same_as_qemu("a.qcow2", "qcow2", NULL);
        }
}

TEST(odd_size_and_empty)
{
    struct vf_error err;
    struct vf_image *im;

    NEED("qemu-img");
    SH("rm -f e.qcow2; qemu-img create -f qcow2 e.qcow2 0");
    im = util_open("e.qcow2", NULL, NULL, &err);
    CHECK_OK(im, &err);
    CHECK_EQ_U64(im->size, 0);
    vf_image_close(im);
    util_make_raw("o.raw", 100 * 1024 + 512, 2);
    SH("qemu-img convert -f raw -O qcow2 o.raw o.qcow2");
    util_same_as_qemu("o.qcow2", "qcow2", NULL);
}

TEST(desc)
{
    struct vf_image_desc d;
    struct vf_error err;

    NEED("qemu-img");
    SH("rm -f d.qcow2; qemu-img create -f qcow2 -o cluster_size=128k,compat=0.10 d.qcow2 5M");
    CHECK_OK(vf_format_stat(AT_FDCWD, vf_test_path("d.qcow2"), NULL, &d, &err), &err);
    CHECK_STR(d.format, "qcow2");
    CHECK_STR(d.compat, "0.10");
    CHECK_EQ_U64(d.cluster_size, 131072);
    CHECK_EQ_U64(d.virtual_size, 5 * MIB);
    CHECK(!d.backing && d.files == 1);
}

/* The trap of libqcow: clusters that say "zero". */
TEST(zero_clusters)
{
    struct vf_error err;
    struct vf_image *im;

    NEED("qemu-io");
    SH("rm -f z.qcow2; qemu-img create -f qcow2 z.qcow2 8M && qemu-io -c 'write -P 7 0 8M' "
       "-c 'write -z 1M 2M' -c 'write -z -u 4M 1M' -c 'write -P 9 1536k 64k' z.qcow2");
    check_direct("z.qcow2");
    util_same_as_qemu("z.qcow2", "qcow2", NULL);
    im = util_open("z.qcow2", NULL, NULL, &err);
    CHECK_OK(im, &err);
    CHECK_EQ_U64(util_zero_bytes(im), 3 * MIB - 65536);
    vf_image_close(im);
}

TEST(discarded)
{
    static const char *const compat[] = {"0.10", "1.1"};

    NEED("qemu-io");
    for (int i = 0; i < 2; i++) {
        SH("rm -f t.qcow2; qemu-img create -f qcow2 -o compat=%s t.qcow2 8M && "
           "qemu-io -c 'open -o discard=unmap t.qcow2' -c 'write -P 7 0 8M' -c 'discard 1M 3M' "
           "-c 'write -P 3 2M 100k'",
           compat[i]);
        util_same_as_qemu("t.qcow2", "qcow2", NULL);
    }
}

TEST(snapshot_reads_the_active_layer)
{
    NEED("qemu-io");
    util_make_raw("s.raw", 6 * MIB, 4);
    SH("rm -f s.qcow2; qemu-img convert -f raw -O qcow2 s.raw s.qcow2 && "
       "qemu-img snapshot -c one s.qcow2 && "
       "qemu-io -c 'write -P 5 100k 1M' -c 'write -z 3M 64k' s.qcow2 && "
       "qemu-img snapshot -c two s.qcow2 && qemu-io -c 'write -P 6 2M 1M' s.qcow2");
    check_direct("s.qcow2");
    util_same_as_qemu("s.qcow2", "qcow2", NULL);
}

TEST(preallocated_clusters_are_zero)
{
    struct vf_error err;
    struct vf_image *im;
    uint64_t zero;

    NEED("qemu-io");
    SH("rm -f p.qcow2; qemu-img create -f qcow2 -o preallocation=metadata p.qcow2 64M && "
       "qemu-io -c 'write -P 7 30M 1M' p.qcow2");
    util_same_as_qemu("p.qcow2", "qcow2", NULL);
    im = util_open("p.qcow2", NULL, NULL, &err);
    CHECK_OK(im, &err);
    zero = util_zero_bytes(im);
    vf_image_close(im);
    if (zero == 0)
        SKIP("this file system does not tell where holes are");
    CHECK(zero >= 60 * MIB);
}

TEST(dirty_is_fine_corrupt_is_not)
{
    struct vf_error err;

    NEED("qemu-img");
    util_make_raw("c.raw", 2 * MIB, 6);
    SH("rm -f c.qcow2; qemu-img convert -f raw -O qcow2 -o lazy_refcounts=on c.raw c.qcow2 && "
       "printf '\\001' | dd of=c.qcow2 bs=1 seek=79 conv=notrunc");
    util_same_as_qemu("c.qcow2", "qcow2", NULL);
    SH("printf '\\002' | dd of=c.qcow2 bs=1 seek=79 conv=notrunc");
    CHECK_FAIL(util_open("c.qcow2", NULL, NULL, &err), &err, VF_ERR_FORMAT);
    CHECK_HAS(err.msg, "corrupt");
    SH("printf '\\200' | dd of=c.qcow2 bs=1 seek=79 conv=notrunc");
    CHECK_FAIL(util_open("c.qcow2", NULL, NULL, &err), &err, VF_ERR_UNSUPPORTED);
}

/* A file cut anywhere gives an error or the right bytes, never zeros in place of data. */
TEST(truncated)
{
    struct vf_error err;
    uint8_t *want = malloc(4 * MIB), *got = malloc(4 * MIB);
    struct stat st;
    int fd, failed = 0;

    NEED("qemu-img");
    CHECK(want && got);
    vf_test_random(8, want, 4 * MIB);
    vf_test_write_file(vf_test_path("u.raw"), want, 4 * MIB);
    for (int c = 0; c < 2; c++) {
        SH("rm -f u.qcow2; qemu-img convert %s -f raw -O qcow2 u.raw u.qcow2", c ? "-c" : "");
        CHECK(stat(vf_test_path("u.qcow2"), &st) == 0);
        for (off_t cut = st.st_size; cut > 0; cut -= 199999) {
            struct vf_image *im;

            fd = open(vf_test_path("u.qcow2"), O_RDWR | O_CLOEXEC);
            CHECK(fd >= 0 && ftruncate(fd, cut) == 0 && close(fd) == 0);
            im = util_open("u.qcow2", NULL, NULL, &err);
            if (im && vf_image_read(im, got, 4 * MIB, 0, &err) == 0)
                CHECK_MEM(got, want, 4 * MIB);
            else
                failed++;
            vf_image_close(im);
        }
    }
    CHECK(failed > 20);
    free(want);
    free(got);
}

TEST(shrinking_is_reported)
{
    struct vf_error err;
    struct vf_image *im;
    uint8_t buf[512];

    NEED("qemu-io");
    SH("rm -f k.qcow2; qemu-img create -f qcow2 k.qcow2 4M && qemu-io -c 'write -P 1 0 4M' "
       "k.qcow2");
    im = util_open("k.qcow2", NULL, NULL, &err);
    CHECK_OK(im, &err);
    CHECK_OK(vf_image_read(im, buf, sizeof buf, 3 * MIB, &err), &err);
    SH("truncate -s 1M k.qcow2");
    CHECK_FAIL(vf_image_read(im, buf, sizeof buf, 3 * MIB, &err), &err, VF_ERR_CHANGED);
    CHECK_HAS(err.msg, "shrank");
    vf_image_close(im);
}

/* More threads than handles, on plain and compressed clusters mixed. */
TEST(threads)
{
    struct vf_open_opts o = {.readers = 3};
    struct vf_error err;
    struct vf_image *im;

    NEED("qemu-io");
    util_make_raw("m.raw", 8 * MIB, 12);
    SH("rm -f m.qcow2; qemu-img convert -c -f raw -O qcow2 m.raw m.qcow2 && "
       "qemu-io -c 'write -P 7 1M 100k' -c 'write -z 3M 64k' m.qcow2 && "
       "qemu-img convert -f qcow2 -O raw m.qcow2 m.raw");
    im = util_open("m.qcow2", &o, NULL, &err);
    CHECK_OK(im, &err);
    util_read_in_threads(im, vf_test_path("m.raw"));
    vf_image_close(im);
}

TESTS(plain_and_compressed_of_every_cluster_size, odd_size_and_empty, desc, zero_clusters,
      discarded, snapshot_reads_the_active_layer, preallocated_clusters_are_zero,
      dirty_is_fine_corrupt_is_not, truncated, shrinking_is_reported, threads)
