/* tests/formats/util.h - what the tests of formats/ share. */
#ifndef VF_TESTS_FORMATS_UTIL_H
#define VF_TESTS_FORMATS_UTIL_H

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/image.h"
#include "formats/format.h"
#include "tests/lib/check.h"

/* Runs a shell command line inside the test directory; its output is dropped.  Returns the exit
 * status. */
__attribute__((format(printf, 1, 2))) static inline int util_try(const char *fmt, ...)
{
    char cmd[4096];
    int n, rc;
    va_list ap;

    n = snprintf(cmd, sizeof cmd, "cd '%s' && { ", vf_test_tmpdir());
    va_start(ap, fmt);
    n += vsnprintf(cmd + n, sizeof cmd - (size_t)n, fmt, ap);
    va_end(ap);
    (void)snprintf(cmd + n, sizeof cmd - (size_t)n, " ; } >sh.log 2>&1");
    rc = system(cmd);
    return rc < 0 || !WIFEXITED(rc) ? 255 : WEXITSTATUS(rc);
}

/* What the last command said, for whoever reads the failure. */
static inline void util_show_log(void)
{
    FILE *f = fopen(vf_test_path("sh.log"), "re");
    char line[512];

    while (f && fgets(line, sizeof line, f))
        printf("    %s", line);
    if (f)
        (void)fclose(f);
}

/* The same, and it must succeed. */
#define SH(...)                                                                                    \
    do {                                                                                           \
        int sh_rc_ = util_try(__VA_ARGS__);                                                        \
        if (sh_rc_)                                                                                \
            util_show_log();                                                                       \
        CHECK_EQ_I64(sh_rc_, 0);                                                                   \
    } while (0)

#define NEED(program)                                                                              \
    do {                                                                                           \
        if (!vf_test_have(program))                                                                \
            SKIP(program " is not installed");                                                     \
    } while (0)

