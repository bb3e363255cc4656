#include "core/engine/budget.h"

#include "core/engine/send_out.h"

#define MIB        (UINT64_C(1) << 20)
#define AMPLE      (480 * MIB) /* from here on nothing is made smaller than it can be of use */
#define RICH       (900 * MIB)
#define WINDOW_MIN 20u
#define WINDOW_MAX 31u

static uint64_t within(uint64_t memory)
{
    if (memory == 0)
        return VF_MEMORY_DEFAULT;
    if (memory < VF_MEMORY_LEAST)
        return VF_MEMORY_LEAST;
    return memory < VF_MEMORY_MOST ? memory : VF_MEMORY_MOST;
}

/* The largest power of two that is not above n, as an exponent. */
static unsigned log_of(uint64_t n)
{
    unsigned log = 0;

    while (n >> (log + 1))
        log++;
    return log;
}

static unsigned window(uint64_t room)
{
    unsigned log = log_of(room);

    if (log < WINDOW_MIN)
        return WINDOW_MIN;
    return log < WINDOW_MAX ? log : WINDOW_MAX;
}

struct vf_budget vf_budget_source(uint64_t memory)
{
    uint64_t all = within(memory), table, rest;
    struct vf_budget b;

    table = UINT64_C(1) << log_of(all >= AMPLE ? all / 8 : all / 16);
    b.quotes = b.repeats = table;
    b.open_blocks = all >= AMPLE ? 2048 * 1024 : 512 * 1024;
    b.pieces = all >= AMPLE ? VF_SEND_OUT : VF_SEND_OUT / 4;
    b.rich = all >= RICH;
    b.level_most = all >= AMPLE ? 19 : all >= AMPLE / 2 ? 12 : 9;
    /* Everything else, measured: bench/BENCHMARKING.md, "Memory".  The compressor's own tables take
     * 100 MiB at level 19, 30 at 12, 12 at 9. */
    rest = all >= AMPLE ? 236 : all >= AMPLE / 2 ? 132 : 100;
    b.window_log = window(all - rest * MIB - 2 * table);
    return b;
}

unsigned vf_budget_receiver(uint64_t memory)
{
    uint64_t all = within(memory);

    return window(all - (all >= AMPLE ? 192 : 112) * MIB);
}
