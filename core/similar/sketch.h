/* core/similar/sketch.h - a small sample of the contents of an image, from which similarity is
 * estimated.
 *
 * The sample is a FracMinHash: of the distinct non-zero contents, those whose fingerprint (struct
 * vf_print) is below 2^64 / 2^scale.  All images are sampled by the same rule, so a content that is
 * in the sample of one image and in another image is in the other's sample too: shares can be read
 * off the samples, unions of images are unions of samples, and two samples of different scale are
 * compared at the coarser one.  Irber et al., "Lightweight compositional analysis of metagenomes
 * with FracMinHash and minimum metagenome covers" (2022), after Broder, "On the resemblance and
 * containment of documents" (1997).
 *
 * A sketch also has what a sample cannot tell about repeats: for contents that occur 1, 2-3, 4-7,
 * 8-15 ... times how many there are and how many blocks they make (strata, exact), and the contents
 * that occur most often by name (heavy).
 *
 * Thread rules: pure functions; an object belongs to one thread while it changes. */
#ifndef VF_CORE_SKETCH_H
#define VF_CORE_SKETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/be.h"
#include "core/buf.h"
#include "core/map.h"

/* Samples of one image: as many as fit at the finest scale (a whole number) with at most
 * VF_SKETCH_SAMPLES; never coarser than VF_SKETCH_SCALE unless there were more than
 * VF_SKETCH_SAMPLES_MAX.  6.5 million contents: scale 9, 12,700 samples, about 52 KB. */
#define VF_SKETCH_SAMPLES     16384u
#define VF_SKETCH_SCALE       10u
#define VF_SKETCH_SAMPLES_MAX (1u << 18)
#define VF_SKETCH_SCALE_MAX   40u
#define VF_SKETCH_HEAVY       256u /* contents named at most */
#define VF_SKETCH_HEAVY_COUNT 8u   /* and how often they must occur */
#define VF_SKETCH_STRATA      41u  /* stratum g: contents that occur 2^g to 2^(g+1) - 1 times */
#define VF_SKETCH_BYTES_MAX   (4u << 20) /* of an encoded one */

/* Fingerprints are kept by their first 48 bits: a false match of one sample among 10^9 contents
 * has a chance of 4 in 10^6. */
#define VF_SKETCH_SHIFT 16u

struct vf_stratum {
    uint64_t contents; /* distinct */
    uint64_t blocks;   /* that they make */
};

struct vf_sketch {
    unsigned scale;  /* 0: every content is a sample */
    size_t n;        /* samples */
    uint64_t *fp;    /* n, ascending, each once, 48 bits, below 2^(48 - scale) */
    uint32_t *count; /* n: occurrences in the image, UINT32_MAX: that many or more */
    size_t heavy_n;
    uint64_t *heavy_fp; /* ascending, 48 bits */
    uint32_t *heavy_count;
    struct vf_stratum stratum[VF_SKETCH_STRATA];
    uint64_t zero_blocks;
};
#define VF_SKETCH_INIT                                                                             \
    {                                                                                              \
        .n = 0                                                                                     \
    }
void vf_sketch_free(struct vf_sketch *s); /* releases and re-initialises; zeroed is fine */

/* Non-zero contents, and the non-zero blocks that they make: exact. */
uint64_t vf_sketch_distinct(const struct vf_sketch *s);
uint64_t vf_sketch_blocks(const struct vf_sketch *s);

/* The sample that a block with this digest would be. */
static inline uint64_t vf_sample_of(const uint8_t md5[VF_MD5_LEN])
{
    return vf_be64(md5) >> VF_SKETCH_SHIFT;
}

/* ---- making ---- */

/* From an image's distinct fingerprints in ascending order.  Memory: up to 6 MiB. */
struct vf_sketch_builder;
struct vf_sketch_builder *vf_sketch_builder_new(struct vf_error *err);
/* VF_ERR_RANGE when fp does not ascend. */
int vf_sketch_builder_add(struct vf_sketch_builder *b, uint64_t fp, uint64_t count,
                          struct vf_error *err) VF_MUST_CHECK;
/* The same for n of them. */
int vf_sketch_builder_add_many(struct vf_sketch_builder *b, const uint64_t *fp,
                               const uint64_t *count, size_t n, struct vf_error *err) VF_MUST_CHECK;
/* *ret is owned (vf_sketch_free).  The builder is left for vf_sketch_builder_free. */
int vf_sketch_builder_finish(struct vf_sketch_builder *b, uint64_t zero_blocks,
                             struct vf_sketch *ret, struct vf_error *err) VF_MUST_CHECK;
void vf_sketch_builder_free(struct vf_sketch_builder *b); /* NULL is fine */

