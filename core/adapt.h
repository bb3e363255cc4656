/* core/adapt.h - which compression level suits the link and the processor.
 *
 * Time that is spent waiting for the link is free for a stronger level; time that is spent waiting
 * for the compressor, while the link is idle, asks for a weaker one.  Pure: the caller measures.
 *
 * Thread rules: one thread at a time. */
#ifndef VF_CORE_ADAPT_H
#define VF_CORE_ADAPT_H

#include <stdint.h>

#define VF_LEVEL_FIRST 3 /* where it starts */
#define VF_LEVEL_LEAST 1

struct vf_adapt {
    int level, most;                         /* the level now; the highest allowed */
    uint64_t link_ns, compress_ns, other_ns; /* since the last change */
};

/* most: 1..19. */
void vf_adapt_init(struct vf_adapt *a, int most);

/* Adds times: blocked in sending, blocked in compressing, all else.  Returns the level to use from
 * now on; it changes by at most two steps, and not before a quarter of a second has been seen. */
int vf_adapt_step(struct vf_adapt *a, uint64_t link_ns, uint64_t compress_ns, uint64_t other_ns);

#endif
