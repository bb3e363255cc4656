/* transport/message.c - names of the messages, and messages to payload bytes. */
#include "transport/message.h"

#include <string.h>

const char *vf_msg_name(uint8_t type)
{
    static const char *const name[VF_MSG_TYPES_] = {
        [VF_MSG_HELLO] = "HELLO",     [VF_MSG_WELCOME] = "WELCOME", [VF_MSG_OFFER] = "OFFER",
        [VF_MSG_ACCEPT] = "ACCEPT",   [VF_MSG_BATCH] = "BATCH",     [VF_MSG_NODES] = "NODES",
        [VF_MSG_HAVE] = "HAVE",       [VF_MSG_PROBES] = "PROBES",   [VF_MSG_DATA] = "DATA",
        [VF_MSG_DONE] = "DONE",       [VF_MSG_RECHECK] = "RECHECK", [VF_MSG_SEGMENTS] = "SEGMENTS",
        [VF_MSG_REPAIR] = "REPAIR",   [VF_MSG_END] = "END",         [VF_MSG_COUNTS] = "COUNTS",
        [VF_MSG_RESULT] = "RESULT",   [VF_MSG_FAIL] = "FAIL",       [VF_MSG_PING] = "PING",
        [VF_MSG_PONG] = "PONG",       [VF_MSG_LINK] = "LINK",       [VF_MSG_PIECE] = "PIECE",
        [VF_MSG_FENCE] = "FENCE",     [VF_MSG_ACK] = "ACK",         [VF_MSG_ASK] = "ASK",
        [VF_MSG_SUMMARY] = "SUMMARY", [VF_MSG_PART] = "PART",       [VF_MSG_GUEST] = "GUEST",
        [VF_MSG_BYTES] = "BYTES",
    };

    return type < VF_MSG_TYPES_ && name[type] ? name[type] : "?";
}

/* A buffer that remembers its first failure, so that the writers below need no branches. */
struct out {
    struct vf_buf *b;
    struct vf_error *err;
    bool failed; /* no memory; nothing more is added */
};

static void put_u8(struct out *o, uint8_t v)
{
    o->failed = o->failed || vf_buf_u8(o->b, v, o->err) < 0;
}

static void put_u16(struct out *o, uint16_t v)
{
    o->failed = o->failed || vf_buf_u16(o->b, v, o->err) < 0;
}

static void put_u64(struct out *o, uint64_t v)
{
    o->failed = o->failed || vf_buf_u64(o->b, v, o->err) < 0;
}

static void put_num(struct out *o, uint64_t v)
{
    o->failed = o->failed || vf_buf_varint(o->b, v, o->err) < 0;
}

static void put_bytes(struct out *o, const void *p, size_t n)
{
    o->failed = o->failed || (n && vf_buf_add(o->b, p, n, o->err) < 0);
}

static void put_text(struct out *o, const char *s)
{
    o->failed = o->failed || vf_buf_str(o->b, s ? s : "", o->err) < 0;
}

/* Two columns: distances, then lengths less one.  Each compresses better alone, and small numbers
 * stay one byte. */
static void put_runs(struct out *o, const struct vf_run *run, size_t n)
{
    uint64_t end = 0;

    for (size_t i = 0; i < n; i++) {
        put_num(o, run[i].first - end);
        end = run[i].first + run[i].n;
    }
    for (size_t i = 0; i < n; i++)
        put_num(o, run[i].n - 1);
}

static void put_hello(struct out *o, const struct vf_msg_hello *m)
{
    put_u16(o, m->version_min);
    put_u16(o, m->version_max);
    put_u8(o, m->purpose);
    put_text(o, m->program);
    put_text(o, m->group);
}

