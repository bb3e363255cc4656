/* core/engine/budget.h - what an amount of memory means to the two sides of a migration: windows,
 * tables, queues, the highest compression level.
 *
 * The amount is for the peak resident set of the whole process.  Beside what is listed here it has
 * to hold the program itself, messages, hash workers, the index's pages and the lists of a map in
 * the making (index/lists.h, index/store.h).  Pure. */
#ifndef VF_CORE_BUDGET_H
#define VF_CORE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define VF_MEMORY_DEFAULT (UINT64_C(512) << 20)
#define VF_MEMORY_LEAST   UINT64_C(128000000)
#define VF_MEMORY_MOST    (UINT64_C(64) << 30)

struct vf_budget {
    unsigned window_log;  /* of the literals' compressor, 2^n bytes */
    int level_most;       /* its highest level */
    bool rich;            /* much: fewer bytes come before time on fast links as well */
    unsigned pieces;      /* packed strongly that wait for the link (core/engine/send_out.h) */
    uint64_t quotes;      /* bytes of the table of core/literals/quote.h */
    uint64_t repeats;     /* bytes of the table of core/literals/repeats.h */
    uint64_t open_blocks; /* non-zero blocks in open batches */
};

/* For a source.  memory: bytes, 0 for the default; other values are moved into the limits above. */
struct vf_budget vf_budget_source(uint64_t memory);

/* For a receiver: the largest window, 2^n bytes, that it decodes. */
unsigned vf_budget_receiver(uint64_t memory);

#endif
