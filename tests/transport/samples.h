/* tests/transport/samples.h - messages to test with: random ones, comparing, and one fixed
 * conversation of each kind (whose bytes are in tests/golden/). */
#ifndef VF_TESTS_TRANSPORT_SAMPLES_H
#define VF_TESTS_TRANSPORT_SAMPLES_H

#include <stdlib.h>
#include <string.h>

#include "core/stream.h"
#include "tests/lib/check.h"
#include "transport/message.h"
#include "transport/order.h"

/* ---- random messages ---- */

struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
    uint64_t v;

    vf_test_random(r->state++, &v, sizeof v);
    return v;
}

static inline uint64_t rng_below(struct rng *r, uint64_t n) { return rng_next(r) % n; }

/* 0..max, of all magnitudes, the ends more often. */
static inline uint64_t rng_num(struct rng *r, uint64_t max)
{
    uint64_t v = rng_next(r) >> rng_below(r, 64);

    switch (rng_below(r, 16)) {
    case 0:
        return 0;
    case 1:
        return max;
    default:
        return max == UINT64_MAX ? v : v % (max + 1);
    }
}

static inline void *room(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);

    CHECK(p != NULL);
    return p;
}

static inline char *copy(const char *s)
{
    char *p = strdup(s);

    CHECK(p != NULL);
    return p;
}

/* Printable, also beyond ASCII; min..max bytes. */
static inline char *rng_text(struct rng *r, size_t min, size_t max)
{
    size_t len = min + (size_t)rng_num(r, max - min);
    char *s = room(len + 1, 1);

    for (size_t i = 0; i < len; i++) {
        s[i] = (char)(0x20 + rng_below(r, 0xe0));
        if (s[i] == 0x7f || s[i] == '/')
            s[i] = '_';
    }
    return s;
}

/* Hex digits. */
static inline char *rng_token(struct rng *r)
{
    char *s = room(VF_TOKEN_LEN + 1, 1);

    for (size_t i = 0; i < VF_TOKEN_LEN; i++)
        s[i] = "0123456789abcdef"[rng_below(r, 16)];
    return s;
}

static inline struct vf_run *rng_runs(struct rng *r, size_t n, uint64_t max_span)
{
    struct vf_run *run = room(n, sizeof *run);
    uint64_t at = rng_num(r, VF_MAX_BLOCKS / 4);

    for (size_t i = 0; i < n; i++) {
        run[i].first = at + rng_num(r, 100) * rng_below(r, 2);
        run[i].n = 1 + rng_num(r, (max_span < 5000 ? max_span : 5000) - 1);
        at = run[i].first + run[i].n;
    }
    return run;
}

static inline void *rng_bytes(struct rng *r, size_t n, size_t size)
{
    void *p = room(n, size);

    vf_test_random(rng_next(r), p, n * size);
    return p;
}

static inline void sample_counts(struct rng *r, struct vf_msg_counts *m, size_t n)
{
    m->distinct = rng_num(r, VF_MAX_BLOCKS);
    m->all.distinct = rng_num(r, m->distinct);
    m->all.blocks = m->all.distinct + rng_num(r, VF_MAX_BLOCKS - m->all.distinct);
    m->has_zero = rng_below(r, 2);
    m->n = n;
    m->image = room(n, sizeof *m->image);
    for (size_t i = 0; i < n; i++) {
        m->image[i].name = rng_text(r, 1, 60);
        m->image[i].shared.blocks = rng_num(r, VF_MAX_BLOCKS);
        m->image[i].shared.distinct = rng_num(r, m->image[i].shared.blocks);
        m->image[i].has_zero = rng_below(r, 2);
        m->image[i].fresh = rng_below(r, 2);
    }
}

