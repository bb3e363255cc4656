/* hypervisor/qmp_hand_off.c - the last of the disks, the memory, and the moment when the guest
 * stops here and goes on there.
 *
 * The mirror of a busy guest's overlay over a long line hardly ever has an instant with nothing
 * dirty and nothing in flight, which is what QEMU calls READY.  So memory is begun when little is
 * left, and READY is waited for when the guest stands still: then it comes within a round trip. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/clock.h"
#include "core/thread.h"
#include "hypervisor/iothread.h"
#include "hypervisor/once.h"
#include "hypervisor/qmp_guest.h"
#include "hypervisor/qmp_postcopy.h"

#define NEAR_BYTES  (UINT64_C(1) << 20) /* so little left is as good as nothing */
#define NEAR_LOOKS  100 /* times LOOK_MS without getting nearer: it will not get any nearer */
#define LOOK_MS     100
#define STILL_MS    120000 /* for what is left of disks and memory while the guest stands still */
#define SAY_SECONDS 0.1    /* between two words on how far it is */
#define DOWNTIME_MS 300
#define FIRST_PASS  1u                    /* QEMU's looks during the first pass */
#define NO_LIMIT    INT64_C(125000000000) /* bytes per second: the tunnels keep the real limit */

struct hand_off {
    struct vf_qmp_guest *g;
    struct vf_qmp *q;
    const struct vf_guest_info *info;
    struct vf_far *far;
    const struct vf_hand_off_opts *opts;
    struct vf_hand_off_result *ret;
    double start, passing, stopped, said; /* passing: since memory travels */
    uint64_t looks;                       /* QEMU's dirty-sync-count */
    double rate;                          /* of memory, as QEMU says */
    bool ending;                          /* it was told, see once.h, or to let memory follow */
    bool postcopy;                        /* that is wanted */
    bool follows;                         /* that is what QEMU does */
};

static void say(struct hand_off *h, enum vf_guest_phase phase, uint64_t done, uint64_t total)
{
    if (phase == VF_GUEST_MEMORY && vf_clock_now() - h->said < SAY_SECONDS)
        return;
    h->said = vf_clock_now();
    if (h->opts->events.progress)
        h->opts->events.progress(h->opts->events.ctx, phase, done, total);
}

char *vf_qmp_out(const struct vf_far *far, const char *name, struct vf_error *err)
{
    return vf_strf(err, "%s/%s.out", far->run_dir, name);
}

/* Is there a disk that a mirror belongs to? */
static bool mirrored(const struct hand_off *h, size_t i) { return h->g->disk[i].overlays > 0; }

/* ---- disks ---- */

static int start_mirror(struct hand_off *h, size_t i, struct vf_error *err)
{
    char node[VF_QMP_NODE_MAX], job[VF_QMP_NODE_MAX], name[VF_QMP_NODE_MAX], *sock;
    int rc;

    (void)snprintf(node, sizeof node, VF_QMP_OURS "t%zu", i);
    (void)snprintf(job, sizeof job, VF_QMP_OURS "m%zu", i);
    (void)snprintf(name, sizeof name, "disk%zu", i);
    sock = vf_qmp_out(h->far, name, err);
    rc = sock ? h->far->tunnel(h->far, "disk", sock, &vf_iothread_look, err) : -1;
    if (rc == 0)
        rc = vf_qmp_callf(h->q, NULL, err, "blockdev-add", "{s:s, s:s, s:{s:s, s:s}, s:s}",
                          "driver", "nbd", "node-name", node, "server", "type", "unix", "path",
                          sock, "export", name);
    if (rc == 0)
        rc = vf_qmp_callf(h->q, NULL, err, "blockdev-mirror",
                          "{s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:s}", "job-id", job, "device",
                          h->g->disk[i].top, "target", node, "sync", "top", "copy-mode",
                          "background", "granularity", 4096, "on-source-error", "report",
                          "on-target-error", "report");
    free(sock);
    return rc;
}

