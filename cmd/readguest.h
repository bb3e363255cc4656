/* cmd/readguest.h - the content of a disk that a running guest is writing, read through its
 * hypervisor.
 *
 * The image is what the guest sees, but not of one moment: it is read through views
 * (hypervisor/view.h) one after the other, each open for VF_READGUEST_HOLD_MS at most and closed as
 * soon as nobody reads.  So it serves where all that is read gets verified, or is known to be of
 * some time ago.
 *
 * Thread rules: an image as core/image.h says; the rest belongs to one thread at a time. */
#ifndef VF_CMD_READGUEST_H
#define VF_CMD_READGUEST_H

#include <stdbool.h>

#include "cmd/settings.h"
#include "core/image.h"
#include "hypervisor/view.h"

#define VF_READGUEST_HOLD_MS 15000 /* libvirt's other jobs wait for 30 s */
#define VF_READGUEST_IDLE_MS 1000  /* a view that nobody reads is closed */
#define VF_READGUEST_GAP_MS  1000  /* between views: who waits for the guest gets it */

/* What the settings say.  false: guests are not to be read. */
bool vf_readguest_opts(const struct vf_settings *set, struct vf_view_opts *ret);

/* Opens the disk whose file is at path, of that format; opts is borrowed for the life of the image.
 * NULL: BUSY when no guest that can be read has it, or just now not; UNSUPPORTED when it uses it as
 * another format; what vf_view_begin says. */
struct vf_image *vf_readguest_open(const struct vf_view_opts *opts, const char *path,
                                   const char *format, struct vf_error *err);

/* Which files can be read, asked once and kept; for many questions one after the other. */
struct vf_readable {
    const struct vf_view_opts *opts; /* NULL: no guests; borrowed */
    bool asked;
    struct vf_view_list guests;
};
void vf_readable_free(struct vf_readable *r); /* zeroes it; opts, too */

/* Is the image at path readable: written by nobody, or by a guest that can be asked? */
bool vf_readable_is(struct vf_readable *r, const char *path);

#endif
