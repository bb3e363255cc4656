/* cmd/vm/vm_job.c - move.json: a move's own memory. */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cmd/inventory.h"
#include "cmd/report.h"
#include "cmd/vm/vm_impl.h"
#include "core/checked.h"

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
