/* Whole reads and writes, directories, replacing files. */
#include "core/fdio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/check.h"

/* Names in dir, without . and .. */
static unsigned entries(const char *dir)
{
    DIR *d = opendir(dir);
    unsigned n = 0;

    CHECK(d != NULL);
    while (readdir(d))
        n++;
    (void)closedir(d); /* only read */
    return n - 2;
}

TEST(close_and_steal)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), other;

    CHECK(fd >= 0);
    other = vf_steal_fd(&fd);
    CHECK_EQ_I64(fd, -1);
    vf_close_fd(&fd);
    CHECK(fcntl(other, F_GETFD) >= 0);
    vf_close_fd(&other);
    CHECK_EQ_I64(other, -1);
}

TEST(positional_reads_and_writes)
{
    struct vf_error err;
    int fd = vf_tmpfile(vf_test_tmpdir(), &err);
    uint8_t data[5000], back[5000];

    CHECK_GE0(fd, &err);
    vf_test_random(3, data, sizeof data);
    CHECK_OK(vf_pwrite_full(fd, data, sizeof data, 123, &err), &err);
    CHECK_OK(vf_pread_full(fd, back, sizeof back, 123, &err), &err);
    CHECK_MEM(back, data, sizeof data);
    CHECK_OK(vf_pread_full(fd, back, 123, 0, &err), &err);
    for (size_t i = 0; i < 123; i++)
        CHECK_EQ_U64(back[i], 0);
    CHECK_OK(vf_pread_full(fd, back, 0, 99999, &err), &err);
    vf_close_fd(&fd);
}

