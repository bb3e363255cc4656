/* hypervisor/libvirt_hand_off.c - memory and the top overlays, by libvirt's own migration through
 * our tunnels.
 *
 * libvirt copies the top overlay (NON_SHARED_INC) onto the far image, which holds all that lies
 * below it, and starts with the memory only when that copy is in step.  A guest that writes all the
 * time hardly ever lets that happen over a long line; so its writes are made to wait for the far
 * side from then on (NON_SHARED_SYNCHRONOUS_WRITES), which brings the copy into step at once.
 *
 * The guest arrives stopped (PAUSED), and the far half lets it run when libvirt has removed it
 * here.  libvirt by itself would let it run there first, and if that answer got lost, here as well.
 * So the order is: it stands still; events.commit; libvirt moves it or keeps it here; when it has
 * moved, far: commit.  As long as libvirt may let it run here and it was not let run there, a
 * failure leaves it here, also after events.commit: *ret then says that it is not committed.
 *
 * It has moved when the far libvirt's yes has come here (libvirt_eye.h): all that libvirt still
 * does then is to end the guest's process, which takes a fifth of a second, and more for much
 * memory. The guest does not wait for that.  Where that yes cannot be seen, it does. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <libvirt/virterror.h>

#include "core/checked.h"
#include "core/clock.h"
#include "core/fdio.h"
#include "core/thread.h"
#include "hypervisor/iothread.h"
#include "hypervisor/libvirt_impl.h"
#include "hypervisor/once.h"

#define LOOK_MS        20
#define STATS_EVERY    10  /* looks */
#define SAY_SECONDS    0.1 /* between two words on how far it is */
#define DOWNTIME_MS    300
#define BROKEN_SECONDS 10 /* for QEMU and libvirt to see by themselves that a tunnel has ended */

struct hand_off {
    struct vf_lv_guest *g;
    const struct vf_guest_info *info;
    struct vf_far *far;
    const struct vf_hand_off_opts *opts;
    struct vf_hand_off_result *ret;
    char *lib, *mem, *disk; /* our ends of the tunnels */
    char *mem_uri, *disk_uri, *far_uri;
    char *made;     /* directory that was made for them */
    json_t *answer; /* of far: prepare */
    virTypedParameterPtr params;
    int nparams, maxparams;
    unsigned flags;
    virConnectPtr far_conn;
    virConnectPtr
        watch_conn;       /* a call on the one that moves the guest may wait until it has moved */
    virDomainPtr watched; /* of that */
    virConnectPtr judge_conn; /* another thread may be in the middle of a call on the others */
    virDomainPtr judged;      /* of that */
    double start, stopped, broke, said;
    bool still; /* the guest was seen to stand still, at stopped */
    bool told;
    atomic_bool give_up;
    unsigned long long looks;    /* QEMU's dirty-sync-count */
    unsigned long long downtime; /* that was set, ms; 0: none yet */
    double passing;              /* since when memory travels */
    bool twice;                  /* its memory was sent more than once, which info->once forbids */
    /* of the thread that waits for libvirt, until it has ended */
    virDomainPtr moved;
    struct vf_error why;
};

static void say(struct hand_off *h, enum vf_guest_phase phase, uint64_t done, uint64_t total)
{
    if (phase == VF_GUEST_MEMORY && vf_clock_now() - h->said < SAY_SECONDS)
        return;
    h->said = vf_clock_now();
    if (h->opts->events.progress)
        h->opts->events.progress(h->opts->events.ctx, phase, done, total);
}

/* ---- tunnels ---- */

/* libvirt gives QEMU one path for both sides: there QEMU listens, here our tunnel does.  So that
 * directory has to be here as well; what was made of it for this is remembered. */
static int make_dir(struct hand_off *h, struct vf_error *err)
{
    const char *dir = h->far->far_run_dir;
    struct stat sb;

    if (stat(dir, &sb) == 0)
        return 0;
    h->made = vf_strdup(dir, err);
    return h->made ? vf_mkdir_p(dir, 0711, err) : -1;
}

/* Takes away what make_dir has made: whatever is empty of it. */
static void remove_dir(struct hand_off *h)
{
    char *slash;

    while (h->made && *h->made && rmdir(h->made) == 0) {
        slash = strrchr(h->made, '/');
        if (!slash)
            break;
        *slash = '\0';
    }
    free(h->made);
}

