/* hypervisor/qmp_undo.c - back to the guest's own disk chain, whatever state a try has left. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/thread.h"
#include "hypervisor/qmp_guest.h"
#include "hypervisor/qmp_postcopy.h"

#define JOB_MS    600000 /* folding an overlay back: as long as the disk needs, in steps */
#define CANCEL_MS 20000
#define LOOK_MS   100
#define TRIES     100 /* times LOOK_MS: for QEMU to let go of its files */

static bool ours(const char *name) { return strncmp(name, VF_QMP_OURS, strlen(VF_QMP_OURS)) == 0; }

/* ---- jobs and far nodes ---- */

static bool has_job(struct vf_qmp *q, const char *id)
{
    json_t *jobs = NULL;
    const json_t *job;
    size_t i;
    bool found = false;

    if (vf_qmp_call(q, "query-block-jobs", NULL, &jobs, NULL) < 0)
        return false;
    json_array_foreach(jobs, i, job) found |= strcmp(vf_qmp_text(job, "device"), id) == 0;
    json_decref(jobs);
    return found;
}

/* Cancels one job and waits until it is gone. */
static int cancel_job(struct vf_qmp *q, const char *id, struct vf_error *err)
{
    struct vf_error why;

    /* It may end by itself at this moment. */
    if (vf_qmp_callf(q, NULL, &why, "block-job-cancel", "{s:s, s:b}", "device", id, "force", 1) <
            0 &&
        why.code != VF_ERR_IO)
        return vf_error_pass(err, &why);
    for (int n = 0; n < CANCEL_MS / 100; n++) {
        if (!has_job(q, id))
            return 0;
        vf_thread_nap(LOOK_MS);
    }
    return vf_error_set(err, VF_ERR_TIMEOUT, 0, "disk job %s does not end", id);
}

static int cancel_jobs(struct vf_qmp *q, bool *found, struct vf_error *err)
{
    json_t *jobs = NULL;
    const json_t *job;
    size_t i;
    int rc = vf_qmp_call(q, "query-block-jobs", NULL, &jobs, err);

    json_array_foreach(jobs, i, job)
    {
        const char *id = vf_qmp_text(job, "device");

        if (rc < 0 || !ours(id))
            continue;
        *found = true;
        rc = cancel_job(q, id, err);
    }
    json_decref(jobs);
    return rc;
}

static int drop_far_nodes(struct vf_qmp *q, bool *found, struct vf_error *err)
{
    json_t *nodes = NULL;
    const json_t *node;
    size_t i;
    int rc = vf_qmp_callf(q, &nodes, err, "query-named-block-nodes", "{s:b}", "flat", 1);

    json_array_foreach(nodes, i, node)
    {
        const char *name = vf_qmp_text(node, "node-name");

        if (rc < 0 || strncmp(name, VF_QMP_OURS "t", strlen(VF_QMP_OURS) + 1) != 0)
            continue;
        *found = true;
        rc = vf_qmp_callf(q, NULL, err, "blockdev-del", "{s:s}", "node-name", name);
    }
    json_decref(nodes);
    return rc;
}

int vf_qmp_drop_mirrors(struct vf_qmp *q, bool *ret_found, struct vf_error *err)
{
    bool found = false;
    int rc = cancel_jobs(q, &found, err);

    if (rc == 0)
        rc = drop_far_nodes(q, &found, err);
    if (ret_found)
        *ret_found |= found;
    return rc;
}

/* ---- memory ---- */

static bool migration_runs(struct vf_qmp *q)
{
    /* "postcopy-...": before the commit point the guest does not run there, and all is still here
     */
    static const char *const running[] = {"setup",           "active",          "pre-switchover",
                                          "device",          "cancelling",      "wait-unplug",
                                          "postcopy-active", "postcopy-paused", "postcopy-recover"};
    json_t *m = NULL;
    bool runs = false;

    if (vf_qmp_call(q, "query-migrate", NULL, &m, NULL) < 0)
        return false;
    for (size_t i = 0; i < sizeof running / sizeof *running; i++)
        runs |= strcmp(vf_qmp_text(m, "status"), running[i]) == 0;
    json_decref(m);
    return runs;
}

