/* cmd/vm/vm_status.c - `migrate --vm NAME --status` and `--abort`. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/guest/guest_left.h"
#include "cmd/guest/guest_talk.h"
#include "cmd/member.h"
#include "cmd/report.h"
#include "cmd/vm/vm_impl.h"
#include "core/fdio.h"
#include "core/thread.h"

#define END_SECONDS 180 /* for a move that was told to go back */

/* Is somebody at work?  Takes the lock when nobody is. */
static int is_moving(struct vf_vm *vm, bool *ret, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;

    *ret = false;
    if (vf_guest_dir_lock(&vm->dir, &why) == 0)
        return 0;
    *ret = why.code == VF_ERR_BUSY;
    if (*ret || why.code == VF_ERR_NOTFOUND) /* the move has ended, and removed it all */
        return 0;
    return vf_error_pass(err, &why);
}

/* Where the guest of a move in that phase runs. */
static const char *place(const char *phase)
{
    if (strcmp(phase, "postcopy") == 0 || strcmp(phase, "finish") == 0)
        return "destination";
    return strcmp(phase, "commit") == 0 ? "unknown" : "source";
}

/* What guest.json says: has it come here, or was it to come? */
static void look_at_arrival(const struct vf_vm *vm, bool *ret_came, bool *ret_coming)
{
    json_t *here = vf_guest_dir_load(&vm->dir, "guest.json", NULL);

    *ret_came = json_is_true(json_object_get(here, "committed"));
    *ret_coming = here && !*ret_came;
    json_decref(here);
}

static void print_status(const char *name, const json_t *job, bool moving, bool coming,
                         const char *state)
{
    const char *phase = job ? vf_member_text(job, "phase") : "";

    vf_put_clean(stdout, name);
    printf(": %s, %s%s%s\n", state,
           moving ? "being moved"
           : job  ? "a move was cut short"
                  : "not being moved",
           job ? ", phase " : "", phase);
    if (strcmp(phase, "postcopy") == 0)
        printf("It runs at %s, and some of its memory is still here: %s.\n",
               vf_member_text(job, "label"),
               moving ? "it is on its way" : "run the same `vmferry migrate` again");
    if (coming && moving)
        printf("It is on its way here.\n");
    else if (coming)
        printf("It was on its way here and has not come. Do not use its disks here, which may be "
               "half written: its next move goes on with them, and --abort puts them aside.\n");
}

int vf_vm_status(const struct vf_vm_request *req, struct vf_error *err)
{
    struct vf_vm vm;
    json_t *job = NULL, *report;
    struct vf_error why = VF_ERROR_INIT;
    const char *state = "unknown", *phase;
    bool moving = false, came, coming;
    int rc = -1;

    vf_vm_set_up(&vm, req);
    if (vf_vm_open_dir(&vm, false, &job, err) < 0 || is_moving(&vm, &moving, err) < 0)
        goto out;
    /* Whoever moves it has its socket. */
    if (!moving && vf_vm_open_guest(&vm, job, &why) == 0)
        (void)vm.guest->ops->state(vm.guest, &state, &why); /* then it stays unknown */
    else if (!moving)
        state = "none";
    phase = job ? vf_member_text(job, "phase") : "none";
    look_at_arrival(&vm, &came, &coming);
    report =
        json_pack("{s:s, s:b, s:s, s:s, s:s, s:s, s:b, s:b}", "vm", req->opts->vm, "moving",
                  (int)moving, "phase", phase, "to", vf_member_text(job, "label"), "state", state,
                  "running_at", place(phase), "came_here", (int)came, "coming_here", (int)coming);
    rc = vf_report_set(req->cli, report, err);
    if (rc == 0 && !req->cli->json)
        print_status(req->opts->vm, job, moving, coming, state);
out:
    json_decref(job);
    vf_vm_close(&vm, NULL);
    return rc;
}

/* Tells the process that moves it to go back, and waits for that. */
static int interrupt(struct vf_vm *vm, const json_t *job, struct vf_error *err)
{
    pid_t pid = (pid_t)vf_member_number(job, "pid");
    bool moving = true;

    if (pid <= 1 || kill(pid, SIGINT) < 0)
        return vf_error_set(err, VF_ERR_BUSY, errno, "the process that moves it cannot be told");
    for (int n = 0; n < END_SECONDS * 5 && moving; n++) {
        vf_thread_nap(200);
        if (is_moving(vm, &moving, err) < 0)
            return -1;
    }
    return moving ? vf_error_set(err, VF_ERR_TIMEOUT, 0, "the move does not come to an end") : 0;
}

static void forget(struct vf_vm *vm)
{
    vf_guest_dir_remove(&vm->dir, "move.json");
    vf_guest_dir_remove(&vm->dir, "guest.json");
    vf_guest_dir_remove(&vm->dir, "log");
}