/* All of it from a vf_print_next. */
int vf_sketch_make(vf_print_next *next, void *ctx, uint64_t zero_blocks, struct vf_sketch *ret,
                   struct vf_error *err) VF_MUST_CHECK;

/* A coarser copy with at most `samples` samples, and a 32nd of that many heavy ones (at least 16).
 * *ret is owned. */
int vf_sketch_reduce(const struct vf_sketch *s, size_t samples, struct vf_sketch *ret,
                     struct vf_error *err) VF_MUST_CHECK;

/* Bytes and back.  The same sketch always gives the same bytes, appended to *ret.  Layout in
 * core/similar/SUMMARY.md.  Decoding treats bytes as hostile; *ret is owned.  VF_ERR_FORMAT. */
int vf_sketch_encode(const struct vf_sketch *s, struct vf_buf *ret,
                     struct vf_error *err) VF_MUST_CHECK;
int vf_sketch_decode(const void *data, size_t len, struct vf_sketch *ret,
                     struct vf_error *err) VF_MUST_CHECK;
/* The same, and leaves *r behind it. */
int vf_sketch_read(struct vf_reader *r, struct vf_sketch *ret, struct vf_error *err) VF_MUST_CHECK;

/* ---- what images hold together ---- */

/* Which contents are there, not how often: of one image, or a union of several. */
struct vf_sketch_set {
    unsigned scale;
    size_t n;
    uint64_t *fp; /* as in a sketch */
    size_t heavy_n;
    uint64_t *heavy_fp;
    uint64_t images;   /* that were put together */
    uint64_t resident; /* the sum of their non-zero contents: nothing is held when this is 0 */
    bool has_zero;     /* some image has a zero block */
};
#define VF_SKETCH_SET_INIT                                                                         \
    {                                                                                              \
        .n = 0                                                                                     \
    }
void vf_sketch_set_free(struct vf_sketch_set *set); /* of one that is owned */

/* One image as a set.  Borrows s: it is not freed. */
struct vf_sketch_set vf_sketch_as_set(const struct vf_sketch *s);

/* The union of n sets, at the coarsest scale among them or coarser, so that it has at most
 * `samples` samples (0: no limit), but no coarser than `scale_max` for that reason.  *ret is
 * owned. */
int vf_sketch_union(const struct vf_sketch_set *sets, size_t n, size_t samples, unsigned scale_max,
                    struct vf_sketch_set *ret, struct vf_error *err) VF_MUST_CHECK;

/* ---- estimating ---- */

/* A number and the interval in which the true one lies with a probability of at least 95 % (each
 * such interval by itself).  Exact: all three are the same. */
struct vf_bounded {
    uint64_t value, low, high;
};

struct vf_likeness {
    struct vf_bounded shared;          /* non-zero blocks, every occurrence */
    struct vf_bounded shared_distinct; /* non-zero contents */
    struct vf_bounded literals;        /* contents that are missing: what has to travel */
    bool has_zero;                     /* the set has a zero block */
    uint64_t samples, hits;            /* of the target, compared and found: what it rests on */
};

/* How much of a target a set holds.  The intervals:
 * shared_distinct, literals: fingerprints are as good as random, so given the number of samples the
 * hits among them are hypergeometric.  The interval is the score interval with continuity
 * correction (Newcombe, "Two-sided confidence intervals for the single proportion", 1998, method
 * 4), which does not fall short near 0 and 1, times the finite population correction.  No hit: up
 * to 4.8 in `samples` may be shared. shared: the same within each stratum, where contents weigh at
 * most twice each other; put together by the squares of the distances (MOVER: Zou and Donner,
 * "Construction of confidence limits about effect measures", 2008).  Contents that both sides name
 * as heavy are known and leave the estimate; strata without a sample may be anything. */
void vf_sketch_compare(const struct vf_sketch *target, const struct vf_sketch_set *set,
                       struct vf_likeness *ret);

/* The same when the set is known to hold an image with the target's very content. */
void vf_likeness_same(const struct vf_sketch *target, struct vf_likeness *ret);

/* The measures of the contract, where zero blocks are ordinary content: `shared_blocks` and
 * `shared_distinct_blocks` out of a likeness. */
struct vf_bounded vf_likeness_blocks(const struct vf_likeness *l, uint64_t zero_blocks);
struct vf_bounded vf_likeness_distinct(const struct vf_likeness *l, uint64_t zero_blocks);

/* The 95 % interval for a share of which x of n were seen.  n 0: all of [0, 1]. */
void vf_share_interval(uint64_t x, uint64_t n, double *ret_low, double *ret_high);

#endif
