/* formats/place.h - opening image files, and the files that they name, without trusting names.
 *
 * Thread rules: any thread; a place belongs to one thread at a time. */
#ifndef VF_FORMATS_PLACE_H
#define VF_FORMATS_PLACE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "core/error.h"
#include "formats/format.h"

/* An open regular file or block device, and where it was found. */
struct vf_place {
    int fd;     /* read-only */
    int dirfd;  /* O_PATH: the directory of its name */
    char *name; /* there; no slash */
    struct stat st;
};
#define VF_PLACE_INIT                                                                              \
    {                                                                                              \
        .fd = -1, .dirfd = -1                                                                      \
    }

/* The file that the user named; beneath as in struct vf_open_opts.  On failure *ret is empty. */
int vf_place_top(struct vf_place *ret, int dirfd, const char *path, bool beneath,
                 struct vf_error *err) VF_MUST_CHECK;

/* The file that an image found in from names as ref; home is the image that all began with.  Only a
 * regular file whose real directory is that of home, or what o allows by name; otherwise DENIED. */
int vf_place_find(struct vf_place *ret, const struct vf_place *from, const char *ref,
                  const struct vf_place *home, const struct vf_open_opts *o,
                  struct vf_error *err) VF_MUST_CHECK;

void vf_place_close(struct vf_place *p); /* an empty one is fine */

#endif
