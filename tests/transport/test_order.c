/* The order of messages: the two conversations, every message in every phase, batches and what may
 * be said of them. */
#include "transport/order.h"

#include <string.h>

#include "tests/lib/check.h"
#include "tests/transport/golden.h"
#include "tests/transport/samples.h"

/* Follows a frozen conversation for n messages. */
static void follow(struct vf_order *o, enum golden g, unsigned n)
{
    struct vf_error err;
    enum vf_side from;
    struct vf_msg m;

    vf_order_init(o);
    for (unsigned i = 0; i < n && golden_msg(g, i, &from, &m); i++) {
        CHECK_OK(vf_order_step(o, from, &m, &err), &err);
        vf_msg_free(&m);
    }
}

TEST(conversations)
{
    struct vf_order o;

    follow(&o, GOLDEN_MIGRATE, 100);
    CHECK(o.phase == VF_PHASE_RESULT);
    CHECK_EQ_U64(o.n_open, 0);
    follow(&o, GOLDEN_COUNT, 100);
    CHECK(o.phase == VF_PHASE_OVER);
    follow(&o, GOLDEN_REFUSE, 100);
    CHECK(o.failed[VF_SIDE_RECEIVER] && !o.failed[VF_SIDE_SOURCE]);
}

/* Which types each side may send in each phase: one row a phase, by the numbers of the types. */
TEST(phases)
{
    static const struct {
        enum golden g;
        unsigned n; /* messages before */
        const char *source, *receiver;
    } rows[] = {
        {GOLDEN_MIGRATE, 0, "HELLO FAIL LINK", "FAIL"},
        {GOLDEN_MIGRATE, 1, "OFFER FAIL PING PONG", "WELCOME FAIL PING PONG"},
        {GOLDEN_MIGRATE, 2, "OFFER FAIL PING PONG", "FAIL PING PONG"},
        {GOLDEN_MIGRATE, 3, "FAIL PING PONG", "ACCEPT FAIL PING PONG"},
        {GOLDEN_MIGRATE, 4, "BATCH NODES PROBES DATA SEGMENTS END FAIL PING PONG PIECE FENCE",
         "HAVE DONE RECHECK REPAIR RESULT FAIL PING PONG ACK"},
        {GOLDEN_MIGRATE, 23, "BATCH NODES PROBES DATA SEGMENTS END FAIL PING PONG PIECE FENCE",
         "FAIL PING PONG ACK"},
        {GOLDEN_COUNT, 4, "BATCH NODES PROBES END FAIL PING PONG", "HAVE DONE FAIL PING PONG"},
        {GOLDEN_COUNT, 11, "FAIL PING PONG", "HAVE DONE COUNTS FAIL PING PONG"},
        {GOLDEN_COUNT, 12, "FAIL PING PONG", "FAIL PING PONG"},
        {GOLDEN_REFUSE, 1, "FAIL PING PONG", "WELCOME FAIL PING PONG"},
        {GOLDEN_REFUSE, 2, "FAIL PING PONG", ""},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct vf_order o;

        follow(&o, rows[i].g, rows[i].n);
        for (unsigned side = 0; side < 2; side++) {
            char may[300] = "";

            for (unsigned type = 0; type < 256; type++) {
                struct vf_error err;

                if (vf_order_type(&o, (enum vf_side)side, (uint8_t)type, &err) < 0) {
                    CHECK(err.code == VF_ERR_PROTOCOL);
                    continue;
                }
                (void)snprintf(may + strlen(may), sizeof may - strlen(may), "%s%s", *may ? " " : "",
                               vf_msg_name((uint8_t)type)); /* fits */
            }
            CHECK_STR(may, side == VF_SIDE_SOURCE ? rows[i].source : rows[i].receiver);
        }
    }
}

/* HELLO for a check: nothing follows WELCOME. */
TEST(check_only)
{
    struct vf_msg m = {.type = VF_MSG_HELLO, .hello = {1, 1, VF_FOR_CHECK, NULL, NULL}};
    struct vf_error err;
    struct vf_order o;

    vf_order_init(&o);
    CHECK_OK(vf_order_step(&o, VF_SIDE_SOURCE, &m, &err), &err);
    m.type = VF_MSG_WELCOME;
    CHECK_OK(vf_order_step(&o, VF_SIDE_RECEIVER, &m, &err), &err);
    CHECK_FAIL(vf_order_type(&o, VF_SIDE_SOURCE, VF_MSG_OFFER, &err), &err, VF_ERR_PROTOCOL);
}

