/* cmd/guest/guest_rehearse.c - empty files in place of disks. */
#include "cmd/guest/guest_rehearse.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/checked.h"
#include "formats/writer.h"

static int make_one(struct vf_guest_arrival *a, size_t i, char **ret_path, struct vf_error *err)
{
    const struct vf_arrival_disk *d = &a->disk[i];
    struct vf_image_desc like = {.format = d->format, .virtual_size = d->size};
    char *name = vf_strf(err, VF_STAND_IN "%zu", i);
    struct vf_image *image = NULL;

    if (name && unlinkat(a->dir.fd, name, 0) < 0 && errno != ENOENT) /* of one that was killed */
        (void)vf_error_sys(err, errno, "remove '%s/%s'", a->dir.path, name); /* the -1 says it */
    else if (name)
        *ret_path = vf_strf(err, "%s/%s", a->dir.path, name);
    if (name && *ret_path)
        image = vf_writer_create(a->dir.fd, name, &like, err);
    vf_image_close(image);
    free(name);
    return image ? 0 : -1;
}

int vf_guest_rehearse(struct vf_guest_arrival *a, struct vf_error *err)
{
    size_t n = a->info.ndisks;
    char **path;
    int rc = 0;

    if (!a->arrival->ops->rehearse)
        return 0;
    path = vf_calloc(n, sizeof(char *), err);
    if (!path)
        return -1;
    for (size_t i = 0; i < n && rc == 0; i++)
        if (a->disk[i].way == VF_DISK_COPY)
            rc = make_one(a, i, &path[i], err);
    if (rc == 0)
        rc = a->arrival->ops->rehearse(a->arrival, (const char *const *)path, err);
    for (size_t i = 0; i < n; i++) {
        if (path[i])
            (void)unlink(path[i]); /* litter at worst */
        free(path[i]);
    }
    free(path);
    vf_guest_dir_remove(&a->dir, "log"); /* what it has said is in *err */
    return rc;
}
