/* hypervisor/libvirt_undo.c - back to what the domain was, or the end of it here. */
#include "hypervisor/libvirt_impl.h"

#include <string.h>

#include <libvirt/virterror.h>

#include "core/thread.h"

static struct vf_lv_guest *of(struct vf_guest *g) { return (struct vf_lv_guest *)g; }

/* Ends a migration that is under way, and waits until libvirt has put the guest in order. */
static int end_migration(struct vf_lv_guest *g, bool *found, struct vf_error *err)
{
    virDomainJobInfo job = {0};

    for (int tries = 0; tries < 600; tries++) {
        if (virDomainGetJobInfo(g->dom, &job) < 0 || job.type == VIR_DOMAIN_JOB_NONE ||
            job.type >= VIR_DOMAIN_JOB_COMPLETED)
            return 0;
        *found = true;
        (void)virDomainAbortJob(g->dom); /* too late or too early: the next round tells */
        vf_thread_nap(50);
    }
    return vf_error_set(err, VF_ERR_TIMEOUT, 0, "libvirt does not end its migration of the guest");
}

/* 1: it is active, 0: not, -1. */
static int state_of(struct vf_lv_guest *g, int *ret_state, int *ret_reason, struct vf_error *err)
{
    if (virDomainGetState(g->dom, ret_state, ret_reason, 0) < 0)
        return vf_lv_error(err, "the guest's state");
    return *ret_state != VIR_DOMAIN_SHUTOFF && *ret_state != VIR_DOMAIN_CRASHED;
}

/* Lets it run again when a hand-off has stopped it. */
static int resume_guest(struct vf_lv_guest *g, bool *found, struct vf_error *err)
{
    int state, reason, active = state_of(g, &state, &reason, err);

    if (active <= 0)
        return active;
    if (state != VIR_DOMAIN_PAUSED || reason == VIR_DOMAIN_PAUSED_USER ||
        reason == VIR_DOMAIN_PAUSED_IOERROR)
        return 0;
    *found = true;
    return virDomainResume(g->dom) < 0 ? vf_lv_error(err, "letting the guest run again") : 0;
}

/* libvirt was left in the middle of moving it, and has it stand still: ending that would let it run
 * again. */
static bool is_left_still(struct vf_lv_guest *g)
{
    virDomainJobInfo job = {0};
    int state, reason;

    return virDomainGetState(g->dom, &state, &reason, 0) == 0 && state == VIR_DOMAIN_PAUSED &&
           (reason == VIR_DOMAIN_PAUSED_MIGRATION ||
            (virDomainGetJobInfo(g->dom, &job) == 0 && job.type != VIR_DOMAIN_JOB_NONE));
}

int vf_lv_recover(struct vf_guest *guest, bool resume, bool *ret_found, struct vf_error *err)
{
    struct vf_lv_guest *g = of(guest);
    bool found = false;
    int rc;

    if (!resume && is_left_still(g)) {
        if (ret_found)
            *ret_found = true;
        return 0;
    }
    rc = end_migration(g, &found, err);

    if (rc == 0 && resume)
        rc = resume_guest(g, &found, err);
    if (rc == 0)
        rc = vf_lv_fold(g, &found, err);
    if (ret_found)
        *ret_found = found;
    return rc;
}

int vf_lv_roll_back(struct vf_guest *guest, const struct vf_guest_info *info, struct vf_error *err)
{
    return vf_lv_recover(guest, !info->paused, NULL, err);
}

static unsigned undefine_flags(void)
{
    return VIR_DOMAIN_UNDEFINE_NVRAM | VIR_DOMAIN_UNDEFINE_MANAGED_SAVE |
           VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA;
}

int vf_lv_finish(struct vf_guest *guest, const struct vf_guest_info *info, int64_t *ret_left,
                 struct vf_error *err)
{
    struct vf_lv_guest *g = of(guest);
    int state, reason, active = state_of(g, &state, &reason, err);
    struct vf_error why = VF_ERROR_INIT;

    *ret_left = -1; /* libvirt says so itself, below */
    /* a domain that was defined nowhere goes away with its process, and leaves its files */
    if (active < 0)
        return virGetLastErrorCode() == VIR_ERR_NO_DOMAIN ? vf_overlay_fold_all(info, err) : -1;
    if (active && state != VIR_DOMAIN_PAUSED)
        return vf_error_set(err, VF_ERR_BUSY, 0, "the guest runs here as well: nothing is removed");
    /* libvirt has ended it; after a crash in between it may stand here, moved and never to run */
    if (active && virDomainDestroy(g->dom) < 0)
        return vf_lv_error(err, "ending the guest's old process");
    if (vf_lv_fold(g, NULL, &why) < 0 && why.code != VF_ERR_NOTFOUND)
        return vf_error_pass(err, &why);
    if (virDomainUndefineFlags(g->dom, undefine_flags()) < 0 &&
        virGetLastErrorCode() != VIR_ERR_NO_DOMAIN)
        return vf_lv_error(err, "removing the guest's definition");
    return 0;
}