static void put_welcome(struct out *o, const struct vf_msg_welcome *m)
{
    put_u16(o, m->version);
    put_u8(o, m->window_log);
    put_u8(o, m->writable);
    put_num(o, m->free_bytes);
    put_num(o, m->resident_images);
    put_num(o, m->resident_blocks);
    put_text(o, m->program);
    put_text(o, m->node);
    put_text(o, m->group);
    put_text(o, m->dir);
    put_text(o, m->token);
    put_u8(o, m->links_max);
    put_num(o, m->links_window);
}

static void put_offer(struct out *o, const struct vf_msg_offer *m)
{
    put_num(o, m->size);
    put_num(o, m->data_blocks);
    put_num(o, m->cluster_size);
    put_num(o, m->flags);
    put_text(o, m->name);
    put_text(o, m->format);
    if (m->flags & VF_OFFER_ROOT)
        put_bytes(o, m->root, VF_SHA_LEN);
}

static void put_accept(struct out *o, const struct vf_msg_accept *m)
{
    put_u8(o, (uint8_t)(m->empty | m->quotes << 1));
    put_num(o, m->reused_blocks);
    put_text(o, m->path);
}

static void put_nodes(struct out *o, const struct vf_msg_nodes *m)
{
    put_num(o, m->batch);
    put_u8(o, m->level);
    put_num(o, m->n);
    put_runs(o, m->run, m->n);
    put_bytes(o, m->id, m->n * VF_ID_LEN);
}

static void put_have(struct out *o, const struct vf_msg_have *m)
{
    unsigned bits = m->level ? 2 : 1, at = 0;
    uint8_t byte = 0;

    put_num(o, m->batch);
    put_u8(o, m->level);
    put_num(o, m->n);
    for (size_t i = 0; i < m->n; i++) {
        byte = (uint8_t)(byte | m->have[i] << at);
        at += bits;
        if (at == 8 || i + 1 == m->n) {
            put_u8(o, byte);
            byte = 0;
            at = 0;
        }
    }
}

static void put_probes(struct out *o, const struct vf_msg_probes *m)
{
    put_num(o, m->batch);
    put_u8(o, m->width);
    put_num(o, m->n);
    put_bytes(o, m->digest, m->n * m->width);
}

static void put_segments(struct out *o, const struct vf_msg_segments *m)
{
    put_num(o, m->batch);
    put_num(o, m->n);
    put_runs(o, m->run, m->n);
    put_bytes(o, m->sha, m->n * VF_SHA_LEN);
}

static void put_repair(struct out *o, const struct vf_msg_repair *m)
{
    put_num(o, m->batch);
    put_num(o, m->n);
    put_runs(o, m->run, m->n);
}

static void put_counts(struct out *o, const struct vf_msg_counts *m)
{
    put_num(o, m->all.blocks);
    put_num(o, m->all.distinct);
    put_u8(o, m->has_zero);
    put_num(o, m->distinct);
    put_num(o, m->n);
    for (size_t i = 0; i < m->n; i++) {
        const struct vf_msg_count_image *im = &m->image[i];

        put_text(o, im->name);
        put_num(o, im->shared.blocks);
        put_num(o, im->shared.distinct);
        put_u8(o, (uint8_t)(im->has_zero | im->fresh << 1));
    }
}

static void put_result(struct out *o, const struct vf_msg_result *m)
{
    put_u8(o, m->verified);
    put_bytes(o, m->root, VF_SHA_LEN);
    put_num(o, m->shared_blocks);
    put_num(o, m->duplicate_blocks);
    put_num(o, m->literal_blocks);
    put_num(o, m->copied_blocks);
    put_num(o, m->repaired_blocks);
    put_text(o, m->path);
}

static void put_ask(struct out *o, const struct vf_msg_ask *m)
{
    put_u8(o, m->detail);
    put_u8(o, m->flags);
    put_u64(o, m->generation);
    put_num(o, m->signature_len);
    put_bytes(o, m->signature, m->signature_len);
    put_num(o, m->size);
    put_num(o, m->data_blocks);
    put_text(o, m->name);
    put_text(o, m->format);
    if (m->flags & VF_ASK_ROOT)
        put_bytes(o, m->root, VF_SHA_LEN);
}

