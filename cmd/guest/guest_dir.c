/* cmd/guest/guest_dir.c - the directory of one guest. */
#include "cmd/guest/guest_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "hypervisor/hold.h"

#define FILE_MAX (2u << 20)

int vf_guest_dir_open(const struct vf_storedir *store, const char *name, struct vf_guest_dir *ret,
                      struct vf_error *err)
{
    struct vf_guest_dir d = VF_GUEST_DIR_INIT;

    d.path = vf_strf(err, "%s/run/vm-%s", store->path, name);
    if (!d.path || vf_mkdir_p(d.path, 0700, err) < 0) {
        free(d.path);
        return -1;
    }
    d.fd = open(d.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d.fd < 0) {
        (void)vf_error_sys(err, errno, "'%s'", d.path); /* the -1 says it */
        free(d.path);
        return -1;
    }
    *ret = d;
    return 0;
}

int vf_guest_dir_lock(struct vf_guest_dir *d, struct vf_error *err)
{
    struct stat a, b;

    d->lock_fd = openat(d->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->lock_fd < 0)
        return vf_error_sys(err, errno, "'%s/lock'", d->path);
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        int e = errno;

        vf_close_fd(&d->lock_fd);
        return e == EWOULDBLOCK ? vf_error_set(err, VF_ERR_BUSY, 0,
                                               "the guest is being moved already (%s)", d->path)
                                : vf_error_sys(err, e, "lock '%s/lock'", d->path);
    }
    /* Whoever held it before may have removed it at its end. */
    if (fstat(d->lock_fd, &a) == 0 && fstatat(d->fd, "lock", &b, AT_SYMLINK_NOFOLLOW) == 0 &&
        a.st_ino == b.st_ino)
        return 0;
    vf_close_fd(&d->lock_fd);
    return vf_error_set(err, VF_ERR_BUSY, 0, "the guest is being moved already (%s)", d->path);
}

json_t *vf_guest_dir_load(const struct vf_guest_dir *d, const char *file, struct vf_error *err)
{
    size_t len = 0;
    char *text = vf_read_small_file(d->fd, file, FILE_MAX, &len, err);
    json_t *obj = text ? json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL) : NULL;

    if (text && !json_is_object(obj)) {
        json_decref(obj);
        obj = NULL;
        (void)vf_error_set(err, VF_ERR_FORMAT, 0, "'%s/%s' is damaged", d->path, file);
    }
    free(text);
    return obj;
}

int vf_guest_dir_save(const struct vf_guest_dir *d, const char *file, const json_t *obj,
                      struct vf_error *err)
{
    char *text = obj ? json_dumps(obj, JSON_INDENT(1)) : NULL;
    int rc =
        text ? vf_replace_file(d->fd, file, text, strlen(text), 0600, err) : vf_error_nomem(err);

    free(text);
    return rc;
}

void vf_guest_dir_remove(const struct vf_guest_dir *d, const char *file)
{
    (void)unlinkat(d->fd, file, 0); /* what is left says less than it should, no more */
}

static bool ends(const char *name, const char *with)
{
    size_t len = strlen(name), n = strlen(with);

    return len > n && strcmp(name + len - n, with) == 0;
}

/* A process that held QEMU's connection for a move which is over.  It stays for some seconds, and
 * would take the next move's line for its own. */
static void end_holder(const struct vf_guest_dir *d)
{
    char *path = vf_strf(NULL, "%s/hold.out", d->path);

    if (path && vf_hold_end(path, NULL) < 0)
        (void)0; /* then it has some seconds */
    free(path);
}

/* Sockets of a move that was killed, and what it had not given its name yet.  While a move is
 * noted, processes that outlive this one may listen at its sockets. */
static void remove_litter(const struct vf_guest_dir *d)
{
    bool moves = faccessat(d->fd, "move.json", F_OK, 0) == 0;
    DIR *dir = opendir(d->path);
    const struct dirent *e;

    if (!moves)
        end_holder(d);
    while (dir && (e = readdir(dir)) != NULL) {
        if ((!moves && ends(e->d_name, ".out")) || (e->d_name[0] == '.' && ends(e->d_name, ".tmp")))
            (void)unlinkat(d->fd, e->d_name, 0); /* litter at worst */
    }
    if (dir)
        (void)closedir(dir); /* was read only */
}

void vf_guest_dir_close(struct vf_guest_dir *d)
{
    if (d->lock_fd >= 0)
        remove_litter(d);
    /* The lock goes first, and only by its holder. */
    if (d->lock_fd >= 0 && unlinkat(d->fd, "lock", 0) == 0 && rmdir(d->path) < 0 &&
        errno == ENOTEMPTY) {
        int again = openat(d->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        vf_close_fd(&again);
    }
    vf_close_fd(&d->lock_fd);
    vf_close_fd(&d->fd);
    free(d->path);
    d->path = NULL;
}
