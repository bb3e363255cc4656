/* cmd/vm/vm_tries.c - see the header. */
#include "cmd/vm/vm_tries.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/vm/vm_impl.h"
#include "core/checked.h"

static const struct vf_vm_brought *find(const struct vf_vm_tries *t, const char *id)
{
    for (size_t i = 0; i < t->ndisks; i++)
        if (strcmp(t->disk[i].id, id) == 0)
            return &t->disk[i];
    return NULL;
}

/* So many blocks were not shared before the move; all classes together stay as many. */
static void take(uint64_t *shared, uint64_t *class, uint64_t n)
{
    if (n > *shared)
        n = *shared; /* the others are not in the image any more */
    *shared -= n;
    *class += n;
}

void vf_vm_count_wire(struct vf_vm_counts *count, const struct vf_stream_stats *wire)
{
    count->sent += wire->sent;
    count->received += wire->received;
}

static void add(struct vf_vm_counts *to, const struct vf_vm_counts *from)
{
#define ADD(type, name) to->name += from->name;
    VF_VM_COUNTERS(ADD)
#undef ADD
}

void vf_vm_tries_sum(const struct vf_vm_tries *t, struct vf_vm *vm)
{
    bool same_node = t->label && strcmp(t->label, vm->req->label) == 0;

    if (!t->label)
        return;
    vm->start = t->start;
    add(&vm->count, &t->count);
    for (size_t i = 0; i < vm->info.ndisks && same_node; i++) {
        const struct vf_vm_brought *b = find(t, vm->info.disk[i].id);
        struct vf_msg_result *r = &vm->disk[i].peer;

        if (!b)
            continue;
        take(&r->shared_blocks, &r->literal_blocks, b->literal_blocks);
        take(&r->shared_blocks, &r->duplicate_blocks, b->duplicate_blocks);
    }
}

int vf_vm_tries_note(struct vf_vm_tries *t, struct vf_vm *vm, struct vf_error *err)
{
    struct vf_vm_tries all = {0};

    vf_vm_tries_sum(t, vm);
    all = (struct vf_vm_tries){.start = vm->start,
                               .count = vm->count,
                               .label = vf_strdup(vm->req->label, err),
                               .disk = vf_calloc(vm->info.ndisks, sizeof *all.disk, err)};
    if (!all.label || !all.disk)
        goto fail;
    for (; all.ndisks < vm->info.ndisks; all.ndisks++) {
        const struct vf_msg_result *r = &vm->disk[all.ndisks].peer;
        struct vf_vm_brought *b = &all.disk[all.ndisks];

        *b = (struct vf_vm_brought){vf_strdup(vm->info.disk[all.ndisks].id, err),
                                    r->duplicate_blocks, r->literal_blocks};
        if (!b->id)
            goto fail;
    }
    vf_vm_tries_free(t);
    *t = all;
    return 0;
fail:
    vf_vm_tries_free(&all);
    return -1;
}

void vf_vm_tries_free(struct vf_vm_tries *t)
{
    for (size_t i = 0; i < t->ndisks; i++)
        free(t->disk[i].id);
    free(t->disk);
    free(t->label);
    *t = (struct vf_vm_tries){0};
}
