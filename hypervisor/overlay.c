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

static int commit_file(const char *path, const char *top, struct vf_error *err)
{
    const char *argv[] = {"qemu-img", "commit", "-q", "-f", "qcow2", "-b", path, top, NULL};
    int rc = -1;

    for (int n = 0; n < TRIES && rc < 0; n++) { /* QEMU may hold its locks a moment longer */
        rc = vf_proc_run(argv, NULL, -1, err);
        if (rc < 0)
            vf_thread_nap(LOOK_MS);
    }
    return rc < 0 ? vf_error_prefix(err, "overlay '%s'", top) : 0;
}

int vf_overlay_fold(const char *path, const char *dir, struct vf_error *err)
{
    char *file[VF_OVERLAY_MAX] = {NULL};
    unsigned top = 0;
    int rc = 0;

    for (unsigned n = 0; n < VF_OVERLAY_MAX; n++)
        if (has_overlay(path, dir, n, &file[n]))
            top = n;
    /* The lowest is removed first: without it, all was folded in before. */
    if (file[0])
        rc = commit_file(path, file[top], err);
    for (unsigned n = 0; n < VF_OVERLAY_MAX; n++) {
        if (rc == 0 && file[n] && unlink(file[n]) < 0 && errno != ENOENT)
            rc = vf_error_sys(err, errno, "remove '%s'", file[n]);
        free(file[n]);
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
