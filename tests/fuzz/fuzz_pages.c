/* Packed pages of the index.  First byte: kind; second: level; the rest: the value.  Everything
 * that readers do with a page is done with it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "index/lookup.h"
#include "index/pages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define ASK 64u

static void digests(const struct vf_page *pg)
{
    static uint8_t got[ASK][VF_MD5_LEN];
    struct vf_run_iter it = vf_page_runs(pg, 1000);
    uint64_t blocks = 0, end;
    struct vf_run run;
    uint32_t at;
    int rc;

    while ((rc = vf_run_iter_next(&it, &run, &at, NULL)) > 0) {
        if (run.n == 0 || run.first < 1000 || run.first + run.n > VF_MAX_BLOCKS ||
            at + run.n > pg->n)
            abort();
        blocks += run.n;
    }
    if (rc == 0 && blocks != pg->n)
        abort();
    for (uint64_t from = 900; from < 40000; from += 777)
        if (vf_page_digests(pg, 1000, (struct vf_run){from, ASK}, got, &end, NULL) == 0 &&
            end > from + ASK)
            abort();
}

static void nodes(const struct vf_page *pg)
{
    struct vf_node nd;

    for (uint32_t i = 0; i < pg->n; i++)
        if (vf_page_node(pg, i, &nd, NULL) == 0 &&
            (nd.span == 0 || nd.first + nd.span > VF_MAX_BLOCKS || nd.data > nd.span))
            abort();
}

static void ids(const struct vf_page *pg)
{
    uint64_t q[ASK];
    uint32_t pos[ASK];
    size_t n = pg->n < ASK ? pg->n : ASK;

    for (size_t i = 0; i < n; i++)
        q[i] = vf_page_id(pg, (uint32_t)i);
    /* A filter that is right lets all of them through. */
    if (vf_page_check_filter(pg, NULL) == 0 && vf_lookup_filter(pg, q, n, pos) != n)
        abort();
    for (size_t i = 0; i < n; i++)
        q[i] += vf_page_number(pg, (uint32_t)i) % 3;
    if (vf_lookup_filter(pg, q, n, pos) > n)
        abort();
    vf_lookup_ids(pg, q, n, pos);
    vf_lookup_ids(pg, q, 1, pos);
}

static void prints(const struct vf_page *pg)
{
    uint64_t fp[ASK];
    uint32_t count[ASK] = {0};
    uint8_t hit[ASK];
    struct vf_questions q = {fp, count, hit, pg->n < ASK ? pg->n : ASK};
    struct vf_shared shared = {0, 0};

    for (size_t i = 0; i < q.n; i++)
        fp[i] = vf_page_print(pg, (uint32_t)i) + i % 2;
    if (vf_lookup_prints(pg, &q, 0, &shared) > q.n)
        abort();
    q.n = 1;
    (void)vf_lookup_prints(pg, &q, 0, &shared); /* no answer is expected */
}

static void counts(const struct vf_page *pg)
{
    struct vf_count_iter it;
    uint64_t count;

    if (vf_count_iter_init(&it, pg, NULL) < 0)
        return;
    for (uint32_t i = 0; i < pg->n; i++) {
        if (vf_count_iter_next(&it, &count, NULL) < 0)
            return;
        if (count == 0 || count > VF_MAX_BLOCKS)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct vf_page pg;

    if (len < 2 || vf_page_open(data + 2, len - 2, data[0], data[1], &pg, NULL) < 0)
        return 0;
    (void)vf_page_sound(data + 2, len - 2); /* reads it all */
    switch (pg.kind) {
    case VF_PAGE_DIGESTS:
        digests(&pg);
        break;
    case VF_PAGE_NODES:
        nodes(&pg);
        break;
    case VF_PAGE_IDS:
        ids(&pg);
        break;
    case VF_PAGE_PRINTS:
        prints(&pg);
        break;
    case VF_PAGE_COUNTS:
        counts(&pg);
        break;
    case VF_PAGE_SKETCH: /* what is in it is fuzz_sketch's */
        break;
    }
    return 0;
}
