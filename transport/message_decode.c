/* transport/message_decode.c - payload bytes to messages.  Every byte here was chosen by the peer.
 *
 * The readers below check counts against their ceilings and against the bytes that are left before
 * they allocate.  What a whole message must fulfil is checked once more, at the end, by the rules
 * in message_check.c. */
#include "transport/message.h"

#include <stdlib.h>
#include <string.h>

#include "core/checked.h"

/* A reader that remembers why it failed first. */
struct in {
    struct vf_reader r;
    const char *why; /* NULL so far: fine */
    bool nomem;
};

static bool fail(struct in *in, const char *why)
{
    if (!in->why)
        in->why = why;
    return false;
}

static bool get_u8(struct in *in, uint8_t *ret)
{
    return vf_reader_u8(&in->r, ret) || fail(in, "cut short");
}

static bool get_bool(struct in *in, bool *ret)
{
    uint8_t v;

    if (!get_u8(in, &v))
        return false;
    if (v > 1)
        return fail(in, "neither yes nor no");
    *ret = v;
    return true;
}

static bool get_num(struct in *in, uint64_t max, uint64_t *ret)
{
    uint64_t v;

    if (!vf_reader_varint(&in->r, &v))
        return fail(in, "cut short or a badly formed number");
    if (v > max)
        return fail(in, "number too large");
    *ret = v;
    return true;
}

static bool get_u32(struct in *in, uint32_t *ret)
{
    uint64_t v;

    if (!get_num(in, UINT32_MAX, &v))
        return false;
    *ret = (uint32_t)v;
    return true;
}

/* A count of things that take at least min_bits each in the rest of the payload. */
static bool get_count(struct in *in, size_t max, size_t min_bits, size_t *ret)
{
    uint64_t n;
    size_t bits;

    if (!get_num(in, max, &n))
        return false;
    if (!vf_mul_ok((size_t)n, min_bits, &bits) ||
        bits / 8 + (bits % 8 != 0) > vf_reader_left(&in->r))
        return fail(in, "more announced than there is");
    *ret = (size_t)n;
    return true;
}

static void *get_room(struct in *in, size_t n, size_t size)
{
    void *p = vf_calloc(n, size, NULL);

    if (!p) {
        in->nomem = true;
        (void)fail(in, "out of memory"); /* the NULL says it */
    }
    return p;
}

/* A copy of n * size bytes; NULL when that fails. */
static void *get_bytes(struct in *in, size_t n, size_t size)
{
    const uint8_t *p;
    size_t len;
    void *copy;

    if (!vf_mul_ok(n, size, &len) || !vf_reader_bytes(&in->r, len, &p)) {
        (void)fail(in, "cut short"); /* the NULL says it */
        return NULL;
    }
    copy = get_room(in, n, size);
    if (copy && len)
        memcpy(copy, p, len);
    return copy;
}

static bool get_text(struct in *in, size_t max, char **ret)
{
    const uint8_t *p;
    uint64_t len;
    char *s;

    if (!get_num(in, max, &len))
        return false;
    if (!vf_reader_bytes(&in->r, (size_t)len, &p))
        return fail(in, "cut short");
    /* The other control characters are found at the end; a zero would hide what is behind it. */
    if (len && memchr(p, 0, (size_t)len))
        return fail(in, "text has control characters");
    s = get_room(in, (size_t)len + 1, 1);
    if (!s)
        return false;
    if (len)
        memcpy(s, p, (size_t)len);
    *ret = s;
    return true;
}

static bool get_run_list(struct in *in, size_t n, struct vf_run *run)
{
    uint64_t end = 0;

    /* Sums stay far below 2^64: at most 2^40 + 2^40 each, and `first` is bounded at the end. */
    for (size_t i = 0; i < n; i++)
        if (!get_num(in, VF_MAX_BLOCKS, &run[i].first))
            return false;
    for (size_t i = 0; i < n; i++) {
        if (!get_num(in, VF_MAX_BLOCKS - 1, &run[i].n))
            return false;
        run[i].n++;
        run[i].first += end;
        if (run[i].first > VF_MAX_BLOCKS - run[i].n)
            return fail(in, "run beyond the largest image");
        end = run[i].first + run[i].n;
    }
    return true;
}

