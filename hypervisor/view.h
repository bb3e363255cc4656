/* hypervisor/view.h - the disk of a running guest as the hypervisor shows it: at one moment, read
 * only, for a short while.
 *
 * A view is a pull-mode backup of libvirt: QEMU offers the disk on a Unix socket (NBD) and, until
 * the view ends, copies what the guest is about to overwrite to a scratch file first.  The guest
 * runs on.  What that costs is bounded by whoever holds the view: by its time, and by the size of
 * the scratch file.  While a view is there, libvirt lets snapshots, migrations and other backups of
 * that guest wait (for 30 seconds at most), so views must be short.
 *
 * Who holds the view of a guest holds a lock in core/rundir.h, which goes with the process: a view
 * without one is left over from a process that died, and is ended by the next process that comes
 * by. Backups that are not ours are never touched.
 *
 * Thread rules: a view belongs to one thread at a time. */
#ifndef VF_HYPERVISOR_VIEW_H
#define VF_HYPERVISOR_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

#define VF_VIEW_EXPORT "vmferry" /* name of the NBD export */

struct vf_view_opts {
    const char *uri;     /* of libvirt; NULL: qemu:///system */
    const char *scratch; /* directory of scratch files, which QEMU must be able to reach; NULL: the
                      image's own */
    char **qmp;          /* QMP sockets of further guests: patterns as of the shell */
    size_t nqmp;
    bool no_libvirt; /* only those */
};
/* *ret owns its texts, however this ends. */
int vf_view_opts_copy(const struct vf_view_opts *from, struct vf_view_opts *ret,
                      struct vf_error *err) VF_MUST_CHECK;
void vf_view_opts_free(struct vf_view_opts *o); /* zeroes it */

/* Which disk of which guest. */
struct vf_view_disk {
    char *guest;       /* name, for people */
    char *uuid;        /* of the guest */
    char *target;      /* "vda" */
    char *path;        /* of its file */
    char *format;      /* as the hypervisor reads it: "qcow2" */
    uint64_t dev, ino; /* of the file */
    char *qmp;         /* socket; NULL: a domain of libvirt */
};
void vf_view_disk_free(struct vf_view_disk *d); /* zeroes it */

struct vf_view_list {
    struct vf_view_disk *disk;
    size_t n;
};
/* The disks of all running guests of libvirt that are files of this host (not what lies below
 * them). No libvirt: none.  0 and *ret owned, or -1 when libvirt does not answer as it should. */
int vf_view_list(const struct vf_view_opts *opts, struct vf_view_list *ret,
                 struct vf_error *err) VF_MUST_CHECK;
void vf_view_list_free(struct vf_view_list *l); /* zeroes it */

/* The disk whose file is the one at path; NULL: none has it.  Borrowed from the list. */
const struct vf_view_disk *vf_view_find(const struct vf_view_list *l, const char *path);

/* Marks: libvirt's checkpoints, by which a later view can tell what has changed.  They are kept in
 * the disk's qcow2 file over the end of the guest.  While a domain has any, libvirt makes no
 * external snapshots of it. */
#define VF_VIEW_MARK   "vmferry-" /* what all our names begin with */
#define VF_VIEW_BITMAP "vmferry"  /* the export's context is then qemu:dirty-bitmap:vmferry */
struct vf_view_track {
    const char *since; /* an earlier mark; NULL: no bitmap */
    const char *mark;  /* set in the moment that the view shows; NULL: none */
};

/* Removes all marks of the disk's guest whose names begin with prefix, but `except` (NULL: none).
 */
int vf_view_forget(const struct vf_view_opts *opts, const struct vf_view_disk *disk,
                   const char *prefix, const char *except, struct vf_error *err);

struct vf_view;
/* Begins a view; track may be NULL.  NULL: BUSY when something else is at work on the guest
 * (another view, a backup, a migration); SPACE when the scratch file has too little room; CHANGED
 * when the guest has the disk no more; UNREACHABLE, DENIED, UNSUPPORTED, IO. */
struct vf_view *vf_view_begin(const struct vf_view_opts *opts, const struct vf_view_disk *disk,
                              const struct vf_view_track *track, struct vf_error *err);
const char *vf_view_socket(const struct vf_view *v); /* path; valid until the end */

/* Has the scratch file grown too large, or its disk too full?  Then end the view soon: QEMU fails
 * the guest's own writes when nothing is left there. */
bool vf_view_costly(const struct vf_view *v);

/* Ends it, if nobody else has; returns when the hypervisor has let go.  NULL is fine. */
void vf_view_end(struct vf_view *v);

/* Ends what dead processes have left.  *ret_ended: how many.  0, or -1. */
int vf_views_clean(const struct vf_view_opts *opts, unsigned *ret_ended,
                   struct vf_error *err) VF_MUST_CHECK;

#endif