static inline void sample_greeting(struct rng *r, struct vf_msg *m)
{
    if (m->type == VF_MSG_HELLO) {
        m->hello.version_min = 1;
        m->hello.version_max = 1;
        m->hello.purpose = (uint8_t)rng_below(r, 4);
        m->hello.program = rng_text(r, 0, VF_MAX_TEXT);
        m->hello.group = rng_text(r, 0, VF_MAX_TEXT);
        return;
    }
    m->welcome.version = (uint16_t)(1 + rng_below(r, 65535));
    m->welcome.window_log = (uint8_t)(10 + rng_below(r, 22));
    m->welcome.free_bytes = rng_num(r, UINT64_MAX);
    m->welcome.resident_images = rng_num(r, UINT32_MAX);
    m->welcome.resident_blocks = rng_num(r, UINT64_MAX);
    m->welcome.writable = rng_below(r, 2);
    m->welcome.program = rng_text(r, 0, VF_MAX_TEXT);
    m->welcome.node = rng_text(r, 0, VF_MAX_TEXT);
    m->welcome.token = rng_below(r, 2) ? rng_token(r) : rng_text(r, 0, 0);
    m->welcome.links_max = (uint8_t)rng_below(r, 256);
    m->welcome.links_window = rng_num(r, UINT64_MAX);
    m->welcome.group = rng_text(r, 0, VF_MAX_TEXT);
    m->welcome.dir = rng_text(r, 0, VF_MAX_TEXT);
}

static inline void sample_offer(struct rng *r, struct vf_msg_offer *m)
{
    m->size = rng_num(r, VF_MAX_SIZE);
    m->data_blocks = rng_num(r, vf_blocks_of(m->size));
    m->cluster_size = rng_below(r, 2) ? 1u << (9 + rng_below(r, 18)) : 0;
    m->flags = (uint32_t)rng_below(r, VF_OFFER_ALL + 1);
    m->name = rng_text(r, 3, VF_MAX_NAME);
    m->format = rng_text(r, 0, 20);
    for (size_t i = 0; i < VF_SHA_LEN && m->flags & VF_OFFER_ROOT; i++)
        m->root[i] = (uint8_t)rng_next(r);
}

static inline void sample_result(struct rng *r, struct vf_msg_result *m)
{
    m->verified = rng_below(r, 2);
    vf_test_random(rng_next(r), m->root, sizeof m->root);
    m->shared_blocks = rng_num(r, VF_MAX_BLOCKS);
    m->duplicate_blocks = rng_num(r, VF_MAX_BLOCKS);
    m->literal_blocks = rng_num(r, VF_MAX_BLOCKS);
    m->copied_blocks = rng_num(r, VF_MAX_BLOCKS);
    m->repaired_blocks = rng_num(r, VF_MAX_BLOCKS);
    m->path = rng_text(r, 0, VF_MAX_TEXT);
}

static inline void sample_have(struct rng *r, struct vf_msg_have *m, size_t n)
{
    m->level = (uint8_t)rng_below(r, 3);
    m->n = n;
    m->have = rng_bytes(r, n, 1);
    for (size_t i = 0; i < n; i++)
        m->have[i] = (uint8_t)(m->have[i] % (m->level == 1 ? 3 : 2));
}

static inline void sample_nodes(struct rng *r, struct vf_msg *m, uint32_t batch, size_t n)
{
    switch (m->type) {
    case VF_MSG_NODES:
        m->nodes.batch = batch;
        m->nodes.level = (uint8_t)(1 + rng_below(r, 2));
        m->nodes.n = n;
        m->nodes.run = rng_runs(r, n, m->nodes.level == 1 ? VF_SEG_MAX : VF_MAX_BLOCKS);
        m->nodes.id = rng_bytes(r, n, VF_ID_LEN);
        break;
    case VF_MSG_SEGMENTS:
        m->segments.batch = batch;
        m->segments.n = n;
        m->segments.run = rng_runs(r, n, VF_SEG_MAX);
        m->segments.sha = rng_bytes(r, n, VF_SHA_LEN);
        break;
    default:
        m->repair.batch = batch;
        m->repair.n = n;
        m->repair.run = rng_runs(r, n, VF_MAX_BLOCKS);
        break;
    }
}

static inline void sample_accept(struct rng *r, struct vf_msg_accept *m)
{
    m->empty = rng_below(r, 2);
    m->quotes = rng_below(r, 2);
    m->reused_blocks = rng_num(r, VF_MAX_BLOCKS);
    m->path = rng_text(r, 0, VF_MAX_TEXT);
}

