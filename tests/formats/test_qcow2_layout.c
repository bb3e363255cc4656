/* Tests of formats/qcow2_layout.c and formats/qcow2_header.c with hand-made, mostly hostile files.
 * That real files are understood is the matter of test_qcow2.c. */
#include "formats/qcow2_layout.h"

#include <sys/mman.h>

#include "tests/formats/util.h"

#define MIB (UINT64_C(1) << 20)
#define TIB (UINT64_C(1) << 40)

static void put(uint8_t *p, unsigned bytes, uint64_t v)
{
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
}

/* A version 3 header of a 64 KiB cluster image: L1 at cluster 1. */
static void make_header(uint8_t h[112], uint64_t size, uint32_t l1_entries)
{
    memset(h, 0, 112);
    memcpy(h, "QFI\xfb\0\0\0\3", 8);
    put(h + 20, 4, 16);
    put(h + 24, 8, size);
    put(h + 36, 4, l1_entries);
    put(h + 40, 8, 65536);
    put(h + 100, 4, 112);
}

static int parse(const uint8_t *h, uint64_t file_size, struct vf_error *err)
{
    struct vf_qcow2_header out;

    return vf_qcow2_header_parse(h, 112, file_size, &out, err);
}

TEST(headers_that_lie)
{
    static const struct {
        unsigned at, bytes;
        uint64_t v;
        const char *text;
    } lies[] = {
        {0, 4, 0, "no qcow2 header"},
        {4, 4, 1, "version 2 or 3"},
        {4, 4, 4, "version 2 or 3"},
        {20, 4, 8, "cluster size"},
        {20, 4, 22, "cluster size"},
        {20, 4, UINT32_MAX, "cluster size"},
        {24, 8, UINT64_MAX, "too large"},
        {24, 8, UINT64_C(1) << 50, "too large"},
        {24, 8, UINT64_C(1) << 49, "L1 table is too small"},
        {24, 8, 513 * MIB, "L1 table is too small"},
        {36, 4, 0, "L1 table is too small"},
        {36, 4, UINT32_MAX, "L1 table is too large"},
        {36, 4, VF_QCOW2_L1_MAX, "outside the file"},
        {40, 8, 0, "not aligned"},
        {40, 8, 65537, "not aligned"},
        {40, 8, UINT64_MAX - 65535, "outside the file"},
        {40, 8, 64 * MIB, "outside the file"},
        {8, 8, 65500, "outside the first cluster"},
        {8, 8, UINT64_MAX, "outside the first cluster"},
        {100, 4, 0, "its own length"},
        {100, 4, 105, "its own length"},
        {100, 4, 65544, "its own length"},
        {100, 4, 65536, "too short"},
        {104, 1, 1, "disagree"},
        {72, 8, VF_QCOW2_COMPRESSION, "disagree"},
    };
    uint8_t h[112];
    struct vf_error err;

    make_header(h, 512 * MIB, 1);
    CHECK_OK(parse(h, MIB, &err), &err);
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        make_header(h, 512 * MIB, 1);
        put(h + 16, 4, 100); /* length of a backing file's name, when there is one */
        put(h + lies[i].at, lies[i].bytes, lies[i].v);
        CHECK_FAIL(parse(h, MIB, &err), &err, VF_ERR_FORMAT);
        CHECK_HAS(err.msg, lies[i].text);
    }
    for (size_t len = 0; len < 104; len++) {
        struct vf_qcow2_header out;

        make_header(h, 512 * MIB, 1);
        CHECK_FAIL(vf_qcow2_header_parse(h, len, MIB, &out, &err), &err, VF_ERR_FORMAT);
    }
}