static bool get_runs(struct in *in, size_t n, struct vf_run **ret)
{
    *ret = get_room(in, n, sizeof **ret);
    return *ret && get_run_list(in, n, *ret);
}

static bool get_hello(struct in *in, struct vf_msg_hello *m)
{
    if (!vf_reader_u16(&in->r, &m->version_min) || !vf_reader_u16(&in->r, &m->version_max))
        return fail(in, "cut short");
    if (!get_u8(in, &m->purpose) || !get_text(in, VF_MAX_TEXT, &m->program) ||
        !get_text(in, VF_MAX_TEXT, &m->group))
        return false;
    /* What a later version has to say besides is for those who speak it. */
    if (m->version_max > VF_PROTOCOL_MAX)
        in->r.p = in->r.end;
    return true;
}

static bool get_welcome(struct in *in, struct vf_msg_welcome *m)
{
    if (!vf_reader_u16(&in->r, &m->version))
        return fail(in, "cut short");
    return get_u8(in, &m->window_log) && get_bool(in, &m->writable) &&
           get_num(in, UINT64_MAX, &m->free_bytes) &&
           get_num(in, UINT32_MAX, &m->resident_images) &&
           get_num(in, UINT64_MAX, &m->resident_blocks) && get_text(in, VF_MAX_TEXT, &m->program) &&
           get_text(in, VF_MAX_TEXT, &m->node) && get_text(in, VF_MAX_TEXT, &m->group) &&
           get_text(in, VF_MAX_TEXT, &m->dir) && get_text(in, VF_TOKEN_LEN, &m->token) &&
           get_u8(in, &m->links_max) && get_num(in, UINT64_MAX, &m->links_window);
}

/* With the flag for it only. */
static bool get_root(struct in *in, bool flag, uint8_t ret[VF_SHA_LEN])
{
    return !flag || vf_reader_copy(&in->r, ret, VF_SHA_LEN) || fail(in, "cut short");
}

static bool get_offer(struct in *in, struct vf_msg_offer *m)
{
    return get_num(in, VF_MAX_SIZE, &m->size) && get_num(in, VF_MAX_BLOCKS, &m->data_blocks) &&
           get_u32(in, &m->cluster_size) && get_u32(in, &m->flags) &&
           get_text(in, VF_MAX_NAME, &m->name) && get_text(in, VF_MAX_TEXT, &m->format) &&
           get_root(in, m->flags & VF_OFFER_ROOT, m->root);
}

static bool get_accept(struct in *in, struct vf_msg_accept *m)
{
    uint8_t flags;

    if (!get_u8(in, &flags))
        return false;
    if (flags > 3)
        return fail(in, "unknown flags");
    m->empty = flags & 1;
    m->quotes = flags >> 1;
    return get_num(in, VF_MAX_BLOCKS, &m->reused_blocks) && get_text(in, VF_MAX_TEXT, &m->path);
}

static bool get_batch(struct in *in, struct vf_msg_batch *m)
{
    return get_u32(in, &m->batch) && get_run_list(in, 1, &m->range);
}

static bool get_nodes(struct in *in, struct vf_msg_nodes *m)
{
    return get_u32(in, &m->batch) && get_u8(in, &m->level) &&
           get_count(in, VF_MAX_NODES, 8 * (2 + VF_ID_LEN), &m->n) && get_runs(in, m->n, &m->run) &&
           (m->id = get_bytes(in, m->n, VF_ID_LEN)) != NULL;
}

static bool get_have(struct in *in, struct vf_msg_have *m)
{
    unsigned bits, at = 0;
    uint8_t byte = 0;

    if (!get_u32(in, &m->batch) || !get_u8(in, &m->level))
        return false;
    bits = m->level ? 2 : 1;
    if (!get_count(in, m->level ? VF_MAX_NODES : VF_MAX_PROBES, bits, &m->n))
        return false;
    m->have = get_room(in, m->n, 1);
    if (!m->have)
        return false;
    for (size_t i = 0; i < m->n; i++) {
        if (at == 0 && !get_u8(in, &byte))
            return false;
        m->have[i] = byte & (uint8_t)((1u << bits) - 1);
        byte = (uint8_t)(byte >> bits);
        at = (at + bits) % 8;
    }
    return byte == 0 || fail(in, "unused bits are set");
}

