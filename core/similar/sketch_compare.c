/* core/similar/sketch_compare.c - how much of one image others hold, from their sketches, and how
 * sure that is. */
#include <math.h>
#include <string.h>

#include "core/similar/sketch_impl.h"

#define Z      1.959964 /* 95 % of a normal distribution lie within so many deviations */
#define SPREAD 1.0607   /* root of 1 + 1/8: weights in a stratum differ by a factor of 2 at most */

void vf_share_interval(uint64_t x, uint64_t n, double *ret_low, double *ret_high)
{
    const double nn = (double)n, p = n ? (double)x / nn : 0, zz = Z * Z, d = 2 * (nn + zz);
    double low, high;

    *ret_low = 0;
    *ret_high = 1;
    if (n == 0)
        return;
    if (x > 0) {
        low = (2 * nn * p + zz - 1 - Z * sqrt(zz - 2 - 1 / nn + 4 * p * (nn * (1 - p) + 1))) / d;
        *ret_low = low > 0 ? low : 0;
    }
    if (x < n) {
        high = (2 * nn * p + zz + 1 + Z * sqrt(zz + 2 - 1 / nn + 4 * p * (nn * (1 - p) - 1))) / d;
        *ret_high = high < 1 ? high : 1;
    }
}

/* Of N things n were looked at, x of them hit: the share, and how far it may be off. */
struct share {
    double p, below, above;
};

static struct share share_of(uint64_t x, uint64_t n, uint64_t of)
{
    struct share s = {.p = n ? (double)x / (double)n : 0};
    double low, high, shrink;

    vf_share_interval(x, n, &low, &high);
    shrink = n == 0 ? 1 : n >= of ? 0 : sqrt((double)(of - n) / (double)(of - 1));
    s.below = (s.p - low) * shrink;
    s.above = (high - s.p) * shrink;
    return s;
}

static uint64_t whole(double v, uint64_t low, uint64_t high)
{
    if (v <= (double)low)
        return low;
    return v >= (double)high ? high : (uint64_t)(v + 0.5);
}

static struct vf_bounded bounded(double value, double below, double above, uint64_t low,
                                 uint64_t high)
{
    return (struct vf_bounded){whole(value, low, high), whole(floor(value - below), low, high),
                               whole(ceil(value + above), low, high)};
}

static struct vf_bounded rest_of(uint64_t all, const struct vf_bounded *part)
{
    return (struct vf_bounded){all - part->value, all - part->high, all - part->low};
}

/* Contents; at most `most` of them can be shared. */
static void contents(uint64_t distinct, uint64_t samples, uint64_t hits, uint64_t most,
                     struct vf_likeness *ret)
{
    const struct share s = share_of(hits, samples, distinct);
    const double all = (double)distinct, held = (double)most;
    /* A prior with the weight of one sample, which says that who holds more has more of anything:
     * it decides where hits are equal. */
    const double lean = 0.5 * held / (held + all + 1),
                 p = samples < distinct ? ((double)hits + lean) / ((double)samples + 1) : s.p;
    uint64_t high = distinct > samples - hits ? distinct - (samples - hits) : hits;

    if (high > most)
        high = most > hits ? most : hits;
    ret->samples = samples;
    ret->hits = hits;
    ret->shared_distinct =
        bounded(all * p, all * (p - s.p + s.below), all * (s.p - p + s.above), hits, high);
    ret->literals = rest_of(distinct, &ret->shared_distinct);
}

/* ---- every occurrence ---- */

struct tally {
    uint64_t n[VF_SKETCH_STRATA], hit[VF_SKETCH_STRATA]; /* samples */
    struct vf_stratum known[VF_SKETCH_STRATA];           /* heavy and shared, not estimated */
    uint64_t found, missed;                              /* blocks of samples */
    uint64_t samples, hits;
};

static unsigned stratum_of(uint32_t count) { return 31 - (unsigned)__builtin_clz(count); }

/* Heavy contents that both sides name.  mark: which of the target's. */
static void match_heavy(const struct vf_sketch *t, const struct vf_sketch_set *set,
                        struct tally *tally, bool *mark)
{
    for (size_t i = 0, k = 0; i < t->heavy_n; i++) {
        struct vf_stratum *s = &tally->known[stratum_of(t->heavy_count[i])];

        while (k < set->heavy_n && set->heavy_fp[k] < t->heavy_fp[i])
            k++;
        mark[i] = k < set->heavy_n && set->heavy_fp[k] == t->heavy_fp[i];
        s->contents += mark[i];
        s->blocks += mark[i] ? t->heavy_count[i] : 0;
    }
}

