/* core/similar/sketch_impl.h - inside sketches and summaries. */
#ifndef VF_CORE_SKETCH_IMPL_H
#define VF_CORE_SKETCH_IMPL_H

#include "core/similar/sketch.h"

/* Samples at that scale are below this. */
static inline uint64_t vf_sketch_end(unsigned scale)
{
    return UINT64_C(1) << (64 - VF_SKETCH_SHIFT - scale);
}

#define VF_SET_HEAVY (4u * VF_SKETCH_HEAVY) /* heavy contents of a union at most */

/* How many of n ascending numbers are samples at that scale. */
size_t vf_sketch_below(const uint64_t *fp, size_t n, unsigned scale);

/* The heavy contents of a union: those that occur most often among the n (one for each set that
 * names it).  Takes fp (allocated), which becomes to->heavy_fp; not on failure. */
int vf_heavy_pick(uint64_t *fp, size_t n, struct vf_sketch_set *to,
                  struct vf_error *err) VF_MUST_CHECK;

/* Ascending numbers, each once, below end: the gaps of core/similar/SUMMARY.md. */
int vf_gaps_write(const uint64_t *fp, size_t n, struct vf_buf *ret,
                  struct vf_error *err) VF_MUST_CHECK;
/* n of them to ret; false when they are malformed or not below end. */
bool vf_gaps_read(struct vf_reader *r, uint64_t *ret, size_t n, uint64_t end);

#endif