static inline void sample_ask(struct rng *r, struct vf_msg_ask *m, size_t n)
{
    m->detail = (uint8_t)rng_below(r, 2);
    m->flags = (uint8_t)rng_below(r, 4);
    if (m->flags & VF_ASK_KNOWN) {
        m->generation = rng_next(r);
        m->signature_len = n;
        m->signature = rng_bytes(r, n, 1);
    }
    if (m->flags & VF_ASK_OFFER) {
        m->flags = (uint8_t)(m->flags | (rng_below(r, 2) ? VF_ASK_REPLACE : 0) |
                             (rng_below(r, 2) ? VF_ASK_ROOT : 0));
        m->size = rng_num(r, VF_MAX_SIZE);
        m->data_blocks = rng_num(r, vf_blocks_of(m->size));
    }
    for (size_t i = 0; i < VF_SHA_LEN && m->flags & VF_ASK_ROOT; i++)
        m->root[i] = (uint8_t)rng_next(r);
    m->name = m->flags & VF_ASK_OFFER ? rng_text(r, 3, VF_MAX_NAME) : rng_text(r, 0, 0);
    m->format = m->flags & VF_ASK_OFFER ? rng_text(r, 0, 20) : rng_text(r, 0, 0);
}

static inline void sample_summary(struct rng *r, struct vf_msg_summary *m)
{
    m->answer = (uint8_t)rng_below(r, 3);
    m->taken = (uint8_t)rng_below(r, 20);
    m->why = rng_text(r, 0, m->taken ? VF_MAX_TEXT : 0);
    m->generation = rng_next(r);
    m->len = m->answer ? 1 + rng_num(r, VF_MAX_SUMMARY - 1) : 0;
    vf_test_random(rng_next(r), m->sha, sizeof m->sha);
}

/* Is it the number of a message?  They are not without gaps. */
static inline bool is_type(unsigned type) { return strcmp(vf_msg_name((uint8_t)type), "?") != 0; }

/* A valid message of that type with about n parts (where it has parts), the same for the same
 * seed. */
static inline struct vf_msg sample_msg(enum vf_msg_type type, uint64_t seed, size_t n)
{
    struct rng r = {seed * 1000003 + (uint64_t)type * 7919};
    uint32_t batch = (uint32_t)rng_num(&r, UINT32_MAX);
    struct vf_msg m = {.type = type};

    switch (type) {
    case VF_MSG_HELLO:
    case VF_MSG_WELCOME:
        sample_greeting(&r, &m);
        break;
    case VF_MSG_OFFER:
        sample_offer(&r, &m.offer);
        break;
    case VF_MSG_ACCEPT:
        sample_accept(&r, &m.accept);
        break;
    case VF_MSG_BATCH:
        m.batch.batch = batch;
        m.batch.range.first = rng_num(&r, VF_MAX_BLOCKS - 1);
        m.batch.range.n = 1 + rng_num(&r, VF_MAX_BLOCKS - 1 - m.batch.range.first);
        break;
    case VF_MSG_DONE:
    case VF_MSG_RECHECK:
        m.done.batch = batch;
        break;
    case VF_MSG_NODES:
    case VF_MSG_SEGMENTS:
    case VF_MSG_REPAIR:
        sample_nodes(&r, &m, batch, n);
        break;
    case VF_MSG_HAVE:
        m.have.batch = batch;
        sample_have(&r, &m.have, n);
        break;
    case VF_MSG_PROBES:
        m.probes.batch = batch;
        m.probes.width = (uint8_t)(1 + rng_below(&r, VF_MAX_PROBE_WIDTH));
        m.probes.n = n;
        m.probes.digest = rng_bytes(&r, n, m.probes.width);
        break;
    case VF_MSG_ASK:
        sample_ask(&r, &m.ask, n);
        break;
    case VF_MSG_SUMMARY:
        sample_summary(&r, &m.summary);
        break;
    case VF_MSG_DATA:
    case VF_MSG_PART:
    case VF_MSG_GUEST:
    case VF_MSG_BYTES: /* the same member for all */
        m.data.len = n ? n : 1;
        m.data.bytes = rng_bytes(&r, m.data.len, 1);
        break;
    case VF_MSG_END:
        m.end.batches = rng_num(&r, VF_MAX_BLOCKS);
        m.end.zero_blocks = rng_num(&r, VF_MAX_BLOCKS);
        vf_test_random(rng_next(&r), m.end.root, VF_SHA_LEN);
        break;
    case VF_MSG_COUNTS:
        sample_counts(&r, &m.counts, n);
        break;
    case VF_MSG_RESULT:
        sample_result(&r, &m.result);
        break;
    case VF_MSG_FAIL:
        m.fail.code = (uint8_t)rng_num(&r, 255);
        m.fail.text = rng_text(&r, 0, VF_MAX_TEXT);
        break;
    case VF_MSG_PING:
    case VF_MSG_PONG:
        m.ping.cookie = rng_num(&r, UINT64_MAX);
        break;
    case VF_MSG_LINK:
        m.link.number = (uint8_t)rng_num(&r, 255);
        m.link.token = rng_token(&r);
        break;
    case VF_MSG_PIECE:
        m.piece.seq = rng_num(&r, UINT64_MAX);
        m.piece.after = rng_num(&r, UINT64_MAX);
        m.piece.len = n ? n : 1;
        m.piece.bytes = rng_bytes(&r, m.piece.len, 1);
        break;
    case VF_MSG_FENCE:
    case VF_MSG_ACK:
        m.fence.pieces = rng_num(&r, UINT64_MAX);
        break;
    case VF_MSG_TYPES_:
        break;
    }
    return m;
}

