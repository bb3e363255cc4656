/* hypervisor/overlay.c - the files of overlays. */
#include "hypervisor/overlay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/proc.h"
#include "core/thread.h"

#define LOOK_MS 100
#define TRIES   100 /* for QEMU to let go of its files */

/* Owned. */
static char *file_of(const char *path, const char *dir, unsigned n, struct vf_error *err)
{
    const char *slash = strrchr(path, '/');

    return dir && slash ? vf_strf(err, "%s/%s" VF_OVERLAY_MARK "%u", dir, slash + 1, n)
                        : vf_strf(err, "%s" VF_OVERLAY_MARK "%u", path, n);
}

char *vf_overlay_new(const char *path, const char *dir, unsigned n, struct vf_error *err)
{
    char *ret = file_of(path, dir, n, err);
    struct stat sb;

    if (ret && lstat(ret, &sb) == 0) {
        (void)vf_error_set(err, VF_ERR_EXISTS, 0,
                           "'%s' is in the way: it may hold what a guest wrote; fold it in with "
                           "`qemu-img commit`, or remove it",
                           ret);
        free(ret);
        ret = NULL;
    }
    return ret;
}

/* Is there an overlay with that number?  Then *ret is its path (owned). */
static bool has_overlay(const char *path, const char *dir, unsigned n, char **ret)
{
    struct stat sb;

    *ret = file_of(path, dir, n, NULL);
    if (*ret && lstat(*ret, &sb) == 0 && S_ISREG(sb.st_mode))
        return true;
    free(*ret);
    *ret = NULL;
    return false;
}

static int commit_file(const char *base, const char *top, struct vf_error *err)
{
    const char *argv[] = {"qemu-img", "commit", "-q", "-f", "qcow2", "-b", base, top, NULL};
    int rc = -1;

    for (int n = 0; n < TRIES && rc < 0; n++) { /* QEMU may hold its locks a moment longer */
        rc = vf_proc_run(argv, NULL, -1, err);
        if (rc < 0)
            vf_thread_nap(LOOK_MS);
    }
    return rc < 0 ? vf_error_prefix(err, "overlay '%s'", top) : 0;
}

/* What overlay n lies on. */
static const char *below(char *const file[], unsigned n, const char *path)
{
    while (n > 0)
        if (file[--n])
            return file[n];
    return path;
}

/* Each into the one below, from the top: to write them all at once qemu-img forbids others to read
 * those between, which a QEMU does that does not end although its guest has gone. */
int vf_overlay_fold(const char *path, const char *dir, struct vf_error *err)
{
    char *file[VF_OVERLAY_MAX] = {NULL};
    int rc = 0;

    for (unsigned n = 0; n < VF_OVERLAY_MAX; n++)
        (void)has_overlay(path, dir, n, &file[n]);
    for (unsigned n = VF_OVERLAY_MAX; n-- > 0;) {
        if (!file[n])
            continue;
        /* Without the lowest, all was folded in before: a running QEMU's are removed from there. */
        if (file[0] && rc == 0)
            rc = commit_file(below(file, n, path), file[n], err);
        if (rc == 0 && unlink(file[n]) < 0 && errno != ENOENT)
            rc = vf_error_sys(err, errno, "remove '%s'", file[n]);
        free(file[n]);
        file[n] = NULL;
    }
    return rc;
}

int vf_overlay_fold_all(const struct vf_guest_info *info, struct vf_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < info->ndisks; i++) {
        const struct vf_guest_disk *d = &info->disk[i];

        if (d->way == VF_DISK_COPY && !d->read_only &&
            vf_overlay_fold(d->path, info->overlay_dir, rc < 0 ? NULL : err) < 0)
            rc = -1;
    }
    return rc;
}
