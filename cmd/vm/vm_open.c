/* cmd/vm/vm_open.c - what a command about a guest has open: begin and end of it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/guest/guest_talk.h"
#include "cmd/member.h"
#include "cmd/ratefile.h"
#include "cmd/vm/vm_impl.h"
#include "core/checked.h"

static const volatile int never; /* what runs with it is not stopped by the user */

void vf_vm_set_up(struct vf_vm *vm, const struct vf_vm_request *req)
{
    memset(vm, 0, sizeof *vm);
    vm->req = req;
    vm->cli = req->cli;
    vm->steady = *req->cli;
    vm->steady.stop = &never;
    vm->running_at = "source";
    vm->left = -1;
    vm->marker = (struct vf_marker)VF_MARKER_INIT;
    vm->dir = (struct vf_guest_dir)VF_GUEST_DIR_INIT;
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