/* OFFER right behind HELLO: once, and not for a check. */
TEST(early_offer)
{
    struct vf_msg m = {.type = VF_MSG_HELLO, .hello = {1, 1, VF_FOR_MIGRATE, NULL, NULL}};
    const struct vf_msg offer = {.type = VF_MSG_OFFER, .offer = {.size = 100 * VF_BLOCK}};
    struct vf_error err;
    struct vf_order o;

    vf_order_init(&o);
    CHECK_OK(vf_order_step(&o, VF_SIDE_SOURCE, &m, &err), &err);
    CHECK_OK(vf_order_step(&o, VF_SIDE_SOURCE, &offer, &err), &err);
    CHECK_FAIL(vf_order_step(&o, VF_SIDE_SOURCE, &offer, &err), &err, VF_ERR_PROTOCOL);
    m = (struct vf_msg){.type = VF_MSG_ACCEPT};
    CHECK_FAIL(vf_order_step(&o, VF_SIDE_RECEIVER, &m, &err), &err, VF_ERR_PROTOCOL);
    m.type = VF_MSG_WELCOME;
    CHECK_OK(vf_order_step(&o, VF_SIDE_RECEIVER, &m, &err), &err);
    CHECK_FAIL(vf_order_step(&o, VF_SIDE_SOURCE, &offer, &err), &err, VF_ERR_PROTOCOL);
    m = (struct vf_msg){.type = VF_MSG_ACCEPT};
    CHECK_OK(vf_order_step(&o, VF_SIDE_RECEIVER, &m, &err), &err);
    CHECK_EQ_U64(o.blocks, 100);
    CHECK(o.phase == VF_PHASE_WORK);
    vf_order_init(&o);
    m = (struct vf_msg){.type = VF_MSG_HELLO, .hello = {1, 1, VF_FOR_CHECK, NULL, NULL}};
    CHECK_OK(vf_order_step(&o, VF_SIDE_SOURCE, &m, &err), &err);
    CHECK_FAIL(vf_order_step(&o, VF_SIDE_SOURCE, &offer, &err), &err, VF_ERR_PROTOCOL);
}

/* Right after ACCEPT, for an image of that many blocks. */
static void at_work(struct vf_order *o, enum vf_purpose purpose, uint64_t blocks, bool empty)
{
    struct vf_msg m = {.type = VF_MSG_HELLO, .hello = {1, 1, (uint8_t)purpose, NULL, NULL}};
    struct vf_error err;

    vf_order_init(o);
    CHECK_OK(vf_order_step(o, VF_SIDE_SOURCE, &m, &err), &err);
    m = (struct vf_msg){.type = VF_MSG_WELCOME};
    CHECK_OK(vf_order_step(o, VF_SIDE_RECEIVER, &m, &err), &err);
    m = (struct vf_msg){.type = VF_MSG_OFFER, .offer = {.size = blocks * VF_BLOCK}};
    CHECK_OK(vf_order_step(o, VF_SIDE_SOURCE, &m, &err), &err);
    m = (struct vf_msg){.type = VF_MSG_ACCEPT, .accept = {.empty = empty}};
    CHECK_OK(vf_order_step(o, VF_SIDE_RECEIVER, &m, &err), &err);
}

static int batch(struct vf_order *o, uint32_t no, uint64_t first, uint64_t n, struct vf_error *err)
{
    struct vf_msg m = {.type = VF_MSG_BATCH, .batch = {no, {first, n}}};

    return vf_order_step(o, VF_SIDE_SOURCE, &m, err);
}

static int of_batch(struct vf_order *o, enum vf_msg_type type, uint32_t no, struct vf_error *err)
{
    struct vf_msg m = {.type = type, .done = {.batch = no}};

    return vf_order_step(o, VF_SIDE_RECEIVER, &m, err);
}

