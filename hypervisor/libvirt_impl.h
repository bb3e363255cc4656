/* hypervisor/libvirt_impl.h - what the files of the libvirt implementation share; nobody else
 * includes it.
 *
 * Overlay files (overlay.h) are found by their names in the domain's own description. */
#ifndef VF_HYPERVISOR_LIBVIRT_IMPL_H
#define VF_HYPERVISOR_LIBVIRT_IMPL_H

#include <libvirt/libvirt.h>

#include "hypervisor/hypervisor.h"
#include "hypervisor/libvirt_eye.h"
#include "hypervisor/libvirt_xml.h"
#include "hypervisor/overlay.h"

#define VF_LV_URI      "qemu:///system"
#define VF_LV_DISKS    "/domain/devices/disk"
#define VF_LV_FILE_MAX (8u << 20)  /* UEFI variables: 528 KiB are usual */
#define VF_LV_PIECE    (16u << 10) /* of such a file in one question */

struct vf_lv_guest {
    struct vf_guest guest; /* first */
    virConnectPtr conn;
    virDomainPtr dom;
    const volatile int *stop;
    bool frozen;          /* once at least: disks that nobody writes were handed out */
    struct vf_lv_eye eye; /* lives as long as the tunnels may use it */
};

/* Silences libvirt's own messages and connects; NULL uri: VF_LV_URI.  NULL: VF_ERR_UNREACHABLE,
 * VF_ERR_DENIED. */
virConnectPtr vf_lv_connect(const char *uri, struct vf_error *err);

/* libvirt's last error of this thread as ours, "what: its message"; returns -1. */
int vf_lv_error(struct vf_error *err, const char *what);

/* Where a disk's content comes from now, and below it. */
struct vf_lv_chain {
    char *target;                  /* "vda" */
    char *top;                     /* the file that the guest writes */
    char *base, *base_format;      /* the first that is not an overlay of ours; may be top */
    char *overlay[VF_OVERLAY_MAX]; /* ours, from the top */
    unsigned overlays;
};
void vf_lv_chain_free(struct vf_lv_chain *c); /* zeroes it */

/* The disk number n of the document (in its order); files only are read, never written.  c->top is
 * "" for a drive without a file of this host. */
int vf_lv_chain_read(struct vf_lv_xml *x, size_t n, struct vf_lv_chain *c,
                     struct vf_error *err) VF_MUST_CHECK;

/* The same for the disk with that target. */
int vf_lv_chain_of(struct vf_lv_xml *x, const char *target, struct vf_lv_chain *c,
                   struct vf_error *err) VF_MUST_CHECK;

/* Does this file have a backing file?  1, 0, or -1. */
int vf_lv_is_backed(const char *path, const char *format, struct vf_error *err) VF_MUST_CHECK;

/* The domain's description: of the running guest, or with VIR_DOMAIN_XML_INACTIVE what is kept. */
struct vf_lv_xml *vf_lv_domain_xml(virDomainPtr dom, unsigned flags, struct vf_error *err);

/* libvirt.c */
int vf_lv_describe(struct vf_guest *, struct vf_guest_info *ret, struct vf_error *err);

/* libvirt_view.c: waits until no view of ours is open on the domain; one whose holder has died is
 * ended.  0, or -1 when the time is over. */
int vf_lv_view_yield(virDomainPtr dom, int timeout_ms, const volatile int *stop) VF_MUST_CHECK;

/* Removes the checkpoints whose names begin with prefix, but `except` (NULL: none). */
int vf_lv_marks_remove(virDomainPtr dom, const char *prefix, const char *except) VF_MUST_CHECK;

/* libvirt_disks.c */
int vf_lv_freeze(struct vf_guest *, const struct vf_guest_info *info, const char *dir,
                 struct vf_frozen **ret_frozen, struct vf_error *err);
int vf_lv_changed(struct vf_guest *, const struct vf_guest_info *info, uint64_t *ret_bytes,
                  struct vf_error *err);
/* Folds all overlays of ours into what lies below them, running guest or not. */
int vf_lv_fold(struct vf_lv_guest *g, bool *ret_found, struct vf_error *err) VF_MUST_CHECK;

/* libvirt_undo.c */
int vf_lv_recover(struct vf_guest *, bool resume, bool *ret_found, struct vf_error *err);
int vf_lv_roll_back(struct vf_guest *, const struct vf_guest_info *info, struct vf_error *err);
int vf_lv_finish(struct vf_guest *, const struct vf_guest_info *info, int64_t *ret_left,
                 struct vf_error *err);

/* libvirt_hand_off.c */
int vf_lv_hand_off(struct vf_guest *, const struct vf_guest_info *info, struct vf_far *far,
                   const struct vf_hand_off_opts *opts, struct vf_hand_off_result *ret,
                   struct vf_error *err);

#endif
