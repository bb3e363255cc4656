/* transport/order.c - the state diagram of PROTOCOL.md. */
#include "transport/order.h"

#include <inttypes.h>
#include <string.h>

#include "transport/message.h"

#define IN(phase) (1u << (phase))
#define SOURCE    (1u << VF_SIDE_SOURCE)
#define RECEIVER  (1u << VF_SIDE_RECEIVER)
#define MIGRATE   (1u << VF_FOR_MIGRATE)
#define COUNT     (1u << VF_FOR_COUNT)
#define CHECK     (1u << VF_FOR_CHECK)
#define TUNNEL    (1u << VF_FOR_TUNNEL)
#define GUEST     (1u << VF_FOR_GUEST | TUNNEL)
#define SUMMARY   (1u << VF_FOR_SUMMARY)
#define ANY       0xffffu
#define WORK      (IN(VF_PHASE_WORK) | IN(VF_PHASE_RESULT)) /* for the source */

/* Who may send a type, in which phases, for which purposes. */
struct rule {
    uint16_t from, phases, purposes;
};

static const struct rule rules[VF_MSG_TYPES_] = {
    [VF_MSG_HELLO] = {SOURCE, IN(VF_PHASE_HELLO), ANY},
    [VF_MSG_WELCOME] = {RECEIVER, IN(VF_PHASE_WELCOME), ANY},
    [VF_MSG_OFFER] = {SOURCE, IN(VF_PHASE_WELCOME) | IN(VF_PHASE_OFFER), MIGRATE | COUNT},
    [VF_MSG_ACCEPT] = {RECEIVER, IN(VF_PHASE_ACCEPT), ANY},
    [VF_MSG_BATCH] = {SOURCE, WORK, ANY},
    [VF_MSG_NODES] = {SOURCE, WORK, ANY},
    [VF_MSG_HAVE] = {RECEIVER, IN(VF_PHASE_WORK) | IN(VF_PHASE_COUNTS), ANY},
    [VF_MSG_PROBES] = {SOURCE, WORK, ANY},
    [VF_MSG_DATA] = {SOURCE, WORK, MIGRATE},
    [VF_MSG_DONE] = {RECEIVER, IN(VF_PHASE_WORK) | IN(VF_PHASE_COUNTS), ANY},
    [VF_MSG_RECHECK] = {RECEIVER, IN(VF_PHASE_WORK), MIGRATE},
    [VF_MSG_SEGMENTS] = {SOURCE, WORK, MIGRATE},
    [VF_MSG_REPAIR] = {RECEIVER, IN(VF_PHASE_WORK), MIGRATE},
    [VF_MSG_END] = {SOURCE, WORK, MIGRATE | COUNT},
    [VF_MSG_COUNTS] = {RECEIVER, IN(VF_PHASE_COUNTS), COUNT},
    [VF_MSG_RESULT] = {RECEIVER, IN(VF_PHASE_WORK), MIGRATE},
    [VF_MSG_FAIL] = {SOURCE | RECEIVER, ANY, ANY},
    [VF_MSG_PING] = {SOURCE | RECEIVER, ANY & ~IN(VF_PHASE_HELLO), ANY},
    [VF_MSG_PONG] = {SOURCE | RECEIVER, ANY & ~IN(VF_PHASE_HELLO), ANY},
    [VF_MSG_LINK] = {SOURCE, IN(VF_PHASE_HELLO), ANY},
    [VF_MSG_PIECE] = {SOURCE, WORK, MIGRATE},
    [VF_MSG_FENCE] = {SOURCE, WORK, MIGRATE},
    [VF_MSG_ACK] = {RECEIVER, WORK, MIGRATE},
    [VF_MSG_ASK] = {SOURCE, IN(VF_PHASE_OFFER), SUMMARY},
    [VF_MSG_SUMMARY] = {RECEIVER, IN(VF_PHASE_SUMMARY), ANY},
    [VF_MSG_PART] = {RECEIVER, IN(VF_PHASE_PARTS), ANY},
    [VF_MSG_GUEST] = {SOURCE | RECEIVER, IN(VF_PHASE_OFFER) | IN(VF_PHASE_GUEST), GUEST},
    [VF_MSG_BYTES] = {SOURCE | RECEIVER, IN(VF_PHASE_TUNNEL), TUNNEL},
};