/* QEMU connects there, perhaps as another user than ours. */
static int tunnel(struct hand_off *h, const char *name, bool for_qemu,
                  const struct vf_far_look *look, char **ret_path, struct vf_error *err)
{
    *ret_path = vf_strf(err, "%s/%s", for_qemu ? h->far->far_run_dir : h->far->run_dir, name);
    if (!*ret_path || h->far->tunnel(h->far, name, *ret_path, look, err) < 0)
        return -1;
    if (for_qemu)
        (void)chmod(*ret_path, 0666); /* if QEMU runs as root it works all the same */
    return 0;
}

static int open_tunnels(struct hand_off *h, struct vf_error *err)
{
    if (make_dir(h, err) < 0)
        return -1;
    (void)chmod(h->far->far_run_dir, 0711); /* as above; it holds no secrets but by name */
    if (tunnel(h, "libvirt", false, &h->g->eye.look, &h->lib, err) < 0 ||
        tunnel(h, "mem", true, NULL, &h->mem, err) < 0 ||
        tunnel(h, "disk", true, &vf_iothread_look, &h->disk, err) < 0)
        return -1;
    h->mem_uri = vf_strf(err, "unix://%s", h->mem);
    h->disk_uri = vf_strf(err, "unix://%s", h->disk);
    h->far_uri = vf_strf(err, "qemu+unix:///system?socket=%s", h->lib);
    return h->mem_uri && h->disk_uri && h->far_uri ? 0 : -1;
}

/* ---- what libvirt is asked for ---- */

static int text_param(struct hand_off *h, const char *name, const char *value, struct vf_error *err)
{
    if (virTypedParamsAddString(&h->params, &h->nparams, &h->maxparams, name, value) < 0)
        return vf_lv_error(err, name);
    return 0;
}

