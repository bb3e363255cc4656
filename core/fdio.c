/* core/fdio.c - whole reads and writes, and safe replacement of files. */
#include "core/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/checked.h"

void vf_close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); /* documented: nothing depends on it */
    *fd = -1;
}

void vf_pipe_widen(int fd)
{
    (void)fcntl(fd, F_SETPIPE_SZ, 1 << 20); /* the default size works as well */
}

int vf_steal_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

/* The kernel takes signed offsets; the end of the range must fit too. */
static int check_offset(uint64_t off, size_t len, const char *verb, struct vf_error *err)
{
    uint64_t end;

    if (vf_add_ok(off, (uint64_t)len, &end) && end <= (uint64_t)INT64_MAX)
        return 0;
    return vf_error_set(err, VF_ERR_RANGE, 0, "cannot %s %zu bytes at offset %" PRIu64, verb, len,
                        off);
}

int vf_pread_full(int fd, void *buf, size_t len, uint64_t off, struct vf_error *err)
{
    uint8_t *p = buf;

    if (check_offset(off, len, "read", err) < 0)
        return -1;
    while (len) {
        ssize_t n = pread(fd, p, len, (off_t)off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vf_error_sys(err, errno, "read %zu bytes at %" PRIu64, len, off);
        if (n == 0)
            return vf_error_set(err, VF_ERR_RANGE, 0,
                                "file ends at or before %" PRIu64 ", %zu bytes short", off, len);
        p += n;
        len -= (size_t)n;
        off += (uint64_t)n;
    }
    return 0;
}

int vf_pwrite_full(int fd, const void *buf, size_t len, uint64_t off, struct vf_error *err)
{
    const uint8_t *p = buf;

    if (check_offset(off, len, "write", err) < 0)
        return -1;
    while (len) {
        ssize_t n = pwrite(fd, p, len, (off_t)off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return vf_error_sys(err, n < 0 ? errno : EIO, "write %zu bytes at %" PRIu64, len, off);
        p += n;
        len -= (size_t)n;
        off += (uint64_t)n;
    }
    return 0;
}

int vf_write_full(int fd, const void *buf, size_t len, struct vf_error *err)
{
    const uint8_t *p = buf;

    while (len) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            struct pollfd wait = {fd, POLLOUT, 0};

            (void)poll(&wait, 1, -1); /* whatever it says, the next write tells */
            continue;
        }
        if (n <= 0)
            return vf_error_sys(err, n < 0 ? errno : EIO, "write %zu bytes", len);
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

long vf_read_some(int fd, void *buf, size_t len, struct vf_error *err)
{
    for (;;) {
        ssize_t n = read(fd, buf, len);

        if (n >= 0)
            return (long)n;
        if (errno != EINTR)
            return vf_error_sys(err, errno, "read %zu bytes", len);
    }
}

/* One directory; an existing one is fine, something else of that name is not. */
static int make_dir(const char *path, unsigned mode, struct vf_error *err)
{
    struct stat st;
    int sys;

    if (mkdir(path, (mode_t)mode) == 0)
        return 0;
    sys = errno;
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return 0;
        sys = ENOTDIR;
    } else if (sys == EEXIST) {
        sys = errno; /* a link that leads nowhere, or to where we may not look */
    }
    return vf_error_sys(err, sys, "make directory '%s'", path);
}

int vf_mkdir_p(const char *path, unsigned mode, struct vf_error *err)
{
    char *part = vf_strdup(path, err);
    size_t len;
    int rc = -1;

    if (!part)
        return -1;
    len = strlen(part);
    while (len > 1 && part[len - 1] == '/')
        part[--len] = 0;
    for (char *p = part + 1; len && *p; p++) {
        if (*p != '/' || p[-1] == '/')
            continue;
        *p = 0;
        if (make_dir(part, 0755, err) < 0)
            goto out;
        *p = '/';
    }
    rc = make_dir(part, mode, err);
out:
    free(part);
    return rc;
}

/* Opens the directory that holds name (relative to dirfd) and says which part of name is inside
 * it. */
static int open_parent(int dirfd, const char *name, const char **ret_base, struct vf_error *err)
{
    const char *slash = strrchr(name, '/');
    char *dir = slash ? vf_strf(err, "%.*s", (int)(slash - name) + 1, name) : vf_strdup(".", err);
    int fd;

    if (!dir)
        return -1;
    fd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        (void)vf_error_sys(err, errno, "open directory '%s'", dir); /* fd says it */
    else
        *ret_base = slash ? slash + 1 : name;
    free(dir);
    return fd;
}

enum { TMP_NAME = 32 };

/* A new file with a name that nobody else has chosen; its name goes to tmp. */
static int create_beside(int dir, char tmp[TMP_NAME], struct vf_error *err)
{
    for (int tries = 0; tries < 100; tries++) {
        uint64_t r;
        int fd;

        if (getrandom(&r, sizeof r, 0) != (ssize_t)sizeof r)
            return vf_error_sys(err, errno, "get random bytes");
        (void)snprintf(tmp, TMP_NAME, ".vf-%016" PRIx64 ".tmp", r); /* always fits */
        fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd >= 0 ? fd : vf_error_sys(err, errno, "create a temporary file");
    }
    return vf_error_set(err, VF_ERR_EXISTS, 0, "no free name for a temporary file");
}

int vf_replace_file(int dirfd, const char *name, const void *data, size_t len, unsigned mode,
                    struct vf_error *err)
{
    const char *base = NULL;
    char tmp[TMP_NAME];
    int dir = -1, fd = -1, rc = -1;

    dir = open_parent(dirfd, name, &base, err);
    if (dir < 0)
        goto out;
    fd = create_beside(dir, tmp, err);
    if (fd < 0)
        goto out;
    if (vf_write_full(fd, data, len, err) < 0)
        goto out;
    if (fchmod(fd, (mode_t)mode) < 0 || fsync(fd) < 0 || renameat(dir, tmp, dir, base) < 0) {
        (void)vf_error_sys(err, errno, "replace it"); /* rc is -1 already */
        goto out;
    }
    vf_close_fd(&fd); /* renamed: nothing to remove any more */
    if (fsync(dir) < 0) {
        (void)vf_error_sys(err, errno, "sync its directory"); /* rc is -1 already */
        goto out;
    }
    rc = 0;
out:
    if (fd >= 0)
        (void)unlinkat(dir, tmp, 0); /* best effort; the error that led here counts */
    vf_close_fd(&fd);
    vf_close_fd(&dir);
    return rc < 0 ? vf_error_prefix(err, "file '%s'", name) : 0;
}

char *vf_read_small_file(int dirfd, const char *name, size_t max, size_t *ret_len,
                         struct vf_error *err)
{
    struct vf_buf b = VF_BUF_INIT;
    char *text = NULL;
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    long n;

    if (fd < 0) {
        (void)vf_error_sys(err, errno, "open '%s'", name); /* the NULL says it */
        goto out;
    }
    do {
        if (vf_buf_reserve(&b, 4096, err) < 0)
            goto out;
        n = vf_read_some(fd, b.data + b.len, b.cap - b.len - 1, err);
        if (n < 0) {
            (void)vf_error_prefix(err, "file '%s'", name); /* the NULL says it */
            goto out;
        }
        b.len += (size_t)n;
        if (b.len > max) {
            (void)vf_error_set(err, VF_ERR_RANGE, 0, "file '%s' is longer than %zu bytes", name,
                               max); /* the NULL says it */
            goto out;
        }
    } while (n > 0);
    b.data[b.len] = 0;
    if (ret_len)
        *ret_len = b.len;
    text = (char *)b.data; /* handed over */
    b = (struct vf_buf)VF_BUF_INIT;
out:
    vf_buf_free(&b);
    vf_close_fd(&fd);
    return text;
}

int vf_tmpfile(const char *dir, struct vf_error *err)
{
    char *path = NULL;
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);

    if (fd >= 0)
        return fd;
    /* What file systems and kernels without O_TMPFILE say. */
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL && errno != ENOSYS)
        return vf_error_sys(err, errno, "temporary file in '%s'", dir);
    path = vf_strf(err, "%s/.vf-XXXXXX", dir);
    if (!path)
        return -1;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        (void)vf_error_sys(err, errno, "temporary file in '%s'", dir); /* fd says it */
    else
        (void)unlink(path); /* a file left behind is ugly, not wrong */
    free(path);
    return fd;
}
