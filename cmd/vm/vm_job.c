/* cmd/vm/vm_job.c - a move's own memory, and what to do about an earlier one. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/guest/guest_talk.h"
#include "cmd/inventory.h"
#include "cmd/member.h"
#include "cmd/ratefile.h"
#include "cmd/report.h"
#include "cmd/vm/vm_impl.h"
#include "core/checked.h"
#include "core/clock.h"
#include "core/fdio.h"
#include "core/thread.h"
#include "hypervisor/overlay.h"

#define COMM_MAX 64u /* bytes of what the kernel calls a process; it has 16 */

/* Longer than a far end takes to find out that it was left. */
#define RESOLVE_SECONDS 75

/* For a clean-up that cannot ask the hypervisor any more. */
static int note_disks(struct vf_vm *vm)
{
    const char *dir = vf_vm_overlay_dir(vm);
    json_t *disks = json_array();

    for (size_t i = 0; i < vm->info.ndisks; i++)
        if (vm->info.disk[i].way == VF_DISK_COPY && !vm->info.disk[i].read_only &&
            json_array_append_new(disks, vf_json_text(vm->info.disk[i].path)) < 0) {
            json_decref(disks);
            return -1;
        }
    if (dir && json_object_set_new(vm->job, "overlay_dir", vf_json_text(dir)) < 0)
        return -1;
    return json_object_set_new(vm->job, "disks", disks);
}

int vf_vm_fold_left(const json_t *job, struct vf_error *err)
{
    const char *dir = vf_member_text(job, "overlay_dir");
    const json_t *path;
    size_t i;

    json_array_foreach(json_object_get(job, "disks"), i, path)
    {
        if (vf_overlay_fold(json_string_value(path), *dir ? dir : NULL, err) < 0)
            return -1;
    }
    return 0;
}

int vf_vm_note(struct vf_vm *vm, const char *phase, struct vf_error *err)
{
    if (!vm->job) {
        const struct vf_vm_opts *o = vm->req->opts;
        char *to = vf_target_text(vm->req->target, err);

        if (!to)
            return -1;
        vm->job = json_pack("{s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:b, s:b}", "vm", o->vm, "kind",
                            vm->guest->ops->kind, "to", to, "label", vm->req->label, "qmp",
                            o->qmp ? json_string(o->qmp) : json_null(), "pid", (json_int_t)getpid(),
                            "started", (json_int_t)time(NULL), "paused", (int)vm->info.paused,
                            "postcopy", (int)vf_vm_wants_postcopy(vm));
        free(to);
    }
    if (vm->job && !json_object_get(vm->job, "disks") && note_disks(vm) < 0)
        return vf_error_nomem(err);
    if (!vm->job || json_object_set_new(vm->job, "phase", json_string(phase)) < 0)
        return vf_error_nomem(err);
    return vf_guest_dir_save(&vm->dir, "move.json", vm->job, err);
}

int vf_vm_open_dir(struct vf_vm *vm, bool lock, json_t **ret_job, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;

    if (vf_guest_name_check(vm->req->opts->vm, err) < 0 ||
        vf_guest_dir_open(vm->req->store, vm->req->opts->vm, &vm->dir, err) < 0 ||
        (lock && vf_guest_dir_lock(&vm->dir, err) < 0))
        return -1;
    if (!ret_job)
        return 0;
    *ret_job = vf_guest_dir_load(&vm->dir, "move.json", &why);
    if (!*ret_job && why.code != VF_ERR_NOTFOUND)
        return vf_error_pass(err, &why);
    return 0;
}

/* The QMP socket that was named, that an earlier try used, or that a guest has which came here. */
static char *qmp_path(const struct vf_vm *vm, const json_t *job, struct vf_error *err)
{
    const char *noted = vf_member_text(job, "qmp");
    char *own, *ret = NULL;

    if (vm->req->opts->qmp)
        return vf_strdup(vm->req->opts->qmp, err);
    if (*noted)
        return vf_strdup(noted, err);
    own = vf_strf(err, "%s/qmp", vm->dir.path);
    if (own && access(own, F_OK) == 0)
        ret = vf_strdup(own, err);
    free(own);
    return ret;
}

int vf_vm_open_guest(struct vf_vm *vm, const json_t *job, struct vf_error *err)
{
    const struct vf_vm_opts *o = vm->req->opts;
    char *qmp;

    if (err)
        err->code = VF_ERR_NONE;
    qmp = o->connect ? NULL : qmp_path(vm, job, err);
    if (qmp)
        vm->guest = vf_qmp_guest_open(o->vm, qmp, vm->cli->stop, err);
    else if (!err || err->code == VF_ERR_NONE)
        vm->guest = vf_libvirt_guest_open(o->vm, o->connect, vm->cli->stop, err);
    free(qmp);
    return vm->guest ? 0 : -1;
}

