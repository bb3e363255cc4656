/* hypervisor/overlay.h - the files of overlays, of QMP guests and libvirt domains alike.
 *
 * They are called <disk's file>.vmferry-<n>, and lie beside that file or in a directory that freeze
 * was told, so that a later try finds them without any memory of its own.
 *
 * Any thread. */
#ifndef VF_HYPERVISOR_OVERLAY_H
#define VF_HYPERVISOR_OVERLAY_H

#include "hypervisor/hypervisor.h"

#define VF_OVERLAY_MARK ".vmferry-"
#define VF_OVERLAY_MAX  64u /* of one disk: freezes of it at most */

/* The file of overlay n of the disk at path; dir NULL: beside it.  Returns owned.  NULL:
 * VF_ERR_EXISTS when there is such a file already, VF_ERR_NOMEM. */
char *vf_overlay_new(const char *path, const char *dir, unsigned n, struct vf_error *err);

/* What is left of a guest whose QEMU has ended while it was moved, or has let go of its disks for
 * good: folds the overlays of the disk at path into it (qemu-img), and removes them.  Nothing to do
 * is fine. */
int vf_overlay_fold(const char *path, const char *dir, struct vf_error *err);

/* The same for all disks of a guest that had overlays; a disk that fails does not keep the others
 * from it. */
int vf_overlay_fold_all(const struct vf_guest_info *info, struct vf_error *err) VF_MUST_CHECK;

#endif
