/* formats/place.c - opening image files, and the files that they name, without trusting names. */
#include "formats/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/fdio.h"

/* Not blocking: a FIFO must not hang us before fstat can tell what it is. */
#define READ_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define DIR_FLAGS  (O_PATH | O_DIRECTORY | O_CLOEXEC)

void vf_place_close(struct vf_place *p)
{
    vf_close_fd(&p->fd);
    vf_close_fd(&p->dirfd);
    free(p->name);
    p->name = NULL;
}

static int check_type(const struct stat *st, const char *name, struct vf_error *err)
{
    const char *what = "a character device";

    if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
        return 0;
    if (S_ISDIR(st->st_mode))
        what = "a directory";
    else if (S_ISFIFO(st->st_mode))
        what = "a FIFO";
    else if (S_ISSOCK(st->st_mode))
        what = "a socket";
    else if (S_ISLNK(st->st_mode))
        what = "a symbolic link";
    return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                        "'%s' is %s; an image is a regular file or a block device", name, what);
}

static int leaves(const char *path, struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_DENIED, 0, "'%s' leaves its directory or is a symbolic link",
                        path);
}

/* open, one part of the path after the other, so that no symbolic link is passed and dirfd is not
 * left.  (openat2 can do this at once, but not on every kernel and not in every sandbox.) */
static int open_beneath(int dirfd, const char *path, int flags, struct vf_error *err)
{
    int at = -1, fd = -1;

    if (*path == '/')
        return leaves(path, err);
    for (const char *p = path; fd < 0;) {
        size_t len = strcspn(p, "/");
        bool last = !p[len + strspn(p + len, "/")];
        char *part = vf_strf(err, "%.*s", (int)len, p);
        bool up = part && strcmp(part, "..") == 0;
        int next = -1, sys;

        if (part && !up)
            next = openat(at < 0 ? dirfd : at, part, (last ? flags : DIR_FLAGS) | O_NOFOLLOW);
        sys = errno;
        vf_close_fd(&at);
        free(part);
        if (!part)
            return -1;
        if (up || (next < 0 && (sys == ELOOP || sys == ENOTDIR)))
            return leaves(path, err);
        if (next < 0)
            return vf_error_sys(err, sys, "open '%s'", path);
        if (last)
            fd = next;
        else
            at = next;
        p += len + strspn(p + len, "/");
    }
    return fd;
}

static int open_at(int dirfd, const char *path, int flags, bool beneath, struct vf_error *err)
{
    int fd;

    if (beneath)
        return open_beneath(dirfd, path, flags, err);
    fd = openat(dirfd, path, flags);
    return fd >= 0 ? fd : vf_error_sys(err, errno, "open '%s'", path);
}

/* Opens the directory part of path and copies the rest. */
static int split(struct vf_place *p, int dirfd, const char *path, bool beneath,
                 struct vf_error *err)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    size_t len = slash ? (size_t)(slash - path) : 0;
    char *dir = slash ? vf_strf(err, "%.*s", (int)(len ? len : 1), path) : vf_strdup(".", err);

    if (!dir)
        return -1;
    p->name = vf_strdup(base, err);
    p->dirfd = p->name ? open_at(dirfd, dir, DIR_FLAGS, beneath, err) : -1;
    free(dir);
    return p->dirfd < 0 ? -1 : 0;
}

int vf_place_top(struct vf_place *ret, int dirfd, const char *path, bool beneath,
                 struct vf_error *err)
{
    struct vf_place p = VF_PLACE_INIT;
    struct vf_error why = VF_ERROR_INIT;

    if (!*path || strlen(path) > PATH_MAX)
        return vf_error_set(err, VF_ERR_USAGE, 0, "'%.64s' is not the name of an image", path);
    /* Asked first because opening a socket only says "no such device".  Not beneath a directory: a
     * peer must not learn what exists elsewhere. */
    if (!beneath && fstatat(dirfd, path, &p.st, 0) < 0)
        return vf_error_sys(err, errno, "open '%s'", path);
    if (!beneath && check_type(&p.st, path, err) < 0)
        return -1;
    if (split(&p, dirfd, path, beneath, err) < 0)
        goto fail;
    p.fd = open_at(p.dirfd, p.name, READ_FLAGS, beneath, &why);
    if (p.fd < 0) { /* the whole name */
        (void)(beneath ? vf_error_pass(err, &why) : vf_error_sys(err, why.sys, "open '%s'", path));
        goto fail;
    }
    if (fstat(p.fd, &p.st) < 0) {
        (void)vf_error_sys(err, errno, "look at '%s'", path); /* the goto says it */
        goto fail;
    }
    if (check_type(&p.st, path, err) < 0)
        goto fail;
    *ret = p;
    return 0;
fail:
    vf_place_close(&p);
    return -1;
}