/* ---- after the commit point ---- */

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

/* What came of a try that had passed its commit point, or may have.  With postcopy QEMU itself
 * knows: when it has let the guest go, that can only go on there. */
static int clear_committed(struct vf_vm *vm, const json_t *job, const char *phase,
                           bool *ret_finished, struct vf_error *err)
{
    bool gone = strcmp(phase, "postcopy") == 0;

    if (strcmp(phase, "commit") == 0 && !json_is_true(json_object_get(job, "postcopy")))
        return vf_vm_ask_there(vm, job, ret_finished, err);
    if (strcmp(phase, "commit") == 0 && vm->guest->ops->let_go &&
        vm->guest->ops->let_go(vm->guest, &gone, err) < 0)
        return -1;
    if (!gone)
        return 0;
    *ret_finished = true;
    return vf_vm_rejoin(vm, err);
}

int vf_vm_clear(struct vf_vm *vm, const json_t *job, bool *ret_finished, struct vf_error *err)
{
    const char *phase = vf_member_text(job, "phase");
    bool found = false;

    *ret_finished = strcmp(phase, "finish") == 0;
    if (clear_committed(vm, job, phase, ret_finished, err) < 0)
        return -1;
    if (*ret_finished)
        return 0;
    if (vm->guest->ops->recover(vm->guest, job && !json_is_true(json_object_get(job, "paused")),
                                &found, err) < 0)
        return vf_error_prefix(err, "what an earlier try has left");
    if (found)
        vf_say(vm->cli, "%s: what an earlier try had left is undone", vm->req->opts->vm);
    if (strcmp(phase, "commit") == 0 && json_is_true(json_object_get(job, "postcopy")))
        vf_vm_drop_there(vm, job);
    vf_guest_dir_remove(&vm->dir, "move.json");
    return 0;
}

/* What the process is called; owned, NULL when it cannot be told. */
static char *name_process(int64_t pid)
{
    char *path = vf_strf(NULL, "/proc/%lld/comm", (long long)pid);
    char *name = path ? vf_read_small_file(AT_FDCWD, path, COMM_MAX, NULL, NULL) : NULL;

    if (name)
        name[strcspn(name, "\n")] = '\0';
    free(path);
    return name;
}

int vf_vm_end_here(struct vf_vm *vm, struct vf_error *err)
{
    int rc = vm->guest->ops->finish(vm->guest, &vm->info, &vm->left, err);
    char *name;

    if (vm->left > 0) {
        name = name_process(vm->left);
        vf_say(vm->cli,
               "%s: its QEMU here was told to quit and is still there: process %lld (%s). It has "
               "the guest stand still and must never let it run again, as it is at its "
               "destination: end it with `kill -KILL %lld`",
               vm->req->opts->vm, (long long)vm->left, name ? name : "", (long long)vm->left);
        free(name);
    } else if (vm->left == 0) {
        vf_say(
            vm->cli,
            "%s: its QEMU here was told to quit and is still there. It has the guest stand still "
            "and must never let it run again, as it is at its destination: look for its process "
            "and end it by force",
            vm->req->opts->vm);
    }
    return rc;
}

int vf_vm_clean_finished(struct vf_vm *vm, const json_t *job, struct vf_error *err)
{
    if (vm->guest->ops->recover(vm->guest, false, NULL, err) < 0 || vf_vm_end_here(vm, err) < 0 ||
        vf_vm_fold_left(job, err) < 0)
        return -1;
    vf_guest_dir_remove(&vm->dir, "move.json");
    vf_guest_dir_remove(&vm->dir, "guest.json");
    vf_guest_dir_remove(&vm->dir, "log");
    vm->running_at = "destination";
    return 0;
}

void vf_vm_close(struct vf_vm *vm, const struct vf_error *outcome)
{
    vf_guest_far_close(vm->far, outcome);
    vf_ahead_end(vm->ahead);
    free(vm->ahead_group);
    vf_vm_choice_free(vm);
    if (vm->guest)
        vm->guest->ops->close(vm->guest);
    for (size_t i = 0; i < vm->info.ndisks && vm->disk; i++)
        free(vm->disk[i].peer.path);
    free(vm->disk);
    vf_guest_info_free(&vm->info);
    json_decref(vm->job);
    vf_ratefile_end(vm->follow);
    vf_ratelimit_free(vm->limit);
    vf_marker_clear(&vm->marker);
    if (vm->dir.path)
        vf_guest_dir_close(&vm->dir);
}