static int nodes(struct vf_order *o, uint32_t no, uint8_t level, uint64_t first, uint64_t span,
                 struct vf_error *err)
{
    struct vf_run run = {first, span};
    struct vf_msg m = {.type = VF_MSG_NODES, .nodes = {no, level, 1, &run, NULL}};

    return vf_order_step(o, VF_SIDE_SOURCE, &m, err);
}

static int probes(struct vf_order *o, uint32_t no, size_t n, uint8_t width, struct vf_error *err)
{
    struct vf_msg m = {.type = VF_MSG_PROBES, .probes = {no, width, n, NULL}};

    return vf_order_step(o, VF_SIDE_SOURCE, &m, err);
}

static int have(struct vf_order *o, uint32_t no, uint8_t level, size_t n, struct vf_error *err)
{
    struct vf_msg m = {.type = VF_MSG_HAVE, .have = {no, level, n, NULL}};

    return vf_order_step(o, VF_SIDE_RECEIVER, &m, err);
}

static int result(struct vf_order *o, bool verified, struct vf_error *err)
{
    struct vf_msg m = {.type = VF_MSG_RESULT, .result = {.verified = verified}};

    return vf_order_step(o, VF_SIDE_RECEIVER, &m, err);
}

static int end(struct vf_order *o, uint64_t batches, struct vf_error *err)
{
    struct vf_msg m = {.type = VF_MSG_END, .end = {.batches = batches}};

    return vf_order_step(o, VF_SIDE_SOURCE, &m, err);
}