static bool get_probes(struct in *in, struct vf_msg_probes *m)
{
    return get_u32(in, &m->batch) && get_u8(in, &m->width) &&
           get_count(in, VF_MAX_PROBES, (size_t)8 * m->width, &m->n) &&
           (m->digest = get_bytes(in, m->n, m->width)) != NULL;
}

/* All that is left. */
static bool get_data(struct in *in, size_t max, size_t *ret_len, uint8_t **ret_bytes)
{
    *ret_len = vf_reader_left(&in->r);
    if (*ret_len > max)
        return fail(in, "length");
    *ret_bytes = get_bytes(in, *ret_len, 1);
    return *ret_bytes != NULL;
}

static bool get_segments(struct in *in, struct vf_msg_segments *m)
{
    return get_u32(in, &m->batch) && get_count(in, VF_MAX_NODES, 8 * (2 + VF_SHA_LEN), &m->n) &&
           get_runs(in, m->n, &m->run) && (m->sha = get_bytes(in, m->n, VF_SHA_LEN)) != NULL;
}

static bool get_repair(struct in *in, struct vf_msg_repair *m)
{
    return get_u32(in, &m->batch) && get_count(in, VF_MAX_RUNS, 8 * 2, &m->n) &&
           get_runs(in, m->n, &m->run);
}

static bool get_count_image(struct in *in, struct vf_msg_count_image *im)
{
    uint8_t flags;

    if (!get_text(in, VF_MAX_TEXT, &im->name) || !get_num(in, VF_MAX_BLOCKS, &im->shared.blocks) ||
        !get_num(in, VF_MAX_BLOCKS, &im->shared.distinct) || !get_u8(in, &flags))
        return false;
    if (flags > 3)
        return fail(in, "unknown flags");
    im->has_zero = flags & 1;
    im->fresh = flags & 2;
    return true;
}

static bool get_counts(struct in *in, struct vf_msg_counts *m)
{
    size_t n;

    /* An image takes at least five bytes: its name's length and one character, three more fields.
     */
    if (!get_num(in, VF_MAX_BLOCKS, &m->all.blocks) ||
        !get_num(in, VF_MAX_BLOCKS, &m->all.distinct) || !get_bool(in, &m->has_zero) ||
        !get_num(in, VF_MAX_BLOCKS, &m->distinct) || !get_count(in, VF_MAX_IMAGES, 8 * 5, &n))
        return false;
    m->image = get_room(in, n, sizeof *m->image);
    if (!m->image)
        return false;
    m->n = n;
    for (size_t i = 0; i < n; i++)
        if (!get_count_image(in, &m->image[i]))
            return false;
    return true;
}

static bool get_end(struct in *in, struct vf_msg_end *m)
{
    return get_num(in, VF_MAX_BLOCKS, &m->batches) && get_num(in, VF_MAX_BLOCKS, &m->zero_blocks) &&
           (vf_reader_copy(&in->r, m->root, VF_SHA_LEN) || fail(in, "cut short"));
}

static bool get_result(struct in *in, struct vf_msg_result *m)
{
    if (!get_bool(in, &m->verified))
        return false;
    if (!vf_reader_copy(&in->r, m->root, VF_SHA_LEN))
        return fail(in, "cut short");
    return get_num(in, VF_MAX_BLOCKS, &m->shared_blocks) &&
           get_num(in, VF_MAX_BLOCKS, &m->duplicate_blocks) &&
           get_num(in, VF_MAX_BLOCKS, &m->literal_blocks) &&
           get_num(in, VF_MAX_BLOCKS, &m->copied_blocks) &&
           get_num(in, VF_MAX_BLOCKS, &m->repaired_blocks) && get_text(in, VF_MAX_TEXT, &m->path);
}

static bool get_ask(struct in *in, struct vf_msg_ask *m)
{
    if (!get_u8(in, &m->detail) || !get_u8(in, &m->flags))
        return false;
    if (!vf_reader_u64(&in->r, &m->generation))
        return fail(in, "cut short");
    return get_count(in, VF_MAX_SIGNATURE, 8, &m->signature_len) &&
           (m->signature = get_bytes(in, m->signature_len, 1)) != NULL &&
           get_num(in, VF_MAX_SIZE, &m->size) && get_num(in, VF_MAX_BLOCKS, &m->data_blocks) &&
           get_text(in, VF_MAX_NAME, &m->name) && get_text(in, VF_MAX_TEXT, &m->format) &&
           get_root(in, m->flags & VF_ASK_ROOT, m->root);
}

