/* index/lookup.h - searching the sorted lists: many questions against one page at a time.
 *
 * Ids and fingerprints are digests, so they lie evenly: where one must be is computed, not
 * searched. Lists that do not lie evenly (damaged ones) cost time, never a wrong answer or a read
 * outside.
 *
 * Thread rules: pure functions. */
#ifndef VF_INDEX_LOOKUP_H
#define VF_INDEX_LOOKUP_H

#include <stddef.h>
#include <stdint.h>

#include "index/pages.h"

/* Which of the m ids (any order) may be in the ids page, by its filter: their places, ascending, to
 * ret; returns how many. */
size_t vf_lookup_filter(const struct vf_page *page, const uint64_t *ids, size_t m, uint32_t *ret);

/* For each of the m ids, ascending: the first entry of the ids page that is not below it (page->n:
 * none). */
void vf_lookup_ids(const struct vf_page *page, const uint64_t *ids, size_t m, uint32_t *ret);

/* A target's fingerprints, ascending, and what has been found out about them. */
struct vf_questions {
    const uint64_t *fp;
    const uint32_t *count;
    uint8_t *hit; /* becomes 1 where a list has fp[i] */
    size_t n;
};

/* Compares questions [from, q->n) with a prints page and adds what they share to *ret.  Returns the
 * first question that is beyond the page. */
size_t vf_lookup_prints(const struct vf_page *page, const struct vf_questions *q, size_t from,
                        struct vf_shared *ret);

#endif