/* What the mirrors have done and have left, together.  One that has ended is an error. */
static int look_at_mirrors(struct hand_off *h, uint64_t *ret_done, uint64_t *ret_left,
                           struct vf_error *err)
{
    json_t *jobs = NULL;
    const json_t *job;
    size_t i, want = 0, have = 0;

    *ret_done = *ret_left = 0;
    for (i = 0; i < h->g->ndisks; i++)
        want += mirrored(h, i);
    if (vf_qmp_call(h->q, "query-block-jobs", NULL, &jobs, err) < 0)
        return -1;
    json_array_foreach(jobs, i, job)
    {
        uint64_t len = vf_qmp_number(job, "len"), off = vf_qmp_number(job, "offset");

        if (strncmp(vf_qmp_text(job, "device"), VF_QMP_OURS "m", strlen(VF_QMP_OURS) + 1) != 0)
            continue;
        have++;
        *ret_done += off;
        *ret_left += len > off ? len - off : 0;
    }
    json_decref(jobs);
    h->ret->disk_bytes = *ret_done;
    if (have == want)
        return 0;
    if (h->far->broken(h->far, err) != 0)
        return -1;
    return vf_error_set(err, VF_ERR_IO, 0, "a disk's copy ended early; the far side may be gone");
}

static int nap(struct hand_off *h, struct vf_error *err)
{
    vf_thread_nap(LOOK_MS);
    if (h->opts->stop && *h->opts->stop)
        return vf_error_set(err, VF_ERR_CANCELLED, 0, "interrupted");
    return h->far->broken(h->far, err) != 0 ? -1 : 0;
}

/* Until little is left, or it does not get less any more. */
static int come_near(struct hand_off *h, struct vf_error *err)
{
    uint64_t done, left, least = UINT64_MAX;
    unsigned looks = 0;

    for (;;) {
        if (look_at_mirrors(h, &done, &left, err) < 0)
            return -1;
        /* A job that has just begun does not know its length yet. */
        if (left <= NEAR_BYTES && (done || looks > 5))
            return 0;
        if (left < least) {
            least = left;
            looks = 0;
        } else if (++looks > NEAR_LOOKS) {
            return 0;
        }
        say(h, VF_GUEST_MEMORY, done, done + left);
        if (nap(h, err) < 0)
            return -1;
    }
}

static int start_disks(struct hand_off *h, struct vf_error *err)
{
    for (size_t i = 0; i < h->g->ndisks; i++)
        if (mirrored(h, i) && start_mirror(h, i, err) < 0)
            return vf_error_prefix(err, "disk '%s'", h->info->disk[i].path);
    return come_near(h, err);
}

