/* cmd/memory.h - what the setting [transfer] memory means to the engine. */
#ifndef VF_CMD_MEMORY_H
#define VF_CMD_MEMORY_H

#include <stdint.h>

/* The largest compression window, as a power of 2, whose coding needs no more than so many bytes;
 * 0: the default.  Memory is the window and about 40 MiB. */
static inline unsigned vf_memory_window(uint64_t memory)
{
    unsigned log = 20;

    if (!memory)
        return 27;
    while (log < 31 && (UINT64_C(2) << log) + (UINT64_C(40) << 20) <= memory)
        log++;
    return log;
}

#endif
