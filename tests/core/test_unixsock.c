/* test_unixsock.c - Unix sockets by path, and by name in a directory. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/unixsock.h"
#include "tests/lib/check.h"

static char dir[] = "/tmp/vf-unixsock-XXXXXX";

static void says(int from, int to)
{
    char c = 0;

    CHECK(send(from, "x", 1, MSG_NOSIGNAL) == 1);
    CHECK(recv(to, &c, 1, 0) == 1 && c == 'x');
}

/* Connects, speaks, and ends both. */
static void speaks(int dirfd, const char *path, int type)
{
    struct vf_error err = VF_ERROR_INIT;
    int l = vf_unixsock_listen(dirfd, path, type, 4, &err), c, a;
    struct stat sb;

    CHECK(l >= 0);
    CHECK(fstatat(dirfd, path, &sb, AT_SYMLINK_NOFOLLOW) == 0 && (sb.st_mode & 0777) == 0600);
    c = vf_unixsock_connect(dirfd, path, type, &err);
    CHECK(c >= 0 && (fcntl(c, F_GETFD) & FD_CLOEXEC) && (fcntl(l, F_GETFD) & FD_CLOEXEC));
    a = type == SOCK_DGRAM ? l : accept(l, NULL, NULL);
    CHECK(a >= 0);
    says(c, a);
    close(c);
    if (a != l)
        close(a);
    close(l);
    CHECK(vf_unixsock_connect(dirfd, path, type, &err) < 0);
    CHECK(err.sys == ECONNREFUSED); /* its file is left */
}

TEST(by_path)
{
    char path[64];

    (void)snprintf(path, sizeof path, "%s/sock", dir);
    speaks(AT_FDCWD, path, SOCK_STREAM);
    speaks(AT_FDCWD, path, SOCK_SEQPACKET); /* replaces the file */
    speaks(AT_FDCWD, path, SOCK_DGRAM);
    CHECK(unlink(path) == 0);
}

TEST(in_a_deep_directory)
{
    char deep[300];
    struct vf_error err = VF_ERROR_INIT;
    int fd;

    (void)snprintf(deep, sizeof deep, "%s/%0200d", dir, 7);
    CHECK(mkdir(deep, 0700) == 0);
    fd = open(deep, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(fd >= 0);
    speaks(fd, "sock", SOCK_STREAM);
    CHECK(unlinkat(fd, "sock", 0) == 0);
    close(fd);
    strcat(deep, "/sock");
    CHECK_FAIL(vf_unixsock_listen(AT_FDCWD, deep, SOCK_STREAM, 1, &err), &err, VF_ERR_UNSUPPORTED);
    CHECK_FAIL(vf_unixsock_connect(AT_FDCWD, deep, SOCK_STREAM, &err), &err, VF_ERR_UNSUPPORTED);
    *strrchr(deep, '/') = '\0';
    CHECK(rmdir(deep) == 0);
}

TEST(nobody_and_in_the_way)
{
    char path[64];
    struct vf_error err = VF_ERROR_INIT;
    int fd;

    (void)snprintf(path, sizeof path, "%s/file", dir);
    CHECK_FAIL(vf_unixsock_connect(AT_FDCWD, path, SOCK_STREAM, &err), &err, VF_ERR_NOTFOUND);
    CHECK(err.sys == ENOENT);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    close(fd);
    CHECK(vf_unixsock_listen(AT_FDCWD, path, SOCK_STREAM, 1, &err) < 0 && err.sys == EADDRINUSE);
    CHECK(unlink(path) == 0); /* it was left alone */
}

TEST(setup) { CHECK(mkdtemp(dir) != NULL); }
TEST(clean) { CHECK(rmdir(dir) == 0); }

/* Descriptors go over with a byte, no more than are wanted stay. */
TEST(descriptors)
{
    struct vf_error err = VF_ERROR_INIT;
    int fd[2], p[2], got[4] = {-1, -1, -1, -1};
    uint8_t byte = 0;
    size_t n = 7;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0 && pipe(p) == 0);
    CHECK_FAIL(vf_unixsock_take(fd[1], &byte, got, 4, &n, &err), &err, VF_ERR_IO);
    CHECK(err.sys == EAGAIN && n == 0);

    CHECK_OK(vf_unixsock_give(fd[0], 'a', p, 2, &err), &err);
    CHECK_OK(vf_unixsock_take(fd[1], &byte, got, 4, &n, &err), &err);
    CHECK(n == 2 && byte == 'a' && got[2] == -1);
    CHECK(fcntl(got[0], F_GETFD) & fcntl(got[1], F_GETFD) & FD_CLOEXEC);
    CHECK(write(got[1], "x", 1) == 1 && read(p[0], &byte, 1) == 1 && byte == 'x');
    close(got[0]);
    close(got[1]);

    CHECK_OK(vf_unixsock_give(fd[0], 'b', p, 2, &err), &err);
    CHECK_OK(vf_unixsock_take(fd[1], &byte, got, 1, &n, &err), &err);
    CHECK(n == 1 && byte == 'b');
    close(p[1]);
    close(got[0]);
    CHECK(read(p[0], &byte, 1) == 0); /* nobody has the other one */

    CHECK_OK(vf_unixsock_give(fd[0], 'c', NULL, 0, &err), &err);
    CHECK_OK(vf_unixsock_take(fd[1], &byte, got, 4, &n, &err), &err);
    CHECK(n == 0 && byte == 'c');
    close(fd[0]);
    CHECK_FAIL(vf_unixsock_take(fd[1], &byte, got, 4, &n, &err), &err, VF_ERR_IO);
    close(fd[1]);
    close(p[0]);
}

TESTS(setup, by_path, in_a_deep_directory, nobody_and_in_the_way, clean, descriptors)
