/* One order out of many connections, and what a hostile peer may not do to it; together with the
 * source's half. */
#include "transport/gather.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"
#include "tests/transport/samples.h"
#include "transport/spread.h"

static struct vf_msg piece(uint64_t seq, uint64_t after, size_t len)
{
    struct vf_msg m = {.type = VF_MSG_PIECE, .piece = {seq, after, len, room(len, 1)}};

    return m;
}

static void put(struct vf_gather *g, uint64_t seq, uint64_t after)
{
    struct vf_msg m = piece(seq, after, 1 + seq % 5);
    struct vf_error err;
    bool next, first = seq == g->next && !g->piece[seq % VF_PIECES_OPEN];

    CHECK_OK(vf_gather_piece(g, &m, &next, &err), &err);
    CHECK(next == first);
}

/* The next in order: DATA of so many bytes, or (0) a PING with that cookie. */
static void due(struct vf_gather *g, size_t len, uint64_t cookie)
{
    struct vf_error err;
    struct vf_msg m;

    CHECK(vf_gather_next(g, &m, &err) == 1);
    if (len) {
        CHECK(m.type == VF_MSG_DATA);
        CHECK_EQ_U64(m.data.len, len);
    } else {
        CHECK(m.type == VF_MSG_END);
        CHECK_EQ_U64(m.end.batches, cookie);
    }
    vf_msg_free(&m);
}

static void nothing_due(struct vf_gather *g)
{
    struct vf_error err;
    struct vf_msg m;

    CHECK(vf_gather_next(g, &m, &err) == 0);
}

static void other(struct vf_gather *g, uint64_t cookie, size_t len)
{
    struct vf_msg m = {.type = VF_MSG_END, .end = {cookie, 0, {0}}};
    struct vf_error err;

    CHECK_OK(vf_gather_other(g, &m, len, &err), &err);
}

TEST(orders)
{
    struct vf_gather g;
    struct vf_error err;

    vf_gather_init(&g, VF_LINKS_WINDOW);
    CHECK(vf_gather_idle(&g));
    put(&g, 1, 0);
    nothing_due(&g);
    put(&g, 2, 1);
    put(&g, 0, 0);
    put(&g, 0, 0); /* once more, over another connection */
    CHECK_OK(vf_gather_fence(&g, 2, &err), &err);
    CHECK(!vf_gather_idle(&g));
    other(&g, 77, 9);
    due(&g, 1, 0);
    due(&g, 2, 0);
    put(&g, 1, 0);
    due(&g, 0, 77); /* before PIECE 2, and because of its FENCE behind 0 and 1 */
    due(&g, 3, 0);
    nothing_due(&g);
    CHECK(vf_gather_idle(&g));
    CHECK_EQ_U64(g.bytes, 0);
    CHECK_EQ_U64(g.held, 0);
    put(&g, 3, 2); /* waits for a message that has not come */
    nothing_due(&g);
    other(&g, 78, 1);
    due(&g, 0, 78);
    due(&g, 4, 0);
    put(&g, 5, 3);
    other(&g, 79, 1);
    vf_gather_free(&g);
}

