/* tests/transport/golden.h - fixed conversations, whose bytes are frozen in tests/golden/.
 *
 * A line of tests/golden/protocol-v1.KIND.txt is "SIDE NAME HEX": one frame (or the magic).  A test
 * that fails against these files has changed the protocol: that needs a new version. */
#ifndef VF_TESTS_TRANSPORT_GOLDEN_H
#define VF_TESTS_TRANSPORT_GOLDEN_H

#include <stdio.h>

#include "tests/transport/samples.h"
#include "transport/frame.h"

enum golden { GOLDEN_MIGRATE, GOLDEN_COUNT, GOLDEN_REFUSE, GOLDEN_SUMMARY, GOLDEN_TUNNEL };

static inline const char *golden_name(enum golden g)
{
    static const char *const name[] = {"migrate", "count", "refuse", "summary", "tunnel"};

    return name[g];
}

static inline void golden_runs(struct vf_run **ret, size_t n, const struct vf_run *run)
{
    *ret = room(n, sizeof *run);
    memcpy(*ret, run, n * sizeof *run);
}

/* Bytes from, from + 1, ... */
static inline void *golden_bytes(size_t n, unsigned from)
{
    uint8_t *p = room(n, 1);

    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(from + i);
    return p;
}

static inline void golden_greeting(enum golden g, struct vf_msg *m)
{
    static const uint8_t purpose[] = {VF_FOR_MIGRATE, VF_FOR_COUNT, VF_FOR_CHECK, VF_FOR_SUMMARY,
                                      VF_FOR_TUNNEL};

    if (m->type == VF_MSG_HELLO) {
        m->hello = (struct vf_msg_hello){1, 1, purpose[g], copy("vmferry 0.1.0"), copy("web")};
        return;
    }
    m->welcome = (struct vf_msg_welcome){.version = 1,
                                         .window_log = 27,
                                         .free_bytes = 123456789012,
                                         .resident_images = 3,
                                         .resident_blocks = 8000000,
                                         .writable = true,
                                         .program = copy("vmferry 0.1.0"),
                                         .node = copy("b.example"),
                                         .group = copy("web"),
                                         .dir = copy("/srv/vmferry/images"),
                                         .token = copy("00112233445566778899aabbccddeeff"),
                                         .links_max = 63,
                                         .links_window = 32 << 20};
}

static inline void golden_nodes(struct vf_msg *m, uint8_t level)
{
    m->nodes.level = level;
    m->nodes.n = level == 2 ? 2 : 3;
    if (level == 2)
        golden_runs(&m->nodes.run, 2, (const struct vf_run[]){{3, 700}, {800, 600}});
    else
        golden_runs(&m->nodes.run, 3, (const struct vf_run[]){{800, 64}, {864, 200}, {1100, 4}});
    m->nodes.id = golden_bytes(m->nodes.n * VF_ID_LEN, level * 16);
}

static inline void golden_have(struct vf_msg *m, uint8_t level, size_t n, const uint8_t *have)
{
    m->have.level = level;
    m->have.n = n;
    m->have.have = room(n, 1);
    memcpy(m->have.have, have, n);
}

static inline void golden_probes(struct vf_msg *m, uint8_t width, size_t n)
{
    m->probes.width = width;
    m->probes.n = n;
    m->probes.digest = golden_bytes(n * width, 64);
}

static inline void golden_counts(struct vf_msg_counts *m)
{
    m->all = (struct vf_shared){800, 700};
    m->has_zero = true;
    m->distinct = 850;
    m->n = 2;
    m->image = room(2, sizeof *m->image);
    m->image[0] = (struct vf_msg_count_image){copy("one.qcow2"), {800, 700}, true, true};
    m->image[1] = (struct vf_msg_count_image){copy("two.raw"), {5, 5}, false, false};
}

static inline void golden_root(uint8_t root[VF_SHA_LEN])
{
    for (unsigned i = 0; i < VF_SHA_LEN; i++)
        root[i] = (uint8_t)(0xa0 + i);
}

static inline void golden_result(struct vf_msg_result *m)
{
    m->verified = true;
    golden_root(m->root);
    m->shared_blocks = 700;
    m->duplicate_blocks = 50;
    m->literal_blocks = 150;
    m->copied_blocks = 750;
    m->repaired_blocks = 8;
    m->path = copy("/srv/vmferry/images/guest.qcow2");
}