TEST(the_end_of_the_file_is_a_range_error)
{
    struct vf_error err;
    int fd = vf_tmpfile(vf_test_tmpdir(), &err);
    uint8_t data[100] = {1};

    CHECK_GE0(fd, &err);
    CHECK_OK(vf_pwrite_full(fd, data, sizeof data, 0, &err), &err);
    CHECK_FAIL(vf_pread_full(fd, data, 100, 1, &err), &err, VF_ERR_RANGE);
    CHECK_HAS(err.msg, "file ends at");
    CHECK_FAIL(vf_pread_full(fd, data, 1, UINT64_MAX, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(vf_pread_full(fd, data, 1, (uint64_t)INT64_MAX, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(vf_pwrite_full(fd, data, 1, UINT64_MAX - 1, &err), &err, VF_ERR_RANGE);
    vf_close_fd(&fd);
}

TEST(errors_of_the_system_come_through)
{
    struct vf_error err;
    int fd = open("/dev/full", O_RDWR | O_CLOEXEC);
    char c = 'x';

    CHECK(fd >= 0);
    CHECK_FAIL(vf_pwrite_full(fd, &c, 1, 0, &err), &err, VF_ERR_SPACE);
    CHECK_EQ_I64(err.sys, ENOSPC);
    CHECK_FAIL(vf_write_full(fd, &c, 1, &err), &err, VF_ERR_SPACE);
    vf_close_fd(&fd);
    CHECK_FAIL(vf_pread_full(-1, &c, 1, 0, &err), &err, VF_ERR_IO);
    CHECK_EQ_I64(err.sys, EBADF);
    CHECK_FAIL(vf_read_some(-1, &c, 1, &err), &err, VF_ERR_IO);
}

static void *drain(void *arg)
{
    int fd = *(int *)arg;
    static char part[1000];
    struct vf_error err;
    size_t total = 0;
    long n;

    while ((n = vf_read_some(fd, part, sizeof part, &err)) > 0)
        total += (size_t)n;
    CHECK_EQ_U64(total, 1 << 20);
    return NULL;
}

/* More than the pipe holds, to an end that must not block: the call waits for room itself. */
TEST(whole_writes_to_a_pipe_that_does_not_block)
{
    struct vf_error err;
    int fds[2];
    pthread_t t;
    char *data = calloc(1, 1 << 20);

    CHECK(data && pipe2(fds, O_CLOEXEC) == 0);
    CHECK(fcntl(fds[1], F_SETFL, O_NONBLOCK) == 0);
    CHECK(pthread_create(&t, NULL, drain, &fds[0]) == 0);
    CHECK_OK(vf_write_full(fds[1], data, 1 << 20, &err), &err);
    vf_close_fd(&fds[1]);
    CHECK(pthread_join(t, NULL) == 0);
    vf_close_fd(&fds[0]);
    free(data);
}

TEST(makes_directories_on_the_way)
{
    struct vf_error err;
    struct stat st;

    CHECK_OK(vf_mkdir_p(vf_test_path("a/b//c/"), 0700, &err), &err);
    CHECK(stat(vf_test_path("a/b/c"), &st) == 0 && S_ISDIR(st.st_mode));
    CHECK_EQ_U64(st.st_mode & 0777, 0700);
    CHECK_OK(vf_mkdir_p(vf_test_path("a/b/c"), 0700, &err), &err);
    CHECK_OK(vf_mkdir_p(vf_test_path("a/b"), 0700, &err), &err);
    CHECK_OK(vf_mkdir_p("/", 0700, &err), &err);
    CHECK_FAIL(vf_mkdir_p("", 0700, &err), &err, VF_ERR_NOTFOUND);
    vf_test_write_file(vf_test_path("file"), "x", 1);
    CHECK_FAIL(vf_mkdir_p(vf_test_path("file"), 0700, &err), &err, VF_ERR_IO);
    CHECK_EQ_I64(err.sys, ENOTDIR);
    CHECK_FAIL(vf_mkdir_p(vf_test_path("file/x"), 0700, &err), &err, VF_ERR_IO);
}

TEST(mkdir_accepts_a_link_to_a_directory)
{
    struct vf_error err;

    CHECK_OK(vf_mkdir_p(vf_test_path("real"), 0700, &err), &err);
    CHECK(symlink("real", vf_test_path("link")) == 0);
    CHECK_OK(vf_mkdir_p(vf_test_path("link"), 0700, &err), &err);
    CHECK_OK(vf_mkdir_p(vf_test_path("link/x"), 0700, &err), &err);
    CHECK(access(vf_test_path("real/x"), F_OK) == 0);
    CHECK(symlink("nowhere", vf_test_path("dangling")) == 0); /* not 'exists already' */
    CHECK_FAIL(vf_mkdir_p(vf_test_path("dangling"), 0700, &err), &err, VF_ERR_NOTFOUND);
}

TEST(replaces_a_file_whole)
{
    const char *dir = vf_test_path("replace");
    struct vf_error err;
    struct stat st;
    size_t len;
    char *text;
    int fd;

    CHECK_OK(vf_mkdir_p(dir, 0700, &err), &err);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_OK(vf_replace_file(fd, "conf", "one", 3, 0600, &err), &err);
    CHECK_OK(vf_replace_file(fd, "conf", "second", 6, 0644, &err), &err);
    CHECK(fstatat(fd, "conf", &st, 0) == 0);
    CHECK_EQ_U64(st.st_mode & 0777, 0644);
    text = vf_read_small_file(fd, "conf", 6, &len, &err);
    CHECK_OK(text, &err);
    CHECK_STR(text, "second");
    CHECK_EQ_U64(len, 6);
    free(text);
    CHECK_EQ_U64(entries(dir), 1); /* nothing temporary is left */
    vf_close_fd(&fd);
}

TEST(replaces_by_path_too)
{
    const char *path = vf_test_path("bypath/x");
    struct vf_error err;
    char *text;

    CHECK_OK(vf_mkdir_p(vf_test_path("bypath"), 0700, &err), &err);
    CHECK_OK(vf_replace_file(AT_FDCWD, path, "", 0, 0600, &err), &err);
    text = vf_read_small_file(AT_FDCWD, path, 0, NULL, &err);
    CHECK_STR(text, "");
    free(text);
}

TEST(a_failed_replacement_changes_nothing)
{
    struct vf_error err;

    CHECK_OK(vf_mkdir_p(vf_test_path("fail/dir/sub"), 0700, &err), &err);
    /* A directory cannot be replaced by a file. */
    CHECK_FAIL(vf_replace_file(AT_FDCWD, vf_test_path("fail/dir"), "x", 1, 0600, &err), &err,
               VF_ERR_IO);
    CHECK_EQ_I64(err.sys, EISDIR);
    CHECK_EQ_U64(entries(vf_test_path("fail")), 1);
    CHECK_FAIL(vf_replace_file(AT_FDCWD, vf_test_path("none/x"), "x", 1, 0600, &err), &err,
               VF_ERR_NOTFOUND);
}

TEST(small_files_have_a_limit)
{
    struct vf_error err;
    static char big[20000];
    size_t len = 0;
    char *text;

    memset(big, 'b', sizeof big);
    vf_test_write_file(vf_test_path("big"), big, sizeof big);
    CHECK_FAIL(vf_read_small_file(AT_FDCWD, vf_test_path("big"), sizeof big - 1, &len, &err), &err,
               VF_ERR_RANGE);
    text = vf_read_small_file(AT_FDCWD, vf_test_path("big"), sizeof big, &len, &err);
    CHECK_OK(text, &err);
    CHECK_EQ_U64(len, sizeof big);
    CHECK_MEM(text, big, sizeof big);
    CHECK(text[len] == 0);
    free(text);
    CHECK_FAIL(vf_read_small_file(AT_FDCWD, vf_test_path("nobody"), 10, &len, &err), &err,
               VF_ERR_NOTFOUND);
    CHECK_FAIL(vf_read_small_file(AT_FDCWD, vf_test_tmpdir(), 10, &len, &err), &err, VF_ERR_IO);
    /* Endless: the limit holds there too. */
    CHECK_FAIL(vf_read_small_file(AT_FDCWD, "/dev/zero", 100000, &len, &err), &err, VF_ERR_RANGE);
}

TEST(temporary_files_have_no_name)
{
    const char *dir = vf_test_path("tmp");
    struct vf_error err;
    struct stat st;
    int fd;

    CHECK_OK(vf_mkdir_p(dir, 0700, &err), &err);
    fd = vf_tmpfile(dir, &err);
    CHECK_GE0(fd, &err);
    CHECK_EQ_U64(entries(dir), 0);
    CHECK(fstat(fd, &st) == 0);
    CHECK_EQ_U64(st.st_nlink, 0);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    vf_close_fd(&fd);
    CHECK_FAIL(vf_tmpfile(vf_test_path("nowhere"), &err), &err, VF_ERR_NOTFOUND);
}

TESTS(close_and_steal, positional_reads_and_writes, the_end_of_the_file_is_a_range_error,
      errors_of_the_system_come_through, whole_writes_to_a_pipe_that_does_not_block,
      makes_directories_on_the_way, mkdir_accepts_a_link_to_a_directory, replaces_a_file_whole,
      replaces_by_path_too, a_failed_replacement_changes_nothing, small_files_have_a_limit,
      temporary_files_have_no_name)
