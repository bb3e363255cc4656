/* cmd/vm/vm_move.c - the steps of moving a guest, and the way back from each of them. */
#include "cmd/vm/vm.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/guest/guest_talk.h"
#include "cmd/marker.h"
#include "cmd/progress.h"
#include "cmd/ratefile.h"
#include "cmd/report.h"
#include "cmd/vm/vm_impl.h"
#include "cmd/vm/vm_tries.h"
#include "core/block.h"
#include "core/checked.h"
#include "core/clock.h"

#define ROUNDS          8u
#define ROUND_BYTES     (UINT64_C(8) << 20) /* so little is left to the hypervisor */
#define TRIES           3u
#define RESOLVE_SECONDS 75 /* longer than a far end takes to find out that it was left */

/* ---- checks on both sides ---- */

/* Can move.json name the node? */
static int check_node(const struct vf_vm *vm, struct vf_error *err)
{
    char *to = vf_target_text(vm->req->target, err);
    int rc = to ? vf_guest_text_check("the node", to, err) : -1;

    free(to);
    return rc;
}

static int check_far(struct vf_vm *vm, struct vf_error *err)
{
    struct vf_guest_far_opts opts = {.cli = &vm->steady,
                                     .target = vm->req->target,
                                     .reach = vm->req->reach,
                                     .group = vm->req->group ? vm->req->group : "",
                                     .limit = vm->limit,
                                     .name = vm->info.name,
                                     .run_dir = vm->dir.path};
    json_t *q = NULL;
    int rc = -1;

    if (check_node(vm, err) == 0)
        q = vf_vm_question(vm, vm->req->dry_run, err);
    if (q && !vm->req->dry_run)
        vf_vm_connect_ahead(vm); /* while the far end is asked, and tries its machine */
    vm->far = q ? vf_guest_far_open(&opts, err) : NULL;
    if (vm->far)
        rc = vf_guest_far_check(vm->far, q, err);
    json_decref(q);
    return rc;
}

/* Of all nodes that were asked, the best that takes it; a dry run asks the one that was named, too.
 */
static int choose_far(struct vf_vm *vm, struct vf_error *err)
{
    const struct vf_vm_node *best;

    if (vf_vm_choose(vm, err) < 0)
        return -1;
    vm->own = *vm->req;
    for (;;) {
        best = vf_vm_choice_best(&vm->choice, err);
        if (!best)
            return -1;
        vm->own.label = best->label;
        vm->own.target = &vm->choice.all.node[best->in_all].target;
        vm->req = &vm->own;
        if (check_far(vm, err) == 0)
            break;
        if (err->code == VF_ERR_CANCELLED || err->code == VF_ERR_NOMEM)
            return -1;
        if (vm->choice.n > 1)
            vf_say(vm->cli, "%s: %s", best->label, err->msg);
        vf_guest_far_close(vm->far, err);
        vm->far = NULL;
        vf_ahead_end(vm->ahead);
        vm->ahead = NULL;
        vf_vm_choice_refuse(&vm->choice, err);
    }
    if (vm->req->choose)
        vf_say(vm->cli, "%s needs the fewest: %" PRIu64 " blocks", best->label, best->literals);
    return vf_vm_choice_settle(vm, err);
}

/* One limit for all connections of the move. */
static int set_limit(struct vf_vm *vm, struct vf_error *err)
{
    const struct vf_vm_request *r = vm->req;

    if (!r->limit_rate && !r->limit_file)
        return 0;
    vm->limit = vf_ratelimit_new(r->limit_rate, err);
    if (vm->limit && r->limit_file)
        vm->follow = vf_ratefile_start(vm->cli, r->limit_file, r->limit_rate, vm->limit, err);
    return vm->limit && (vm->follow || !r->limit_file) ? 0 : -1;
}

/* What can be told of the hypervisor alone is refused before anything is looked at, or undone that
 * an earlier try has left. */
static int check_kind(const struct vf_vm *vm, struct vf_error *err)
{
    if (vm->req->opts->postcopy && !vm->guest->ops->follow)
        return vf_error_set(
            err, VF_ERR_UNSUPPORTED, 0,
            "no postcopy with libvirt: it does not let a guest arrive paused then, and "
            "without that one could run at both ends after a lost answer");
    if (vm->req->opts->offline && strcmp(vm->guest->ops->kind, "qmp") == 0)
        return vf_error_set(err, VF_ERR_USAGE, 0, "the guest runs: leave --offline out");
    return 0;
}

