/* Messages: every type there and back, every way of being cut or bent, and the bytes that are
 * frozen. */
#include "transport/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"
#include "tests/transport/coding.h"
#include "tests/transport/golden.h"
#include "tests/transport/samples.h"

#define TYPES (VF_MSG_TYPES_ - 1)

TEST(round_trip)
{
    for (unsigned type = 1; type <= TYPES; type++)
        for (uint64_t seed = 0; seed < 60 && is_type(type); seed++) {
            struct vf_msg m = sample_msg((enum vf_msg_type)type, seed, seed * seed % 301);

            CHECK(vf_msg_wrong(&m) == NULL);
            there_and_back(&m);
            vf_msg_free(&m);
        }
}

TEST(largest)
{
    static const struct {
        enum vf_msg_type type;
        size_t n;
    } most[] = {
        {VF_MSG_NODES, VF_MAX_NODES}, {VF_MSG_SEGMENTS, VF_MAX_NODES}, {VF_MSG_REPAIR, VF_MAX_RUNS},
        {VF_MSG_DATA, VF_MAX_DATA},   {VF_MSG_PROBES, VF_MAX_PROBES},  {VF_MSG_COUNTS, 60000},
        {VF_MSG_HAVE, VF_MAX_NODES},  {VF_MSG_ASK, VF_MAX_SIGNATURE},  {VF_MSG_PART, VF_MAX_DATA},
        {VF_MSG_GUEST, VF_MAX_GUEST}, {VF_MSG_BYTES, VF_MAX_DATA},
    };

    for (size_t i = 0; i < sizeof most / sizeof most[0]; i++)
        for (uint64_t seed = 0; seed < 3; seed++) {
            struct vf_msg m = sample_msg(most[i].type, seed, most[i].n);

            there_and_back(&m);
            vf_msg_free(&m);
        }
}

/* The largest numbers in every field: the ceilings of the frames leave room for them. */
TEST(ceilings)
{
    struct vf_msg m = {.type = VF_MSG_OFFER};
    char name[VF_MAX_NAME + 1], text[VF_MAX_TEXT + 1];
    struct vf_run *run = room(VF_MAX_RUNS, sizeof *run);
    char token[] = "0123456789abcdef0123456789abcdef";
    uint8_t *bytes = room(VF_MAX_DATA, 1), *signature = room(VF_MAX_SIGNATURE, 1);

    memset(name, 'n', sizeof name - 1);
    memset(text, 't', sizeof text - 1);
    name[sizeof name - 1] = text[sizeof text - 1] = 0;
    m.offer = (struct vf_msg_offer){VF_MAX_SIZE, VF_MAX_BLOCKS, 1u << 26, 3, name, text, {255}};
    there_and_back(&m);
    m = (struct vf_msg){.type = VF_MSG_HELLO};
    m.hello = (struct vf_msg_hello){1, 1, 2, text, text};
    there_and_back(&m);
    m = (struct vf_msg){.type = VF_MSG_WELCOME};
    m.welcome =
        (struct vf_msg_welcome){65535, 31,   UINT64_MAX, UINT32_MAX, UINT64_MAX, true,      text,
                                text,  text, text,       token,      255,        UINT64_MAX};
    there_and_back(&m);
    m = (struct vf_msg){.type = VF_MSG_LINK, .link = {255, token}};
    there_and_back(&m);
    m = (struct vf_msg){.type = VF_MSG_PIECE};
    m.piece = (struct vf_msg_piece){UINT64_MAX, UINT64_MAX, VF_MAX_DATA, bytes};
    there_and_back(&m);
    m = (struct vf_msg){.type = VF_MSG_FENCE, .fence = {UINT64_MAX}};
    there_and_back(&m);
    m = (struct vf_msg){.type = VF_MSG_ACCEPT, .accept = {true, text, VF_MAX_BLOCKS, true}};
    there_and_back(&m);
    m = (struct vf_msg){.type = VF_MSG_BATCH, .batch = {UINT32_MAX, {0, VF_MAX_BLOCKS}}};
    there_and_back(&m);
    m.batch.range = (struct vf_run){VF_MAX_BLOCKS - 1, 1};
    there_and_back(&m);
    m = (struct vf_msg){.type = VF_MSG_END, .end = {VF_MAX_BLOCKS, VF_MAX_BLOCKS, {0}}};
    there_and_back(&m);
    m = (struct vf_msg){.type = VF_MSG_FAIL, .fail = {255, text}};
    there_and_back(&m);
    m = (struct vf_msg){.type = VF_MSG_RESULT};
    m.result.shared_blocks = m.result.duplicate_blocks = m.result.literal_blocks =
        m.result.copied_blocks = m.result.repaired_blocks = VF_MAX_BLOCKS;
    m.result.path = text;
    there_and_back(&m);
    for (size_t i = 0; i < VF_MAX_RUNS; i++)
        run[i] = (struct vf_run){i << 26 | 0x2000000, 0x2000000};
    m = (struct vf_msg){.type = VF_MSG_REPAIR, .repair = {UINT32_MAX, VF_MAX_RUNS, run}};
    there_and_back(&m);
    m = (struct vf_msg){.type = VF_MSG_ASK};
    m.ask = (struct vf_msg_ask){1,         15,          UINT64_MAX,    VF_MAX_SIGNATURE,
                                signature, VF_MAX_SIZE, VF_MAX_BLOCKS, name,
                                text,      {255}};
    there_and_back(&m);
    m = (struct vf_msg){.type = VF_MSG_SUMMARY};
    m.summary = (struct vf_msg_summary){2, 18, text, UINT64_MAX, VF_MAX_SUMMARY, {0}};
    there_and_back(&m);
    free(run);
    free(bytes);
    free(signature);
}