static int end_migration(struct vf_qmp *q, bool *found, struct vf_error *err)
{
    if (!migration_runs(q))
        return 0;
    *found = true;
    if (vf_qmp_call(q, "migrate_cancel", NULL, NULL, err) < 0)
        return -1;
    for (int n = 0; n < CANCEL_MS / 100; n++) {
        if (!migration_runs(q))
            return 0;
        vf_thread_nap(LOOK_MS);
    }
    return vf_error_set(err, VF_ERR_TIMEOUT, 0, "QEMU's migration cannot be cancelled");
}

/* A guest that was stopped for a hand-off that did not happen. */
static int resume_guest(struct vf_qmp *q, bool *found, struct vf_error *err)
{
    json_t *status = NULL;
    int rc = vf_qmp_call(q, "query-status", NULL, &status, err);
    const char *state = vf_qmp_text(status, "status");

    if (rc == 0 && (strcmp(state, "postmigrate") == 0 || strcmp(state, "finish-migrate") == 0)) {
        *found = true;
        rc = vf_qmp_call(q, "cont", NULL, NULL, err);
    }
    json_decref(status);
    return rc;
}

/* ---- overlays ---- */

/* The node with that file as its own: not the protocol layer below it. */
static char *format_node(struct vf_qmp *q, const char *file, struct vf_error *err)
{
    static const char *const protocols[] = {"file", "host_device"};
    json_t *nodes = NULL;
    const json_t *node;
    char *ret = NULL;
    size_t i;

    if (vf_qmp_callf(q, &nodes, err, "query-named-block-nodes", "{s:b}", "flat", 1) < 0)
        return NULL;
    json_array_foreach(nodes, i, node)
    {
        const char *drv = vf_qmp_text(node, "drv");

        if (!ret && strcmp(vf_qmp_text(node, "file"), file) == 0 &&
            strcmp(drv, protocols[0]) != 0 && strcmp(drv, protocols[1]) != 0)
            ret = vf_strdup(vf_qmp_text(node, "node-name"), err);
    }
    if (!ret)
        (void)vf_error_set(err, VF_ERR_NOTFOUND, 0, "QEMU has no node for '%s'", file);
    json_decref(nodes);
    return ret;
}

/* Writes all that the overlays on top hold into base's node, and leaves the guest on that. */
static int commit_down(struct vf_qmp *q, const char *top, const char *base, struct vf_error *err)
{
    char id[VF_QMP_NODE_MAX];

    (void)snprintf(id, sizeof id, VF_QMP_OURS "c%s", top + strlen(VF_QMP_OURS));
    vf_qmp_forget(q, NULL);
    if (vf_qmp_callf(q, NULL, err, "block-commit", "{s:s, s:s, s:s}", "job-id", id, "device", top,
                     "base-node", base) < 0 ||
        vf_qmp_job_wait(q, id, "BLOCK_JOB_READY", JOB_MS, err) < 0)
        return -1;
    if (vf_qmp_callf(q, NULL, err, "block-job-complete", "{s:s}", "device", id) < 0)
        return -1;
    return vf_qmp_job_wait(q, id, "BLOCK_JOB_COMPLETED", CANCEL_MS, err);
}

/* Folds the overlays of one drive; their files are removed. */
static int fold(struct vf_qmp *q, const json_t *in, struct vf_error *err)
{
    const json_t *image = json_object_get(in, "image");
    const json_t *files[VF_OVERLAY_MAX];
    unsigned n = 0;
    char *base;
    int rc;

    while (n < VF_OVERLAY_MAX && strstr(vf_qmp_text(image, "filename"), VF_OVERLAY_MARK)) {
        files[n++] = image;
        image = json_object_get(image, "backing-image");
    }
    base = format_node(q, vf_qmp_text(image, "filename"), err);
    if (!base)
        return -1;
    rc = commit_down(q, vf_qmp_text(in, "node-name"), base, err);
    while (n > 0 && rc == 0) { /* the lowest first, see vf_overlay_fold */
        const char *file = vf_qmp_text(files[--n], "filename");

        if (unlink(file) < 0 && errno != ENOENT)
            rc = vf_error_sys(err, errno, "remove '%s'", file);
    }
    free(base);
    return rc;
}