TEST(names_and_extensions)
{
    uint8_t h[512];
    struct vf_qcow2_header out;
    struct vf_error err;

    memset(h, 0, sizeof h);
    make_header(h, 512 * MIB, 1);
    put(h + 8, 8, 400);
    put(h + 16, 4, 8);
    memcpy(h + 400, "base.raw", 8);
    put(h + 112, 4, 0x12345678); /* unknown, 3 bytes padded to 8 */
    put(h + 116, 4, 3);
    put(h + 128, 4, 0xe2792aca);
    put(h + 132, 4, 3);
    memcpy(h + 136, "raw", 3);
    put(h + 144, 4, 0x44415441);
    put(h + 148, 4, 4);
    memcpy(h + 152, "data", 4);
    CHECK_OK(vf_qcow2_header_parse(h, sizeof h, MIB, &out, &err), &err);
    CHECK_STR(out.backing, "base.raw");
    CHECK_STR(out.backing_format, "raw");
    CHECK_STR(out.data_file, "data");
    CHECK(out.has_backing && !out.has_data_file && !vf_qcow2_header_simple(&out));

    h[402] = 0; /* a name with a zero inside means different things to different readers */
    CHECK_FAIL(vf_qcow2_header_parse(h, sizeof h, MIB, &out, &err), &err, VF_ERR_FORMAT);
    h[402] = 's';
    put(h + 132, 4, 60000);
    CHECK_FAIL(vf_qcow2_header_parse(h, sizeof h, MIB, &out, &err), &err, VF_ERR_FORMAT);
    put(h + 132, 4, 40);
    CHECK_FAIL(vf_qcow2_header_parse(h, sizeof h, MIB, &out, &err), &err, VF_ERR_FORMAT);
    put(h + 132, 4, 3);
    put(h + 16, 4, 1024);
    CHECK_FAIL(vf_qcow2_header_parse(h, sizeof h, MIB, &out, &err), &err, VF_ERR_FORMAT);
}

/* A file of four clusters: header, L1, L2, data. */
struct file {
    int fd;
    struct vf_qcow2_header h;
    struct vf_qcow2_layout *l;
};

static struct file make_file(uint64_t size, uint64_t l1, uint64_t l2_first)
{
    uint8_t h[112], e[8];
    struct vf_error err;
    struct file f = {.fd = memfd_create("qcow2", MFD_CLOEXEC)};

    CHECK(f.fd >= 0 && ftruncate(f.fd, 4 * 65536) == 0);
    make_header(h, size, (uint32_t)((size + 512 * MIB - 1) / (512 * MIB)));
    CHECK(pwrite(f.fd, h, sizeof h, 0) == sizeof h);
    put(e, 8, l1);
    CHECK(pwrite(f.fd, e, 8, 65536) == 8);
    put(e, 8, l2_first);
    CHECK(pwrite(f.fd, e, 8, 2 * 65536) == 8);
    CHECK_OK(vf_qcow2_header_read(f.fd, 4 * 65536, &f.h, &err), &err);
    f.l = vf_qcow2_layout_new(f.fd, 4 * 65536, &f.h, &err);
    CHECK_OK(f.l, &err);
    return f;
}

static void drop_file(struct file *f)
{
    vf_qcow2_layout_free(f->l);
    (void)close(f->fd);
}

TEST(entries)
{
    struct vf_qcow2_extent x;
    struct vf_error err;
    struct file f = make_file(512 * MIB, 2 * 65536, 3 * 65536);

    CHECK_OK(vf_qcow2_layout_next(f.l, 100, UINT64_MAX, &x, &err), &err);
    CHECK(x.off == 100 && x.len == 65436 && x.kind == VF_QCOW2_PLAIN && x.host == 3 * 65536 + 100);
    CHECK_OK(vf_qcow2_layout_next(f.l, 100, 10, &x, &err), &err);
    CHECK(x.off == 100 && x.len == 10);
    CHECK_OK(vf_qcow2_layout_next(f.l, 65536, UINT64_MAX, &x, &err), &err);
    CHECK(x.off == 65536 && x.kind == VF_QCOW2_ZERO && x.len == 512 * MIB - 65536);
    CHECK_FAIL(vf_qcow2_layout_next(f.l, 512 * MIB, 1, &x, &err), &err, VF_ERR_RANGE);
    drop_file(&f);
    f = make_file(512 * MIB, 2 * 65536 | UINT64_C(1) << 63, 3 * 65536 | UINT64_C(1) << 63 | 1);
    CHECK_OK(vf_qcow2_layout_next(f.l, 0, UINT64_MAX, &x, &err), &err);
    CHECK(x.kind == VF_QCOW2_ZERO && x.len == 512 * MIB);
    drop_file(&f);
    f = make_file(512 * MIB, 2 * 65536, 3 * 65536 | UINT64_C(1) << 62);
    CHECK_OK(vf_qcow2_layout_next(f.l, 5, UINT64_MAX, &x, &err), &err);
    CHECK(x.kind == VF_QCOW2_COMPRESSED && x.len == 65531);
    drop_file(&f);
}