/* ---- comparing ---- */

static inline void check_runs(const struct vf_run *a, const struct vf_run *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        CHECK_EQ_U64(a[i].first, b[i].first);
        CHECK_EQ_U64(a[i].n, b[i].n);
    }
}

static inline void check_same_counts(const struct vf_msg_counts *a, const struct vf_msg_counts *b)
{
    CHECK_EQ_U64(a->all.blocks, b->all.blocks);
    CHECK_EQ_U64(a->all.distinct, b->all.distinct);
    CHECK(a->has_zero == b->has_zero);
    CHECK_EQ_U64(a->distinct, b->distinct);
    CHECK_EQ_U64(a->n, b->n);
    for (size_t i = 0; i < a->n; i++) {
        CHECK_STR(a->image[i].name, b->image[i].name);
        CHECK_EQ_U64(a->image[i].shared.blocks, b->image[i].shared.blocks);
        CHECK_EQ_U64(a->image[i].shared.distinct, b->image[i].shared.distinct);
        CHECK(a->image[i].has_zero == b->image[i].has_zero);
        CHECK(a->image[i].fresh == b->image[i].fresh);
    }
}

static inline void check_same_greeting(const struct vf_msg *a, const struct vf_msg *b)
{
    if (a->type == VF_MSG_HELLO) {
        CHECK_EQ_U64(a->hello.version_min, b->hello.version_min);
        CHECK_EQ_U64(a->hello.version_max, b->hello.version_max);
        CHECK_EQ_U64(a->hello.purpose, b->hello.purpose);
        CHECK_STR(a->hello.program, b->hello.program);
        CHECK_STR(a->hello.group, b->hello.group);
        return;
    }
    CHECK_EQ_U64(a->welcome.version, b->welcome.version);
    CHECK_EQ_U64(a->welcome.window_log, b->welcome.window_log);
    CHECK_EQ_U64(a->welcome.free_bytes, b->welcome.free_bytes);
    CHECK_EQ_U64(a->welcome.resident_images, b->welcome.resident_images);
    CHECK_EQ_U64(a->welcome.resident_blocks, b->welcome.resident_blocks);
    CHECK(a->welcome.writable == b->welcome.writable);
    CHECK_STR(a->welcome.program, b->welcome.program);
    CHECK_STR(a->welcome.node, b->welcome.node);
    CHECK_STR(a->welcome.group, b->welcome.group);
    CHECK_STR(a->welcome.dir, b->welcome.dir);
    CHECK_STR(a->welcome.token, b->welcome.token);
    CHECK_EQ_U64(a->welcome.links_max, b->welcome.links_max);
    CHECK_EQ_U64(a->welcome.links_window, b->welcome.links_window);
}

