/* Fuzz target for transport/frame.c and transport/order.c: the first byte chooses who speaks and
 * what for, the rest is all that this side says.  The other side answers by the book. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "transport/frame.h"
#include "transport/message.h"
#include "transport/order.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct talk {
    struct vf_order o;
    enum vf_side from;
    enum vf_purpose purpose;
    bool empty;
};

static void step(struct talk *t, enum vf_side from, const struct vf_msg *m)
{
    if (vf_order_step(&t->o, from, m, NULL) < 0)
        abort(); /* what is said by the book is in order */
}

static void another_batch(struct talk *t)
{
    struct vf_msg m = {.type = VF_MSG_BATCH};
    struct vf_run run = {t->o.next_block, 4};

    if (t->o.n_open == VF_BATCHES_OPEN || t->o.blocks - t->o.next_block < 8)
        return;
    m.batch = (struct vf_msg_batch){(uint32_t)t->o.next_batch, {t->o.next_block, 8}};
    step(t, VF_SIDE_SOURCE, &m);
    m = (struct vf_msg){.type = VF_MSG_PROBES, .probes = {m.batch.batch, 8, 5, NULL}};
    step(t, VF_SIDE_SOURCE, &m);
    if (t->o.empty)
        return;
    m = (struct vf_msg){.type = VF_MSG_NODES, .nodes = {m.probes.batch, 1, 1, &run, NULL}};
    step(t, VF_SIDE_SOURCE, &m);
}

static void answer_batches(struct talk *t)
{
    struct vf_msg m = {.type = VF_MSG_RECHECK};

    for (unsigned i = 0; i < VF_BATCHES_OPEN; i++) {
        const struct vf_order_batch *b = &t->o.batch[i];

        if (!b->open)
            continue;
        m.done.batch = b->batch;
        m.type = t->purpose == VF_FOR_COUNT || b->recheck ? VF_MSG_DONE : VF_MSG_RECHECK;
        if (b->batch % 3 == 0)
            step(t, VF_SIDE_RECEIVER, &m);
    }
}

/* What the other side says at this point, if it is its turn. */
static void other(struct talk *t)
{
    struct vf_msg m = {.type = VF_MSG_TYPES_};

    switch (t->o.phase) {
    case VF_PHASE_HELLO:
        m = (struct vf_msg){.type = VF_MSG_HELLO, .hello = {1, 1, (uint8_t)t->purpose, NULL, NULL}};
        break;
    case VF_PHASE_WELCOME:
        m.type = VF_MSG_WELCOME;
        break;
    case VF_PHASE_OFFER:
        if (t->purpose == VF_FOR_SUMMARY) {
            m.type = VF_MSG_ASK;
            break;
        }
        m = (struct vf_msg){.type = VF_MSG_OFFER, .offer = {.size = 1 << 20}};
        break;
    case VF_PHASE_ACCEPT:
        m = (struct vf_msg){.type = VF_MSG_ACCEPT, .accept = {.empty = t->empty}};
        break;
    case VF_PHASE_WORK:
        if (t->from == VF_SIDE_RECEIVER)
            another_batch(t);
        else
            answer_batches(t);
        return;
    case VF_PHASE_GUEST:
        m.type = VF_MSG_GUEST; /* the answer */
        break;
    case VF_PHASE_TUNNEL:
        m.type = VF_MSG_BYTES;
        break;
    case VF_PHASE_SUMMARY:
        m = (struct vf_msg){.type = VF_MSG_SUMMARY, .summary = {.answer = 1, .len = 300}};
        break;
    case VF_PHASE_PARTS:
        m = (struct vf_msg){.type = VF_MSG_PART, .part = {.len = 150}};
        break;
    case VF_PHASE_COUNTS:
    case VF_PHASE_RESULT:
    case VF_PHASE_OVER:
    case VF_PHASE_LINK:
        return;
    }
    if (vf_order_type(&t->o, 1 - t->from, (uint8_t)m.type, NULL) == 0)
        step(t, 1 - t->from, &m);
}

static void check(const struct vf_order *o)
{
    unsigned open = 0;

    for (unsigned i = 0; i < VF_BATCHES_OPEN; i++) {
        const struct vf_order_batch *b = &o->batch[i];

        if (!b->open)
            continue;
        open++;
        for (unsigned k = 0; k < 3; k++)
            if (b->waiting[k] > b->asked[k] || b->asked[k] > b->range.n)
                abort();
        if (b->range.first + b->range.n > o->next_block)
            abort();
    }
    if (open != o->n_open || o->next_block > o->blocks)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct talk t = {.from = VF_SIDE_SOURCE};
    uint8_t type;
    uint32_t n;

    if (len == 0)
        return 0;
    t.from = data[0] & 1 ? VF_SIDE_RECEIVER : VF_SIDE_SOURCE;
    t.purpose = data[0] & 8 ? VF_FOR_SUMMARY : data[0] & 2 ? VF_FOR_COUNT : VF_FOR_MIGRATE;
    t.empty = data[0] & 4;
    vf_order_init(&t.o);
    data++;
    len--;
    if (vf_magic_get(data, len) <= 0) {
        (void)vf_magic_error(data, len, NULL); /* always -1 */
        return 0;
    }
    data += VF_MAGIC_LEN;
    len -= VF_MAGIC_LEN;
    for (other(&t); vf_frame_get(data, len, &type, &n, NULL) == 1; other(&t)) {
        struct vf_msg m;
        int rc;

        if (n > len - VF_FRAME_HEAD || vf_order_type(&t.o, t.from, type, NULL) < 0 ||
            vf_msg_decode(type, data + VF_FRAME_HEAD, n, &m, NULL) < 0)
            return 0;
        rc = vf_order_step(&t.o, t.from, &m, NULL);
        vf_msg_free(&m);
        if (rc < 0)
            return 0;
        check(&t.o);
        t.purpose = t.o.purpose;
        data += VF_FRAME_HEAD + n;
        len -= VF_FRAME_HEAD + n;
    }
    return 0;
}