TEST(entries_that_lie)
{
    static const struct {
        uint64_t l1, l2;
    } lies[] = {
        {2 * 65536 + 512, 0},                       /* unaligned table */
        {4 * 65536, 0},                             /* behind the end */
        {UINT64_C(0x00ffffffffff0000), 0},          /* far behind the end */
        {2 * 65536, 3 * 65536 + 512},               /* unaligned data */
        {2 * 65536, 4 * 65536},                     /* behind the end */
        {2 * 65536, UINT64_C(0x00ffffffffff0000)},  /* far behind the end */
        {2 * 65536, UINT64_C(1) << 62},             /* compressed at 0 */
        {2 * 65536, UINT64_C(1) << 62 | 4 * 65536}, /* compressed behind the end */
        {2 * 65536, UINT64_C(0x7fffffffffffffff)},  /* compressed far behind the end */
    };
    struct vf_qcow2_extent x;
    struct vf_error err;

    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct file f = make_file(512 * MIB, lies[i].l1, lies[i].l2);

        CHECK_FAIL(vf_qcow2_layout_next(f.l, 0, UINT64_MAX, &x, &err), &err, VF_ERR_FORMAT);
        drop_file(&f);
    }
}

/* Tables that point to themselves or to each other are only tables: nothing follows them. */
TEST(loops_end)
{
    static const uint64_t l1s[] = {65536, 2 * 65536, 3 * 65536};
    struct vf_qcow2_extent x;
    struct vf_error err;

    for (size_t i = 0; i < 3; i++) {
        struct file f = make_file(512 * MIB, l1s[i], 2 * 65536);
        uint64_t off = 0;
        unsigned n = 0;

        while (off < 512 * MIB && n++ < 100000) {
            CHECK_OK(vf_qcow2_layout_next(f.l, off, UINT64_MAX, &x, &err), &err);
            CHECK(x.off == off && x.len > 0);
            off += x.len;
        }
        CHECK_EQ_U64(off, 512 * MIB);
        drop_file(&f);
    }
}

TEST(version_2_has_no_zero_clusters)
{
    struct vf_qcow2_extent x;
    struct vf_error err;
    struct file f = make_file(512 * MIB, 2 * 65536, 3 * 65536 | 1);

    vf_qcow2_layout_free(f.l);
    f.h.version = 2;
    f.l = vf_qcow2_layout_new(f.fd, 4 * 65536, &f.h, &err);
    CHECK_OK(f.l, &err);
    CHECK_FAIL(vf_qcow2_layout_next(f.l, 0, UINT64_MAX, &x, &err), &err, VF_ERR_FORMAT);
    drop_file(&f);
}

static uint64_t data_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    uint64_t pages[6] = {0};

    CHECK(f != NULL);
    for (int i = 0; i < 6; i++)
        CHECK(fscanf(f, "%" SCNu64, &pages[i]) == 1);
    (void)fclose(f);
    return pages[5] * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* 1 TiB with every 64 KiB cluster allocated: 16 million entries in 128 MiB of tables, which must
 * not be held in memory. */