static int refuse(uint8_t type, const char *why, struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_PROTOCOL, 0, "%s %s", vf_msg_name(type), why);
}

void vf_order_init(struct vf_order *o) { memset(o, 0, sizeof *o); }

int vf_order_type(const struct vf_order *o, enum vf_side from, uint8_t type, struct vf_error *err)
{
    static const char *const when[] = {
        [VF_PHASE_HELLO] = "before HELLO",       [VF_PHASE_WELCOME] = "before WELCOME",
        [VF_PHASE_OFFER] = "before OFFER",       [VF_PHASE_ACCEPT] = "before ACCEPT",
        [VF_PHASE_WORK] = "during the transfer", [VF_PHASE_COUNTS] = "after END",
        [VF_PHASE_RESULT] = "after RESULT",      [VF_PHASE_OVER] = "after the end",
        [VF_PHASE_LINK] = "after LINK",          [VF_PHASE_SUMMARY] = "before SUMMARY",
        [VF_PHASE_PARTS] = "after SUMMARY",      [VF_PHASE_GUEST] = "before the answer",
        [VF_PHASE_TUNNEL] = "in a tunnel",
    };
    const struct rule *r = &rules[type < VF_MSG_TYPES_ ? type : 0];

    if (!r->from)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "message of unknown type %u", type);
    if (!(r->from & 1u << from))
        return refuse(type, from == VF_SIDE_SOURCE ? "from the source" : "from the receiver", err);
    if (o->failed[from])
        return refuse(type, "after FAIL", err);
    if (!(r->phases & IN(o->phase)))
        return refuse(type, when[o->phase], err);
    if (o->phase != VF_PHASE_HELLO && !(r->purposes & 1u << o->purpose))
        return refuse(type, "does not belong to what HELLO asked for", err);
    return 0;
}

static struct vf_order_batch *find(struct vf_order *o, uint32_t batch)
{
    for (unsigned i = 0; i < VF_BATCHES_OPEN; i++)
        if (o->batch[i].open && o->batch[i].batch == batch)
            return &o->batch[i];
    return NULL;
}

static int step_batch(struct vf_order *o, const struct vf_msg_batch *m, struct vf_error *err)
{
    unsigned i = 0;

    if (o->ended)
        return refuse(VF_MSG_BATCH, "after END", err);
    if (m->batch != o->next_batch || m->range.first != o->next_block)
        return refuse(VF_MSG_BATCH, "out of order", err);
    if (m->range.n > o->blocks - o->next_block)
        return refuse(VF_MSG_BATCH, "beyond the end of the image", err);
    if (o->n_open == VF_BATCHES_OPEN)
        return refuse(VF_MSG_BATCH, "while too many are open", err);
    while (o->batch[i].open)
        i++;
    o->batch[i] = (struct vf_order_batch){.open = true, .batch = m->batch, .range = m->range};
    o->n_open++;
    o->next_batch++;
    o->next_block += m->range.n;
    return 0;
}

/* Ascending runs: the first and the last decide. */
static bool inside(const struct vf_run *range, const struct vf_run *run, size_t n)
{
    return n == 0 || (run[0].first >= range->first &&
                      run[n - 1].first + run[n - 1].n <= range->first + range->n);
}

/* A batch has no more nodes of a level, and no more blocks to probe, than blocks. */
static int ask(struct vf_order_batch *b, uint8_t type, unsigned level, size_t n,
               struct vf_error *err)
{
    if (n > b->range.n - b->asked[level])
        return refuse(type, "of more than the batch has", err);
    b->asked[level] += n;
    b->waiting[level] += n;
    return 0;
}