static int set_params(struct hand_off *h, struct vf_error *err)
{
    const char *xml = json_string_value(json_object_get(h->answer, "xml"));
    const char *kept = json_string_value(json_object_get(h->answer, "kept"));

    if (!xml)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "the far end does not describe the guest");
    h->flags = VIR_MIGRATE_LIVE | VIR_MIGRATE_PAUSED;
    if (h->opts->auto_converge)
        h->flags |= VIR_MIGRATE_AUTO_CONVERGE;
    if (text_param(h, VIR_MIGRATE_PARAM_URI, h->mem_uri, err) < 0 ||
        text_param(h, VIR_MIGRATE_PARAM_DEST_XML, xml, err) < 0)
        return -1;
    if (kept) {
        h->flags |= VIR_MIGRATE_PERSIST_DEST;
        if (text_param(h, VIR_MIGRATE_PARAM_PERSIST_XML, kept, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < h->info->ndisks; i++) {
        const struct vf_guest_disk *d = &h->info->disk[i];

        if (d->way != VF_DISK_COPY || d->read_only)
            continue;
        h->flags |= VIR_MIGRATE_NON_SHARED_INC | VIR_MIGRATE_NON_SHARED_SYNCHRONOUS_WRITES;
        if (text_param(h, VIR_MIGRATE_PARAM_MIGRATE_DISKS, d->id, err) < 0)
            return -1;
    }
    if ((h->flags & VIR_MIGRATE_NON_SHARED_INC) &&
        text_param(h, VIR_MIGRATE_PARAM_DISKS_URI, h->disk_uri, err) < 0)
        return -1;
    if (h->opts->limit_rate) { /* MiB per second */
        unsigned long long rate = h->opts->limit_rate >> 20;

        if (virTypedParamsAddULLong(&h->params, &h->nparams, &h->maxparams,
                                    VIR_MIGRATE_PARAM_BANDWIDTH, rate ? rate : 1) < 0)
            return vf_lv_error(err, "bandwidth");
    }
    return 0;
}

static void *mover(void *arg)
{
    struct hand_off *h = arg;
    virDomainPtr moved =
        virDomainMigrate3(h->g->dom, h->far_conn, h->params, (unsigned)h->nparams, h->flags);

    if (!moved)
        (void)vf_lv_error(&h->why, "moving the guest");
    h->moved = moved;
    vf_lv_eye_over(&h->g->eye);
    return NULL;
}

/* ---- while it is under way ---- */

/* The guest has been stopped by libvirt, and is about to leave. */
static void stands_still(struct hand_off *h)
{
    struct vf_error why = VF_ERROR_INIT;

    h->still = true;
    h->stopped = vf_clock_now();
    h->ret->memory_seconds = h->stopped - h->start;
    say(h, VF_GUEST_STOPPED, 0, 0);
    if (h->told || h->give_up)
        return;
    h->told = true;
    if (h->opts->events.commit && h->opts->events.commit(h->opts->events.ctx, &why) < 0)
        h->give_up = true; /* judge sees it, if not libvirt */
}

/* As early as it can be known; judge looks again at the end. */
static void check_once(struct hand_off *h)
{
    if (!h->info->once || h->info->paused || h->looks <= VF_ONCE_LOOKS)
        return;
    h->twice = true;
    h->give_up = true;
}

static unsigned long long stat_of(virTypedParameterPtr p, int n, const char *name)
{
    unsigned long long value = 0;

    (void)virTypedParamsGetULLong(p, n, name, &value); /* absent: 0 */
    return value;
}

/* libvirt takes this only while it migrates. */
static void set_downtime(struct hand_off *h, unsigned long long ms)
{
    if (h->downtime != ms && virDomainMigrateSetMaxDowntime(h->watched, ms, 0) == 0)
        h->downtime = ms;
}

/* How long the guest may stand still. */
static void tune(struct hand_off *h, virTypedParameterPtr p, int n)
{
    unsigned long long left = stat_of(p, n, VIR_DOMAIN_JOB_MEMORY_REMAINING);
    unsigned long long rate = stat_of(p, n, VIR_DOMAIN_JOB_MEMORY_BPS);

    if (!h->info->once) {
        set_downtime(h, h->opts->max_downtime_ms ? h->opts->max_downtime_ms : DOWNTIME_MS);
        return;
    }
    if (!h->looks)
        h->passing = vf_clock_now();
    if (h->looks &&
        vf_once_near_end(left, h->ret->memory_bytes, vf_clock_now() - h->passing, (double)rate))
        set_downtime(h, VF_ONCE_LAST_MS);
    else if (!h->downtime)
        set_downtime(h, VF_ONCE_FIRST_MS);
}

static void look_at_stats(struct hand_off *h)
{
    virTypedParameterPtr p = NULL;
    int n = 0, type = 0;

    if (virDomainGetJobStats(h->watched, &type, &p, &n, 0) < 0)
        return;
    if (type != VIR_DOMAIN_JOB_NONE) {
        unsigned long long mem = stat_of(p, n, VIR_DOMAIN_JOB_MEMORY_PROCESSED);
        unsigned long long disk = stat_of(p, n, VIR_DOMAIN_JOB_DISK_PROCESSED);

        h->looks = stat_of(p, n, VIR_DOMAIN_JOB_MEMORY_ITERATION);
        if (mem > h->ret->memory_bytes)
            h->ret->memory_bytes = mem;
        if (disk > h->ret->disk_bytes)
            h->ret->disk_bytes = disk;
        if (!h->still)
            h->ret->memory_seconds = vf_clock_now() - h->start;
        check_once(h);
        tune(h, p, n);
        if (!h->still)
            say(h, VF_GUEST_MEMORY, stat_of(p, n, VIR_DOMAIN_JOB_DATA_PROCESSED),
                stat_of(p, n, VIR_DOMAIN_JOB_DATA_PROCESSED) +
                    stat_of(p, n, VIR_DOMAIN_JOB_DATA_REMAINING));
    }
    virTypedParamsFree(p, n);
}

static void look_at_state(struct hand_off *h)
{
    int state, reason;

    if (h->still || h->info->paused || virDomainGetState(h->watched, &state, &reason, 0) < 0)
        return;
    if (state == VIR_DOMAIN_PAUSED || state == VIR_DOMAIN_SHUTOFF) {
        if (h->info->once)
            look_at_stats(h);
        stands_still(h);
    }
}

/* By a thread of the tunnel's, see libvirt_eye.h: libvirt has all over there, and the guest stands
 * still.  The thread that watches may have had no processor when a second pass began. */
static int judge(void *ctx, struct vf_error *err)
{
    struct hand_off *h = ctx;
    virTypedParameterPtr p = NULL;
    int n = 0, type = 0;
    unsigned long long looks;

    if (h->give_up)
        return vf_error_set(err, VF_ERR_CANCELLED, 0, "the move was given up");
    if (!h->info->once || h->info->paused)
        return 0;
    if (virDomainGetJobStats(h->judged, &type, &p, &n, 0) < 0)
        return vf_lv_error(err, "how often memory was sent");
    looks = stat_of(p, n, VIR_DOMAIN_JOB_MEMORY_ITERATION);
    virTypedParamsFree(p, n);
    /* one more than while the guest ran; 0: not known */
    return looks && looks <= VF_ONCE_LOOKS + 1 ? 0 : vf_once_refuse(err);
}

static void watch(struct hand_off *h, struct vf_error *broken)
{
    for (unsigned look = 0; !vf_lv_eye_wait(&h->g->eye, LOOK_MS); look++) {
        look_at_state(h);
        if ((h->info->once || look % STATS_EVERY == 0) && !h->still)
            look_at_stats(h);
        if (!h->still && h->opts->stop && *h->opts->stop)
            h->give_up = true;
        /* not at once: a cancellation on top of a failure is a path less travelled in QEMU */
        if (broken->code == VF_ERR_NONE && h->far->broken(h->far, broken) != 0)
            h->broke = vf_clock_now();
        if (broken->code != VF_ERR_NONE && vf_clock_now() - h->broke > BROKEN_SECONDS)
            h->give_up = true;
        if (h->give_up && (h->twice || look % STATS_EVERY == 0))
            (void)virDomainAbortJob(h->watched); /* too early or too late: asked again, or done */
    }
}

/* ---- the end of it ---- */

static int arrived(struct hand_off *h, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;

    h->ret->committed = true; /* libvirt does not let it run here any more */
    if (!h->still)
        stands_still(h);
    if (!h->told && h->opts->events.commit)
        (void)h->opts->events.commit(h->opts->events.ctx, &why); /* there is no way back */
    say(h, VF_GUEST_COMMIT, 0, 0);
    if (h->far->ask(h->far, "commit", NULL, NULL, err) < 0)
        return vf_error_prefix(err, "the guest has arrived, but is not known to run");
    h->ret->running_there = true;
    h->ret->downtime_seconds = vf_clock_now() - h->stopped;
    return 0;
}

static int run_libvirt(struct hand_off *h, struct vf_error *err)
{
    struct vf_error broken = VF_ERROR_INIT;
    pthread_t thread;
    bool yes;
    int rc;

    h->start = vf_clock_now();
    /* that it stands still says nothing about one that did so before */
    if (h->info->paused) {
        h->told = true;
        if (h->opts->events.commit && h->opts->events.commit(h->opts->events.ctx, err) < 0)
            return -1;
    }
    vf_lv_eye_begin(&h->g->eye, judge, h);
    if (vf_thread_start(&thread, mover, h, err) < 0) {
        vf_lv_eye_end(&h->g->eye);
        return -1;
    }
    watch(h, &broken);
    yes = vf_lv_eye_yes(&h->g->eye);
    rc = yes ? arrived(h, err) : -1; /* meanwhile libvirt ends the guest's process here */
    (void)pthread_join(thread, NULL);
    vf_lv_eye_end(&h->g->eye);
    if (yes)
        return rc;
    if (h->moved)
        return arrived(h, err);
    if (h->opts->stop && *h->opts->stop)
        return vf_error_set(err, VF_ERR_CANCELLED, 0, "interrupted");
    h->twice = h->twice || (vf_lv_eye_refused(&h->g->eye) && !h->give_up);
    h->ret->again = h->twice;
    if (h->twice)
        return vf_once_refuse(err);
    return vf_error_pass(err, broken.code != VF_ERR_NONE ? &broken : &h->why);
}

/* The guest again, on a connection of its own. */
static int open_again(struct hand_off *h, virConnectPtr *ret_conn, virDomainPtr *ret_dom,
                      struct vf_error *err)
{
    char uuid[VIR_UUID_STRING_BUFLEN];
    char *uri = virConnectGetURI(h->g->conn);

    if (!uri)
        return vf_lv_error(err, "libvirt's address");
    *ret_conn = vf_lv_connect(uri, err);
    free(uri);
    if (!*ret_conn)
        return -1;
    if (virDomainGetUUIDString(h->g->dom, uuid) == 0)
        *ret_dom = virDomainLookupByUUIDString(*ret_conn, uuid);
    return *ret_dom ? 0 : vf_lv_error(err, "the guest");
}

static int prepare(struct hand_off *h, struct vf_error *err)
{
    if (h->opts->postcopy)
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                            "no postcopy with libvirt: it does not let a guest arrive paused then");
    if (h->far->ask(h->far, "prepare", NULL, &h->answer, err) < 0 ||
        open_again(h, &h->watch_conn, &h->watched, err) < 0 ||
        open_again(h, &h->judge_conn, &h->judged, err) < 0 || open_tunnels(h, err) < 0 ||
        set_params(h, err) < 0)
        return -1;
    h->far_conn = vf_lv_connect(h->far_uri, err);
    return h->far_conn ? 0 : vf_error_prefix(err, "the far end's libvirt");
}

