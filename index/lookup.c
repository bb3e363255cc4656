/* index/lookup.c - searching the sorted lists. */
#include "index/lookup.h"

#include <stdbool.h>

#include "core/be.h"

/* Questions that are looked up at the same time, so that their cache misses overlap. */
#define LANES 16u

/* A list is searched question by question when it is this many times longer, else read through. */
#define SPARSE 12u

/* Steps to take one by one before halving: about what is left after the computed jump. */
#define WALK 24u

/* Entries of 6 or 8 bytes. */
struct column {
    const uint8_t *p;
    size_t n;
    bool ids;
    uint64_t first;
    double per; /* entries for each 1 of difference */
};

/* The two bytes before an id belong to the page too: to its head, or to the id before. */
static inline uint64_t id_at(const uint8_t *p, size_t i)
{
    return vf_le64(p + i * VF_ID_LEN - 2) >> 16;
}

static inline uint64_t at(const struct column *c, size_t i)
{
    return c->ids ? id_at(c->p, i) : vf_le64(c->p + i * 8);
}

static inline const uint8_t *where(const struct column *c, size_t i)
{
    return c->p + i * (c->ids ? VF_ID_LEN : 8);
}

static struct column column_of(const struct vf_page *page)
{
    struct column c = {page->body, page->n, page->kind == VF_PAGE_IDS, 0, 0};
    uint64_t last = at(&c, c.n - 1);

    c.first = at(&c, 0);
    if (last > c.first)
        c.per = (double)(c.n - 1) / (double)(last - c.first);
    return c;
}

static inline size_t clamp(const struct column *c, double pos)
{
    return pos <= 0 ? 0 : pos >= (double)(c->n - 1) ? c->n - 1 : (size_t)pos;
}

/* Where v must be, judged from the entry at `from`, whose value is known. */
static inline size_t jump(const struct column *c, size_t from, uint64_t value, uint64_t v)
{
    double off = v >= value ? (double)(v - value) : -(double)(value - v);

    return clamp(c, (double)from + off * c->per);
}