/* What this side writes into move.json, or tells QEMU. */
static int check_words(const struct vf_vm *vm, struct vf_error *err)
{
    const char *qmp = vm->req->opts->qmp;

    if (vf_guest_text_check("the store", vm->req->store->path, err) < 0)
        return -1;
    return qmp ? vf_guest_text_check("the socket", qmp, err) : 0;
}

/* Nothing is changed anywhere before all this went well. */
static int prepare(struct vf_vm *vm, struct vf_error *err)
{
    json_t *job = NULL;
    bool finished = false;
    int rc = -1;

    if (check_words(vm, err) < 0 || vf_vm_open_dir(vm, true, &job, err) < 0 ||
        vf_vm_open_guest(vm, job, err) < 0 || check_kind(vm, err) < 0 || set_limit(vm, err) < 0)
        goto out;
    vm->job = json_incref(job);
    if (vf_vm_clear(vm, job, &finished, err) < 0)
        goto out;
    if (vm->rejoined) {
        rc = vf_vm_clean_finished(vm, job, err);
        goto out;
    }
    if (finished) {
        rc = vf_error_set(err, VF_ERR_EXISTS, 0,
                          "the guest runs at its destination already: `vmferry migrate --vm %s "
                          "--abort` cleans up here",
                          vm->req->opts->vm);
        goto out;
    }
    json_decref(vm->job);
    vm->job = NULL;
    if (vm->guest->ops->describe(vm->guest, &vm->info, err) < 0)
        goto out;
    if (vm->info.running == vm->req->opts->offline)
        (void)vf_error_set(err, VF_ERR_USAGE, 0,
                           vm->info.running ? "the guest runs: leave --offline out"
                                            : "the guest is shut off: give --offline");
    else if (vf_vm_choose_disks(vm, err) == 0)
        rc = vm->req->choose || vm->req->dry_run ? choose_far(vm, err) : check_far(vm, err);
out:
    json_decref(job);
    return rc;
}

/* ---- disks ---- */

/* Freezes, and sends what then stands still. */
static int freeze_and_send(struct vf_vm *vm, struct vf_error *err)
{
    struct vf_frozen *frozen = NULL;
    int rc;

    if (vm->guest->ops->freeze(vm->guest, &vm->info, vf_vm_overlay_dir(vm), &frozen, err) < 0)
        return -1;
    rc = vf_vm_send_frozen(vm, frozen, err);
    vf_frozen_free(frozen, vm->info.ndisks);
    return rc;
}

/* What changed while the bulk travelled, and while that travelled, until it is little. */
static int send_rounds(struct vf_vm *vm, struct vf_error *err)
{
    uint64_t most = vm->req->opts->rounds ? vm->req->opts->rounds : ROUNDS;
    uint64_t before = UINT64_MAX, changed;

    for (; vm->info.running && vm->count.rounds < most; vm->count.rounds++) {
        if (vm->guest->ops->changed(vm->guest, &vm->info, &changed, err) < 0)
            return -1;
        /* Not much, or it does not become less. */
        if (changed <= ROUND_BYTES || changed > before - before / 4)
            return 0;
        before = changed;
        vf_say_more(vm->cli, "round %u: %" PRIu64 " bytes have changed", vm->count.rounds + 1,
                    changed);
        if (freeze_and_send(vm, err) < 0)
            return -1;
    }
    return 0;
}

static int move_disks(struct vf_vm *vm, struct vf_error *err)
{
    double start = vf_clock_now();

    vm->info.overlay_dir = vf_vm_overlay_dir(vm);
    if (vf_vm_note(vm, "disks", err) < 0 || freeze_and_send(vm, err) < 0)
        return -1;
    vm->count.bulk_seconds = vf_clock_now() - start;
    start = vf_clock_now();
    if (send_rounds(vm, err) < 0)
        return -1;
    vm->count.round_seconds = vf_clock_now() - start;
    return 0;
}

/* ---- the hand-off ---- */

static void on_progress(void *ctx, enum vf_guest_phase phase, uint64_t done, uint64_t total)
{
    struct vf_vm *vm = ctx;
    struct vf_progress_now now = {.phase = "memory",
                                  .blocks_done = done / VF_BLOCK,
                                  .blocks = (total > done ? total : done) / VF_BLOCK};

    if (phase == VF_GUEST_MEMORY) {
        if (!vm->progress)
            vm->progress = vf_progress_new(vm->cli, vm->info.name);
        vf_progress_tick(vm->progress, &now);
        return;
    }
    vf_progress_end(vm->progress); /* what is left takes a moment */
    vm->progress = NULL;
    if (phase == VF_GUEST_STOPPED)
        vf_say_more(vm->cli, "the guest stands still");
}

