/* cmd/vm/vm_left.c - what is left here: of an earlier try, and of a guest that has gone. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/member.h"
#include "cmd/report.h"
#include "cmd/vm/vm_impl.h"
#include "core/checked.h"
#include "core/fdio.h"
#include "hypervisor/overlay.h"

#define COMM_MAX 64u /* bytes of what the kernel calls a process; it has 16 */

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