/* ---- a guest that is shut off ---- */

/* A small file in pieces, as hexadecimal text. */
static int send_file(struct hand_off *h, const struct vf_guest_file *f, struct vf_error *err)
{
    static const char digit[] = "0123456789abcdef";
    char text[2 * VF_LV_PIECE + 1];
    size_t len = 0;
    uint8_t *data = (uint8_t *)vf_read_small_file(AT_FDCWD, f->path, VF_LV_FILE_MAX, &len, err);
    int rc = data ? 0 : -1;

    for (size_t off = 0; off < len && rc == 0; off += VF_LV_PIECE) {
        size_t n = len - off < VF_LV_PIECE ? len - off : VF_LV_PIECE;
        json_t *args;

        for (size_t i = 0; i < n; i++) {
            text[2 * i] = digit[data[off + i] >> 4];
            text[2 * i + 1] = digit[data[off + i] & 15];
        }
        text[2 * n] = '\0';
        args = json_pack("{s:s, s:I, s:s}", "role", f->role, "off", (json_int_t)off, "data", text);
        rc = args ? h->far->ask(h->far, "file", args, NULL, err) : vf_error_nomem(err);
        json_decref(args);
    }
    free(data);
    return rc;
}

/* Its disks are there; what is left is its definition. */
static int hand_over(struct hand_off *h, struct vf_error *err)
{
    if (h->far->ask(h->far, "prepare", NULL, &h->answer, err) < 0)
        return -1;
    for (size_t i = 0; i < h->info->nfiles; i++)
        if (send_file(h, &h->info->file[i], err) < 0)
            return -1;
    say(h, VF_GUEST_COMMIT, 0, 0);
    if (h->opts->events.commit && h->opts->events.commit(h->opts->events.ctx, err) < 0)
        return -1;
    h->ret->committed = true;
    if (h->far->ask(h->far, "commit", NULL, NULL, err) < 0) {
        h->ret->committed = !h->far->refused; /* it is not there, and never will be */
        return -1;
    }
    h->ret->running_there = true;
    return 0;
}