static int on_commit(void *ctx, struct vf_error *err) { return vf_vm_note(ctx, "commit", err); }

/* Its answer did not come: the guest may run there.  It is asked until it is known. */
static int settle(struct vf_vm *vm, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;
    int rc;

    vf_say(vm->cli, "%s: asking %s again", err->msg, vm->req->label);
    rc = vf_vm_resolve(vm, RESOLVE_SECONDS, &why);
    if (rc == 1) {
        vm->result.running_there = true;
        return 0;
    }
    if (rc == 0) {
        vm->result.committed = false;
        return vf_error_set(err, VF_ERR_UNREACHABLE, 0, "the hand-off failed: %s", why.msg);
    }
    vm->running_at = "unknown";
    return vf_error_set(err, VF_ERR_UNREACHABLE, 0,
                        "%s does not answer (%.80s); the guest stands still here and may run "
                        "there: run `vmferry migrate --vm %s --status`, never resume it by hand",
                        vm->req->label, why.msg, vm->info.name);
}

/* libvirt has one for itself, one for memory and one for all disks; QMP one for each disk. */
static size_t tunnels_of(const struct vf_vm *vm)
{
    size_t n = 1;

    if (strcmp(vm->guest->ops->kind, "qmp") != 0)
        return 3;
    for (size_t i = 0; i < vm->info.ndisks; i++)
        n += vm->info.disk[i].way == VF_DISK_COPY && !vm->info.disk[i].read_only;
    return n;
}

/* From here on the guest needs both ends until all of its memory is there. */
static int follow(struct vf_vm *vm, bool again, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;

    if (vf_vm_note(vm, "postcopy", &why) < 0) /* "commit", with its "postcopy", says it as well */
        vf_say(vm->cli, "%s", why.msg);
    if (vm->result.postcopy)
        vf_say_more(vm->cli, "the guest runs there, and the rest of its memory follows");
    if (vf_vm_follow(vm, again, err) < 0)
        return -1;
    vm->result.running_there = true;
    return 0;
}

static int hand_off(struct vf_vm *vm, struct vf_error *err)
{
    const struct vf_vm_opts *o = vm->req->opts;
    struct vf_hand_off_opts opts = {.max_downtime_ms = o->max_downtime,
                                    .limit_rate = vm->req->limit_rate,
                                    .auto_converge = o->auto_converge,
                                    .postcopy = o->postcopy,
                                    .events = {vm, on_progress, on_commit},
                                    .stop = vm->cli->stop};
    double start = vf_clock_now();
    int rc = vf_vm_note(vm, "memory", err);

    if (rc == 0 && vm->info.running)
        vf_guest_far_ahead(vm->far, tunnels_of(vm)); /* while the far machine starts */
    if (rc == 0)
        rc = vm->guest->ops->hand_off(vm->guest, &vm->info, vf_guest_far_half(vm->far), &opts,
                                      &vm->result, err);
    vm->count.memory_seconds = vm->result.memory_seconds;
    vm->count.memory_bytes = vm->result.memory_bytes;
    vm->count.disk_bytes = vm->result.disk_bytes;
    vf_progress_end(vm->progress);
    vm->progress = NULL;
    if (vm->result.forward && vm->result.committed)
        rc = follow(vm, rc < 0, err);
    else if (rc < 0 && vm->result.committed && !vm->result.running_there)
        rc = settle(vm, err);
    vm->count.hand_off_seconds = vf_clock_now() - start;
    return rc;
}

/* ---- the ends ---- */

/* The far end does the same by itself when it is left; one that was killed has to be told. */
static void drop_there(struct vf_vm *vm)
{
    struct vf_far *half = vf_guest_far_half(vm->far);
    struct vf_error why = VF_ERROR_INIT;

    if (half->ask(half, "drop", NULL, NULL, &why) == 0 || half->refused)
        return;
    if (vf_guest_far_again(vm->far, vm->guest->ops->kind, &why) < 0 ||
        half->ask(half, "drop", NULL, NULL, &why) < 0)
        vf_say_more(vm->cli, "%s: %s", vm->req->label, why.msg);
}

