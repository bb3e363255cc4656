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
#include "core/block.h"
#include "core/image.h"
#include "hypervisor/view.h"

#define VF_READGUEST_HOLD_MS 15000 /* libvirt's other jobs wait for 30 s */
#define VF_READGUEST_IDLE_MS 1000  /* a view that nobody reads is closed */
#define VF_READGUEST_GAP_MS  1000  /* between views: who waits for the guest gets it */

/* What the settings say.  false: guests are not to be read. */
bool vf_readguest_opts(const struct vf_settings *set, struct vf_view_opts *ret);

#define VF_READGUEST_RUNS 65536u /* more changes than that: everything is read */

/* What has changed since the last reading, by marks (hypervisor/view.h). */
struct vf_readguest_track {
    const char *prefix;     /* of all marks of this store and disk */
    const char *since;      /* of the last reading; NULL: there was none */
    const char *mark;       /* is set when this reading begins */
    bool marked;            /* result: it was */
    bool known;             /* result: what changed is known */
    struct vf_run *changed; /* owned */
    size_t n;
};
void vf_readguest_track_free(struct vf_readguest_track *t); /* only what it owns */

/* Opens the disk whose file is at path, of that format; opts is borrowed for the life of the image,
 * *track (may be NULL) until this returns.  NULL: BUSY when no guest that can be read has it, or
 * just now not; UNSUPPORTED when it uses it as another format; what vf_view_begin says. */
struct vf_image *vf_readguest_open(const struct vf_view_opts *opts, const char *path,
                                   const char *format, struct vf_readguest_track *track,
                                   struct vf_error *err);

/* After the reading, of an image that was opened with track: removes the marks that are of no more
 * use: its own when that failed, else all others.  What cannot be removed is removed next time. */
void vf_readguest_settle(struct vf_image *im, const struct vf_readguest_track *track, bool done);

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
