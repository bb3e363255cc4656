/* core/unixsock.c - Unix sockets with a name in the file system. */
#include "core/unixsock.h"

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
