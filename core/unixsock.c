/* core/unixsock.c - see the header. */
#include "core/unixsock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/fdio.h"

#define TYPES (SOCK_NONBLOCK | SOCK_CLOEXEC) /* what a type has besides */

/* What stands beside the byte of a message. */
union beside {
    char room[CMSG_SPACE(VF_UNIXSOCK_FDS * sizeof(int))];
    struct cmsghdr align;
};

/* A directory is named by its descriptor, in few bytes. */
static int address(int dirfd, const char *path, struct sockaddr_un *ret, struct vf_error *err)
{
    int n;

    memset(ret, 0, sizeof *ret);
    ret->sun_family = AF_UNIX;
    if (dirfd == AT_FDCWD)
        n = snprintf(ret->sun_path, sizeof ret->sun_path, "%s", path);
    else
        n = snprintf(ret->sun_path, sizeof ret->sun_path, "/proc/self/fd/%d/%s", dirfd, path);
    if (n >= 0 && (size_t)n < sizeof ret->sun_path)
        return 0;
    return vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "the name '%s' is too long for a socket", path);
}

int vf_unixsock_connect(int dirfd, const char *path, int type, struct vf_error *err)
{
    struct sockaddr_un sa;
    int fd = -1;

    if (address(dirfd, path, &sa, err) < 0)
        return -1;
    fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&sa, sizeof sa) == 0)
        return fd;
    (void)vf_error_sys(err, errno, "socket '%s'", path); /* the -1 says it */
    vf_close_fd(&fd);
    return -1;
}

int vf_unixsock_listen(int dirfd, const char *path, int type, int backlog, struct vf_error *err)
{
    struct sockaddr_un sa;
    struct stat sb;
    int fd = -1;

    if (address(dirfd, path, &sa, err) < 0)
        return -1;
    if (lstat(sa.sun_path, &sb) == 0 && S_ISSOCK(sb.st_mode))
        (void)unlink(sa.sun_path); /* else bind says that it is there */
    fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    /* The mode of a socket that has no name yet is that which the name gets. */
    if (fd >= 0 && fchmod(fd, 0600) == 0 &&
        bind(fd, (const struct sockaddr *)&sa, sizeof sa) == 0 &&
        ((type & ~TYPES) == SOCK_DGRAM || listen(fd, backlog) == 0))
        return fd;
    (void)vf_error_sys(err, errno, "socket '%s'", path); /* the -1 says it */
    vf_close_fd(&fd);
    return -1;
}

int vf_unixsock_give(int sock, uint8_t byte, const int *fd, size_t n, struct vf_error *err)
{
    union beside control = {{0}};
    struct iovec iov = {&byte, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    assert(n <= VF_UNIXSOCK_FDS);
    if (n > 0) {
        struct cmsghdr *c = &control.align;

        m.msg_control = control.room;
        m.msg_controllen = CMSG_SPACE(n * sizeof(int));
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(c), fd, n * sizeof(int));
    }
    return sendmsg(sock, &m, MSG_NOSIGNAL) == 1 ? 0
                                                : vf_error_sys(err, errno, "hand descriptors over");
}

int vf_unixsock_take(int sock, uint8_t *ret_byte, int *ret_fd, size_t most, size_t *ret_n,
                     struct vf_error *err)
{
    union beside control = {{0}};
    struct iovec iov = {ret_byte, 1};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.room,
                       .msg_controllen = sizeof control.room};
    ssize_t got = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    const struct cmsghdr *c = got < 0 ? NULL : CMSG_FIRSTHDR(&m);
    int fd[VF_UNIXSOCK_FDS];
    size_t n = 0;

    *ret_n = 0;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fd, CMSG_DATA(c), n * sizeof(int));
    }
    for (size_t i = 0; i < n; i++) {
        if (got == 1 && *ret_n < most)
            ret_fd[(*ret_n)++] = fd[i];
        else
            (void)close(fd[i]);
    }
    if (got == 1)
        return 0;
    return vf_error_sys(err, got < 0 ? errno : ECONNRESET, "take descriptors");
}
