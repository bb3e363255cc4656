/* The receiver's half: what does it have already?  Runs in the receiving thread. */
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/engine/receive_impl.h"

static struct recv_seg *segs_of(const struct recv_batch *b, size_t *ret_n)
{
    *ret_n = b->segs.len / sizeof(struct recv_seg);
    return (struct recv_seg *)(void *)b->segs.data;
}

int vf_receiver_announced(struct receiver *r, const struct vf_msg_batch *m, struct vf_error *err)
{
    struct recv_batch *b = &r->batch[m->batch % VF_BATCHES_OPEN];
    bool ok;

    pthread_mutex_lock(&r->lock);
    ok = m->batch == r->announced && !b->open && m->range.first == r->range_end && m->range.n > 0 &&
         m->range.n <= r->blocks - r->range_end;
    if (ok) {
        b->open = true;
        b->id = m->batch;
        b->range = m->range;
        b->asked = r->nimages ? 2 : DONE_ASKING;
        r->announced++;
        r->range_end += m->range.n;
        pthread_cond_broadcast(&r->moved);
    }
    pthread_mutex_unlock(&r->lock);
    return ok ? 0 : vf_error_set(err, VF_ERR_PROTOCOL, 0, "batch %u does not follow", m->batch);
}

static bool inside(struct vf_run r, struct vf_run range)
{
    return r.n > 0 && r.first >= range.first && r.n <= range.n &&
           r.first - range.first <= range.n - r.n;
}

/* The best of the places: the neighbour of the one chosen before, else the same image, else the
 * first. */
static const struct vf_place *choose(struct receiver *r, const struct vf_place *p,
                                     struct vf_run run)
{
    const struct vf_place *best = NULL;
    int64_t shift = r->last.from - (int64_t)r->last.to;

    for (size_t k = 0; k < VF_PLACES && p[k].span; k++) {
        if (p[k].span != run.n || p[k].image >= r->nimages ||
            __atomic_load_n(&r->donor[p[k].image].distrusted, __ATOMIC_RELAXED))
            continue;
        if (r->last.n && p[k].image == r->last.image &&
            (int64_t)p[k].first - (int64_t)run.first == shift) {
            best = &p[k];
            break;
        }
        if (!best || (r->last.n && p[k].image == r->last.image && best->image != r->last.image))
            best = &p[k];
    }
    if (best)
        r->last = (struct recv_copy){best->image, (int64_t)best->first, run.first, run.n};
    return best;
}

static int add_seg(struct receiver *r, struct recv_batch *b, const struct recv_seg *g,
                   struct vf_error *err)
{
    if (vf_receiver_note(r, 1, err) < 0)
        return -1;
    return vf_buf_add(&b->segs, g, sizeof *g, err);
}

/* An image that left the index in the meantime is a donor less, not a failure. */
static int lost_donor(const struct vf_error *e, struct vf_error *err)
{
    if (e->code == VF_ERR_NOTFOUND)
        return 0;
    return vf_error_pass(err, e);
}

/* Notes the segments of a group that was found.  1: done, 0: the index contradicts itself (then it
 * is not known), -1. */
static int add_group(struct receiver *r, struct recv_batch *b, struct vf_run run,
                     const struct vf_place *p, struct vf_error *err)
{
    struct vf_node segs[VF_KIDS_MAX];
    struct vf_error e = VF_ERROR_INIT;
    long n = r->res->ops->segments(r->res, p->image, 2, p->node, 0, segs, VF_KIDS_MAX, &e);

    if (n < 0)
        return lost_donor(&e, err);
    if (n > (long)VF_KIDS_MAX)
        return 0;
    for (long i = 0; i < n; i++)
        if (segs[i].first < p->first || segs[i].first - p->first > run.n ||
            segs[i].span > run.n - (segs[i].first - p->first))
            return 0;
    for (long i = 0; i < n; i++) {
        uint64_t to = run.first + (segs[i].first - p->first);
        struct recv_seg g = {.run = {to, segs[i].span}, .known = true, .ncand = 1};

        g.cand[0] = (struct recv_copy){p->image, (int64_t)segs[i].first, to, segs[i].span};
        if (add_seg(r, b, &g, err) < 0)
            return -1;
    }
    return 1;
}

static int send_have(struct receiver *r, struct vf_msg_have *have, struct vf_error *err)
{
    struct vf_msg m = {.type = VF_MSG_HAVE, .have = *have};

    return r->st->ops->send(r->st, &m, err);
}

/* Hands known segments to the copy thread, touching ones as one. */
static int start_copies(struct receiver *r, struct recv_batch *b, const struct recv_copy *c,
                        size_t n, struct vf_error *err)
{
    int rc = 0;

    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; rc == 0 && i < n;) {
        struct recv_copy job = c[i];
        struct vf_run run;

        for (i++; i < n && c[i].image == job.image && c[i].to == job.to + job.n &&
                  c[i].from == job.from + (int64_t)job.n;
             i++)
            job.n += c[i].n;
        run = (struct vf_run){job.to, job.n};
        if (vf_buf_add(&b->copies, &job, sizeof job, err) < 0 ||
            vf_buf_add(&b->written, &run, sizeof run, err) < 0 || vf_receiver_note(r, 2, err) < 0)
            rc = -1;
        else
            b->copying++;
    }
    pthread_cond_broadcast(&r->moved);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