/* Cut anywhere, no message is a message any more (DATA, PART and PIECE are: their frame says how
 * long it was). */
TEST(truncated)
{
    for (unsigned type = 1; type <= TYPES; type++)
        for (uint64_t seed = 0; seed < 8 && is_type(type); seed++) {
            struct vf_msg m = sample_msg((enum vf_msg_type)type, seed, 1 + seed * 5), back;
            struct vf_buf b = encoded(&m);
            struct vf_error err;

            for (size_t len = 0; len < b.len; len++) {
                if (((type == VF_MSG_DATA || type == VF_MSG_PART || type == VF_MSG_GUEST) && len) ||
                    type == VF_MSG_BYTES || (type == VF_MSG_PIECE && len > 2))
                    break;
                CHECK_FAIL(decode(type, b.data, len, &back, &err), &err, VF_ERR_PROTOCOL);
                CHECK_HAS(err.msg, vf_msg_name((uint8_t)type));
            }
            vf_buf_free(&b);
            vf_msg_free(&m);
        }
}

TEST(too_long)
{
    for (unsigned type = 1; type <= TYPES; type++) {
        struct vf_msg m, back;
        struct vf_error err;
        struct vf_buf b;

        if (!is_type(type))
            continue;
        m = sample_msg((enum vf_msg_type)type, 1, 9);
        b = encoded(&m);
        CHECK_OK(vf_buf_u8(&b, 0, &err), &err);
        if (type != VF_MSG_DATA && type != VF_MSG_PIECE && type != VF_MSG_PART &&
            type != VF_MSG_GUEST && type != VF_MSG_BYTES)
            CHECK_FAIL(decode(type, b.data, b.len, &back, &err), &err, VF_ERR_PROTOCOL);
        vf_buf_free(&b);
        vf_msg_free(&m);
    }
}