TEST(batches_cover_the_image)
{
    struct vf_error err;
    struct vf_order o;

    at_work(&o, VF_FOR_MIGRATE, 100, false);
    CHECK_FAIL(batch(&o, 1, 0, 10, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(batch(&o, 0, 1, 10, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(batch(&o, 0, 0, 101, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(batch(&o, 0, 0, 60, &err), &err);
    CHECK_FAIL(batch(&o, 0, 60, 10, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(batch(&o, 1, 59, 10, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(batch(&o, 1, 60, UINT64_MAX, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(result(&o, true, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(batch(&o, 1, 60, 40, &err), &err);
    CHECK_FAIL(batch(&o, 2, 100, 1, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(of_batch(&o, VF_MSG_DONE, 1, &err), &err);
    CHECK_FAIL(of_batch(&o, VF_MSG_DONE, 1, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(result(&o, true, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(of_batch(&o, VF_MSG_DONE, 0, &err), &err);
    CHECK_OK(end(&o, 2, &err), &err);
    CHECK_OK(result(&o, true, &err), &err);
    CHECK_FAIL(result(&o, true, &err), &err, VF_ERR_PROTOCOL);
}

/* A copy that went wrong may be reported at any time, an image without blocks at once. */
TEST(results)
{
    struct vf_error err;
    struct vf_order o;

    at_work(&o, VF_FOR_MIGRATE, 100, false);
    CHECK_OK(batch(&o, 0, 0, 60, &err), &err);
    CHECK_OK(result(&o, false, &err), &err);
    /* What the source sent meanwhile is no offence. */
    CHECK_OK(batch(&o, 1, 60, 10, &err), &err);
    CHECK_OK(nodes(&o, 1, 1, 60, 10, &err), &err);
    CHECK_FAIL(have(&o, 1, 1, 1, &err), &err, VF_ERR_PROTOCOL);
    at_work(&o, VF_FOR_MIGRATE, 0, true);
    CHECK_FAIL(batch(&o, 0, 0, 1, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(end(&o, 0, &err), &err);
    CHECK_OK(result(&o, true, &err), &err);
}

TEST(open_batches)
{
    struct vf_error err;
    struct vf_order o;

    at_work(&o, VF_FOR_MIGRATE, 1000, false);
    for (uint32_t i = 0; i < VF_BATCHES_OPEN; i++)
        CHECK_OK(batch(&o, i, i, 1, &err), &err);
    CHECK_FAIL(batch(&o, VF_BATCHES_OPEN, VF_BATCHES_OPEN, 1, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(of_batch(&o, VF_MSG_DONE, 77, &err), &err);
    CHECK_OK(batch(&o, VF_BATCHES_OPEN, VF_BATCHES_OPEN, 1, &err), &err);
    CHECK_FAIL(nodes(&o, 77, 1, 77, 1, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(nodes(&o, 78, 1, 78, 1, &err), &err);
    CHECK_OK(nodes(&o, VF_BATCHES_OPEN, 1, VF_BATCHES_OPEN, 1, &err), &err);
}

TEST(questions_and_answers)
{
    struct vf_error err;
    struct vf_order o;

    at_work(&o, VF_FOR_MIGRATE, 1000, false);
    CHECK_FAIL(nodes(&o, 0, 2, 0, 1, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(batch(&o, 0, 0, 100, &err), &err);
    CHECK_OK(batch(&o, 1, 100, 10, &err), &err);
    CHECK_FAIL(have(&o, 0, 2, 1, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(nodes(&o, 0, 2, 0, 100, &err), &err);
    CHECK_FAIL(nodes(&o, 0, 2, 0, 101, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(nodes(&o, 1, 2, 99, 2, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(nodes(&o, 1, 2, 109, 2, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(have(&o, 0, 2, 2, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(have(&o, 0, 1, 1, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(have(&o, 1, 2, 1, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(have(&o, 2, 2, 1, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(have(&o, 0, 2, 1, &err), &err);
    CHECK_FAIL(have(&o, 0, 2, 1, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(probes(&o, 1, 8, 3, &err), &err);
    CHECK_FAIL(probes(&o, 1, 3, 3, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(probes(&o, 1, 2, 3, &err), &err);
    CHECK_OK(have(&o, 1, 0, 9, &err), &err);
    CHECK_OK(have(&o, 1, 0, 1, &err), &err);
    CHECK_FAIL(have(&o, 1, 0, 1, &err), &err, VF_ERR_PROTOCOL);
    /* More nodes than blocks there cannot be. */
    for (uint64_t i = 0; i < 10; i++)
        CHECK_OK(nodes(&o, 1, 1, 100 + i, 1, &err), &err);
    CHECK_FAIL(nodes(&o, 1, 1, 100, 1, &err), &err, VF_ERR_PROTOCOL);
}

TEST(empty_receiver)
{
    struct vf_msg end = {.type = VF_MSG_END, .end = {7, 3, {0}}};
    struct vf_error err;
    struct vf_order o;

    at_work(&o, VF_FOR_MIGRATE, 100, true);
    CHECK_OK(batch(&o, 0, 0, 100, &err), &err);
    CHECK_FAIL(nodes(&o, 0, 2, 0, 1, &err), &err, VF_ERR_PROTOCOL);
    end.end.zero_blocks = 101;
    CHECK_FAIL(vf_order_step(&o, VF_SIDE_SOURCE, &end, &err), &err, VF_ERR_PROTOCOL);
    end.end.zero_blocks = 3;
    /* A count has nothing to compare with then: no batches are needed. */
    at_work(&o, VF_FOR_COUNT, 100, true);
    CHECK_OK(vf_order_step(&o, VF_SIDE_SOURCE, &end, &err), &err);
    CHECK(o.phase == VF_PHASE_COUNTS);
}

TEST(counts)
{
    struct vf_msg end = {.type = VF_MSG_END, .end = {2, 3, {0}}};
    struct vf_error err;
    struct vf_order o;

    at_work(&o, VF_FOR_COUNT, 100, false);
    CHECK_OK(batch(&o, 0, 0, 60, &err), &err);
    CHECK_FAIL(probes(&o, 0, 5, 2, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(probes(&o, 0, 5, 8, &err), &err);
    CHECK_FAIL(vf_order_step(&o, VF_SIDE_SOURCE, &end, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(batch(&o, 1, 60, 40, &err), &err);
    end.end.zero_blocks = 101;
    CHECK_FAIL(vf_order_step(&o, VF_SIDE_SOURCE, &end, &err), &err, VF_ERR_PROTOCOL);
    end.end.zero_blocks = 100;
    end.end.batches = 3;
    CHECK_FAIL(vf_order_step(&o, VF_SIDE_SOURCE, &end, &err), &err, VF_ERR_PROTOCOL);
    end.end.batches = 2;
    CHECK_OK(vf_order_step(&o, VF_SIDE_SOURCE, &end, &err), &err);
    CHECK_OK(of_batch(&o, VF_MSG_DONE, 0, &err), &err);
}

/* In a migration END comes while batches are open, once, and before RESULT. */
TEST(end_of_a_migration)
{
    struct vf_error err;
    struct vf_order o;

    at_work(&o, VF_FOR_MIGRATE, 100, false);
    CHECK_OK(batch(&o, 0, 0, 60, &err), &err);
    CHECK_FAIL(end(&o, 1, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(batch(&o, 1, 60, 40, &err), &err);
    CHECK_FAIL(end(&o, 1, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(of_batch(&o, VF_MSG_DONE, 0, &err), &err);
    CHECK_FAIL(result(&o, true, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(end(&o, 2, &err), &err);
    CHECK_FAIL(end(&o, 2, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(batch(&o, 2, 100, 1, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(result(&o, true, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(of_batch(&o, VF_MSG_DONE, 1, &err), &err);
    CHECK_OK(result(&o, true, &err), &err);
    CHECK(o.phase == VF_PHASE_RESULT);
}

TEST(summaries)
{
    struct vf_msg hello = {.type = VF_MSG_HELLO, .hello = {1, 1, VF_FOR_SUMMARY, NULL, NULL}};
    struct vf_msg m = {.type = VF_MSG_WELCOME};
    struct vf_error err;
    struct vf_order o;

    vf_order_init(&o);
    CHECK_OK(vf_order_step(&o, VF_SIDE_SOURCE, &hello, &err), &err);
    CHECK_OK(vf_order_step(&o, VF_SIDE_RECEIVER, &m, &err), &err);
    CHECK_FAIL(vf_order_type(&o, VF_SIDE_SOURCE, VF_MSG_OFFER, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(vf_order_type(&o, VF_SIDE_RECEIVER, VF_MSG_SUMMARY, &err), &err, VF_ERR_PROTOCOL);
    m = (struct vf_msg){.type = VF_MSG_ASK};
    CHECK_OK(vf_order_step(&o, VF_SIDE_SOURCE, &m, &err), &err);
    CHECK_FAIL(vf_order_type(&o, VF_SIDE_SOURCE, VF_MSG_ASK, &err), &err, VF_ERR_PROTOCOL);
    m = (struct vf_msg){.type = VF_MSG_SUMMARY, .summary = {.answer = 2, .len = 10}};
    CHECK_OK(vf_order_step(&o, VF_SIDE_RECEIVER, &m, &err), &err);
    m = (struct vf_msg){.type = VF_MSG_PART, .part = {.len = 7}};
    CHECK_OK(vf_order_step(&o, VF_SIDE_RECEIVER, &m, &err), &err);
    CHECK_FAIL(vf_order_step(&o, VF_SIDE_RECEIVER, &m, &err), &err, VF_ERR_PROTOCOL);
    m.part.len = 3;
    CHECK_OK(vf_order_step(&o, VF_SIDE_RECEIVER, &m, &err), &err);
    CHECK(o.phase == VF_PHASE_OVER);
    CHECK_FAIL(vf_order_type(&o, VF_SIDE_RECEIVER, VF_MSG_PART, &err), &err, VF_ERR_PROTOCOL);
}

TEST(repairs)
{
    struct vf_run run = {50, 10};
    struct vf_msg segments = {.type = VF_MSG_SEGMENTS, .segments = {0, 1, &run, NULL}};
    struct vf_msg repair = {.type = VF_MSG_REPAIR, .repair = {0, 1, &run}};
    struct vf_error err;
    struct vf_order o;

    at_work(&o, VF_FOR_MIGRATE, 100, true);
    CHECK_OK(batch(&o, 0, 0, 59, &err), &err);
    CHECK_FAIL(vf_order_step(&o, VF_SIDE_SOURCE, &segments, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(vf_order_step(&o, VF_SIDE_RECEIVER, &repair, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(of_batch(&o, VF_MSG_RECHECK, 1, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(of_batch(&o, VF_MSG_RECHECK, 0, &err), &err);
    CHECK_FAIL(vf_order_step(&o, VF_SIDE_SOURCE, &segments, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(vf_order_step(&o, VF_SIDE_RECEIVER, &repair, &err), &err, VF_ERR_PROTOCOL);
    run.n = 9;
    CHECK_OK(vf_order_step(&o, VF_SIDE_SOURCE, &segments, &err), &err);
    CHECK_OK(vf_order_step(&o, VF_SIDE_RECEIVER, &repair, &err), &err);
    CHECK_OK(of_batch(&o, VF_MSG_DONE, 0, &err), &err);
    CHECK_FAIL(vf_order_step(&o, VF_SIDE_SOURCE, &segments, &err), &err, VF_ERR_PROTOCOL);
}

TEST(pings)
{
    struct vf_msg ping = {.type = VF_MSG_PING}, pong = {.type = VF_MSG_PONG};
    struct vf_error err;
    struct vf_order o;

    at_work(&o, VF_FOR_MIGRATE, 100, true);
    CHECK_FAIL(vf_order_step(&o, VF_SIDE_SOURCE, &pong, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(vf_order_step(&o, VF_SIDE_SOURCE, &ping, &err), &err);
    CHECK_FAIL(vf_order_step(&o, VF_SIDE_SOURCE, &pong, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(vf_order_step(&o, VF_SIDE_RECEIVER, &pong, &err), &err);
    CHECK_FAIL(vf_order_step(&o, VF_SIDE_RECEIVER, &pong, &err), &err, VF_ERR_PROTOCOL);
}

TEST(guests_and_tunnels)
{
    struct vf_msg ask = {.type = VF_MSG_GUEST, .guest = {2, NULL}}, m = {.type = VF_MSG_WELCOME};
    struct vf_msg bytes = {.type = VF_MSG_BYTES};
    struct vf_error err;
    struct vf_order o;

    for (unsigned tunnel = 0; tunnel < 2; tunnel++) {
        struct vf_msg hello = {.type = VF_MSG_HELLO,
                               .hello = {1, 1, tunnel ? VF_FOR_TUNNEL : VF_FOR_GUEST, NULL, NULL}};

        vf_order_init(&o);
        CHECK_OK(vf_order_step(&o, VF_SIDE_SOURCE, &hello, &err), &err);
        CHECK_FAIL(vf_order_step(&o, VF_SIDE_SOURCE, &ask, &err), &err, VF_ERR_PROTOCOL);
        CHECK_OK(vf_order_step(&o, VF_SIDE_RECEIVER, &m, &err), &err);
        CHECK_FAIL(vf_order_step(&o, VF_SIDE_RECEIVER, &ask, &err), &err, VF_ERR_PROTOCOL);
        CHECK_FAIL(vf_order_type(&o, VF_SIDE_SOURCE, VF_MSG_OFFER, &err), &err, VF_ERR_PROTOCOL);
        CHECK_FAIL(vf_order_step(&o, VF_SIDE_SOURCE, &bytes, &err), &err, VF_ERR_PROTOCOL);
        CHECK_OK(vf_order_step(&o, VF_SIDE_SOURCE, &ask, &err), &err);
        CHECK_FAIL(vf_order_step(&o, VF_SIDE_SOURCE, &ask, &err), &err, VF_ERR_PROTOCOL);
        CHECK_OK(vf_order_step(&o, VF_SIDE_RECEIVER, &ask, &err), &err);
        if (tunnel) {
            CHECK_OK(vf_order_step(&o, VF_SIDE_RECEIVER, &bytes, &err), &err);
            CHECK_OK(vf_order_step(&o, VF_SIDE_SOURCE, &bytes, &err), &err);
            CHECK_FAIL(vf_order_step(&o, VF_SIDE_SOURCE, &ask, &err), &err, VF_ERR_PROTOCOL);
        } else {
            CHECK_OK(vf_order_step(&o, VF_SIDE_SOURCE, &ask, &err), &err);
            CHECK_FAIL(vf_order_step(&o, VF_SIDE_SOURCE, &bytes, &err), &err, VF_ERR_PROTOCOL);
        }
    }
}

TESTS(conversations, phases, check_only, early_offer, batches_cover_the_image, results,
      open_batches, questions_and_answers, empty_receiver, counts, end_of_a_migration, summaries,
      repairs, guests_and_tunnels, pings)