/* The guest goes on here as if nothing had been. */
static int go_back(struct vf_vm *vm, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;

    vm->running_at = "source";
    if (vm->job) {
        vf_say(vm->cli, "%s: going back: %s", vm->info.name, err->msg);
        if (vm->far)
            vf_guest_far_end_tunnels(vm->far);
        if (vm->guest->ops->roll_back(vm->guest, &vm->info, &why) < 0) {
            vm->result.again = false;
            (void)vf_error_set(err, err->code, 0,
                               "%.90s; and going back failed (%.90s): `vmferry migrate --vm %s "
                               "--abort` tries again",
                               err->msg, why.msg, vm->info.name); /* -1 below */
            return -1;
        }
        vf_guest_dir_remove(&vm->dir, "move.json");
        (void)vf_vm_hooks(vm, "failed", NULL); /* says so itself */
    }
    if (vm->far && vm->job)
        drop_there(vm);
    return -1;
}

/* The guest runs there. */
static int finish(struct vf_vm *vm, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;

    vm->running_at = "destination";
    if (vf_vm_note(vm, "finish", &why) < 0)
        vf_say(vm->cli, "%s", why.msg);
    vf_guest_far_end_tunnels(vm->far);
    if (vf_vm_end_here(vm, &why) < 0)
        return vf_error_set(err, why.code, 0,
                            "the guest runs at %s, but here is something left to clean: %.100s; "
                            "`vmferry migrate --vm %s --abort` tries again",
                            vm->req->label, why.msg, vm->info.name);
    vf_guest_dir_remove(&vm->dir, "move.json");
    vf_guest_dir_remove(&vm->dir, "guest.json");
    vf_guest_dir_remove(&vm->dir, "log");
    vf_vm_settle_disks(vm);
    (void)vf_vm_hooks(vm, "after", NULL); /* says so itself */
    return 0;
}

static int move(struct vf_vm *vm, struct vf_error *err)
{
    if (vf_vm_hooks(vm, "before", err) < 0)
        return -1;
    if (move_disks(vm, err) < 0)
        return -1;
    return hand_off(vm, err);
}

/* What its conversation and its tunnels have carried; what is closed already is counted. */
static void count_far(struct vf_vm *vm)
{
    struct vf_stream_stats wire;

    vf_guest_far_stats(vm->far, &wire);
    vf_vm_count_wire(&vm->count, &wire);
}

/* The guest stays; *ret_again: it failed by chance only.  tries gets what it has sent for nothing.
 */
static void end_try(struct vf_vm *vm, struct vf_vm_tries *tries, bool *ret_again,
                    struct vf_error *err)
{
    struct vf_error why;

    (void)go_back(vm, err); /* the caller knows that it failed */
    *ret_again = vm->result.again && err->code == VF_ERR_BUSY;
    if (!*ret_again)
        return;
    count_far(vm);
    if (vf_vm_tries_note(tries, vm, &why) < 0)
        *ret_again = false;
}

/* *ret_again: it failed by chance only, and the guest goes on here. */
static int migrate_once(const struct vf_vm_request *req, struct vf_vm_tries *tries, bool *ret_again,
                        struct vf_error *err)
{
    struct vf_vm vm;
    int rc;

    vf_vm_set_up(&vm, req);
    vm.start = vf_clock_now();
    if (!req->dry_run)
        vf_marker_set(&vm.marker, req->store->fd);
    rc = prepare(&vm, err);
    if (vm.rejoined) {
        if (rc == 0)
            rc = vf_vm_report_rejoined(&vm, err);
        vf_vm_close(&vm, rc < 0 ? err : NULL);
        return rc;
    }
    if (rc == 0 && !req->dry_run)
        rc = move(&vm, err);
    if (rc < 0 && vm.far && !vm.result.committed)
        end_try(&vm, tries, ret_again, err);
    if (rc == 0 && !req->dry_run) {
        count_far(&vm);
        vf_vm_tries_sum(tries, &vm);
        rc = finish(&vm, err);
    }
    if (rc == 0)
        rc = vf_vm_report(&vm, err);
    vf_vm_close(&vm, rc < 0 ? err : NULL);
    return rc;
}

int vf_vm_migrate(const struct vf_vm_request *req, struct vf_error *err)
{
    struct vf_vm_tries tries = {0};
    bool again = false;
    int rc = migrate_once(req, &tries, &again, err);

    /* what was sent of the disks is there by now */
    for (unsigned n = 1; rc < 0 && again && n < TRIES && !*req->cli->stop; n++) {
        again = false;
        rc = migrate_once(req, &tries, &again, err);
    }
    vf_vm_tries_free(&tries);
    return rc;
}