TEST(bounds)
{
    struct vf_gather g;
    struct vf_error err;
    struct vf_msg m;
    bool next;

    vf_gather_init(&g, 1000);
    m = piece(VF_PIECES_OPEN, 0, 1);
    CHECK_FAIL(vf_gather_piece(&g, &m, &next, &err), &err, VF_ERR_PROTOCOL);
    m.piece.seq = UINT64_MAX;
    CHECK_FAIL(vf_gather_piece(&g, &m, &next, &err), &err, VF_ERR_PROTOCOL);
    vf_msg_free(&m);
    m = piece(VF_PIECES_OPEN - 1, 0, 1000);
    CHECK_OK(vf_gather_piece(&g, &m, &next, &err), &err);
    m = piece(3, 0, 1);
    CHECK_FAIL(vf_gather_piece(&g, &m, &next, &err), &err, VF_ERR_PROTOCOL);
    CHECK_HAS(err.msg, "window");
    vf_msg_free(&m);
    CHECK_FAIL(vf_gather_fence(&g, 0, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(vf_gather_fence(&g, VF_PIECES_OPEN + 1, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(vf_gather_fence(&g, UINT64_MAX, &err), &err, VF_ERR_PROTOCOL);
    CHECK_OK(vf_gather_fence(&g, VF_PIECES_OPEN, &err), &err);
    CHECK_FAIL(vf_gather_fence(&g, VF_PIECES_OPEN, &err), &err, VF_ERR_PROTOCOL);
    other(&g, 1, VF_HOLD_MAX);
    m = (struct vf_msg){.type = VF_MSG_END};
    CHECK_FAIL(vf_gather_other(&g, &m, 1, &err), &err, VF_ERR_PROTOCOL);
    vf_gather_free(&g);
    /* A single one may be longer. */
    CHECK_OK(vf_gather_fence(&g, 1, &err), &err);
    other(&g, 1, 2 * VF_HOLD_MAX);
    CHECK_FAIL(vf_gather_other(&g, &m, 0, &err), &err, VF_ERR_PROTOCOL);
    vf_gather_free(&g);
}

TEST(fence_missing)
{
    struct vf_gather g;
    struct vf_error err;
    struct vf_msg m;

    vf_gather_init(&g, 1000);
    vf_gather_pass(&g);
    put(&g, 0, 0);
    CHECK_FAIL(vf_gather_next(&g, &m, &err), &err, VF_ERR_PROTOCOL);
    CHECK_HAS(err.msg, "FENCE");
    vf_gather_free(&g);
}

/* ---- both halves: connections that deliver late, twice, or never ---- */

#define LINKS 5
#define ROAD  4000

/* What is on its way; the first connection keeps its order. */
struct road {
    struct vf_msg m[ROAD];
    size_t len[ROAD];
    unsigned first, n;
};

static void drive(struct road *r, struct vf_msg m, size_t len)
{
    CHECK(r->n < ROAD);
    r->m[(r->first + r->n) % ROAD] = m;
    r->len[(r->first + r->n++) % ROAD] = len;
}

struct world {
    struct rng r;
    struct vf_spread s;
    struct vf_gather g;
    struct road road[LINKS];
    uint64_t said, heard, bytes; /* messages sent; received in their order */
    size_t most_held;
};

/* Every message says its place in the order; DATA in its first 8 bytes. */
static void say_something(struct world *w)
{
    struct vf_error err;
    uint64_t fence;

    if (rng_below(&w->r, 8)) {
        size_t len = 8 + rng_below(&w->r, rng_below(&w->r, 3) ? 100 : VF_MAX_DATA - 8);
        uint8_t *bytes = room(len, 1);

        memcpy(bytes, &w->said, 8);
        if (vf_spread_room(&w->s, len)) {
            CHECK_OK(vf_spread_add(&w->s, bytes, len, &err), &err);
            w->said++;
        }
        free(bytes);
        return;
    }
    {
        size_t len = rng_below(&w->r, rng_below(&w->r, 20) ? 5000 : 2 << 20);
        struct vf_msg m = {.type = VF_MSG_END, .end = {w->said, 0, {0}}};

        if (!vf_spread_credit(&w->s, len))
            return;
        fence = vf_spread_count(&w->s, len);
        if (fence)
            drive(&w->road[0], (struct vf_msg){.type = VF_MSG_FENCE, .fence = {fence}}, 1);
        drive(&w->road[0], m, len);
        w->said++;
    }
}

static void load(struct world *w)
{
    int link = (int)rng_below(&w->r, LINKS);
    struct vf_out *p = w->road[link].n < ROAD / 2 ? vf_spread_take(&w->s, link) : NULL;
    struct vf_msg m;

    if (!p)
        return;
    m = piece(p->seq, p->after, p->len);
    memcpy(m.piece.bytes, p->bytes, p->len);
    drive(&w->road[link], m, 0);
    vf_spread_sent(&w->s, p);
}

static void arrive(struct world *w, struct road *r)
{
    struct vf_msg *m = &r->m[r->first];
    struct vf_error err;
    bool next;

    if (!r->n)
        return;
    if (m->type == VF_MSG_PIECE)
        CHECK_OK(vf_gather_piece(&w->g, m, &next, &err), &err);
    else if (m->type == VF_MSG_FENCE)
        CHECK_OK(vf_gather_fence(&w->g, m->fence.pieces, &err), &err);
    else if (!vf_gather_idle(&w->g))
        CHECK_OK(vf_gather_other(&w->g, m, r->len[r->first], &err), &err);
    else {
        CHECK_EQ_U64(m->end.batches, w->heard++);
        vf_gather_pass(&w->g);
    }
    r->first = (r->first + 1) % ROAD;
    r->n--;
}

/* As the session does: all that is due is taken before more is read. */
static void hear(struct world *w)
{
    struct vf_error err;
    struct vf_msg m;
    int rc;

    while ((rc = vf_gather_next(&w->g, &m, &err)) == 1) {
        uint64_t place = m.end.batches;

        if (m.type == VF_MSG_DATA)
            memcpy(&place, m.data.bytes, 8);
        CHECK_EQ_U64(place, w->heard++);
        vf_msg_free(&m);
    }
    CHECK_OK(rc, &err);
    if (w->g.held > w->most_held)
        w->most_held = w->g.held;
}

/* A connection breaks: what is on it is lost, or only its last part. */
static void crash(struct world *w, int link)
{
    struct road *r = &w->road[link];
    unsigned keep = r->n ? (unsigned)rng_below(&w->r, r->n + 1) : 0;

    for (; keep; keep--)
        arrive(w, r);
    for (; r->n; r->n--, r->first = (r->first + 1) % ROAD)
        vf_msg_free(&r->m[r->first]);
    vf_spread_lost(&w->s, link);
}

static void live_through(uint64_t seed)
{
    struct world *w = room(1, sizeof *w);
    struct vf_error err;

    w->r.state = seed;
    vf_spread_init(&w->s, 2 << 20);
    vf_gather_init(&w->g, 2 << 20);
    for (unsigned i = 0; i < 60000 || w->heard < w->said; i++) {
        unsigned what = (unsigned)rng_below(&w->r, 100);

        CHECK(i < 1000000);
        if (what < 30 && i < 60000)
            say_something(w);
        else if (what < 60)
            load(w);
        else if (what < 96)
            arrive(w, &w->road[rng_below(&w->r, LINKS)]);
        else if (what < 99)
            CHECK_OK(vf_spread_ack(&w->s, w->g.next, &err), &err);
        else if (rng_below(&w->r, 10) == 0)
            crash(w, 1 + (int)rng_below(&w->r, LINKS - 1));
        hear(w);
    }
    CHECK(w->said > 2000);
    CHECK(w->most_held > 0 && w->most_held <= VF_HOLD_MAX);
    CHECK_OK(vf_spread_ack(&w->s, w->s.next, &err), &err);
    CHECK_EQ_U64(w->s.bytes, 0);
    CHECK_EQ_U64(w->s.unsent, 0);
    CHECK_EQ_U64(w->s.held, 0);
    for (int i = 0; i < LINKS; i++)
        crash(w, i);
    vf_gather_free(&w->g);
    vf_spread_free(&w->s);
    free(w);
}

TEST(any_arrival)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        live_through(seed);
}

/* An ACK may come while a second copy is being written. */
TEST(ack_while_written)
{
    struct vf_spread s;
    struct vf_error err;
    struct vf_out *p;

    vf_spread_init(&s, 1 << 20);
    CHECK_OK(vf_spread_add(&s, (const uint8_t *)"abc", 3, &err), &err);
    p = vf_spread_take(&s, 1);
    CHECK(p && !vf_spread_take(&s, 2));
    vf_spread_sent(&s, p);
    vf_spread_lost(&s, 1);
    CHECK(vf_spread_take(&s, 2) == p);
    CHECK_OK(vf_spread_ack(&s, 1, &err), &err);
    CHECK(memcmp(p->bytes, "abc", 3) == 0);
    vf_spread_sent(&s, p);
    CHECK(!s.piece[0]);
    CHECK_FAIL(vf_spread_ack(&s, 0, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(vf_spread_ack(&s, 2, &err), &err, VF_ERR_PROTOCOL);
    CHECK_FAIL(vf_spread_ack(&s, UINT64_MAX, &err), &err, VF_ERR_PROTOCOL);
    vf_spread_free(&s);
}

TEST(window)
{
    static const uint8_t bytes[1000];
    struct vf_spread s;
    struct vf_error err;

    vf_spread_init(&s, 2500);
    CHECK_OK(vf_spread_add(&s, bytes, 1000, &err), &err);
    CHECK_OK(vf_spread_add(&s, bytes, 1000, &err), &err);
    CHECK(vf_spread_room(&s, 500) && !vf_spread_room(&s, 501));
    CHECK_OK(vf_spread_ack(&s, 1, &err), &err);
    CHECK(vf_spread_room(&s, 1500));
    vf_spread_free(&s);
    for (unsigned i = 0; i < VF_PIECES_OPEN; i++) {
        CHECK(vf_spread_room(&s, 1));
        CHECK_OK(vf_spread_add(&s, bytes, 1, &err), &err);
    }
    CHECK(!vf_spread_room(&s, 1));
    vf_spread_free(&s);
}

TESTS(orders, bounds, fence_missing, any_arrival, ack_while_written, window)
