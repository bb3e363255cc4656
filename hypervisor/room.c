/* hypervisor/room.c - see the header. */
#include "hypervisor/room.h"

#include <inttypes.h>
#include <stdio.h>

/* Bytes of memory that can be had without swapping; 0: not known. */
static uint64_t memory_free(void)
{
    FILE *f = fopen("/proc/meminfo", "re");
    char line[128];
    uint64_t kib = 0;

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %" SCNu64 " kB", &kib) == 1)
            break;
    if (f)
        (void)fclose(f); /* was read only */
    return kib << 10;
}

int vf_room_check(uint64_t need, struct vf_error *err)
{
    uint64_t have = memory_free();

    if (!have || need <= have)
        return 0;
    return vf_error_set(err, VF_ERR_SPACE, 0,
                        "the guest has %" PRIu64 " MiB of memory, %" PRIu64 " MiB are free here",
                        need >> 20, have >> 20);
}