int vf_lv_hand_off(struct vf_guest *guest, const struct vf_guest_info *info, struct vf_far *far,
                   const struct vf_hand_off_opts *opts, struct vf_hand_off_result *ret,
                   struct vf_error *err)
{
    struct hand_off h = {.g = (struct vf_lv_guest *)guest,
                         .info = info,
                         .far = far,
                         .opts = opts,
                         .ret = ret,
                         .why = VF_ERROR_INIT};
    int rc;

    memset(ret, 0, sizeof *ret);
    rc = info->running ? prepare(&h, err) : hand_over(&h, err);
    if (rc == 0 && info->running)
        rc = run_libvirt(&h, err);
    if (h.moved)
        virDomainFree(h.moved);
    if (h.far_conn)
        virConnectClose(h.far_conn);
    if (h.watched)
        virDomainFree(h.watched);
    if (h.watch_conn)
        virConnectClose(h.watch_conn);
    if (h.judged)
        virDomainFree(h.judged);
    if (h.judge_conn)
        virConnectClose(h.judge_conn);
    virTypedParamsFree(h.params, h.nparams);
    json_decref(h.answer);
    if (h.mem)
        (void)unlink(h.mem);
    if (h.disk)
        (void)unlink(h.disk);
    remove_dir(&h);
    free(h.mem_uri);
    free(h.disk_uri);
    free(h.far_uri);
    free(h.lib);
    free(h.mem);
    free(h.disk);
    return rc;
}
