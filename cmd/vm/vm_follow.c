/* cmd/vm/vm_follow.c - the guest runs at the far end, and some of its memory is still here.
 *
 * Nothing can go back from there, and neither QEMU may end.  So the move stays with it for a while,
 * whatever the line does, and otherwise says what to do. */
#include <string.h>
#include <unistd.h>

#include "cmd/member.h"
#include "cmd/progress.h"
#include "cmd/report.h"
#include "cmd/vm/vm_impl.h"
#include "core/block.h"
#include "core/clock.h"
#include "core/thread.h"

#define PATIENCE     900 /* seconds without a line, until it is left to the user */
#define AGAIN_MS     1000
#define LINE_SECONDS 5 /* a line that held for so long was one */

static void on_progress(void *ctx, enum vf_guest_phase phase, uint64_t done, uint64_t total)
{
    struct vf_vm *vm = ctx;
    struct vf_progress_now now = {
        .phase = "postcopy", .blocks_done = done / VF_BLOCK, .blocks = total / VF_BLOCK};

    (void)phase;
    if (!vm->progress)
        vm->progress = vf_progress_new(vm->cli, vm->req->opts->vm);
    vf_progress_tick(vm->progress, &now);
}

/* A new conversation; what tunnels there were have ended. */
static int connect_again(struct vf_vm *vm, struct vf_error *err)
{
    vf_guest_far_end_tunnels(vm->far);
    vf_thread_nap(AGAIN_MS);
    return vf_guest_far_again(vm->far, vm->guest->ops->kind, err);
}

static int follow_once(struct vf_vm *vm, bool again, struct vf_error *err)
{
    const struct vf_hand_off_events events = {.ctx = vm, .progress = on_progress};
    int rc = vm->guest->ops->follow(vm->guest, vf_guest_far_half(vm->far), again, &events,
                                    vm->cli->stop, err);

    vf_progress_end(vm->progress);
    vm->progress = NULL;
    return rc;
}

static int give_up(struct vf_vm *vm, const struct vf_error *why, struct vf_error *err)
{
    vm->running_at = "destination";
    if (why->code == VF_ERR_NOTFOUND)
        return vf_error_set(err, VF_ERR_IO, 0, "the guest is at %s, but %s",
                            vf_member_text(vm->job, "label"), why->msg);
    return vf_error_set(err, why->code, 0,
                        "the guest runs at %s, but some of its memory is still here (%.90s): run "
                        "the same command again to bring it over; until then neither QEMU may end",
                        vf_member_text(vm->job, "label"), why->msg);
}

int vf_vm_follow(struct vf_vm *vm, bool again, struct vf_error *err)
{
    double start = vf_clock_now(), end = start + PATIENCE, began;
    struct vf_error why = VF_ERROR_INIT;
    int rc = again ? connect_again(vm, &why) : 0;

    for (;;) {
        began = vf_clock_now();
        if (rc == 0 && follow_once(vm, again, &why) == 0)
            break;
        if (why.code == VF_ERR_NOTFOUND || *vm->cli->stop)
            return give_up(vm, &why, err);
        if (rc == 0 && vf_clock_now() - began > LINE_SECONDS)
            end = vf_clock_now() + PATIENCE;
        if (vf_clock_now() > end)
            return give_up(vm, &why, err);
        vf_say(vm->cli,
               "%s runs at %s and lacks some of its memory: %s; trying again for %.0f seconds",
               vm->req->opts->vm, vf_member_text(vm->job, "label"), why.msg, end - vf_clock_now());
        again = true;
        rc = connect_again(vm, &why);
    }
    vm->follow_seconds = vf_clock_now() - start;
    return 0;
}

int vf_vm_rejoin(struct vf_vm *vm, struct vf_error *err)
{
    int rc;

    if (!vm->guest->ops->follow)
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "a guest of %s has no such move",
                            vm->guest->ops->kind);
    vf_say(vm->cli, "%s runs at %s already: bringing over the rest of its memory",
           vm->req->opts->vm, vf_member_text(vm->job, "label"));
    if (json_object_set_new(vm->job, "pid", json_integer((json_int_t)getpid())) < 0)
        return vf_error_nomem(err);
    rc = vf_vm_note(vm, "postcopy", err);
    if (rc < 0)
        return -1;
    rc = vf_vm_go_there(vm, vm->job, err);
    if (rc == 0) {
        rc = vf_vm_follow(vm, true, err);
    } else {
        struct vf_error why = *err;

        rc = give_up(vm, &why, err);
    }
    vf_vm_leave_there(vm);
    if (rc == 0)
        rc = vf_vm_note(vm, "finish", err);
    vm->rejoined = rc == 0;
    return rc;
}
