/* tests/core/similar/sketches.h - made-up contents for the tests of sketches and summaries. */
#ifndef VF_TESTS_CORE_SKETCHES_H
#define VF_TESTS_CORE_SKETCHES_H

#include <stdlib.h>

#include "core/similar/sketch.h"
#include "tests/lib/check.h"

/* A fingerprint for a content number. */
static inline uint64_t fp_of(uint64_t content)
{
    uint64_t x = content + UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* Contents of an image, by number. */
struct made {
    struct vf_print *print;
    size_t n, at;
};

static inline int made_order(const void *x, const void *y)
{
    const struct vf_print *a = x, *b = y;

    return a->fp < b->fp ? -1 : a->fp > b->fp;
}

static inline long made_next(void *ctx, struct vf_print *ret, size_t max, struct vf_error *err)
{
    struct made *m = ctx;
    size_t n = 0;

    (void)err;
    while (n < max && m->at < m->n)
        ret[n++] = m->print[m->at++];
    return (long)n;
}

/* Contents [from, to), each `count(content)` times; count NULL: once. */
static inline struct made made_of(uint64_t from, uint64_t to, uint32_t (*count)(uint64_t))
{
    struct made m = {calloc(to - from + 1, sizeof *m.print), to - from, 0};

    CHECK(m.print != NULL);
    for (uint64_t i = from; i < to; i++)
        m.print[i - from] = (struct vf_print){fp_of(i), count ? count(i) : 1};
    qsort(m.print, m.n, sizeof *m.print, made_order);
    return m;
}

static inline struct vf_sketch sketch_of(uint64_t from, uint64_t to, uint32_t (*count)(uint64_t),
                                         uint64_t zero_blocks)
{
    struct made m = made_of(from, to, count);
    struct vf_sketch s;
    struct vf_error err;

    CHECK_OK(vf_sketch_make(made_next, &m, zero_blocks, &s, &err), &err);
    free(m.print);
    return s;
}

#endif