static int fold_all(struct vf_qmp *q, bool *found, struct vf_error *err)
{
    json_t *devs = NULL;
    const json_t *dev;
    size_t i;
    int rc = vf_qmp_call(q, "query-block", NULL, &devs, err);

    json_array_foreach(devs, i, dev)
    {
        const json_t *in = json_object_get(dev, "inserted");

        if (rc < 0 || !ours(vf_qmp_text(in, "node-name")))
            continue;
        *found = true;
        rc = fold(q, in, err);
    }
    json_decref(devs);
    return rc;
}

/* ---- the calls ---- */

/* Moved, or stopped for it: not to be touched unless it is known that it does not run elsewhere. */
static bool is_left_still(struct vf_qmp *q)
{
    json_t *status = NULL;
    bool still = false;

    if (vf_qmp_call(q, "query-status", NULL, &status, NULL) == 0)
        still = strcmp(vf_qmp_text(status, "status"), "postmigrate") == 0;
    json_decref(status);
    return still || vf_qmp_memory_follows(q);
}

static int undo(struct vf_qmp *q, bool resume, bool *found, struct vf_error *err)
{
    int rc;

    vf_qmp_mind_stop(q, false);
    rc = vf_qmp_exports_end(q, found, err);
    if (rc == 0)
        rc = end_migration(q, found, err);
    if (rc == 0)
        rc = vf_qmp_drop_mirrors(q, found, err);
    if (rc == 0 && resume)
        rc = resume_guest(q, found, err);
    if (rc == 0)
        rc = fold_all(q, found, err);
    if (rc == 0 && *found)
        rc = vf_qmp_callf(q, NULL, err, "migrate-set-capabilities", "{s:[{s:s, s:b}, {s:s, s:b}]}",
                          "capabilities", "capability", "pause-before-switchover", "state", 0,
                          "capability", "postcopy-ram", "state", 0);
    vf_qmp_mind_stop(q, true);
    return rc;
}

int vf_qmp_recover(struct vf_guest *guest, bool resume, bool *ret_found, struct vf_error *err)
{
    struct vf_qmp *q = ((struct vf_qmp_guest *)guest)->q;
    bool found = resume ? vf_qmp_memory_follows(q) : is_left_still(q);
    int rc = found ? 0 : undo(q, resume, &found, err);

    if (ret_found)
        *ret_found = found;
    return rc;
}

/* The guest becomes what it was.  One that was stopped by its user may run for a blink. */
static int go_back(struct vf_qmp_guest *g, struct vf_error *err)
{
    bool found = false;
    int rc = undo(g->q, true, &found, err);

    if (rc == 0 && g->was_paused)
        rc = vf_qmp_call(g->q, "stop", NULL, NULL, err);
    if (rc == 0)
        vf_qmp_disks_free(g);
    return rc;
}

int vf_qmp_roll_back(struct vf_guest *guest, const struct vf_guest_info *info, struct vf_error *err)
{
    struct vf_qmp_guest *g = (struct vf_qmp_guest *)guest;
    struct vf_error why = VF_ERROR_INIT;

    if (!g->q) /* it was gone the last time */
        return vf_overlay_fold_all(info, err);
    if (go_back(g, &why) == 0)
        return 0;
    if (why.code == VF_ERR_UNREACHABLE) {
        /* Perhaps only the connection: a QEMU that runs answers at its socket. */
        vf_qmp_close(g->q);
        g->q = vf_qmp_open(g->path, 1000, NULL, &why);
        if (g->q && go_back(g, &why) == 0)
            return 0;
        if (!g->q) /* the guest has ended, by itself or by force; its disks get all it wrote */
            return vf_overlay_fold_all(info, err);
    }
    return vf_error_pass(err, &why);
}
