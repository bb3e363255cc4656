/* cmd/vm/vm_tries.h - what the tries of one move have sent, all together.
 *
 * A move that is tried again finds at the far end what the try before it has brought there.  Its
 * report speaks of the whole move: of all that travelled, and of the images as they are there at
 * last.  A block of theirs that a try had to send is a literal one, also when a later try found it
 * there; one that the guest has overwritten between two tries, and that travelled twice, counts
 * once.
 *
 * Thread rules: belongs to the main thread. */
#ifndef VF_CMD_VM_VM_TRIES_H
#define VF_CMD_VM_VM_TRIES_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/stream.h"

struct vf_vm;

/* Of one disk, what the tries have brought. */
struct vf_vm_brought {
    char *id;
    uint64_t duplicate_blocks, literal_blocks;
};

/* All zero: there was no try yet. */
struct vf_vm_tries {
    char *label; /* where the last one went */
    double start;
    struct vf_stream_stats wire;
    uint64_t bulk_bytes, round_bytes, memory_bytes, disk_bytes;
    unsigned rounds;
    double bulk_seconds, round_seconds, hand_off_seconds, memory_seconds;
    struct vf_vm_brought *disk;
    size_t ndisks;
};

/* Makes vm's numbers those of the whole move: of the earlier tries, and of this one, which are in
 * it.  To be called once for each try. */
void vf_vm_tries_sum(const struct vf_vm_tries *t, struct vf_vm *vm);

/* The same for a try that failed, and notes it for the next one. */
int vf_vm_tries_note(struct vf_vm_tries *t, struct vf_vm *vm, struct vf_error *err) VF_MUST_CHECK;

void vf_vm_tries_free(struct vf_vm_tries *t);

#endif