static int step_have(struct vf_order_batch *b, const struct vf_msg_have *m, struct vf_error *err)
{
    if (m->n > b->waiting[m->level])
        return refuse(VF_MSG_HAVE, "answers more than was asked", err);
    b->waiting[m->level] -= m->n;
    return 0;
}

/* Messages that speak of an open batch. */
static int step_open(struct vf_order *o, uint32_t batch, const struct vf_msg *m,
                     struct vf_error *err)
{
    struct vf_order_batch *b = find(o, batch);
    uint8_t type = (uint8_t)m->type;

    if (!b)
        return refuse(type, "of a batch that is not open", err);
    switch (m->type) {
    case VF_MSG_NODES:
        if (!inside(&b->range, m->nodes.run, m->nodes.n))
            return refuse(type, "outside its batch", err);
        return ask(b, type, m->nodes.level, m->nodes.n, err);
    case VF_MSG_PROBES:
        if (o->purpose == VF_FOR_COUNT && m->probes.width != 8)
            return refuse(type, "too narrow for a count", err);
        return ask(b, type, 0, m->probes.n, err);
    case VF_MSG_HAVE:
        return step_have(b, &m->have, err);
    case VF_MSG_RECHECK:
        b->recheck = true;
        return 0;
    case VF_MSG_SEGMENTS:
        if (!b->recheck)
            return refuse(type, "that nobody asked for", err);
        return inside(&b->range, m->segments.run, m->segments.n)
                   ? 0
                   : refuse(type, "outside its batch", err);
    case VF_MSG_REPAIR:
        if (!b->recheck)
            return refuse(type, "before RECHECK", err);
        return inside(&b->range, m->repair.run, m->repair.n)
                   ? 0
                   : refuse(type, "outside its batch", err);
    default: /* DONE */
        b->open = false;
        o->n_open--;
        return 0;
    }
}

static int step_end(struct vf_order *o, const struct vf_msg_end *m, struct vf_error *err)
{
    bool count = o->purpose == VF_FOR_COUNT;
    /* With a receiver that has nothing, a count needs no batches. */
    bool none = count && o->empty && o->next_batch == 0;

    if (o->ended)
        return refuse(VF_MSG_END, "twice", err);
    if (m->zero_blocks > o->blocks ||
        (!none && (o->next_block != o->blocks || m->batches != o->next_batch)))
        return refuse(VF_MSG_END, "does not fit the batches", err);
    o->ended = true;
    if (count)
        o->phase = VF_PHASE_COUNTS;
    return 0;
}

static int step_result(struct vf_order *o, const struct vf_msg_result *m, struct vf_error *err)
{
    if (m->verified && (!o->ended || o->n_open))
        return refuse(VF_MSG_RESULT, o->ended ? "while batches are open" : "before END", err);
    o->phase = VF_PHASE_RESULT;
    return 0;
}

static int step_pong(struct vf_order *o, enum vf_side from, struct vf_error *err)
{
    uint64_t *waiting = &o->pings[from == VF_SIDE_SOURCE ? VF_SIDE_RECEIVER : VF_SIDE_SOURCE];

    if (*waiting == 0)
        return refuse(VF_MSG_PONG, "without PING", err);
    --*waiting;
    return 0;
}

/* The source asks, the receiver answers. */
static int step_guest(struct vf_order *o, enum vf_side from, struct vf_error *err)
{
    bool asked = o->phase == VF_PHASE_GUEST;

    if (asked != (from == VF_SIDE_RECEIVER))
        return refuse(VF_MSG_GUEST, asked ? "before the answer" : "that nobody asked for", err);
    if (!asked)
        o->phase = VF_PHASE_GUEST;
    else
        o->phase = o->purpose == VF_FOR_TUNNEL ? VF_PHASE_TUNNEL : VF_PHASE_OFFER;
    return 0;
}