static inline void check_same_offer(const struct vf_msg *a, const struct vf_msg *b)
{
    CHECK_EQ_U64(a->offer.size, b->offer.size);
    CHECK_EQ_U64(a->offer.data_blocks, b->offer.data_blocks);
    CHECK_EQ_U64(a->offer.cluster_size, b->offer.cluster_size);
    CHECK_EQ_U64(a->offer.flags, b->offer.flags);
    CHECK_STR(a->offer.name, b->offer.name);
    CHECK_STR(a->offer.format, b->offer.format);
    CHECK_MEM(a->offer.root, b->offer.root, VF_SHA_LEN);
}

static inline void check_same_result(const struct vf_msg_result *a, const struct vf_msg_result *b)
{
    CHECK(a->verified == b->verified);
    CHECK_MEM(a->root, b->root, VF_SHA_LEN);
    CHECK_EQ_U64(a->shared_blocks, b->shared_blocks);
    CHECK_EQ_U64(a->duplicate_blocks, b->duplicate_blocks);
    CHECK_EQ_U64(a->literal_blocks, b->literal_blocks);
    CHECK_EQ_U64(a->copied_blocks, b->copied_blocks);
    CHECK_EQ_U64(a->repaired_blocks, b->repaired_blocks);
    CHECK_STR(a->path, b->path);
}

static inline void check_same_bulk(const struct vf_msg *a, const struct vf_msg *b)
{
    switch (a->type) {
    case VF_MSG_NODES:
        CHECK_EQ_U64(a->nodes.batch, b->nodes.batch);
        CHECK_EQ_U64(a->nodes.level, b->nodes.level);
        CHECK_EQ_U64(a->nodes.n, b->nodes.n);
        check_runs(a->nodes.run, b->nodes.run, a->nodes.n);
        CHECK_MEM(a->nodes.id, b->nodes.id, a->nodes.n * VF_ID_LEN);
        break;
    case VF_MSG_HAVE:
        CHECK_EQ_U64(a->have.batch, b->have.batch);
        CHECK_EQ_U64(a->have.level, b->have.level);
        CHECK_EQ_U64(a->have.n, b->have.n);
        CHECK_MEM(a->have.have, b->have.have, a->have.n);
        break;
    case VF_MSG_PROBES:
        CHECK_EQ_U64(a->probes.batch, b->probes.batch);
        CHECK_EQ_U64(a->probes.width, b->probes.width);
        CHECK_EQ_U64(a->probes.n, b->probes.n);
        CHECK_MEM(a->probes.digest, b->probes.digest, a->probes.n * a->probes.width);
        break;
    case VF_MSG_DATA:
    case VF_MSG_PART:
    case VF_MSG_GUEST:
    case VF_MSG_BYTES: /* the same member for all */
        CHECK_EQ_U64(a->data.len, b->data.len);
        CHECK_MEM(a->data.bytes, b->data.bytes, a->data.len);
        break;
    case VF_MSG_SEGMENTS:
        CHECK_EQ_U64(a->segments.batch, b->segments.batch);
        CHECK_EQ_U64(a->segments.n, b->segments.n);
        check_runs(a->segments.run, b->segments.run, a->segments.n);
        CHECK_MEM(a->segments.sha, b->segments.sha, a->segments.n * VF_SHA_LEN);
        break;
    default:
        CHECK_EQ_U64(a->repair.batch, b->repair.batch);
        CHECK_EQ_U64(a->repair.n, b->repair.n);
        check_runs(a->repair.run, b->repair.run, a->repair.n);
        break;
    }
}