/* Was it let go, or nearly, before all of its memory was there? */
static bool follows(const json_t *job)
{
    const char *phase = vf_member_text(job, "phase");

    return strcmp(phase, "postcopy") == 0 ||
           (strcmp(phase, "commit") == 0 && json_is_true(json_object_get(job, "postcopy")));
}

/* The guest is not here any more: its process has ended, or its domain is gone. */
static int clean_without(struct vf_vm *vm, const json_t *job, struct vf_error *err)
{
    const char *phase = vf_member_text(job, "phase");
    bool finished = strcmp(phase, "finish") == 0, whole = true;

    if (strcmp(phase, "commit") == 0 && !follows(job) &&
        vf_vm_ask_there(vm, job, &finished, err) < 0)
        return -1;
    if (follows(job)) {
        if (vf_vm_whole_there(vm, job, &whole, err) < 0)
            return -1;
        finished = whole || strcmp(phase, "postcopy") == 0;
        if (!whole)
            vf_say(vm->cli,
                   "%s: its QEMU here ended before all of its memory had come to %s: it cannot go "
                   "on there; end it, and start it anew from its disks",
                   vm->req->opts->vm, vf_member_text(job, "label"));
    }
    if (vf_vm_fold_left(job, err) < 0)
        return -1;
    if (!finished && !follows(job))
        vf_vm_drop_there(vm, job);
    vm->running_at = finished ? "destination" : "nowhere";
    forget(vm);
    return 0;
}

/* Nobody is at work: what is left is cleaned. */
static int clean(struct vf_vm *vm, const json_t *job, struct vf_error *err)
{
    bool finished = false;

    vm->job = json_incref((json_t *)(uintptr_t)job); /* counted, not changed */
    if (vf_vm_open_guest(vm, job, err) < 0) {
        if (err->code != VF_ERR_NOTFOUND && err->code != VF_ERR_UNREACHABLE)
            return vf_error_prefix(err, "the guest cannot be reached");
        return clean_without(vm, job, err);
    }
    if (vf_vm_clear(vm, job, &finished, err) < 0)
        return -1;
    if (finished)
        return vf_vm_clean_finished(vm, job, err);
    vf_vm_drop_there(vm, job); /* it may have ended with the move, and have told nobody */
    return 0;
}

/* No move from here is noted, but perhaps one to here that has ended with its far end. */
static int abort_arrival(struct vf_vm *vm, bool moving, struct vf_error *err)
{
    struct vf_guest_serve s = {.store = vm->req->store,
                               .index = vm->req->index,
                               .images_fd = -1,
                               .group = "",
                               .stop = vm->cli->stop};
    json_t *doc = vf_guest_dir_load(&vm->dir, "guest.json", NULL);
    int rc = -1;

    if (!doc || json_is_true(json_object_get(doc, "committed"))) {
        (void)vf_error_set(err, VF_ERR_NOTFOUND, 0, "no move of '%s' is going on, or left over",
                           vm->req->opts->vm); /* rc says it */
    } else if (moving) {
        (void)vf_error_set(err, VF_ERR_BUSY, 0,
                           "'%s' is on its way here: run the same command where it comes from",
                           vm->req->opts->vm); /* the same */
    } else {
        s.images_fd = open(s.store->images_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        rc = s.images_fd < 0 ? vf_error_sys(err, errno, "'%s'", s.store->images_dir)
                             : vf_guest_left_drop(&s, doc, err);
    }
    vf_close_fd(&s.images_fd);
    json_decref(doc);
    vm->running_at = "source";
    return rc;
}

int vf_vm_abort(const struct vf_vm_request *req, struct vf_error *err)
{
    struct vf_vm vm;
    json_t *job = NULL;
    bool moving = false;
    int rc = -1;

    vf_vm_set_up(&vm, req);
    err->code = VF_ERR_NONE;
    if (vf_vm_open_dir(&vm, false, &job, err) < 0 || is_moving(&vm, &moving, err) < 0)
        goto out;
    if (!job) {
        rc = abort_arrival(&vm, moving, err);
    } else if (moving) {
        if (interrupt(&vm, job, err) < 0)
            goto out;
        json_decref(job);
        job = vf_guest_dir_load(&vm.dir, "move.json", NULL);
        rc = job ? clean(&vm, job, err) : 0; /* it has cleaned up itself, as a rule */
    } else {
        rc = clean(&vm, job, err);
    }
    if (rc == 0)
        rc = vf_report_set(req->cli,
                           json_pack("{s:s, s:s, s:o}", "vm", req->opts->vm, "running_at",
                                     vm.running_at, "left_process", vf_vm_left_json(&vm)),
                           err);
    if (rc == 0 && !req->cli->json)
        printf("%s: it is at the %s\n", req->opts->vm, vm.running_at);
out:
    json_decref(job);
    vf_vm_close(&vm, rc < 0 ? err : NULL);
    return rc;
}