static bool get_summary(struct in *in, struct vf_msg_summary *m)
{
    if (!get_u8(in, &m->answer) || !get_u8(in, &m->taken) || !get_text(in, VF_MAX_TEXT, &m->why))
        return false;
    if (!vf_reader_u64(&in->r, &m->generation))
        return fail(in, "cut short");
    if (!get_num(in, VF_MAX_SUMMARY, &m->len))
        return false;
    return vf_reader_copy(&in->r, m->sha, VF_SHA_LEN) || fail(in, "cut short");
}

static bool get(struct in *in, struct vf_msg *m)
{
    switch (m->type) {
    case VF_MSG_HELLO:
        return get_hello(in, &m->hello);
    case VF_MSG_WELCOME:
        return get_welcome(in, &m->welcome);
    case VF_MSG_OFFER:
        return get_offer(in, &m->offer);
    case VF_MSG_ACCEPT:
        return get_accept(in, &m->accept);
    case VF_MSG_BATCH:
        return get_batch(in, &m->batch);
    case VF_MSG_NODES:
        return get_nodes(in, &m->nodes);
    case VF_MSG_HAVE:
        return get_have(in, &m->have);
    case VF_MSG_PROBES:
        return get_probes(in, &m->probes);
    case VF_MSG_DATA:
    case VF_MSG_PART:
    case VF_MSG_BYTES: /* the same member for all */
        return get_data(in, VF_MAX_DATA, &m->data.len, &m->data.bytes);
    case VF_MSG_GUEST:
        return get_data(in, VF_MAX_GUEST, &m->guest.len, &m->guest.bytes);
    case VF_MSG_DONE:
    case VF_MSG_RECHECK:
        return get_u32(in, &m->done.batch); /* the same member for both */
    case VF_MSG_SEGMENTS:
        return get_segments(in, &m->segments);
    case VF_MSG_REPAIR:
        return get_repair(in, &m->repair);
    case VF_MSG_END:
        return get_end(in, &m->end);
    case VF_MSG_COUNTS:
        return get_counts(in, &m->counts);
    case VF_MSG_RESULT:
        return get_result(in, &m->result);
    case VF_MSG_FAIL:
        return get_u8(in, &m->fail.code) && get_text(in, VF_MAX_TEXT, &m->fail.text);
    case VF_MSG_PING:
    case VF_MSG_PONG:
        return vf_reader_u64(&in->r, &m->ping.cookie) || fail(in, "cut short");
    case VF_MSG_LINK:
        return get_u8(in, &m->link.number) && get_text(in, VF_TOKEN_LEN, &m->link.token);
    case VF_MSG_PIECE:
        return get_num(in, UINT64_MAX, &m->piece.seq) && get_num(in, UINT64_MAX, &m->piece.after) &&
               get_data(in, VF_MAX_DATA, &m->piece.len, &m->piece.bytes);
    case VF_MSG_FENCE:
    case VF_MSG_ACK:
        return get_num(in, UINT64_MAX, &m->fence.pieces); /* the same member for both */
    case VF_MSG_ASK:
        return get_ask(in, &m->ask);
    case VF_MSG_SUMMARY:
        return get_summary(in, &m->summary);
    case VF_MSG_TYPES_:
        break;
    }
    return fail(in, "no such type");
}

int vf_msg_decode(uint8_t type, const uint8_t *payload, size_t len, struct vf_msg *ret,
                  struct vf_error *err)
{
    struct in in = {vf_reader_over(payload, len), NULL, false};
    struct vf_msg m;

    memset(&m, 0, sizeof m); /* so that vf_msg_free is right at any point */
    m.type = type < VF_MSG_TYPES_ ? (enum vf_msg_type)type : VF_MSG_TYPES_;
    if (get(&in, &m)) {
        if (vf_reader_left(&in.r))
            in.why = "bytes behind its end";
        else
            in.why = vf_msg_wrong(&m);
    }
    if (!in.why) {
        *ret = m;
        return 0;
    }
    vf_msg_free(&m);
    if (in.nomem)
        return vf_error_nomem(err);
    return vf_error_set(err, VF_ERR_PROTOCOL, 0, "malformed %s: %s", vf_msg_name(type), in.why);
}