static inline void golden_talk(struct vf_msg *m, unsigned i)
{
    static const char ask[] = "{\"ask\":\"tunnel\",\"with\":{\"name\":\"web1\",\"token\":\"00ff\","
                              "\"socket\":\"mem\"}}";

    if (m->type == VF_MSG_GUEST) {
        m->guest.bytes = (uint8_t *)copy(i == 2 ? ask : "{\"answer\":{}}");
        m->guest.len = strlen((const char *)m->guest.bytes);
    } else { /* the last ones are empty: a direction has ended */
        m->bytes.len = i < 6 ? 16 : 0;
        m->bytes.bytes = golden_bytes(m->bytes.len, 32 * i);
    }
}

static inline void golden_work(struct vf_msg *m, unsigned i, enum golden g)
{
    switch (m->type) {
    case VF_MSG_OFFER:
        m->offer = (struct vf_msg_offer){
            1048576 - 100, 900, 65536, VF_OFFER_REPLACE, copy("guest.qcow2"), copy("qcow2"), {0}};
        break;
    case VF_MSG_ACCEPT:
        m->accept.path = copy("/srv/vmferry/images/guest.qcow2");
        m->accept.reused_blocks = 17;
        break;
    case VF_MSG_BATCH:
        if (g == GOLDEN_COUNT)
            m->batch = (struct vf_msg_batch){0, {0, 2048}};
        else
            m->batch = i == 4 ? (struct vf_msg_batch){0, {0, 1500}}
                              : (struct vf_msg_batch){1, {1500, 548}};
        break;
    case VF_MSG_NODES:
        golden_nodes(m, i == 5 ? 2 : 1);
        break;
    case VF_MSG_HAVE:
        if (i == 6)
            golden_have(m, 2, 2, (const uint8_t[]){1, 0});
        else if (i == 8 && g == GOLDEN_MIGRATE)
            golden_have(m, 1, 3, (const uint8_t[]){0, 1, 2});
        else
            golden_have(m, 0, 4, (const uint8_t[]){1, 0, 0, 1});
        break;
    case VF_MSG_PROBES:
        golden_probes(m, g == GOLDEN_COUNT ? 8 : 2, 4);
        break;
    case VF_MSG_ASK:
        m->ask = (struct vf_msg_ask){1,
                                     7,
                                     0x1122334455667788,
                                     5,
                                     golden_bytes(5, 1),
                                     1048476,
                                     900,
                                     copy("guest.qcow2"),
                                     copy("qcow2"),
                                     {0}};
        break;
    case VF_MSG_SUMMARY:
        m->summary = (struct vf_msg_summary){.answer = VF_ANSWER_DELTA,
                                             .taken = VF_ERR_SPACE,
                                             .why = copy("too little room"),
                                             .generation = 0x8877665544332211,
                                             .len = 32};
        for (unsigned k = 0; k < VF_SHA_LEN; k++)
            m->summary.sha[k] = (uint8_t)(0xc0 + k);
        break;
    case VF_MSG_DATA:
    case VF_MSG_PART: /* the same member for both */
        m->data.len = 16;
        m->data.bytes = golden_bytes(16, 0);
        break;
    case VF_MSG_SEGMENTS:
        m->segments.batch = 1;
        m->segments.n = 1;
        golden_runs(&m->segments.run, 1, (const struct vf_run[]){{1600, 8}});
        m->segments.sha = golden_bytes(VF_SHA_LEN, 128);
        break;
    case VF_MSG_REPAIR:
        m->repair.batch = 1;
        m->repair.n = 1;
        golden_runs(&m->repair.run, 1, (const struct vf_run[]){{1602, 3}});
        break;
    case VF_MSG_DONE:
    case VF_MSG_RECHECK:
        m->done.batch = g == GOLDEN_MIGRATE && i != 16;
        break;
    case VF_MSG_END:
        m->end = (struct vf_msg_end){g == GOLDEN_COUNT ? 1 : 2, 1148, {0}};
        golden_root(m->end.root);
        break;
    case VF_MSG_COUNTS:
        golden_counts(&m->counts);
        break;
    case VF_MSG_RESULT:
        golden_result(&m->result);
        break;
    case VF_MSG_FAIL:
        m->fail.code = VF_ERR_DENIED;
        m->fail.text = copy("no group 'web' here");
        break;
    default: /* PING, PONG */
        m->ping.cookie = 0x1122334455667788;
        break;
    }
}

