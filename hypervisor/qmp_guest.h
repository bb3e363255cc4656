/* hypervisor/qmp_guest.h - what the files of the QMP source half share; nobody else includes it.
 *
 * Everything of ours in a QEMU has a name that begins with "vmferry-", so that a later try finds it
 * without any memory of its own:
 *   vmferry-o<disk>-<n>  overlay nodes     vmferry-t<disk>  far images (NBD)
 *   vmferry-m<disk>      mirror jobs       vmferry-c<disk>  commit jobs
 *   vmferry-v<disk>      views of disks (exports of QEMU's NBD server)
 * Overlay files: overlay.h. */
#ifndef VF_HYPERVISOR_QMP_GUEST_H
#define VF_HYPERVISOR_QMP_GUEST_H

#include "hypervisor/hypervisor.h"
#include "hypervisor/overlay.h"
#include "hypervisor/qmp.h"

#define VF_QMP_OURS     "vmferry-"
#define VF_QMP_NODE_MAX 32u /* QEMU's own limit, with the zero */

/* A disk while it is moved. */
struct vf_qmp_disk {
    char *base;                    /* node of the disk's own file */
    char *top;                     /* node that the guest writes now */
    char *overlay[VF_OVERLAY_MAX]; /* files, from the bottom */
    unsigned overlays;
};

struct vf_qmp_guest {
    struct vf_guest guest; /* first */
    char *name, *path;
    const volatile int *stop;
    struct vf_qmp *q;         /* NULL when QEMU is gone */
    struct vf_qmp_disk *disk; /* as many as info had at the first freeze */
    size_t ndisks;
    bool frozen; /* once at least: disks that nobody writes were handed out */
    bool was_paused;
    bool whole;  /* all of its memory is known to be at the far end */
    int64_t pid; /* of its QEMU; 0: not known */
    int pidfd;   /* of that, or -1 */
};

/* Waits for the end (what BLOCK_JOB_COMPLETED) or the readiness (BLOCK_JOB_READY) of a job.  An end
 * with an error, or an end that was not waited for, is -1. */
int vf_qmp_job_wait(struct vf_qmp *q, const char *id, const char *what, int timeout_ms,
                    struct vf_error *err) VF_MUST_CHECK;

/* qmp_disks.c */
int vf_qmp_freeze(struct vf_guest *, const struct vf_guest_info *info, const char *dir,
                  struct vf_frozen **ret_frozen, struct vf_error *err) VF_MUST_CHECK;
int vf_qmp_changed(struct vf_guest *, const struct vf_guest_info *info, uint64_t *ret_bytes,
                   struct vf_error *err) VF_MUST_CHECK;
void vf_qmp_disks_free(struct vf_qmp_guest *g);

/* qmp_undo.c */
int vf_qmp_recover(struct vf_guest *, bool resume, bool *ret_found,
                   struct vf_error *err) VF_MUST_CHECK;
int vf_qmp_roll_back(struct vf_guest *, const struct vf_guest_info *info,
                     struct vf_error *err) VF_MUST_CHECK;
/* Removes mirror jobs and far nodes; *ret_found (may be NULL) becomes true if there were any. */
int vf_qmp_drop_mirrors(struct vf_qmp *q, bool *ret_found, struct vf_error *err);

/* qmp_end.c */
/* Finds out which process it is, as long as it answers. */
void vf_qmp_find_process(struct vf_qmp_guest *g);
int vf_qmp_finish(struct vf_guest *, const struct vf_guest_info *info, int64_t *ret_left,
                  struct vf_error *err) VF_MUST_CHECK;

/* qmp_exports.c */
int vf_qmp_exports_begin(struct vf_guest *, const struct vf_guest_info *info, const char *socket,
                         struct vf_error *err) VF_MUST_CHECK;
/* Ends views, also those of an earlier try; ret_found as above. */
int vf_qmp_exports_end(struct vf_qmp *q, bool *ret_found, struct vf_error *err);

/* qmp_hand_off.c */
/* The source's socket of that name, in its own directory; returns owned. */
char *vf_qmp_out(const struct vf_far *far, const char *name, struct vf_error *err);
int vf_qmp_hand_off(struct vf_guest *, const struct vf_guest_info *info, struct vf_far *far,
                    const struct vf_hand_off_opts *opts, struct vf_hand_off_result *ret,
                    struct vf_error *err) VF_MUST_CHECK;

#endif