TEST(a_large_image_takes_little_memory)
{
    const uint64_t l2_at = 65536 * 2, data_at = l2_at + 2048 * 65536;
    uint64_t off = 0, before, most = 0, n = 0;
    uint8_t h[112], e[8];
    uint8_t *table = malloc(65536);
    struct vf_qcow2_header head;
    struct vf_qcow2_layout *l;
    struct vf_qcow2_extent x;
    struct vf_error err;
    int fd = open(vf_test_path("big.qcow2"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    CHECK(fd >= 0 && table && ftruncate(fd, (off_t)(data_at + TIB)) == 0);
    make_header(h, TIB, 2048);
    CHECK(pwrite(fd, h, sizeof h, 0) == sizeof h);
    for (uint64_t i = 0; i < 2048; i++) {
        put(e, 8, l2_at + i * 65536);
        CHECK(pwrite(fd, e, 8, (off_t)(65536 + i * 8)) == 8);
        for (uint64_t k = 0; k < 8192; k++) /* every second pair of clusters is swapped */
            put(table + k * 8, 8, data_at + ((i * 8192 + k) ^ (k >> 1 & 1)) * 65536);
        CHECK(pwrite(fd, table, 65536, (off_t)(l2_at + i * 65536)) == 65536);
    }
    free(table);
    CHECK_OK(vf_qcow2_header_read(fd, data_at + TIB, &head, &err), &err);
    before = data_bytes();
    l = vf_qcow2_layout_new(fd, data_at + TIB, &head, &err);
    CHECK_OK(l, &err);
    for (; off < TIB; off += x.len, n++) {
        CHECK_OK(vf_qcow2_layout_next(l, off, UINT64_MAX, &x, &err), &err);
        CHECK(x.kind == VF_QCOW2_PLAIN && x.len > 0);
        if (n % 100000 == 0 && data_bytes() - before > most)
            most = data_bytes() - before;
    }
    CHECK(n > TIB / 65536 / 2);
    CHECK(most < 2 * MIB);
    vf_qcow2_layout_free(l);
    (void)close(fd);
    CHECK(unlink(vf_test_path("big.qcow2")) == 0);
}

/* Real files with a few bytes changed: an error or some content, in little time. */
TEST(mutations)
{
    static uint8_t buf[1 << 20];
    struct vf_open_opts o = {.format = "qcow2"};
    struct stat st;
    uint8_t *good, *bad;
    unsigned failed = 0;
    int fd;

    NEED("qemu-io");
    util_make_raw("a.raw", 2 * MIB, 1);
    SH("rm -f a.qcow2 m.qcow2; qemu-img convert -c -f raw -O qcow2 -o cluster_size=4k a.raw "
       "a.qcow2 "
       "&& qemu-io -c 'write -P 7 1M 100k' -c 'write -z 3k 64k' a.qcow2");
    fd = open(vf_test_path("a.qcow2"), O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && fstat(fd, &st) == 0);
    good = malloc((size_t)st.st_size);
    bad = malloc((size_t)st.st_size);
    CHECK(good && bad && pread(fd, good, (size_t)st.st_size, 0) == st.st_size);
    (void)close(fd);
    for (uint64_t i = 0; i < 400; i++) {
        struct vf_image *im;
        uint64_t r[8];

        memcpy(bad, good, (size_t)st.st_size);
        vf_test_random(i, r, sizeof r);
        /* Header, or anywhere: tables and compressed data. */
        for (int k = 0; k < 4; k++)
            bad[r[k] % (i & 1 ? (uint64_t)st.st_size : 112)] = (uint8_t)r[k + 4];
        memcpy(bad, "QFI\xfb\0\0\0", 7);
        vf_test_write_file(vf_test_path("m.qcow2"), bad, (size_t)st.st_size);
        im = util_open("m.qcow2", &o, NULL, NULL);
        if (!im)
            continue;
        for (uint64_t off = 0, n = 0; off < im->size && n < 64; n++) {
            struct vf_extent x;
            size_t len = im->size - off < sizeof buf ? (size_t)(im->size - off) : sizeof buf;

            failed += vf_image_read(im, buf, len, off, NULL) < 0; /* either way is right here */
            if (vf_image_next_extent(im, off, &x, NULL) < 0)
                x.len = 4096;
            off += x.len;
        }
        vf_image_close(im);
    }
    CHECK(failed > 0); /* or nothing was tried */
    free(good);
    free(bad);
}

TESTS(headers_that_lie, names_and_extensions, entries, entries_that_lie, loops_end,
      version_2_has_no_zero_clusters, a_large_image_takes_little_memory, mutations)