static int by_position(const void *a, const void *b)
{
    const struct recv_seg *x = a, *y = b;

    return x->run.first < y->run.first ? -1 : x->run.first > y->run.first;
}

/* Where a gap's edges say that its unknown segments may lie: the known neighbours, moved along. */
static void guess(struct recv_seg *g, const struct recv_seg *known)
{
    struct recv_copy *c = &g->cand[g->ncand];
    int64_t shift = known->cand[0].from - (int64_t)known->cand[0].to;

    c->image = known->cand[0].image;
    c->from = (int64_t)g->run.first + shift;
    c->to = g->run.first;
    c->n = g->run.n;
    if (g->ncand == 0 || g->cand[0].image != c->image || g->cand[0].from != c->from)
        g->ncand++;
    g->probe = true;
}

/* Chooses which unknown segments are worth probing: all of a gap whose two neighbours were moved
 * alike (changed in place), else the two beside the neighbours.  Measured on the corpus: see
 * bench/BENCHMARKING.md, "map traffic". */
static void choose_probes(struct recv_seg *s, size_t n)
{
    size_t from, to, blocks = 0;

    for (from = 0; from < n; from = to) {
        const struct recv_seg *left, *right;
        bool alike;

        for (to = from + s[from].known; to < n && !s[to].known && !s[from].known; to++)
            ;
        if (s[from].known)
            continue;
        left = from ? &s[from - 1] : NULL;
        right = to < n ? &s[to] : NULL;
        alike = left && right && left->cand[0].image == right->cand[0].image &&
                left->cand[0].from - (int64_t)left->cand[0].to ==
                    right->cand[0].from - (int64_t)right->cand[0].to;
        for (size_t i = from; i < to && blocks + s[i].run.n <= VF_MAX_PROBES; i++) {
            if (left && (alike || i == from))
                guess(&s[i], left);
            if (right && (alike || i + 1 == to))
                guess(&s[i], right);
            blocks += s[i].probe ? (size_t)s[i].run.n : 0;
        }
    }
}

/* All segments of the batch are there: in order, without overlap? */
static int put_in_order(struct recv_batch *b, struct vf_error *err)
{
    size_t n;
    struct recv_seg *s = segs_of(b, &n);

    if (n)
        qsort(s, n, sizeof *s, by_position);
    for (size_t i = 0; i + 1 < n; i++)
        if (s[i].run.first + s[i].run.n > s[i + 1].run.first)
            return vf_error_set(err, VF_ERR_PROTOCOL, 0, "the segments of batch %u overlap", b->id);
    return 0;
}

/* Known segments are copied, or counted in a dry run. */
static int use_known(struct receiver *r, struct recv_batch *b, struct vf_error *err)
{
    size_t n, k = 0;
    struct recv_seg *s = segs_of(b, &n);
    struct recv_copy *c;
    int rc;

    if (r->purpose == VF_FOR_COUNT)
        return vf_receiver_count_known(r, b, err);
    c = vf_calloc(n, sizeof *c, err);
    if (!c)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (s[i].known)
            c[k++] = s[i].cand[0];
    rc = start_copies(r, b, c, k, err);
    free(c);
    return rc;
}

static int done(struct receiver *r, struct recv_batch *b, struct vf_error *err)
{
    b->asked = DONE_ASKING;
    if (r->purpose != VF_FOR_COUNT)
        return 0; /* the verify thread says it */
    return vf_receiver_done(r, b, err);
}

static int groups(struct receiver *r, struct recv_batch *b, const struct vf_msg_nodes *m,
                  struct vf_place (*place)[VF_PLACES], struct vf_msg_have *have,
                  struct vf_error *err)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct vf_place *p = choose(r, place[i], m->run[i]);
        int rc = p ? add_group(r, b, m->run[i], p, err) : 0;

        if (rc < 0)
            return -1;
        have->have[i] = rc ? VF_HAVE_YES : VF_HAVE_NOT;
        b->unknown += !rc;
    }
    b->asked = b->unknown ? 1 : DONE_ASKING;
    if (!b->unknown && use_known(r, b, err) < 0)
        return -1;
    if (send_have(r, have, err) < 0)
        return -1;
    return b->unknown ? 0 : done(r, b, err);
}

static int segments(struct receiver *r, struct recv_batch *b, const struct vf_msg_nodes *m,
                    struct vf_place (*place)[VF_PLACES], struct vf_msg_have *have,
                    struct vf_error *err)
{
    struct recv_seg *s;
    size_t n, k = 0, probes = 0;

