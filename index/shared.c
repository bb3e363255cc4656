/* index/shared.c - how much of a target the resident images hold. */
#include <string.h>

#include "core/checked.h"
#include "index/lookup.h"
#include "index/residents.h"

/* Fingerprints of the target that are compared in one go: they stay in the second-level cache while
 * all images are compared with them. */
#define BATCH 16384u

struct batch {
    struct vf_print print[BATCH];
    uint64_t fp[BATCH];
    uint32_t count[BATCH];
    uint8_t hit[BATCH], any[BATCH];
    bool end;
};

/* Fills the batch, in several calls if `next` gives less.  Their number, 0 at the end, -1. */
static long fill(struct batch *b, vf_print_next *next, void *ctx, struct vf_error *err)
{
    size_t n = 0;

    while (n < BATCH && !b->end) {
        long got = next(ctx, b->print + n, BATCH - n, err);

        if (got < 0)
            return -1;
        b->end = got == 0;
        if ((size_t)got > BATCH - n)
            return vf_error_set(err, VF_ERR_RANGE, 0, "more fingerprints than asked for");
        n += (size_t)got;
    }
    for (size_t i = 0; i < n; i++) {
        b->fp[i] = b->print[i].fp;
        b->count[i] = b->print[i].count;
        if (i && b->fp[i] <= b->fp[i - 1])
            return vf_error_set(err, VF_ERR_RANGE, 0, "fingerprints are out of order");
    }
    return (long)n;
}

static int compare(struct vf_txn *t, const struct vf_gen *g, const struct vf_questions *q,
                   struct vf_shared *ret, struct vf_error *err)
{
    struct vf_key key = vf_key_prints(g->number, VF_PAGE_PRINTS, q->fp[0]);
    const size_t prefix = key.len - 8;
    struct vf_page page;
    struct vf_cursor c;
    uint64_t first;
    size_t i = 0;
    int rc;

    if (vf_cursor_open(&c, t, err) < 0)
        return -1;
    for (rc = vf_gen_page_near(&c, &key, prefix, VF_PAGE_PRINTS, 0, &page, &first, err);
         rc == VF_FOUND && i < q->n && first <= q->fp[q->n - 1];
         rc = vf_gen_page_next(&c, &key, prefix, VF_PAGE_PRINTS, 0, &page, &first, err)) {
        const size_t was = i;

        i = vf_lookup_prints(&page, q, i, ret);
        vf_txn_touched(t, c.value, vf_gen_touch(&c, i - was));
    }
    vf_cursor_close(&c);
    return rc < 0 ? -1 : 0;
}

/* One image against one batch. */
static int count_image(struct vf_resident_set *set, uint32_t image, const struct vf_questions *q,
                       struct vf_shared *ret, struct vf_error *err)
{
    const struct vf_resident *r = &set->image[image];
    struct vf_error e = VF_ERROR_INIT;
    struct vf_txn t;
    int rc;

    if (vf_gen_read(set->ix, &r->gen, &t, &e) < 0) {
        if (e.code == VF_ERR_NOTFOUND)
            return 0; /* a donor less */
        return vf_error_pass(err, &e);
    }
    rc = compare(&t, &r->gen, q, ret, err);
    vf_txn_end(&t);
    return rc;
}

int vf_residents_shared(struct vf_residents *base, vf_print_next *next, void *ctx,
                        struct vf_shared *ret_each, struct vf_shared *ret_all, struct vf_error *err)
{
    struct vf_resident_set *set = vf_resident_set(base);
    struct batch *b = vf_calloc(1, sizeof *b, err);
    struct vf_shared all = {0, 0};
    long n = 0;
    int rc = -1;

    if (!b)
        return -1;
    if (set->n)
        memset(ret_each, 0, set->n * sizeof *ret_each);
    while ((n = fill(b, next, ctx, err)) > 0) {
        memset(b->any, 0, (size_t)n);
        for (uint32_t i = 0; i < set->n; i++) {
            const struct vf_questions q = {b->fp, b->count, set->image[i].usable ? b->any : b->hit,
                                           (size_t)n};

            if (count_image(set, i, &q, &ret_each[i], err) < 0)
                goto out;
        }
        for (long i = 0; i < n; i++) {
            all.distinct += b->any[i];
            all.blocks += b->any[i] ? b->count[i] : 0;
        }
    }
    if (n == 0) {
        *ret_all = all;
        rc = 0;
    }
out:
    free(b);
    return rc;
}