static inline void check_same_summary(const struct vf_msg *a, const struct vf_msg *b)
{
    if (a->type == VF_MSG_ASK) {
        CHECK_EQ_U64(a->ask.detail, b->ask.detail);
        CHECK_EQ_U64(a->ask.flags, b->ask.flags);
        CHECK_EQ_U64(a->ask.generation, b->ask.generation);
        CHECK_EQ_U64(a->ask.signature_len, b->ask.signature_len);
        CHECK_MEM(a->ask.signature, b->ask.signature, a->ask.signature_len);
        CHECK_EQ_U64(a->ask.size, b->ask.size);
        CHECK_EQ_U64(a->ask.data_blocks, b->ask.data_blocks);
        CHECK_STR(a->ask.name, b->ask.name);
        CHECK_STR(a->ask.format, b->ask.format);
        CHECK_MEM(a->ask.root, b->ask.root, VF_SHA_LEN);
        return;
    }
    CHECK_EQ_U64(a->summary.answer, b->summary.answer);
    CHECK_EQ_U64(a->summary.taken, b->summary.taken);
    CHECK_STR(a->summary.why, b->summary.why);
    CHECK_EQ_U64(a->summary.generation, b->summary.generation);
    CHECK_EQ_U64(a->summary.len, b->summary.len);
    CHECK_MEM(a->summary.sha, b->summary.sha, VF_SHA_LEN);
}

/* Fails the test where the two differ. */
static inline void check_same_msg(const struct vf_msg *a, const struct vf_msg *b)
{
    CHECK_EQ_U64(a->type, b->type);
    switch (a->type) {
    case VF_MSG_HELLO:
    case VF_MSG_WELCOME:
        check_same_greeting(a, b);
        break;
    case VF_MSG_OFFER:
        check_same_offer(a, b);
        break;
    case VF_MSG_ACCEPT:
        CHECK(a->accept.empty == b->accept.empty);
        CHECK(a->accept.quotes == b->accept.quotes);
        CHECK_EQ_U64(a->accept.reused_blocks, b->accept.reused_blocks);
        CHECK_STR(a->accept.path, b->accept.path);
        break;
    case VF_MSG_ASK:
    case VF_MSG_SUMMARY:
        check_same_summary(a, b);
        break;
    case VF_MSG_BATCH:
        check_runs(&a->batch.range, &b->batch.range, 1);
        CHECK_EQ_U64(a->batch.batch, b->batch.batch);
        break;
    case VF_MSG_DONE:
    case VF_MSG_RECHECK:
        CHECK_EQ_U64(a->done.batch, b->done.batch);
        break;
    case VF_MSG_END:
        CHECK_EQ_U64(a->end.batches, b->end.batches);
        CHECK_EQ_U64(a->end.zero_blocks, b->end.zero_blocks);
        CHECK_MEM(a->end.root, b->end.root, VF_SHA_LEN);
        break;
    case VF_MSG_COUNTS:
        check_same_counts(&a->counts, &b->counts);
        break;
    case VF_MSG_RESULT:
        check_same_result(&a->result, &b->result);
        break;
    case VF_MSG_FAIL:
        CHECK_EQ_U64(a->fail.code, b->fail.code);
        CHECK_STR(a->fail.text, b->fail.text);
        break;
    case VF_MSG_PING:
    case VF_MSG_PONG:
        CHECK_EQ_U64(a->ping.cookie, b->ping.cookie);
        break;
    case VF_MSG_LINK:
        CHECK_EQ_U64(a->link.number, b->link.number);
        CHECK_STR(a->link.token, b->link.token);
        break;
    case VF_MSG_PIECE:
        CHECK_EQ_U64(a->piece.seq, b->piece.seq);
        CHECK_EQ_U64(a->piece.after, b->piece.after);
        CHECK_EQ_U64(a->piece.len, b->piece.len);
        CHECK_MEM(a->piece.bytes, b->piece.bytes, a->piece.len);
        break;
    case VF_MSG_FENCE:
    case VF_MSG_ACK:
        CHECK_EQ_U64(a->fence.pieces, b->fence.pieces);
        break;
    default:
        check_same_bulk(a, b);
        break;
    }
}

#endif