/* The guest stands still: the mirrors become equal, and are let go. */
static int end_disks(struct hand_off *h, struct vf_error *err)
{
    char id[VF_QMP_NODE_MAX];
    uint64_t done, left;

    if (look_at_mirrors(h, &done, &left, err) < 0)
        return -1;
    h->ret->disk_bytes = done + left;
    for (size_t i = 0; i < h->g->ndisks; i++) {
        (void)snprintf(id, sizeof id, VF_QMP_OURS "m%zu", i);
        /* A READY of before may be true no longer, but cancelling a mirror that was ready once
         * finishes it: it copies what is dirty first. */
        if (mirrored(h, i) &&
            (vf_qmp_job_wait(h->q, id, "BLOCK_JOB_READY", STILL_MS, err) < 0 ||
             vf_qmp_callf(h->q, NULL, err, "block-job-cancel", "{s:s}", "device", id) < 0))
            return -1;
    }
    for (size_t i = 0; i < h->g->ndisks; i++) {
        (void)snprintf(id, sizeof id, VF_QMP_OURS "m%zu", i);
        if (mirrored(h, i) && vf_qmp_job_wait(h->q, id, "BLOCK_JOB_COMPLETED", STILL_MS, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < h->g->ndisks; i++) {
        (void)snprintf(id, sizeof id, VF_QMP_OURS "t%zu", i);
        if (mirrored(h, i) &&
            vf_qmp_callf(h->q, NULL, err, "blockdev-del", "{s:s}", "node-name", id) < 0)
            return -1;
    }
    return h->far->broken(h->far, err) != 0 ? -1 : 0;
}

/* ---- memory ---- */

static int set_up_memory(struct hand_off *h, struct vf_error *err)
{
    const struct vf_hand_off_opts *o = h->opts;
    json_int_t downtime = o->max_downtime_ms ? (json_int_t)o->max_downtime_ms : DOWNTIME_MS;
    json_int_t rate = o->limit_rate ? (json_int_t)o->limit_rate : NO_LIMIT;

    if (vf_qmp_callf(h->q, NULL, err, "migrate-set-capabilities",
                     "{s:[{s:s,s:b},{s:s,s:b},{s:s,s:b},{s:s,s:b}]}", "capabilities", "capability",
                     "events", "state", 1, "capability", "pause-before-switchover", "state", 1,
                     "capability", "postcopy-ram", "state", (int)h->postcopy, "capability",
                     "auto-converge", "state", (int)o->auto_converge) < 0)
        return -1;
    return vf_qmp_callf(h->q, NULL, err, "migrate-set-parameters", "{s:I, s:I}", "downtime-limit",
                        h->info->once ? (json_int_t)VF_ONCE_FIRST_MS : downtime, "max-bandwidth",
                        rate);
}

static int start_memory(struct hand_off *h, struct vf_error *err)
{
    char *sock = vf_qmp_out(h->far, "mem", err), *uri = NULL;
    int rc = sock ? set_up_memory(h, err) : -1;

    if (rc == 0)
        rc = h->far->ask(h->far, "incoming", NULL, NULL, err);
    if (rc == 0)
        rc = h->postcopy ? vf_qmp_postcopy_way(h->far, err)
                         : h->far->tunnel(h->far, "mem", sock, NULL, err);
    if (rc == 0)
        uri = vf_strf(err, "unix:%s", sock);
    vf_qmp_forget(h->q, "MIGRATION");
    vf_qmp_forget(h->q, "STOP");
    if (uri)
        rc = vf_qmp_callf(h->q, NULL, err, "migrate", "{s:s}", "uri", uri);
    else
        rc = -1;
    free(uri);
    free(sock);
    return rc;
}

static bool is_news(const json_t *event, const void *status)
{
    const char *s = vf_qmp_text(json_object_get(event, "data"), "status");

    return strcmp(s, status) == 0 || strcmp(s, "failed") == 0 || strcmp(s, "cancelled") == 0 ||
           strcmp(s, "postcopy-active") == 0;
}

/* How far memory is; *ret_why: QEMU's own words when it failed. */
static void look_at_memory(struct hand_off *h, uint64_t *ret_left, char *ret_why, size_t len)
{
    json_t *m = NULL;
    const json_t *ram;

    *ret_left = 0;
    if (len)
        *ret_why = '\0';
    if (vf_qmp_call(h->q, "query-migrate", NULL, &m, NULL) < 0)
        return;
    ram = json_object_get(m, "ram");
    h->ret->memory_bytes = vf_qmp_number(ram, "transferred");
    if (h->stopped <= 0)
        h->ret->memory_seconds = vf_clock_now() - h->start;
    *ret_left = vf_qmp_number(ram, "remaining");
    h->looks = vf_qmp_number(ram, "dirty-sync-count");
    h->rate = json_number_value(json_object_get(ram, "mbps")) * 1e6 / 8;
    if (len)
        (void)snprintf(ret_why, len, "%s", vf_qmp_text(m, "error-desc"));
    json_decref(m);
}

/* Only while the guest has not stopped for good. */
static int check_once(struct hand_off *h, struct vf_error *err)
{
    if (!h->info->once || h->info->paused || h->looks <= VF_ONCE_LOOKS)
        return 0;
    h->ret->again = true;
    return vf_once_refuse(err);
}

/* Memory is to follow the guest: after a pass over all of it, when it was not enough, or before the
 * end of the only one. */
static int let_follow(struct hand_off *h, uint64_t left, struct vf_error *err)
{
    double mean = (double)h->ret->memory_bytes / (vf_clock_now() - h->passing + 0.001);

    if (h->info->once
            ? !vf_once_near_end(left, h->ret->memory_bytes, vf_clock_now() - h->passing, h->rate)
            : h->looks <= FIRST_PASS)
        return 0;
    h->ending = true;
    if (vf_qmp_postcopy_rate(h->q, mean > h->rate ? mean : h->rate, h->opts->limit_rate, err) < 0)
        return -1;
    return vf_qmp_call(h->q, "migrate-start-postcopy", NULL, NULL, err);
}

/* Little is left of the only pass: QEMU may stop the guest now. */
static int end_pass(struct hand_off *h, uint64_t left, struct vf_error *err)
{
    if (h->ending || !h->looks)
        return 0;
    if (h->postcopy)
        return let_follow(h, left, err);
    if (!h->info->once ||
        !vf_once_near_end(left, h->ret->memory_bytes, vf_clock_now() - h->passing, h->rate))
        return 0;
    h->ending = true;
    return vf_qmp_callf(h->q, NULL, err, "migrate-set-parameters", "{s:I}", "downtime-limit",
                        (json_int_t)VF_ONCE_LAST_MS);
}

/* Waits for that status of the migration.  total_ms 0: as long as it takes. */
static int await_memory(struct hand_off *h, const char *status, int total_ms, struct vf_error *err)
{
    int look = total_ms == 0 && h->info->once ? VF_ONCE_LOOK_MS : LOOK_MS;
    char why[160];
    uint64_t left, done, dirty;

    for (int ms = 0; total_ms == 0 || ms < total_ms; ms += look) {
        json_t *event = NULL;
        int rc = vf_qmp_event(h->q, "MIGRATION", is_news, status, look, &event, err);
        const char *got = vf_qmp_text(json_object_get(event, "data"), "status");
        bool good = strcmp(got, status) == 0 || strcmp(got, "postcopy-active") == 0;

        h->follows |= strcmp(got, "postcopy-active") == 0;
        json_decref(event);
        if (rc < 0)
            return -1;
        if (rc > 0 && good)
            return 0;
        look_at_memory(h, &left, why, sizeof why);
        if (rc > 0 && h->far->broken(h->far, err) != 0)
            return -1;
        if (rc > 0)
            return vf_error_set(err, VF_ERR_IO, 0, "QEMU's migration of memory failed: %s",
                                *why ? why : "the far side closed it");
        if (h->postcopy && h->far->broken(h->far, err) != 0) /* QEMU would not notice */
            return -1;
        if (total_ms)
            continue;
        if (check_once(h, err) < 0 || end_pass(h, left, err) < 0 ||
            look_at_mirrors(h, &done, &dirty, err) < 0)
            return -1;
        say(h, VF_GUEST_MEMORY, h->ret->memory_bytes + done,
            h->ret->memory_bytes + done + left + dirty);
        if (h->opts->stop && *h->opts->stop)
            return vf_error_set(err, VF_ERR_CANCELLED, 0, "interrupted");
    }
    return vf_error_set(err, VF_ERR_TIMEOUT, 0, "QEMU's migration does not become %s", status);
}

/* ---- the switch ---- */

static int note_commit(struct hand_off *h, struct vf_error *err)
{
    say(h, VF_GUEST_COMMIT, 0, 0);
    return h->opts->events.commit ? h->opts->events.commit(h->opts->events.ctx, err) : 0;
}

static int end_memory(struct hand_off *h, struct vf_error *err)
{
    uint64_t left;

    if (vf_qmp_callf(h->q, NULL, err, "migrate-continue", "{s:s}", "state", "pre-switchover") < 0 ||
        await_memory(h, "completed", STILL_MS, err) < 0)
        return -1;
    look_at_memory(h, &left, NULL, 0);
    return 0;
}

/* With postcopy.  Once QEMU has let the guest go it cannot be made to take it back (7.2 may get
 * stuck when that is tried, later ones refuse it).  So all has to be decided before, on both sides.
 */
static int end_memory_for_good(struct hand_off *h, struct vf_error *err)
{
    enum vf_qmp_memory m;
    struct vf_error why;

    if (h->info->once && h->ending && h->looks > FIRST_PASS) {
        h->ret->again = true; /* perhaps it was sent twice */
        return vf_once_refuse(err);
    }
    if (note_commit(h, err) < 0 || h->far->ask(h->far, "promise", NULL, NULL, err) < 0)
        return -1;
    h->ret->committed = h->ret->forward = true;
    if (end_memory(h, err) < 0 &&
        (vf_qmp_memory(h->q, &m, NULL, &why) < 0 || m == VF_QMP_MEMORY_NONE)) {
        /* QEMU has given it up, or is gone, before the far one had it: that was not told to run. */
        h->ret->committed = h->ret->forward = false;
        return -1;
    }
    h->ret->postcopy = h->follows;
    return 0;
}

static int tell_far(struct hand_off *h, struct vf_error *err)
{
    int rc = h->far->ask(h->far, "commit", NULL, NULL, err);

    if (rc == 0) {
        h->ret->running_there = true;
        h->ret->downtime_seconds = vf_clock_now() - h->stopped;
    } else if (h->far->refused && !h->ret->forward) {
        h->ret->committed = false; /* it says that it does not run it, and never will */
    }
    return rc;
}

/* From here to its end the user's wish to stop is not looked at: it takes a moment only. */
static int switch_over(struct hand_off *h, struct vf_error *err)
{
    uint64_t left;

    h->stopped = vf_clock_now();
    h->ret->memory_seconds = h->stopped - h->start;
    say(h, VF_GUEST_STOPPED, 0, 0);
    look_at_memory(h, &left, NULL, 0);
    if (check_once(h, err) < 0 || end_disks(h, err) < 0)
        return -1;
    if (h->postcopy)
        return end_memory_for_good(h, err) < 0 ? -1 : tell_far(h, err);
    if (end_memory(h, err) < 0 || note_commit(h, err) < 0)
        return -1;
    h->ret->committed = h->g->whole = true;
    return tell_far(h, err);
}

int vf_qmp_hand_off(struct vf_guest *guest, const struct vf_guest_info *info, struct vf_far *far,
                    const struct vf_hand_off_opts *opts, struct vf_hand_off_result *ret,
                    struct vf_error *err)
{
    struct vf_qmp_guest *g = (struct vf_qmp_guest *)guest;
    struct hand_off h = {.g = g, .q = g->q, .info = info, .far = far, .opts = opts, .ret = ret};
    int rc;

    memset(ret, 0, sizeof *ret);
    h.postcopy = opts->postcopy && !info->paused; /* one that stands still needs none */
    vf_qmp_forget(g->q, NULL);
    rc = far->ask(far, "prepare", NULL, NULL, err);
    if (rc == 0)
        rc = start_disks(&h, err);
    h.start = vf_clock_now();
    if (rc == 0)
        rc = start_memory(&h, err);
    h.passing = vf_clock_now();
    if (rc == 0)
        rc = await_memory(&h, "pre-switchover", 0, err);
    if (rc == 0) {
        vf_qmp_mind_stop(g->q, false);
        rc = switch_over(&h, err);
        vf_qmp_mind_stop(g->q, true);
    }
    return rc;
}
