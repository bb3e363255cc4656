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

TESTS(setup, by_path, in_a_deep_directory, nobody_and_in_the_way, clean)