/* Bent anywhere, it is refused or it is another message, with just these bytes. */
TEST(bent)
{
    uint64_t taken = 0;

    for (unsigned type = 1; type <= TYPES; type++)
        for (uint64_t seed = 0; seed < 300 && is_type(type); seed++) {
            struct vf_msg m = sample_msg((enum vf_msg_type)type, seed % 10, 12), back;
            struct vf_buf b = encoded(&m), again = VF_BUF_INIT;
            struct rng r = {seed * 77 + type};
            struct vf_error err;

            if (b.len)
                b.data[rng_below(&r, b.len < 40 ? b.len : 40)] = (uint8_t)rng_next(&r);
            if (decode(type, b.data, b.len, &back, &err) == 0) {
                taken++;
                CHECK(vf_msg_wrong(&back) == NULL);
                again = encoded(&back);
                /* HELLO of a later version: what follows the known fields is passed over. */
                if (type != VF_MSG_HELLO || back.hello.version_max <= VF_PROTOCOL_MAX)
                    CHECK_EQ_U64(again.len, b.len);
                CHECK_MEM(again.data, b.data, again.len);
                vf_msg_free(&back);
            } else {
                CHECK(err.code == VF_ERR_PROTOCOL);
            }
            vf_buf_free(&again);
            vf_buf_free(&b);
            vf_msg_free(&m);
        }
    CHECK(taken > 500);
}

static void not_sent(const struct vf_msg *m, const char *why)
{
    struct vf_buf b = VF_BUF_INIT;
    struct vf_error err;

    CHECK_FAIL(vf_msg_encode(m, &b, &err), &err, VF_ERR_RANGE);
    CHECK_HAS(err.msg, why);
    CHECK_EQ_U64(b.len, 0);
    vf_buf_free(&b);
}

/* What a peer would refuse is not sent either. */
TEST(encoder_refuses)
{
    struct vf_run back[] = {{10, 5}, {14, 5}};
    uint8_t probe = VF_HAVE_PROBE, id[2][VF_ID_LEN] = {{0}};
    char bad[] = "two\nlines", slash[] = "../x", name[300];
    struct vf_msg m = {.type = VF_MSG_NODES, .nodes = {0, 1, 2, back, id}};

    not_sent(&m, "overlap");
    back[1].first = 9;
    not_sent(&m, "order");
    back[1] = (struct vf_run){20, 0};
    not_sent(&m, "length of a run");
    m = (struct vf_msg){.type = VF_MSG_HAVE, .have = {0, 2, 1, &probe}};
    not_sent(&m, "unknown answer");
    m = (struct vf_msg){.type = VF_MSG_FAIL, .fail = {1, bad}};
    not_sent(&m, "control");
    m = (struct vf_msg){.type = VF_MSG_OFFER, .offer = {.name = slash}};
    not_sent(&m, "not that of a file");
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    m.offer.name = name;
    not_sent(&m, "too long");
    m = (struct vf_msg){.type = VF_MSG_DATA, .data = {VF_MAX_DATA + 1, id[0]}};
    not_sent(&m, "length");
    m = (struct vf_msg){.type = VF_MSG_TYPES_};
    not_sent(&m, "no such type");
}

/* Names may be long, COUNTS as a whole may not. */
TEST(counts_too_long)
{
    struct vf_msg m = sample_msg(VF_MSG_COUNTS, 1, 0);
    char name[VF_MAX_TEXT + 1];

    free(m.counts.image);
    memset(name, 'p', sizeof name - 1);
    name[sizeof name - 1] = 0;
    m.counts.n = 4500;
    m.counts.image = room(m.counts.n, sizeof *m.counts.image);
    for (size_t i = 0; i < m.counts.n; i++)
        m.counts.image[i].name = name;
    not_sent(&m, "too long");
    free(m.counts.image);
}

/* NULL for a text is the empty text. */
TEST(null_texts)
{
    struct vf_msg m = {.type = VF_MSG_ACCEPT}, back;
    struct vf_buf b = encoded(&m);
    struct vf_error err;

    CHECK_OK(decode(VF_MSG_ACCEPT, b.data, b.len, &back, &err), &err);
    CHECK_STR(back.accept.path, "");
    vf_msg_free(&back);
    vf_buf_free(&b);
}

static const char *side_name(enum vf_side s) { return s == VF_SIDE_SOURCE ? "source" : "receiver"; }

static void put_line(FILE *f, const char *side, const char *name, const struct vf_buf *b)
{
    CHECK(fprintf(f, "%s %s ", side, name) > 0);
    for (size_t i = 0; i < b->len; i++)
        CHECK(fprintf(f, "%02x", b->data[i]) == 2);
    CHECK(fputc('\n', f) == '\n');
}