static void match_samples(const struct vf_sketch *t, const struct vf_sketch_set *set,
                          struct tally *tally, const bool *mark)
{
    const unsigned scale = t->scale > set->scale ? t->scale : set->scale;
    const size_t n = vf_sketch_below(t->fp, t->n, scale),
                 m = vf_sketch_below(set->fp, set->n, scale);
    size_t heavy = 0;

    for (size_t i = 0, k = 0; i < n; i++) {
        const unsigned g = stratum_of(t->count[i]);
        bool hit;

        while (k < m && set->fp[k] < t->fp[i])
            k++;
        hit = k < m && set->fp[k] == t->fp[i];
        tally->hits += hit;
        while (heavy < t->heavy_n && t->heavy_fp[heavy] < t->fp[i])
            heavy++;
        if (heavy < t->heavy_n && t->heavy_fp[heavy] == t->fp[i] && mark[heavy])
            continue; /* counted already */
        tally->n[g]++;
        tally->hit[g] += hit;
        *(hit ? &tally->found : &tally->missed) += t->count[i];
    }
    tally->samples = n;
}

static uint64_t less(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

/* All strata together. */
static struct vf_bounded blocks_of(const struct vf_sketch *t, const struct tally *tally)
{
    const uint64_t all = vf_sketch_blocks(t);
    double value = 0, below2 = 0, above2 = 0, blind_below = 0, blind_above = 0;
    double p = tally->samples ? (double)tally->hits / (double)tally->samples : 0;
    uint64_t known = 0, low, high;

    for (unsigned g = 0; g < VF_SKETCH_STRATA; g++) {
        const uint64_t of = less(t->stratum[g].contents, tally->known[g].contents);
        const double blocks = (double)less(t->stratum[g].blocks, tally->known[g].blocks);
        const struct share s = share_of(tally->hit[g], tally->n[g], of);

        known += tally->known[g].blocks;
        if (of == 0)
            continue;
        if (tally->n[g] == 0) { /* as those that occur a little less often */
            value += blocks * p;
            blind_below += blocks * p;
            blind_above += blocks * (1 - p);
            continue;
        }
        p = s.p;
        value += blocks * p;
        below2 += blocks * s.below * blocks * s.below;
        above2 += blocks * s.above * blocks * s.above;
    }
    low = known + tally->found < all ? known + tally->found : all;
    high = less(all, tally->missed) > low ? less(all, tally->missed) : low;
    return bounded((double)known + value, SPREAD * sqrt(below2 + blind_below * blind_below),
                   SPREAD * sqrt(above2 + blind_above * blind_above), low, high);
}

void vf_sketch_compare(const struct vf_sketch *target, const struct vf_sketch_set *set,
                       struct vf_likeness *ret)
{
    bool mark[VF_SKETCH_HEAVY] = {false};
    struct tally tally;

    memset(ret, 0, sizeof *ret);
    memset(&tally, 0, sizeof tally);
    match_heavy(target, set, &tally, mark);
    match_samples(target, set, &tally, mark);
    contents(vf_sketch_distinct(target), tally.samples, tally.hits, set->resident, ret);
    ret->shared = blocks_of(target, &tally);
    if (set->resident == 0)
        ret->shared = (struct vf_bounded){0, 0, 0};
    ret->has_zero = set->has_zero;
}

void vf_likeness_same(const struct vf_sketch *target, struct vf_likeness *ret)
{
    const uint64_t blocks = vf_sketch_blocks(target), distinct = vf_sketch_distinct(target);

    *ret = (struct vf_likeness){
        .shared = {blocks, blocks, blocks},
        .shared_distinct = {distinct, distinct, distinct},
        .literals = {0, 0, 0},
        .has_zero = target->zero_blocks != 0,
        .samples = target->n,
        .hits = target->n,
    };
}

static struct vf_bounded plus(const struct vf_bounded *b, uint64_t v)
{
    return (struct vf_bounded){b->value + v, b->low + v, b->high + v};
}

struct vf_bounded vf_likeness_blocks(const struct vf_likeness *l, uint64_t zero_blocks)
{
    return plus(&l->shared, l->has_zero ? zero_blocks : 0);
}

struct vf_bounded vf_likeness_distinct(const struct vf_likeness *l, uint64_t zero_blocks)
{
    return plus(&l->shared_distinct, l->has_zero && zero_blocks);
}
