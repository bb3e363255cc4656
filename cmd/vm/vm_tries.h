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

/* What a try counts, and its move sums up: X(type, name).  A new counter is named here, where it is
 * counted, and where it is reported. */
#define VF_VM_COUNTERS(X)                                                                          \
    X(uint64_t, sent)         /* by all connections that are closed */                             \
    X(uint64_t, received)     /* by them */                                                        \
    X(uint64_t, bulk_bytes)   /* sent */                                                           \
    X(uint64_t, round_bytes)  /* sent */                                                           \
    X(uint64_t, memory_bytes) /* of the hand-off, as struct vf_hand_off_result */                  \
    X(uint64_t, disk_bytes)   /* of the hand-off */                                                \
    X(unsigned, rounds)                                                                            \
    X(double, bulk_seconds)                                                                        \
    X(double, round_seconds)                                                                       \
    X(double, hand_off_seconds)                                                                    \
    X(double, memory_seconds)

struct vf_vm_counts {
#define VF_VM_COUNTER(type, name) type name;
    VF_VM_COUNTERS(VF_VM_COUNTER)
#undef VF_VM_COUNTER
};

/* Of one disk, what the tries have brought. */
struct vf_vm_brought {
    char *id;
    uint64_t duplicate_blocks, literal_blocks;
};

/* All zero: there was no try yet. */
struct vf_vm_tries {
    char *label; /* where the last one went */
    double start;
    struct vf_vm_counts count;
    struct vf_vm_brought *disk;
    size_t ndisks;
};

/* Counts what a connection has carried. */
void vf_vm_count_wire(struct vf_vm_counts *count, const struct vf_stream_stats *wire);

/* Makes vm's numbers those of the whole move: of the earlier tries, and of this one, which are in
 * it.  To be called once for each try. */
void vf_vm_tries_sum(const struct vf_vm_tries *t, struct vf_vm *vm);

/* The same for a try that failed, and notes it for the next one. */
int vf_vm_tries_note(struct vf_vm_tries *t, struct vf_vm *vm, struct vf_error *err) VF_MUST_CHECK;

void vf_vm_tries_free(struct vf_vm_tries *t);

#endif
