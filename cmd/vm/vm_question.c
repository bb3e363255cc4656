/* cmd/vm/vm_question.c - what the far half is asked with "check", by a move and by a choice. */
#include "cmd/guest/guest_talk.h"
#include "cmd/vm/vm_impl.h"

bool vf_vm_wants_postcopy(const struct vf_vm *vm)
{
    return vm->req->opts->postcopy && vm->info.running && !vm->info.paused;
}

json_t *vf_vm_question(const struct vf_vm *vm, bool dry_run, struct vf_error *err)
{
    static const char *const ways[] = {"copy", "leave", "empty"};
    json_t *disks = json_array();
    json_t *q =
        json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:O, s:o}", "kind", vm->guest->ops->kind,
                  "name", vm->info.name, "uuid", vm->info.uuid, "paused", (int)vm->info.paused,
                  "replace", (int)vm->req->replace, "postcopy", (int)vf_vm_wants_postcopy(vm),
                  "dry_run", (int)dry_run, "definition", vm->info.definition, "disks", disks);

    for (size_t i = 0; i < vm->info.ndisks && q; i++) {
        const struct vf_guest_disk *d = &vm->info.disk[i];
        const char *format = vm->req->to_format ? vm->req->to_format : d->format;

        if (vf_guest_text_check("the disk", d->path, err) < 0) {
            json_decref(q);
            return NULL;
        }
        if (json_array_append_new(disks,
                                  json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:b, s:I}", "id", d->id,
                                            "name", d->name ? d->name : "", "path", d->path,
                                            "format", format, "size", (json_int_t)d->size, "way",
                                            ways[d->way], "read_only", (int)d->read_only, "bytes",
                                            (json_int_t)vf_vm_disk_bytes(vm, i))) < 0) {
            json_decref(q);
            q = NULL;
        }
    }
    if (!q)
        (void)vf_error_nomem(err); /* the NULL says it */
    return q;
}