/* A raw file of size bytes in which pieces of random data lie between zeros. */
static inline void util_make_raw(const char *name, uint64_t size, uint64_t seed)
{
    int fd = open(vf_test_path(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    uint8_t buf[70000];
    uint64_t r[4];

    CHECK(fd >= 0);
    CHECK(ftruncate(fd, (off_t)size) == 0);
    for (uint64_t i = 0; i < 24 && size; i++) {
        uint64_t off, len;

        vf_test_random(seed * 1000 + i, r, sizeof r);
        off = r[0] % size;
        len = r[1] % sizeof buf;
        if (len > size - off)
            len = size - off;
        if (r[2] & 1)
            vf_test_random(r[3], buf, (size_t)len);
        else /* something that compresses */
            for (uint64_t k = 0; k < len; k++)
                buf[k] = (uint8_t)(1 + (k / 97 + i) % 251);
        CHECK(pwrite(fd, buf, (size_t)len, (off_t)off) == (ssize_t)len);
    }
    CHECK(close(fd) == 0);
}

/* The content of im equals that of the file at path, by every way to ask: large reads, odd small
 * reads, and extents that call nothing zero that is not. */
static inline void util_compare(struct vf_image *im, const char *path)
{
    const size_t step = 1u << 20;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t *a = malloc(step), *b = malloc(step);
    struct vf_error err;
    struct stat st;
    uint64_t off;

    CHECK(fd >= 0 && a && b);
    CHECK(fstat(fd, &st) == 0);
    CHECK_EQ_U64(im->size, (uint64_t)st.st_size);
    for (off = 0; off < im->size; off += step) {
        size_t n = im->size - off < step ? (size_t)(im->size - off) : step;

        CHECK(pread(fd, a, n, (off_t)off) == (ssize_t)n);
        memset(b, 0xa5, n);
        CHECK_OK(vf_image_read(im, b, n, off, &err), &err);
        CHECK_MEM(a, b, n);
    }
    for (uint64_t i = 0; i < 200 && im->size; i++) {
        uint64_t r[2];
        size_t n;

        vf_test_random(i + 77, r, sizeof r);
        off = r[0] % im->size;
        n = (size_t)(r[1] % (i % 10 ? 5000 : step));
        if (n > im->size - off)
            n = (size_t)(im->size - off);
        CHECK(pread(fd, a, n, (off_t)off) == (ssize_t)n);
        memset(b, 0xa5, n);
        CHECK_OK(vf_image_read(im, b, n, off, &err), &err);
        CHECK_MEM(a, b, n);
    }
    for (off = 0; off < im->size;) {
        struct vf_extent x;

        CHECK_OK(vf_image_next_extent(im, off, &x, &err), &err);
        CHECK(x.off == off && x.len > 0 && x.len <= im->size - off);
        for (uint64_t at = off; x.zero && at < off + x.len; at += step) {
            size_t n = off + x.len - at < step ? (size_t)(off + x.len - at) : step;

            CHECK(pread(fd, a, n, (off_t)at) == (ssize_t)n);
            for (size_t k = 0; k < n; k++)
                CHECK(a[k] == 0);
        }
        off += x.len;
    }
    free(a);
    free(b);
    (void)close(fd);
}

/* Bytes of content that the extents call zero. */
static inline uint64_t util_zero_bytes(struct vf_image *im)
{
    struct vf_extent x;
    struct vf_error err;
    uint64_t sum = 0;

    for (uint64_t off = 0; off < im->size; off += x.len) {
        CHECK_OK(vf_image_next_extent(im, off, &x, &err), &err);
        sum += x.zero ? x.len : 0;
    }
    return sum;
}

/* One of the threads of util_read_in_threads. */
struct util_reader {
    struct vf_image *im;
    const uint8_t *want;
    uint64_t seed;
    int bad;
};

static inline void *util_read_randomly(void *arg)
{
    struct util_reader *r = arg;
    uint8_t *buf = malloc(1u << 20);

    for (uint64_t i = 0; buf && i < 150; i++) {
        uint64_t v[2], off, len;
        struct vf_extent x;

        vf_test_random(r->seed * 1000 + i, v, sizeof v);
        off = v[0] % r->im->size;
        len = v[1] % (200 << 10);
        if (len > r->im->size - off)
            len = r->im->size - off;
        if (vf_image_read(r->im, buf, (size_t)len, off, NULL) < 0 ||
            vf_image_next_extent(r->im, off, &x, NULL) < 0 ||
            memcmp(buf, r->want + off, (size_t)len) != 0)
            r->bad++;
    }
    r->bad += !buf;
    free(buf);
    return NULL;
}

/* The content of im equals that of the file at path, for six threads that read here and there. */
static inline void util_read_in_threads(struct vf_image *im, const char *path)
{
    struct util_reader reader[6];
    pthread_t thread[6];
    uint8_t *want = malloc((size_t)im->size);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    CHECK(want && fd >= 0 && pread(fd, want, (size_t)im->size, 0) == (ssize_t)im->size);
    (void)close(fd);
    for (unsigned i = 0; i < 6; i++) {
        reader[i] = (struct util_reader){im, want, i, 0};
        CHECK(pthread_create(&thread[i], NULL, util_read_randomly, &reader[i]) == 0);
    }
    for (unsigned i = 0; i < 6; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
        CHECK_EQ_I64(reader[i].bad, 0);
    }
    free(want);
}

/* Opens name in the test directory. */
static inline struct vf_image *util_open(const char *name, const struct vf_open_opts *o,
                                         struct vf_image_desc *ret, struct vf_error *err)
{
    return vf_format_open(AT_FDCWD, vf_test_path(name), o, ret, err);
}

/* Opens name and compares it with what qemu-img makes of it; format is for qemu-img. */
static inline void util_same_as_qemu(const char *name, const char *format,
                                     const struct vf_open_opts *o)
{
    struct vf_image *im;
    struct vf_error err;

    SH("rm -f want.raw && qemu-img convert -f %s -O raw '%s' want.raw", format, name);
    im = util_open(name, o, NULL, &err);
    CHECK_OK(im, &err);
    util_compare(im, vf_test_path("want.raw"));
    vf_image_close(im);
}

#endif