/* The i-th message of a conversation; false behind its end.  *ret is owned (vf_msg_free). */
static inline bool golden_msg(enum golden g, unsigned i, enum vf_side *ret_from, struct vf_msg *ret)
{
    /* One letter a message: capital from the source, small from the receiver. */
    static const char *const script[] = {"HwOaBNhNhPhDBEIjdrSpDdx", "HwOaBNhPhdEc", "Hf", "HwAsqq",
                                         "HwGgTtTt"};
    static const uint8_t by_letter[256] = {
        ['H'] = VF_MSG_HELLO,  ['w'] = VF_MSG_WELCOME, ['O'] = VF_MSG_OFFER,
        ['a'] = VF_MSG_ACCEPT, ['B'] = VF_MSG_BATCH,   ['N'] = VF_MSG_NODES,
        ['h'] = VF_MSG_HAVE,   ['P'] = VF_MSG_PROBES,  ['D'] = VF_MSG_DATA,
        ['d'] = VF_MSG_DONE,   ['r'] = VF_MSG_RECHECK, ['S'] = VF_MSG_SEGMENTS,
        ['p'] = VF_MSG_REPAIR, ['E'] = VF_MSG_END,     ['c'] = VF_MSG_COUNTS,
        ['x'] = VF_MSG_RESULT, ['f'] = VF_MSG_FAIL,    ['I'] = VF_MSG_PING,
        ['j'] = VF_MSG_PONG,   ['A'] = VF_MSG_ASK,     ['s'] = VF_MSG_SUMMARY,
        ['q'] = VF_MSG_PART,   ['G'] = VF_MSG_GUEST,   ['g'] = VF_MSG_GUEST,
        ['T'] = VF_MSG_BYTES,  ['t'] = VF_MSG_BYTES,
    };
    char c;

    if (i >= strlen(script[g]))
        return false;
    c = script[g][i];
    memset(ret, 0, sizeof *ret);
    ret->type = (enum vf_msg_type)by_letter[(unsigned char)c];
    *ret_from = c >= 'a' ? VF_SIDE_RECEIVER : VF_SIDE_SOURCE;
    if (ret->type == VF_MSG_HELLO || ret->type == VF_MSG_WELCOME)
        golden_greeting(g, ret);
    else if (ret->type == VF_MSG_GUEST || ret->type == VF_MSG_BYTES)
        golden_talk(ret, i);
    else
        golden_work(ret, i, g);
    return true;
}

/* Appends the whole frame of m to b. */
static inline void golden_frame(const struct vf_msg *m, struct vf_buf *b)
{
    struct vf_buf payload = VF_BUF_INIT;
    uint8_t head[VF_FRAME_HEAD];
    struct vf_error err;

    CHECK_OK(vf_msg_encode(m, &payload, &err), &err);
    vf_frame_put(head, (uint8_t)m->type, (uint32_t)payload.len);
    CHECK_OK(vf_buf_add(b, head, sizeof head, &err), &err);
    CHECK_OK(vf_buf_add(b, payload.data, payload.len, &err), &err);
    vf_buf_free(&payload);
}

/* Path of the golden file; owned by the test library. */
static inline const char *golden_path(enum golden g)
{
    const char *dir = getenv("VF_TESTS");
    static char path[4096];

    (void)snprintf(path, sizeof path, "%s/golden/protocol-v1.%s.txt", dir ? dir : "tests",
                   golden_name(g));
    return path;
}

/* Appends the bytes that text gives in hex to b; blanks between bytes are fine. */
static inline void golden_hex(const char *text, struct vf_buf *b)
{
    struct vf_error err;
    unsigned byte;
    int used;

    for (; sscanf(text, " %2x%n", &byte, &used) == 1; text += used)
        CHECK_OK(vf_buf_u8(b, (uint8_t)byte, &err), &err);
}

/* Reads the bytes of both directions, magic included. */
static inline void golden_read(enum golden g, struct vf_buf ret[2])
{
    char line[4096], side[16], name[16], hex[4000];
    FILE *f = fopen(golden_path(g), "re");

    CHECK(f != NULL);
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#')
            continue;
        CHECK(sscanf(line, "%15s %15s %3999s", side, name, hex) == 3);
        golden_hex(hex, &ret[strcmp(side, "source") == 0 ? VF_SIDE_SOURCE : VF_SIDE_RECEIVER]);
    }
    CHECK(fclose(f) == 0);
}

#endif
