/* core/sketch_impl.h - inside sketches and summaries. */
#ifndef VF_CORE_SKETCH_IMPL_H
#define VF_CORE_SKETCH_IMPL_H

#include "core/sketch.h"

/* Samples at that scale are below this. */
static inline uint64_t vf_sketch_end(unsigned scale)
{
    return UINT64_C(1) << (64 - VF_SKETCH_SHIFT - scale);
}

/* How many of n ascending numbers are samples at that scale. */
size_t vf_sketch_below(const uint64_t *fp, size_t n, unsigned scale);

/* Ascending numbers, each once, below end: the first one, then each gap less 1, as varints. */
int vf_gaps_write(const uint64_t *fp, size_t n, struct vf_buf *ret,
                  struct vf_error *err) VF_MUST_CHECK;
/* n of them to ret; false when they are malformed or not below end. */
bool vf_gaps_read(struct vf_reader *r, uint64_t *ret, size_t n, uint64_t end);

/* shared_distinct and literals out of hits among samples, at one scale; the set cannot hold more
 * than `resident` contents. */
void vf_likeness_contents(uint64_t distinct, uint64_t samples, uint64_t hits, uint64_t resident,
                          struct vf_likeness *ret);

#endif
