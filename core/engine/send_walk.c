/* The source's half: batches are announced, the receiver's answers narrow down what has to travel.
 */
#include <string.h>

#include "core/checked.h"
#include "core/engine/send_impl.h"

void vf_send_slot_clear(struct send_slot *slot)
{
    vf_batch_free(slot->b);
    free(slot->have);
    free(slot->need);
    free(slot->repairs);
    memset(slot, 0, sizeof *slot);
}

/* Sends NODES for those of n nodes whose have[i] is `want`; none to send is fine. */
static int send_nodes(struct sender *s, uint32_t batch, uint8_t level, const struct vf_node *nodes,
                      size_t n, const uint8_t *have, struct vf_error *err)
{
    struct vf_msg m = {.type = VF_MSG_NODES};
    int rc = -1;

    m.nodes.batch = batch;
    m.nodes.level = level;
    m.nodes.run = vf_calloc(n, sizeof *m.nodes.run, err);
    m.nodes.id = vf_calloc(n, VF_ID_LEN, err);
    if (!m.nodes.run || !m.nodes.id)
        goto out;
    for (size_t i = 0; i < n; i++)
        if (!have || have[i] == VF_HAVE_NOT) {
            m.nodes.run[m.nodes.n] = (struct vf_run){nodes[i].first, nodes[i].span};
            memcpy(m.nodes.id[m.nodes.n++], nodes[i].sha, VF_ID_LEN);
        }
    rc = s->st->ops->send(s->st, &m, err);
out:
    vf_msg_free(&m);
    return rc;
}

/* The walk of a batch is over: notes which blocks have to travel (bits: of the probed segments,
 * those that were found), and queues it for the literals thread. */
static int settle(struct sender *s, struct send_slot *slot, const uint8_t *bits,
                  struct vf_error *err)
{
    const struct vf_batch *b = slot->b;
    size_t at = 0, bit = 0;

    slot->need = vf_calloc(b->ndata, 1, err);
    if (!slot->need)
        return -1;
    for (size_t i = 0; i < b->nsegs; i++) {
        size_t n = (size_t)b->segs[i].span;

        for (size_t k = 0; k < n && slot->have[i] != VF_HAVE_YES; k++)
            slot->need[at + k] = !(slot->have[i] == VF_HAVE_PROBE && bits && bits[bit + k]);
        bit += slot->have[i] == VF_HAVE_PROBE ? n : 0;
        at += n;
    }
    pthread_mutex_lock(&s->lock);
    slot->queued = true;
    pthread_cond_broadcast(&s->moved);
    pthread_mutex_unlock(&s->lock);
    return 0;
}

int vf_sender_announce(void *sender, struct vf_batch *b, struct vf_error *err)
{
    struct sender *s = sender;
    struct send_slot *slot = &s->slot[b->id % VF_BATCHES_OPEN];
    struct vf_msg m = {.type = VF_MSG_BATCH};
    size_t most = s->walk ? s->budget.open_blocks : SEND_OPEN_BLOCKS_UNASKED;
    bool failed;

    pthread_mutex_lock(&s->lock);
    while (!s->failed && s->announced > s->done &&
           (s->announced - s->done >= VF_BATCHES_OPEN || slot->b ||
            s->open_blocks + b->ndata > most || s->open_segs + b->nsegs > SEND_OPEN_SEGS))
        pthread_cond_wait(&s->moved, &s->lock);
    failed = s->failed;
    if (!failed) {
        slot->b = b;
        s->announced++;
        s->open_blocks += b->ndata;
        s->open_segs += b->nsegs;
    }
    pthread_mutex_unlock(&s->lock);
    if (failed) {
        vf_batch_free(b);
        return vf_error_set(err, VF_ERR_CANCELLED, 0, "given up");
    }
    slot->have = vf_calloc(b->nsegs, 1, err);
    if (!slot->have)
        return -1;
    if (!s->walk && s->opts->count_only) /* there is nothing to compare with */
        return vf_sender_done(s, b->id, err);
    m.batch.batch = b->id;
    m.batch.range = b->range;
    if (s->st->ops->send(s->st, &m, err) < 0)
        return -1;
    if (!s->walk || (b->nsegs == 0 && !s->opts->count_only))
        return settle(s, slot, NULL, err);
    /* Nothing can be sent before the first batches are settled, which are small: one question less
     * for those. */
    if (b->ngroups && (b->id >= SEND_SHORT_WALKS || s->opts->count_only))
        return send_nodes(s, b->id, 2, b->groups, b->ngroups, NULL, err);
    return send_nodes(s, b->id, 1, b->segs, b->nsegs, NULL, err);
}

