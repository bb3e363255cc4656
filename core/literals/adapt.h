/* core/literals/adapt.h - how much effort suits the link and the processors.
 *
 * An effort is a compression level.  Between the packer and the link lies a stock of packed bytes.
 * While that is full, time is free for a stronger effort, as long as a processor is free as well;
 * when it runs low because of the packer, a weaker one is taken before the link has to wait.  So
 * do processors that are all busy while the link is not what takes the time: then both ends
 * together are the bottleneck, as on a line that is faster than they are.
 *
 * A change begins a new zstd frame, which costs the window: 0.3 MB on the literals of disk images
 * (bench/BENCHMARKING.md).  So there are few efforts.  Pure: the caller measures.
 *
 * Thread rules: one thread at a time. */
#ifndef VF_CORE_ADAPT_H
#define VF_CORE_ADAPT_H

#include <stdbool.h>
#include <stdint.h>

/* The level where it starts, those above it being strong ones; bytes of input before the first
 * decision about a stronger one, and twice as many before each next one. */
#define VF_LEVEL_FIRST 3
#define VF_ADAPT_FIRST (UINT64_C(8) << 20)

/* On a link that had time for a strong effort once, a stronger one is thought of so much later:
 * after a change, and after having decided against one. */
#define VF_ADAPT_CHANGED (UINT64_C(16) << 20)
#define VF_ADAPT_AGAIN   (UINT64_C(8) << 20)

/* Between looks whether the effort is too much: so many bytes, or so much time.  Above the first
 * level they are nearer: content that compresses better than what was seen before gives the line
 * less for the same effort, and what is under way is soon gone. */
#define VF_ADAPT_LOOK        (UINT64_C(16) << 20)
#define VF_ADAPT_LOOK_STRONG (UINT64_C(4) << 20)
#define VF_ADAPT_LOOK_NS     (UINT64_C(2) * 1000000000)

/* Where time went, ns. */
struct vf_times {
    uint64_t link, compress, other; /* of the thread that packs: waiting because the stock is full,
                                       in compressing, in all else */
    uint64_t prepare;               /* of the thread before it: reading, looking for quotes */
    uint64_t idle; /* of all processors together: had nothing to do; read when vf_adapt_due */
};

/* What lies between the packer and the link. */
struct vf_stock {
    uint64_t held, room; /* so much, of so much, in any unit; 0 of 0: the link takes all at once */
    uint64_t sent;       /* bytes that the link has taken since the beginning */
};

/* What went in and came out, and where it is now. */
struct vf_flow {
    uint64_t len, made; /* bytes of input, bytes packed */
    struct vf_stock stock;
};

/* A stretch of the stream. */
struct vf_stretch {
    struct vf_times times;
    uint64_t len, made;
    uint64_t from; /* what had been sent when it began */
};

struct vf_adapt {
    int level;                      /* the effort now */
    int most;                       /* the highest level allowed */
    unsigned rung;                  /* the effort's place among all */
    unsigned processors;            /* of the machine */
    uint64_t seen, next;            /* bytes of input so far; at the next decision */
    uint64_t look, hold;            /* at the next look; no stronger effort before */
    bool slow;                      /* the link is: it had time for a strong effort once */
    unsigned heavy;                 /* looks in a row that found the effort too much */
    struct vf_stretch past, recent; /* since the last decision, the last look */
};

/* most: 1..19. */
void vf_adapt_init(struct vf_adapt *a, int most, unsigned processors);

/* Will a step with so much look at how things go?  Then t->idle has to be up to date. */
bool vf_adapt_due(const struct vf_adapt *a, uint64_t len, const struct vf_times *t);

/* More went through, and it took so long.  True when the effort changes: a->level is the new one.
 */
bool vf_adapt_step(struct vf_adapt *a, const struct vf_flow *f, const struct vf_times *t);

#endif