/* The frozen file as today's code would write it. */
static void write_golden(enum golden g, const char *path)
{
    struct vf_buf b = VF_BUF_INIT;
    FILE *f = fopen(path, "we");
    struct vf_error err;
    enum vf_side from;
    struct vf_msg m;

    CHECK(f != NULL);
    CHECK(fprintf(f, "# Frozen: protocol version 1, see transport/PROTOCOL.md\n") > 0);
    CHECK_OK(vf_buf_add(&b, VF_MAGIC, VF_MAGIC_LEN, &err), &err);
    put_line(f, "source", "MAGIC", &b);
    put_line(f, "receiver", "MAGIC", &b);
    for (unsigned i = 0; golden_msg(g, i, &from, &m); i++) {
        vf_buf_clear(&b);
        golden_frame(&m, &b);
        put_line(f, side_name(from), vf_msg_name((uint8_t)m.type), &b);
        vf_msg_free(&m);
    }
    CHECK(fclose(f) == 0);
    vf_buf_free(&b);
}

/* Decodes the frozen frames of one direction and compares with the conversation. */
static void check_golden(enum golden g, enum vf_side side, const struct vf_buf *b)
{
    size_t at = VF_MAGIC_LEN;
    struct vf_error err;
    struct vf_msg m, want;
    enum vf_side from;

    CHECK(vf_magic_get(b->data, b->len) == 1);
    for (unsigned i = 0; golden_msg(g, i, &from, &want); i++) {
        uint8_t type;
        uint32_t len;

        if (from == side) {
            CHECK(vf_frame_get(b->data + at, b->len - at, &type, &len, &err) == 1);
            at += VF_FRAME_HEAD;
            CHECK(len <= b->len - at);
            CHECK_OK(vf_msg_decode(type, b->data + at, len, &m, &err), &err);
            check_same_msg(&want, &m);
            vf_msg_free(&m);
            at += len;
        }
        vf_msg_free(&want);
    }
    CHECK_EQ_U64(at, b->len);
}

/* With VF_GOLDEN=write in the environment the files are written anew. */
TEST(golden)
{
    const char *mode = getenv("VF_GOLDEN");

    for (enum golden g = GOLDEN_MIGRATE; g <= GOLDEN_TUNNEL; g++) {
        struct vf_buf b[2] = {VF_BUF_INIT, VF_BUF_INIT}, now[2] = {VF_BUF_INIT, VF_BUF_INIT};
        enum vf_side from;
        struct vf_msg m;

        if (mode && strcmp(mode, "write") == 0)
            write_golden(g, golden_path(g));
        golden_read(g, b);
        check_golden(g, VF_SIDE_SOURCE, &b[VF_SIDE_SOURCE]);
        check_golden(g, VF_SIDE_RECEIVER, &b[VF_SIDE_RECEIVER]);
        for (unsigned i = 0; golden_msg(g, i, &from, &m); i++) {
            golden_frame(&m, &now[from]);
            vf_msg_free(&m);
        }
        for (unsigned i = 0; i < 2; i++) {
            CHECK_EQ_U64(now[i].len + VF_MAGIC_LEN, b[i].len);
            CHECK_MEM(now[i].data, b[i].data + VF_MAGIC_LEN, now[i].len);
        }
        vf_buf_free(&b[0]);
        vf_buf_free(&b[1]);
        vf_buf_free(&now[0]);
        vf_buf_free(&now[1]);
    }
}

TEST(names)
{
    CHECK_STR(vf_msg_name(VF_MSG_HELLO), "HELLO");
    CHECK_STR(vf_msg_name(VF_MSG_PONG), "PONG");
    CHECK_STR(vf_msg_name(0), "?");
    CHECK_STR(vf_msg_name(200), "?");
}

TESTS(round_trip, largest, ceilings, truncated, too_long, bent, encoder_refuses, counts_too_long,
      null_texts, golden, names)
