/* The receiver's half of a dry run: gathers the fingerprints of the target's blocks, from its own
 * index where a segment is known and from the wire where not, and counts them against the resident
 * images. */
#include <string.h>

#include "core/be.h"
#include "core/checked.h"
#include "core/engine/receive_impl.h"

int vf_receiver_count_known(struct receiver *r, const struct recv_batch *b, struct vf_error *err)
{
    const struct recv_seg *s = (const void *)b->segs.data;
    uint8_t md5[VF_SEG_MAX][VF_MD5_LEN];
    uint64_t fp[VF_SEG_MAX];

    for (size_t i = 0; i < b->segs.len / sizeof *s; i++) {
        size_t n = (size_t)s[i].run.n;

        if (!s[i].known)
            continue;
        if (n > VF_SEG_MAX)
            return vf_error_set(err, VF_ERR_FORMAT, 0, "the index has a segment of %zu blocks", n);
        if (r->res->ops->digests(r->res, s[i].cand[0].image, s[i].cand[0].from, n, md5, err) < 0)
            return -1;
        for (size_t k = 0; k < n; k++)
            fp[k] = vf_be64(md5[k]);
        if (vf_numbers_add(r->prints, fp, n, err) < 0)
            return -1;
    }
    return 0;
}

int vf_receiver_count_probes(struct receiver *r, struct recv_batch *b,
                             const struct vf_msg_probes *m, struct vf_error *err)
{
    uint64_t fp[VF_SEG_MAX];

    if (b->asked != 0 || m->width != 8)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "probes that were not asked for");
    for (size_t i = 0, n; i < m->n; i += n) {
        n = m->n - i < VF_SEG_MAX ? m->n - i : VF_SEG_MAX;
        for (size_t k = 0; k < n; k++)
            fp[k] = vf_be64(m->digest + (i + k) * m->width);
        if (vf_numbers_add(r->prints, fp, n, err) < 0)
            return -1;
    }
    return vf_receiver_done(r, b, err);
}

/* Sorted fingerprints, gathered into distinct ones with their counts. */
struct gather {
    struct receiver *r;
    uint64_t fp;
    uint32_t count;      /* of fp so far, 0: none yet */
    const uint64_t *rec; /* what the sorter gave */
    size_t left;
    bool end;
};

static int more(struct gather *g, struct vf_error *err)
{
    long n = vf_numbers_next(g->r->prints, &g->rec, err);

    if (n < 0)
        return -1;
    g->left = (size_t)n;
    g->end = n == 0;
    return 0;
}

static long next_print(void *ctx, struct vf_print *ret, size_t max, struct vf_error *err)
{
    struct gather *g = ctx;
    size_t n = 0;

    while (n < max) {
        uint64_t fp;

        if (g->left == 0 && !g->end && more(g, err) < 0)
            return -1;
        if (g->left == 0) {
            if (g->count)
                ret[n++] = (struct vf_print){g->fp, g->count};
            g->r->target_distinct += g->count != 0;
            g->count = 0;
            break;
        }
        fp = *g->rec++;
        g->left--;
        if (g->count && fp == g->fp) {
            g->count += g->count < UINT32_MAX;
            continue;
        }
        if (g->count) {
            ret[n++] = (struct vf_print){g->fp, g->count};
            g->r->target_distinct++;
        }
        g->fp = fp;
        g->count = 1;
    }
    return (long)n;
}

static int describe(struct receiver *r, struct vf_shared *each, struct vf_msg_counts *c,
                    struct vf_error *err)
{
    for (uint32_t i = 0; i < r->nimages; i++) {
        struct vf_map_info info;
        const char *name;
        bool fresh;

        if (r->res->ops->describe(r->res, i, &name, &info, &fresh, err) < 0)
            return -1;
        c->image[i].name = vf_strdup(name, err);
        if (!c->image[i].name)
            return -1;
        c->n++;
        c->image[i].shared = each[i];
        c->image[i].has_zero = info.zero_blocks != 0;
        c->image[i].fresh = fresh;
        c->has_zero = c->has_zero || info.zero_blocks != 0;
    }
    return 0;
}

int vf_receiver_counts(struct receiver *r, struct vf_error *err)
{
    struct vf_msg m = {.type = VF_MSG_COUNTS};
    struct gather g = {.r = r};
    struct vf_shared *each = vf_calloc(r->nimages, sizeof *each, err);
    int rc = -1;

    m.counts.image = vf_calloc(r->nimages, sizeof *m.counts.image, err);
    if (!each || !m.counts.image || vf_numbers_finish(r->prints, err) < 0)
        goto out;
    if (r->nimages && (r->res->ops->shared(r->res, next_print, &g, each, &m.counts.all, err) < 0 ||
                       describe(r, each, &m.counts, err) < 0))
        goto out;
    m.counts.distinct = r->target_distinct;
    rc = r->st->ops->send(r->st, &m, err);
out:
    free(each);
    vf_msg_free(&m);
    return rc;
}