/* The open batch of an answer, or NULL with *err set. */
static struct send_slot *slot_of(struct sender *s, uint32_t batch, struct vf_error *err)
{
    struct send_slot *slot = &s->slot[batch % VF_BATCHES_OPEN];
    bool ok;

    pthread_mutex_lock(&s->lock);
    ok = slot->b && slot->b->id == batch && slot->have;
    pthread_mutex_unlock(&s->lock);
    if (ok)
        return slot;
    (void)vf_error_set(err, VF_ERR_PROTOCOL, 0,
                       "the far end answers for batch %u, which is not open",
                       batch); /* the NULL says it */
    return NULL;
}

static int bad_answer(struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_PROTOCOL, 0, "the far end's answer does not fit the question");
}

/* Groups that are known make their segments known; the segments of the others are asked for. */
static int have_groups(struct sender *s, struct send_slot *slot, const struct vf_msg_have *m,
                       struct vf_error *err)
{
    const struct vf_batch *b = slot->b;
    size_t unknown = 0;

    if (m->n != b->ngroups)
        return bad_answer(err);
    for (size_t i = 0; i < m->n; i++) {
        if (m->have[i] == VF_HAVE_YES)
            memset(slot->have + b->groups[i].kid, VF_HAVE_YES, b->groups[i].kids);
        else
            unknown++;
    }
    if (unknown)
        return send_nodes(s, b->id, 1, b->segs, b->nsegs, slot->have, err);
    return s->opts->count_only ? 0 : settle(s, slot, NULL, err);
}

/* Short digests of all blocks in segments that the receiver wants probed. */
static int send_probes(struct sender *s, struct send_slot *slot, size_t blocks,
                       struct vf_error *err)
{
    struct vf_batch *b = slot->b;
    uint8_t width = s->opts->count_only ? 8 : VF_PROBE_WIDTH;
    struct vf_msg m = {.type = VF_MSG_PROBES};
    size_t at = 0;
    int rc = -1;

    if (vf_batch_load(b, s->map, err) < 0)
        return -1;
    m.probes.batch = b->id;
    m.probes.width = width;
    m.probes.digest = vf_calloc(blocks, width, err);
    if (!m.probes.digest)
        goto out;
    for (size_t i = 0; i < b->nsegs; at += (size_t)b->segs[i++].span)
        for (size_t k = 0; slot->have[i] == VF_HAVE_PROBE && k < b->segs[i].span; k++)
            memcpy(m.probes.digest + width * m.probes.n++, b->md5[at + k], width);
    s->ret->probes_sent += m.probes.n;
    rc = s->st->ops->send(s->st, &m, err);
out:
    vf_msg_free(&m);
    return rc;
}

static int have_segments(struct sender *s, struct send_slot *slot, const struct vf_msg_have *m,
                         struct vf_error *err)
{
    const struct vf_batch *b = slot->b;
    size_t k = 0, blocks = 0;

    for (size_t i = 0; i < b->nsegs; i++) {
        if (slot->have[i] == VF_HAVE_YES)
            continue;
        if (k == m->n)
            return bad_answer(err);
        slot->have[i] = m->have[k++];
        blocks += slot->have[i] == VF_HAVE_PROBE ? (size_t)b->segs[i].span : 0;
    }
    if (k != m->n)
        return bad_answer(err);
    if (blocks)
        return send_probes(s, slot, blocks, err);
    return s->opts->count_only ? 0 : settle(s, slot, NULL, err);
}