/* The first entry in [lo, hi) that is not below v; hi if none. */
static size_t halve(const struct column *c, size_t lo, size_t hi, uint64_t v)
{
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (at(c, mid) < v)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The same from a good guess. */
static size_t settle(const struct column *c, size_t guess, uint64_t v)
{
    size_t i = guess;

    if (at(c, i) < v) {
        for (unsigned k = 0; k < WALK; k++)
            if (++i == c->n || at(c, i) >= v)
                return i;
        return halve(c, i, c->n, v);
    }
    for (unsigned k = 0; k < WALK; k++, i--)
        if (i == 0 || at(c, i - 1) < v)
            return i;
    return halve(c, 0, i, v);
}

/* Two computed jumps, each behind a prefetch, then a walk of some steps. */
static void lookup_some(const struct column *c, const uint64_t *v, size_t m, size_t *ret)
{
    for (size_t i = 0; i < m; i++) {
        ret[i] = jump(c, 0, c->first, v[i]);
        __builtin_prefetch(where(c, ret[i]));
    }
    for (size_t i = 0; i < m; i++) {
        ret[i] = jump(c, ret[i], at(c, ret[i]), v[i]);
        __builtin_prefetch(where(c, ret[i]));
    }
    for (size_t i = 0; i < m; i++)
        ret[i] = settle(c, ret[i], v[i]);
}

static size_t lookup_one(const struct column *c, uint64_t v)
{
    size_t pos;

    lookup_some(c, &v, 1, &pos);
    return pos;
}

void vf_lookup_ids(const struct vf_page *page, const uint64_t *ids, size_t m, uint32_t *ret)
{
    const struct column c = column_of(page);

    if (m > c.n / SPARSE) {
        for (size_t i = 0, k = 0; i < m; i++) {
            while (k < c.n && id_at(c.p, k) < ids[i])
                k++;
            ret[i] = (uint32_t)k;
        }
        return;
    }
    for (size_t i = 0; i < m; i += LANES) {
        const size_t some = m - i < LANES ? m - i : LANES;
        size_t pos[LANES];

        lookup_some(&c, ids + i, some, pos);
        for (size_t k = 0; k < some; k++)
            ret[i + k] = (uint32_t)pos[k];
    }
}

size_t vf_lookup_filter(const struct vf_page *page, const uint64_t *ids, size_t m, uint32_t *ret)
{
    const size_t blocks = vf_filter_blocks(page->n);
    size_t n = 0;

    for (size_t i = 0; i < m; i++) {
        const size_t ahead = i + LANES < m ? i + LANES : m - 1;
        const uint64_t h = vf_filter_hash(ids[i]), next = vf_filter_hash(ids[ahead]);
        const uint8_t *block = page->filter + vf_filter_block(h, blocks) * VF_FILTER_BLOCK;
        unsigned all = 1;

        __builtin_prefetch(page->filter + vf_filter_block(next, blocks) * VF_FILTER_BLOCK);
        for (unsigned k = 0; k < VF_FILTER_BITS; k++)
            all &= (block[vf_filter_byte(h, k)] & vf_filter_mask(h, k)) != 0;
        ret[n] = (uint32_t)i;
        n += all;
    }
    return n;
}

/* ---- fingerprints ---- */

static inline void found(const struct vf_questions *q, size_t i, struct vf_shared *ret)
{
    q->hit[i] = 1;
    ret->distinct++;
    ret->blocks += q->count[i];
}

/* Few questions, long list. */
static void search(const struct column *c, const struct vf_questions *q, size_t from, size_t to,
                   struct vf_shared *ret)
{
    for (size_t i = from; i < to; i += LANES) {
        const size_t some = to - i < LANES ? to - i : LANES;
        size_t pos[LANES];

        lookup_some(c, q->fp + i, some, pos);
        for (size_t k = 0; k < some; k++)
            if (pos[k] < c->n && at(c, pos[k]) == q->fp[i + k])
                found(q, i + k, ret);
    }
}

/* Short list, many questions: halving, because the questions are in the cache anyway. */
static void search_back(const struct column *c, size_t lo, size_t hi, const struct vf_questions *q,
                        size_t from, size_t to, struct vf_shared *ret)
{
    for (; lo < hi; lo++) {
        const uint64_t v = at(c, lo);
        size_t end = to;

        while (from < end) {
            size_t mid = from + (end - from) / 2;

            if (q->fp[mid] < v)
                from = mid + 1;
            else
                end = mid;
        }
        if (from == to)
            return;
        if (q->fp[from] == v)
            found(q, from++, ret);
    }
}

/* Both alike: through both in step, without a branch that could be guessed wrongly. */
static void merge(const struct column *c, size_t lo, size_t hi, const struct vf_questions *q,
                  size_t from, size_t to, struct vf_shared *ret)
{
    const uint8_t *p = c->p;
    uint64_t distinct = 0, blocks = 0;

    while (lo < hi && from < to) {
        const uint64_t x = vf_le64(p + lo * 8), y = q->fp[from];
        const unsigned same = x == y;

        q->hit[from] |= (uint8_t)same;
        distinct += same;
        blocks += q->count[from] & (0u - same);
        lo += x <= y;
        from += y <= x;
    }
    ret->distinct += distinct;
    ret->blocks += blocks;
}

size_t vf_lookup_prints(const struct vf_page *page, const struct vf_questions *q, size_t from,
                        struct vf_shared *ret)
{
    const struct column c = column_of(page);
    const uint64_t last = at(&c, c.n - 1);
    size_t to = q->n, lo, hi, m;

    /* The questions up to the end of the page, and the part of the page that they lie in. */
    if (from == to || q->fp[from] > last)
        return from;
    if (q->fp[to - 1] > last) {
        size_t a = from;

        while (a < to) {
            size_t mid = a + (to - a) / 2;

            if (q->fp[mid] <= last)
                a = mid + 1;
            else
                to = mid;
        }
    }
    m = to - from;
    lo = lookup_one(&c, q->fp[from]);
    hi = lookup_one(&c, q->fp[to - 1]);
    hi += hi < c.n;
    if (lo >= hi)
        return to;
    if ((hi - lo) / SPARSE >= m)
        search(&c, q, from, to, ret);
    else if (m / SPARSE >= hi - lo)
        search_back(&c, lo, hi, q, from, to, ret);
    else
        merge(&c, lo, hi, q, from, to, ret);
    return to;
}
