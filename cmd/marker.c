#include "cmd/marker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fdio.h"

#define NAME "run/transfers"

static int open_file(int store_fd, int flags)
{
    return openat(store_fd, NAME, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* Many may hold it at the same time. */
int vf_marker_set(int store_fd)
{
    struct flock l = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};
    int fd = open_file(store_fd, O_RDWR | O_CREAT);

    if (fd < 0 && errno == ENOENT && mkdirat(store_fd, "run", 0700) == 0)
        fd = open_file(store_fd, O_RDWR | O_CREAT);
    if (fd >= 0 && fcntl(fd, F_OFD_SETLK, &l) < 0)
        vf_close_fd(&fd);
    return fd;
}

bool vf_marker_is_set(int store_fd)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    int fd = open_file(store_fd, O_RDONLY);
    bool set = fd >= 0 && fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;

    vf_close_fd(&fd);
    return set;
}