static int have_blocks(struct sender *s, struct send_slot *slot, const struct vf_msg_have *m,
                       struct vf_error *err)
{
    const struct vf_batch *b = slot->b;
    size_t blocks = 0;

    for (size_t i = 0; i < b->nsegs; i++)
        blocks += slot->have[i] == VF_HAVE_PROBE ? (size_t)b->segs[i].span : 0;
    if (blocks == 0 || m->n != blocks || s->opts->count_only)
        return bad_answer(err);
    return settle(s, slot, m->have, err);
}

int vf_sender_have(struct sender *s, const struct vf_msg_have *m, struct vf_error *err)
{
    struct send_slot *slot = slot_of(s, m->batch, err);

    if (!slot)
        return -1;
    if (slot->queued || !s->walk) /* all is answered, or nothing was asked */
        return bad_answer(err);
    if (m->level == 2)
        return have_groups(s, slot, m, err);
    return m->level == 1 ? have_segments(s, slot, m, err) : have_blocks(s, slot, m, err);
}

int vf_sender_done(struct sender *s, uint32_t batch, struct vf_error *err)
{
    struct send_slot *slot = slot_of(s, batch, err);
    struct vf_batch *b;

    if (!slot)
        return -1;
    pthread_mutex_lock(&s->lock);
    b = slot->b;
    /* A count finishes batches as their questions happen to be answered. */
    if (!s->opts->count_only && (batch != s->done || !slot->sealed)) {
        pthread_mutex_unlock(&s->lock);
        return bad_answer(err);
    }
    s->done++;
    s->open_blocks -= b->ndata;
    s->open_segs -= b->nsegs;
    s->now.blocks_done += b->range.n;
    s->now.zero_blocks += b->range.n - b->ndata;
    s->now.sent_blocks += slot->literals;
    s->now.known_blocks += b->ndata - (slot->literals < b->ndata ? slot->literals : b->ndata);
    vf_send_slot_clear(slot);
    pthread_cond_broadcast(&s->moved);
    pthread_mutex_unlock(&s->lock);
    return 0;
}

int vf_sender_recheck(struct sender *s, uint32_t batch, struct vf_error *err)
{
    struct send_slot *slot = slot_of(s, batch, err);
    struct vf_msg m = {.type = VF_MSG_SEGMENTS};
    int rc = -1;

    if (!slot)
        return -1;
    m.segments.batch = batch;
    m.segments.n = slot->b->nsegs;
    m.segments.run = vf_calloc(slot->b->nsegs, sizeof *m.segments.run, err);
    m.segments.sha = vf_calloc(slot->b->nsegs, VF_SHA_LEN, err);
    if (!m.segments.run || !m.segments.sha)
        goto out;
    for (size_t i = 0; i < slot->b->nsegs; i++) {
        const struct vf_node *g = &slot->b->segs[i];

        m.segments.run[i] = (struct vf_run){g->first, g->span};
        memcpy(m.segments.sha[i], g->sha, VF_SHA_LEN);
    }
    rc = s->st->ops->send(s->st, &m, err);
out:
    vf_msg_free(&m);
    return rc;
}

int vf_sender_repair(struct sender *s, struct vf_msg_repair *m, struct vf_error *err)
{
    struct send_slot *slot = slot_of(s, m->batch, err);
    struct vf_run range;
    bool busy;

    if (!slot)
        return -1;
    range = slot->b->range;
    for (size_t i = 0; i < m->n; i++)
        if (m->run[i].first < range.first || m->run[i].n > range.n ||
            m->run[i].first - range.first > range.n - m->run[i].n)
            return bad_answer(err);
    pthread_mutex_lock(&s->lock);
    busy = !slot->sealed; /* first all literals, then repairs */
    if (!busy) {
        free(slot->repairs);
        slot->repairs = m->run;
        slot->nrepairs = m->n;
        slot->sealed = false;
        m->run = NULL; /* kept */
        m->n = 0;
        s->repair[(s->repair_at + s->repair_n++) % VF_BATCHES_OPEN] = slot->b->id;
        pthread_cond_broadcast(&s->moved);
    }
    pthread_mutex_unlock(&s->lock);
    return busy ? bad_answer(err) : 0;
}