/* The directory in which the open file really lies, whatever name it was opened by. */
static int real_dir(int fd, struct stat *ret)
{
    char link[32], path[PATH_MAX];
    struct stat open_st, named_st;
    char *slash;
    ssize_t n;

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd); /* always fits */
    n = readlink(link, path, sizeof path - 1);
    if (n <= 0 || path[0] != '/')
        return -1;
    path[n] = 0;
    /* A removed or renamed file, or one outside our view of the file system. */
    if (fstat(fd, &open_st) < 0 || lstat(path, &named_st) < 0 ||
        open_st.st_dev != named_st.st_dev || open_st.st_ino != named_st.st_ino)
        return -1;
    slash = strrchr(path, '/');
    slash[slash == path] = 0; /* the root directory keeps its slash */
    return stat(path, ret);
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* dir may be NULL. */
static bool allowed(const struct stat *st, const struct stat *dir, const struct vf_open_opts *o)
{
    for (size_t i = 0; i < o->n_allow_backing; i++) {
        struct stat a;

        if (stat(o->allow_backing[i], &a) < 0)
            continue; /* names nothing, so allows nothing */
        if (same(&a, st) ||
            (S_ISBLK(a.st_mode) && S_ISBLK(st->st_mode) && a.st_rdev == st->st_rdev))
            return true;
        if (dir && S_ISDIR(a.st_mode) && S_ISREG(st->st_mode) && same(&a, dir))
            return true;
    }
    return false;
}

/* path_fd: an O_PATH descriptor of what was named. */
static int may_open(int path_fd, const struct stat *st, const char *ref,
                    const struct vf_place *home, const struct vf_open_opts *o, struct vf_error *err)
{
    struct stat dir, home_dir;
    bool have_dir = real_dir(path_fd, &dir) == 0;

    /* "The same directory" means nothing among devices: there it is /dev. */
    if (have_dir && S_ISREG(st->st_mode) && S_ISREG(home->st.st_mode) &&
        real_dir(home->fd, &home_dir) == 0 && same(&dir, &home_dir))
        return 0;
    if (allowed(st, have_dir ? &dir : NULL, o))
        return 0;
    return vf_error_set(
        err, VF_ERR_DENIED, 0,
        "'%s' lies outside the directory of '%s' and is not allowed by name (--allow-backing)", ref,
        home->name);
}

int vf_place_find(struct vf_place *ret, const struct vf_place *from, const char *ref,
                  const struct vf_place *home, const struct vf_open_opts *o, struct vf_error *err)
{
    struct vf_place p = VF_PLACE_INIT;
    int path_fd = -1, rc = -1;
    char link[32];

    /* What QEMU would take for a protocol: json:, nbd:, ssh:, fat: and the like. */
    if (strcspn(ref, ":") < strcspn(ref, "/") && strchr(ref, ':'))
        return vf_error_set(err, VF_ERR_DENIED, 0, "'%.100s' is not the name of a file", ref);
    /* O_PATH: nothing happens to what is named before it was found to be allowed. */
    path_fd = openat(from->dirfd, ref, O_PATH | O_CLOEXEC);
    if (path_fd < 0 || fstat(path_fd, &p.st) < 0) {
        (void)vf_error_sys(err, errno, "open '%s'", ref); /* rc is -1 already */
        goto out;
    }
    if (check_type(&p.st, ref, err) < 0 || may_open(path_fd, &p.st, ref, home, o, err) < 0 ||
        split(&p, from->dirfd, ref, false, err) < 0)
        goto out;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", path_fd); /* always fits */
    p.fd = open_at(AT_FDCWD, link, READ_FLAGS, false, err);
    if (p.fd < 0) {
        (void)vf_error_prefix(err, "'%s'", ref); /* rc is -1 already */
        goto out;
    }
    *ret = p;
    p = (struct vf_place)VF_PLACE_INIT;
    rc = 0;
out:
    vf_place_close(&p);
    vf_close_fd(&path_fd);
    return rc;
}
