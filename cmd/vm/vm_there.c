/* cmd/vm/vm_there.c - what becomes of a guest at the far end that the source has lost: questions to
 * the far half of a move that is noted. */
#include <stdlib.h>
#include <string.h>

#include "cmd/inventory.h"
#include "cmd/member.h"
#include "cmd/report.h"
#include "cmd/vm/vm_impl.h"
#include "core/clock.h"
#include "core/thread.h"

/* Longer than a far end takes to find out that it was left. */
#define RESOLVE_SECONDS 75

int vf_vm_go_there(struct vf_vm *vm, const json_t *job, struct vf_error *err)
{
    struct vf_guest_far_opts opts = {.cli = &vm->steady,
                                     .target = &vm->there,
                                     .reach = vm->req->reach,
                                     .group = vm->req->group ? vm->req->group : "",
                                     .limit = vm->limit,
                                     .name = vm->req->opts->vm,
                                     .run_dir = vm->dir.path};

    if (vf_target_parse(vf_member_text(job, "to"), &vm->there, err) < 0)
        return -1;
    vm->far = vf_guest_far_open(&opts, err);
    return vm->far ? 0 : -1;
}

void vf_vm_leave_there(struct vf_vm *vm)
{
    vf_guest_far_close(vm->far, NULL);
    vm->far = NULL;
    vf_target_free(&vm->there);
}

/* It was not let run there, but is there and may be the only one: libvirt's. */
static bool stands_there(struct vf_far *half)
{
    struct vf_error why = VF_ERROR_INIT;
    json_t *answer = NULL;
    bool ret = half->ask(half, "state", NULL, &answer, &why) == 0 &&
               strcmp(vf_member_text(answer, "state"), "paused") == 0;

    json_decref(answer);
    return ret;
}

/* 1: it runs there; 0: it is not there and never will be; -1: not known, or not yet. */
static int ask_once(struct vf_vm *vm, const char *kind, struct vf_error *err)
{
    struct vf_far *half = vf_guest_far_half(vm->far);

    if (vf_guest_far_again(vm->far, kind, err) < 0) {
        /* It knows no such guest: then it never said yes. */
        if (half->refused && err->code == VF_ERR_NOTFOUND)
            return 0;
        return -1;
    }
    if (half->ask(half, "commit", NULL, NULL, err) == 0)
        return 1;
    return half->refused && !stands_there(half) ? 0 : -1;
}

int vf_vm_resolve(struct vf_vm *vm, int seconds, struct vf_error *err)
{
    const char *kind = vm->job ? vf_member_text(vm->job, "kind") : vm->guest->ops->kind;
    double end = vf_clock_now() + seconds;
    int rc;

    do {
        rc = ask_once(vm, kind, err);
        if (rc >= 0)
            return rc;
        vf_say_more(vm->cli, "asking whether the guest runs there: %s", err->msg);
        vf_thread_nap(1000);
    } while (vf_clock_now() < end);
    return -1;
}

/* An earlier try had passed its commit point and did not learn what came of it. */
int vf_vm_ask_there(struct vf_vm *vm, const json_t *job, bool *ret_finished, struct vf_error *err)
{
    int rc = vf_vm_go_there(vm, job, err);

    if (rc == 0)
        rc = vf_vm_resolve(vm, RESOLVE_SECONDS, err);
    vf_vm_leave_there(vm);
    if (rc < 0)
        return vf_error_prefix(err,
                               "the guest stands still here, and may run at %s, which has to be "
                               "asked first",
                               vf_member_text(job, "label"));
    *ret_finished = rc == 1;
    return 0;
}

/* Asks the far half of a move that is noted, in a conversation for that alone.  *ret_refused: it
 * said no. */
static int ask_there(struct vf_vm *vm, const json_t *job, const char *question, json_t **ret_answer,
                     bool *ret_refused, struct vf_error *err)
{
    int rc = vf_vm_go_there(vm, job, err);

    *ret_refused = false;
    if (rc == 0)
        rc = vf_guest_far_again(vm->far, vf_member_text(job, "kind"), err);
    if (rc == 0) {
        struct vf_far *half = vf_guest_far_half(vm->far);

        rc = half->ask(half, question, NULL, ret_answer, err);
        *ret_refused = rc < 0 && half->refused;
    }
    vf_vm_leave_there(vm);
    return rc;
}

void vf_vm_drop_there(struct vf_vm *vm, const json_t *job)
{
    struct vf_error why = VF_ERROR_INIT;
    bool refused;

    if (ask_there(vm, job, "drop", NULL, &refused, &why) == 0 || refused)
        return;
    if (why.code == VF_ERR_NOTFOUND) /* there is nothing of it */
        return;
    vf_say(vm->cli,
           "%s could not be asked to clear up: a disk that had come may be left there (%s)",
           vf_member_text(job, "label"), why.msg);
}

int vf_vm_whole_there(struct vf_vm *vm, const json_t *job, bool *ret, struct vf_error *err)
{
    json_t *answer = NULL;
    bool refused;
    int rc = ask_there(vm, job, "whole", &answer, &refused, err);

    *ret = json_is_true(json_object_get(answer, "whole"));
    json_decref(answer);
    return refused ? 0 : rc; /* then it is not there any more */
}
