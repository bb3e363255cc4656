#include "core/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/fdio.h"

char *vf_rundir_path(struct vf_error *err)
{
    const char *asked = getenv("VMFERRY_RUN_DIR"), *user = getenv("XDG_RUNTIME_DIR");

    if (asked && asked[0] == '/')
        return vf_strdup(asked, err);
    if (geteuid() == 0)
        return vf_strdup("/run/vmferry", err);
    if (user && user[0] == '/')
        return vf_strf(err, "%s/vmferry", user);
    (void)vf_error_set(err, VF_ERR_NOTFOUND, 0,
                       "XDG_RUNTIME_DIR is not set"); /* the NULL says it */
    return NULL;
}

int vf_rundir_open(struct vf_error *err)
{
    char *path = vf_rundir_path(err);
    struct stat st;
    int fd;

    if (!path)
        return -1;
    if (mkdir(path, 0700) < 0 && errno != EEXIST) {
        fd = vf_error_sys(err, errno, "'%s'", path);
        goto out;
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        (void)vf_error_sys(err, errno, "'%s'", path); /* fd says it */
    } else if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 022)) {
        vf_close_fd(&fd);
        fd = vf_error_set(err, VF_ERR_DENIED, 0, "'%s' is open to other users", path);
    }
out:
    free(path);
    return fd;
}

int vf_rundir_lock(int dirfd, const char *name, bool shared, struct vf_error *err)
{
    struct flock l = {
        .l_type = shared ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), sys;

    if (fd < 0)
        return vf_error_sys(err, errno, "'%s'", name);
    if (fcntl(fd, F_OFD_SETLK, &l) == 0)
        return fd;
    sys = errno;
    vf_close_fd(&fd);
    if (sys == EAGAIN || sys == EACCES)
        return vf_error_set(err, VF_ERR_BUSY, 0, "another process holds '%s'", name);
    return vf_error_sys(err, sys, "lock '%s'", name);
}

bool vf_rundir_locked(int dirfd, const char *name)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool set = fd >= 0 && fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;

    vf_close_fd(&fd);
    return set;
}
