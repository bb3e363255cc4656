/* core/adapt.h - which compression level suits the link and the processor.
 *
 * Time spent waiting for the link is free for a stronger level; a compressor that keeps an idle
 * link waiting asks for a weaker one.  A change begins a new zstd frame, which costs the window; so
 * there are few steps between levels, and changes get rarer as the stream grows.  Only a link that
 * has become faster than the compressor, as when connections were added or the processor got busy,
 * is noticed soon.  Pure: the caller measures.
 *
 * Thread rules: one thread at a time. */
#ifndef VF_CORE_ADAPT_H
#define VF_CORE_ADAPT_H

#include <stdbool.h>
#include <stdint.h>

#define VF_LEVEL_FIRST 3 /* where it starts */
#define VF_ADAPT_FIRST                                                                             \
    (UINT64_C(8)                                                                                   \
     << 20) /* bytes of input before the first decision; twice as many before each next */

/* Between looks whether the link is idle: so many bytes, or so much time. */
#define VF_ADAPT_LOOK    (UINT64_C(16) << 20)
#define VF_ADAPT_LOOK_NS (UINT64_C(2) * 1000000000)

struct vf_adapt {
    int level, most;                         /* the level now; the highest allowed */
    uint64_t seen, next;                     /* bytes of input so far; at the next decision */
    uint64_t link_ns, compress_ns, other_ns; /* since the last decision */
    uint64_t look;                           /* bytes of input at the next look */
    uint64_t look_ns[3];                     /* link, compress, other since the last one */
    unsigned idle;                           /* looks in a row that found the link idle */
};

/* most: 1..19. */
void vf_adapt_init(struct vf_adapt *a, int most);

/* len more bytes went in, and it took so long: blocked in sending, in compressing, in all else.
 * True when the level changes (a->level is the new one). */
bool vf_adapt_step(struct vf_adapt *a, uint64_t len, uint64_t link_ns, uint64_t compress_ns,
                   uint64_t other_ns);

#endif