    for (size_t i = 0; i < m->n; i++) {
        struct recv_seg g = {.run = m->run[i], .listed = true};
        const struct vf_place *p = choose(r, place[i], m->run[i]);

        if (m->run[i].n > VF_SEG_MAX)
            return vf_error_set(err, VF_ERR_PROTOCOL, 0, "a segment of batch %u is too long",
                                b->id);
        if (p) {
            g.known = true;
            g.ncand = 1;
            g.cand[0] = (struct recv_copy){p->image, (int64_t)p->first, g.run.first, g.run.n};
        }
        if (add_seg(r, b, &g, err) < 0)
            return -1;
    }
    if (put_in_order(b, err) < 0)
        return -1;
    s = segs_of(b, &n);
    if (r->purpose == VF_FOR_COUNT)
        for (size_t i = 0; i < n; i++)
            s[i].probe = !s[i].known;
    else
        choose_probes(s, n);
    for (size_t i = 0; i < n; i++) {
        probes += s[i].probe;
        if (s[i].listed)
            have->have[k++] = s[i].known ? VF_HAVE_YES : s[i].probe ? VF_HAVE_PROBE : VF_HAVE_NOT;
    }
    b->asked = probes ? 0 : DONE_ASKING;
    if (use_known(r, b, err) < 0 || send_have(r, have, err) < 0)
        return -1;
    return probes ? 0 : done(r, b, err);
}

int vf_receiver_nodes(struct receiver *r, struct recv_batch *b, const struct vf_msg_nodes *m,
                      struct vf_error *err)
{
    struct vf_msg_have have = {.batch = m->batch, .level = m->level, .n = m->n};
    struct vf_place(*place)[VF_PLACES] = NULL;
    int rc = -1;

    if (m->level > b->asked || m->level < 1 || b->asked == DONE_ASKING)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "nodes of level %u out of turn", m->level);
    for (size_t i = 0; i < m->n; i++)
        if (!inside(m->run[i], b->range))
            return vf_error_set(err, VF_ERR_PROTOCOL, 0, "a node lies outside batch %u", b->id);
    place = vf_calloc(m->n, sizeof *place, err);
    have.have = vf_calloc(m->n, 1, err);
    if (!place || !have.have)
        goto out;
    if (m->n && r->res->ops->find(r->res, m->level, (const uint8_t(*)[VF_ID_LEN])m->id, m->n, place,
                                  err) < 0)
        goto out;
    rc = m->level == 2 ? groups(r, b, m, place, &have, err) : segments(r, b, m, place, &have, err);
out:
    free(place);
    free(have.have);
    return rc;
}

/* Compares the probes of one segment with what lies at its candidates; notes what matches as
 * copies. */
static int probe_segment(struct receiver *r, const struct recv_seg *g, const uint8_t *digest,
                         size_t width, uint8_t *ret_have, struct vf_buf *copies,
                         struct vf_error *err)
{
    uint8_t md5[VF_SEG_MAX][VF_MD5_LEN];

    for (unsigned c = 0; c < g->ncand; c++) {
        const struct recv_copy *from = &g->cand[c];
        struct vf_error e = VF_ERROR_INIT;

        if (r->res->ops->digests(r->res, from->image, from->from, (size_t)g->run.n, md5, &e) < 0) {
            if (lost_donor(&e, err) < 0)
                return -1;
            continue;
        }
        for (size_t i = 0; i < g->run.n; i++) {
            struct recv_copy one = {from->image, from->from + (int64_t)i, g->run.first + i, 1};

            if (ret_have[i] || memcmp(md5[i], digest + i * width, width) != 0 ||
                memcmp(md5[i], vf_zero_md5, VF_MD5_LEN) == 0)
                continue;
            ret_have[i] = VF_HAVE_YES;
            if (vf_buf_add(copies, &one, sizeof one, err) < 0)
                return -1;
        }
    }
    return 0;
}

int vf_receiver_probes(struct receiver *r, struct recv_batch *b, const struct vf_msg_probes *m,
                       struct vf_error *err)
{
    struct vf_msg_have have = {.batch = m->batch, .level = 0};
    struct vf_buf copies = VF_BUF_INIT;
    struct recv_seg *s;
    size_t n, blocks = 0;
    int rc = -1;

    s = segs_of(b, &n);
    for (size_t i = 0; i < n; i++)
        blocks += s[i].probe ? (size_t)s[i].run.n : 0;
    if (b->asked != 0 || m->n != blocks || m->width < 2 || m->width > 8)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "probes that were not asked for");
    have.have = vf_calloc(blocks, 1, err);
    for (size_t i = 0; have.have && i < n; i++) {
        if (!s[i].probe)
            continue;
        if (probe_segment(r, &s[i], m->digest + have.n * m->width, m->width, have.have + have.n,
                          &copies, err) < 0)
            goto out;
        have.n += (size_t)s[i].run.n;
    }
    if (have.have &&
        start_copies(r, b, (const struct recv_copy *)(const void *)copies.data,
                     copies.len / sizeof(struct recv_copy), err) == 0 &&
        send_have(r, &have, err) == 0)
        rc = done(r, b, err);
out:
    vf_buf_free(&copies);
    free(have.have);
    return rc;
}
