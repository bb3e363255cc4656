/* core/load.h - how much of the machine's processor time nobody uses.
 *
 * Thread rules: an object belongs to one thread at a time. */
#ifndef VF_CORE_LOAD_H
#define VF_CORE_LOAD_H

#include <stdint.h>

struct vf_load {
    int fd; /* of /proc/stat; -1: it cannot be read */
    unsigned processors;
    uint64_t idle_ns; /* at the last call */
};

/* Never fails: where nothing can be read the processors count as idle. */
void vf_load_open(struct vf_load *l);
void vf_load_close(struct vf_load *l);

/* Nanoseconds that the processors, all together, had nothing to do or waited for a disk since the
 * last call, or since the object was opened; UINT64_MAX / 4 where that cannot be told.  The kernel
 * counts in steps of 10 ms or less. */
uint64_t vf_load_idle(struct vf_load *l);

/* The idle time in the first line of /proc/stat, in clock ticks.  0: it is not as expected. */
uint64_t vf_load_parse(const char *text);

#endif