static void put_summary(struct out *o, const struct vf_msg_summary *m)
{
    put_u8(o, m->answer);
    put_u8(o, m->taken);
    put_text(o, m->why);
    put_u64(o, m->generation);
    put_num(o, m->len);
    put_bytes(o, m->sha, VF_SHA_LEN);
}

static void put(struct out *o, const struct vf_msg *m)
{
    switch (m->type) {
    case VF_MSG_HELLO:
        put_hello(o, &m->hello);
        break;
    case VF_MSG_WELCOME:
        put_welcome(o, &m->welcome);
        break;
    case VF_MSG_OFFER:
        put_offer(o, &m->offer);
        break;
    case VF_MSG_ACCEPT:
        put_accept(o, &m->accept);
        break;
    case VF_MSG_BATCH:
        put_num(o, m->batch.batch);
        put_runs(o, &m->batch.range, 1);
        break;
    case VF_MSG_NODES:
        put_nodes(o, &m->nodes);
        break;
    case VF_MSG_HAVE:
        put_have(o, &m->have);
        break;
    case VF_MSG_PROBES:
        put_probes(o, &m->probes);
        break;
    case VF_MSG_DATA:
    case VF_MSG_PART:
    case VF_MSG_GUEST:
    case VF_MSG_BYTES: /* the same member for all */
        put_bytes(o, m->data.bytes, m->data.len);
        break;
    case VF_MSG_DONE:
    case VF_MSG_RECHECK:
        put_num(o, m->done.batch); /* the same member for both */
        break;
    case VF_MSG_SEGMENTS:
        put_segments(o, &m->segments);
        break;
    case VF_MSG_REPAIR:
        put_repair(o, &m->repair);
        break;
    case VF_MSG_END:
        put_num(o, m->end.batches);
        put_num(o, m->end.zero_blocks);
        put_bytes(o, m->end.root, VF_SHA_LEN);
        break;
    case VF_MSG_COUNTS:
        put_counts(o, &m->counts);
        break;
    case VF_MSG_RESULT:
        put_result(o, &m->result);
        break;
    case VF_MSG_FAIL:
        put_u8(o, m->fail.code);
        put_text(o, m->fail.text);
        break;
    case VF_MSG_PING:
    case VF_MSG_PONG:
        put_u64(o, m->ping.cookie); /* the same member for both */
        break;
    case VF_MSG_LINK:
        put_u8(o, m->link.number);
        put_text(o, m->link.token);
        break;
    case VF_MSG_PIECE:
        put_num(o, m->piece.seq);
        put_num(o, m->piece.after);
        put_bytes(o, m->piece.bytes, m->piece.len);
        break;
    case VF_MSG_FENCE:
    case VF_MSG_ACK:
        put_num(o, m->fence.pieces); /* the same member for both */
        break;
    case VF_MSG_ASK:
        put_ask(o, &m->ask);
        break;
    case VF_MSG_SUMMARY:
        put_summary(o, &m->summary);
        break;
    case VF_MSG_TYPES_:
        break; /* vf_msg_wrong has refused it */
    }
}

int vf_msg_encode(const struct vf_msg *m, struct vf_buf *b, struct vf_error *err)
{
    struct out o = {b, err, false};
    const char *why = vf_msg_wrong(m);
    size_t start = b->len;

    if (why)
        return vf_error_set(err, VF_ERR_RANGE, 0, "cannot send %s: %s",
                            vf_msg_name((uint8_t)m->type), why);
    put(&o, m);
    if (o.failed) {
        b->len = start;
        return -1;
    }
    /* Nothing else can pass its frame's ceiling when its parts are inside their limits. */
    if (m->type == VF_MSG_COUNTS && b->len - start > VF_MAX_COUNTS) {
        b->len = start;
        return vf_error_set(err, VF_ERR_RANGE, 0, "cannot send COUNTS: names are too long");
    }
    return 0;
}
