/* The page cache stays as it was. */
#include "service/footprint.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/check.h"

#define SIZE (16u << 20)

/* Reads the file's beginning page by page until it is all in memory: a machine that is short of it
 * may take pages back meanwhile. */
static void use(int fd, const char *path, off_t len)
{
    char page[4096];

    for (int tries = 0; tries < 20 && vf_footprint_cached(path) < (uint64_t)len; tries++)
        for (off_t off = 0; off < len; off += (off_t)sizeof page)
            CHECK(pread(fd, page, sizeof page, off) == (ssize_t)sizeof page);
}

TEST(drops_what_it_brought)
{
    const char *path = vf_test_path("file");
    char *data = malloc(SIZE);
    struct vf_footprint *f;
    uint64_t before;
    int fd;

    CHECK(data);
    vf_test_random(1, data, SIZE);
    vf_test_write_file(path, data, SIZE);
    free(data);
    fd = open(path, O_RDWR);
    CHECK(fd >= 0 && fsync(fd) == 0);
    CHECK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
    if (vf_footprint_cached(path) > SIZE / 2)
        SKIP("this file system keeps its files in memory");
    /* Somebody uses the first quarter. */
    CHECK(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) == 0);
    use(fd, path, SIZE / 4);
    before = vf_footprint_cached(path);
    CHECK(before >= SIZE / 4);
    CHECK((f = vf_footprint_new(path)));
    use(fd, path, SIZE);
    CHECK_EQ_U64(vf_footprint_cached(path), SIZE);
    vf_footprint_drop(f);
    CHECK(vf_footprint_cached(path) >= SIZE / 4);
    CHECK(vf_footprint_cached(path) <= before + (4u << 20));
    vf_footprint_free(f);
    vf_footprint_free(NULL);
    vf_footprint_drop(NULL);
    close(fd);
}

/* A disk of 15 TiB with nothing but its end: each page of the hole would take minutes. */
TEST(skips_holes)
{
    const uint64_t end = UINT64_C(15) << 40;
    const char *path = vf_test_path("sparse");
    struct vf_footprint *f;
    char page[4096];
    int fd = open(path, O_RDWR | O_CREAT, 0600);

    CHECK(fd >= 0);
    vf_test_random(2, page, sizeof page);
    if (pwrite(fd, page, sizeof page, (off_t)(end - sizeof page)) < 0)
        SKIP("this file system has no files of that size");
    CHECK(fsync(fd) == 0);
    CHECK_EQ_U64(vf_footprint_cached(path), sizeof page); /* behind the hole, too */
    CHECK((f = vf_footprint_new(path)));
    vf_footprint_drop(f);
    CHECK_EQ_U64(vf_footprint_cached(path), sizeof page); /* it was there before */
    vf_footprint_free(f);
    close(fd);
}

TEST(takes_only_files)
{
    CHECK(!vf_footprint_new(vf_test_tmpdir()));
    CHECK(!vf_footprint_new(vf_test_path("none")));
    CHECK_EQ_U64(vf_footprint_cached(vf_test_path("none")), 0);
}

TESTS(drops_what_it_brought, skips_holes, takes_only_files)