static int step_summary(struct vf_order *o, const struct vf_msg_summary *m)
{
    o->parts = m->len;
    o->phase = m->len ? VF_PHASE_PARTS : VF_PHASE_OVER;
    return 0;
}

static int step_part(struct vf_order *o, const struct vf_msg_data *m, struct vf_error *err)
{
    if (m->len > o->parts)
        return refuse(VF_MSG_PART, "beyond the announced length", err);
    o->parts -= m->len;
    if (!o->parts)
        o->phase = VF_PHASE_OVER;
    return 0;
}

/* It may come right behind HELLO. */
static int step_offer(struct vf_order *o, const struct vf_msg_offer *m, struct vf_error *err)
{
    if (o->offered)
        return refuse(VF_MSG_OFFER, "twice", err);
    o->offered = true;
    o->blocks = vf_blocks_of(m->size);
    if (o->phase == VF_PHASE_OFFER)
        o->phase = VF_PHASE_ACCEPT;
    return 0;
}

static void step_accept(struct vf_order *o, const struct vf_msg_accept *m)
{
    o->empty = m->empty;
    o->phase = VF_PHASE_WORK;
}

int vf_order_step(struct vf_order *o, enum vf_side from, const struct vf_msg *m,
                  struct vf_error *err)
{
    if (vf_order_type(o, from, (uint8_t)m->type, err) < 0)
        return -1;
    switch (m->type) {
    case VF_MSG_HELLO:
        o->purpose = (enum vf_purpose)m->hello.purpose;
        o->phase = VF_PHASE_WELCOME;
        return 0;
    case VF_MSG_WELCOME:
        o->phase = o->offered ? VF_PHASE_ACCEPT : VF_PHASE_OFFER;
        return 0;
    case VF_MSG_OFFER:
        return step_offer(o, &m->offer, err);
    case VF_MSG_ACCEPT:
        step_accept(o, &m->accept);
        return 0;
    case VF_MSG_BATCH:
        return step_batch(o, &m->batch, err);
    case VF_MSG_NODES:
        if (o->empty)
            return refuse(VF_MSG_NODES, "to a receiver that has nothing", err);
        return step_open(o, m->nodes.batch, m, err);
    case VF_MSG_PROBES:
        return step_open(o, m->probes.batch, m, err);
    case VF_MSG_HAVE:
        return step_open(o, m->have.batch, m, err);
    case VF_MSG_SEGMENTS:
        return step_open(o, m->segments.batch, m, err);
    case VF_MSG_REPAIR:
        return step_open(o, m->repair.batch, m, err);
    case VF_MSG_DONE:
    case VF_MSG_RECHECK:
        return step_open(o, m->done.batch, m, err);
    case VF_MSG_END:
        return step_end(o, &m->end, err);
    case VF_MSG_COUNTS:
        o->phase = VF_PHASE_OVER;
        return 0;
    case VF_MSG_RESULT:
        return step_result(o, &m->result, err);
    case VF_MSG_FAIL:
        o->failed[from] = true;
        return 0;
    case VF_MSG_PING:
        o->pings[from]++;
        return 0;
    case VF_MSG_PONG:
        return step_pong(o, from, err);
    case VF_MSG_GUEST:
        return step_guest(o, from, err);
    case VF_MSG_LINK:
        o->phase = VF_PHASE_LINK;
        return 0;
    case VF_MSG_ASK:
        o->phase = VF_PHASE_SUMMARY;
        return 0;
    case VF_MSG_SUMMARY:
        return step_summary(o, &m->summary);
    case VF_MSG_PART:
        return step_part(o, &m->part, err);
    case VF_MSG_DATA:
    case VF_MSG_PIECE: /* their numbers are looked at where they are put in order */
    case VF_MSG_FENCE:
    case VF_MSG_ACK:
    case VF_MSG_BYTES:
    case VF_MSG_TYPES_:
        break;
    }
    return 0;
}
