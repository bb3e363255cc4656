/* Sessions over real pipes and sockets: greeting, order, hostile peers, whole messages, frozen
 * bytes. */
#include "transport/session.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/fdio.h"
#include "tests/lib/check.h"
#include "tests/transport/ends.h"

/* ---- greeting ---- */

static void greeting(bool sock)
{
    struct ends e;

    meet(&e, sock, 0, VF_FOR_CHECK);
    CHECK_EQ_U64(e.hello.version_min, VF_PROTOCOL_MIN);
    CHECK_EQ_U64(e.hello.version_max, VF_PROTOCOL_MAX);
    CHECK_EQ_U64(e.hello.purpose, VF_FOR_CHECK);
    CHECK_STR(e.hello.program, "p");
    CHECK_STR(e.hello.group, "g");
    CHECK_EQ_U64(e.welcome.version, VF_PROTOCOL_MAX);
    CHECK_EQ_U64(e.welcome.window_log, 27);
    CHECK(e.welcome.writable);
    CHECK_STR(e.welcome.node, "b.example");
    CHECK_STR(e.welcome.dir, "/srv");
    CHECK_STR(e.welcome.group, "");
    part(&e);
}

TEST(greets_over_pipes) { greeting(false); }
TEST(greets_over_a_socket) { greeting(true); }

struct receiver_of_versions {
    struct wires w;
    uint16_t min, max;
    struct vf_error err;
    bool ok;
};

static void *receive_versions(void *arg)
{
    struct receiver_of_versions *r = arg;
    struct vf_session_opts o = {.version_min = r->min, .version_max = r->max};
    struct vf_msg_welcome w = some_welcome();
    struct vf_msg_hello h;
    struct vf_stream *st;

    st = vf_session_receiver(r->w.receiver[0], r->w.receiver[1], &o, &h, &r->err);
    r->ok = st && vf_session_welcome(st, &w, &r->err) == 0;
    if (!st)
        return NULL;
    vf_hello_free(&h);
    st->ops->close(st);
    return NULL;
}

/* The version chosen; 0 for none, and then *err and r->err say why. */
static unsigned negotiate(struct receiver_of_versions *r, uint16_t min, uint16_t max,
                          struct vf_error *err)
{
    struct vf_session_opts o = {.version_min = min, .version_max = max};
    struct vf_msg_welcome w = {0};
    struct vf_stream *st;
    unsigned version;
    pthread_t t;

    r->w = wires(false);
    CHECK(pthread_create(&t, NULL, receive_versions, r) == 0);
    st = vf_session_source(r->w.source[0], r->w.source[1], &o, &w, err);
    CHECK(pthread_join(t, NULL) == 0);
    CHECK((st != NULL) == r->ok);
    version = w.version;
    vf_welcome_free(&w);
    if (st)
        st->ops->close(st);
    hang_up(r->w.source);
    hang_up(r->w.receiver);
    return version;
}

TEST(versions)
{
    struct receiver_of_versions r = {.min = 1, .max = 2};
    struct vf_error err;

    CHECK_EQ_U64(negotiate(&r, 1, 3, &err), 2);
    CHECK_EQ_U64(negotiate(&r, 1, 1, &err), 1);
    CHECK_EQ_U64(negotiate(&r, 2, 9, &err), 2);
    CHECK_EQ_U64(negotiate(&r, 3, 9, &err), 0);
    CHECK(err.code == VF_ERR_PROTOCOL && r.err.code == VF_ERR_PROTOCOL);
    CHECK_HAS(err.msg, "far end: no common protocol version");
    CHECK_HAS(err.msg, "3 to 9");
    CHECK_HAS(r.err.msg, "1 to 2");
    r.min = 5;
    r.max = 6;
    CHECK_EQ_U64(negotiate(&r, 1, 4, &err), 0);
    CHECK_HAS(err.msg, "1 to 4");
    CHECK_HAS(err.msg, "5 to 6");
}

static int give_up(void *ctx, struct vf_error *err)
{
    ++*(int *)ctx;
    return vf_error_set(err, VF_ERR_CANCELLED, 0, "interrupted");
}

/* HELLO and OFFER are out before WELCOME is waited for; the wait can be given up. */
TEST(offer_with_the_greeting)
{
    char name[] = "n", format[] = "raw", path[] = "p";
    struct vf_msg_offer offer = {.size = 512 * 77, .name = name, .format = format};
    int asked = 0;
    struct vf_session_opts o = {
        .purpose = VF_FOR_MIGRATE, .offer = &offer, .await = give_up, .await_ctx = &asked};
    struct wires p = wires(false);
    struct vf_stream *source, *receiver;
    struct vf_msg_welcome w = some_welcome();
    struct vf_msg_hello hello;
    struct vf_error err;
    struct vf_msg m;

    CHECK_FAIL(vf_session_source(p.source[0], p.source[1], &o, &w, &err), &err, VF_ERR_CANCELLED);
    CHECK_EQ_I64(asked, 1);
    o = (struct vf_session_opts){0};
    receiver = vf_session_receiver(p.receiver[0], p.receiver[1], &o, &hello, &err);
    CHECK_OK(receiver, &err);
    w = some_welcome();
    CHECK_OK(vf_session_welcome(receiver, &w, &err), &err);
    CHECK_OK(receiver->ops->recv(receiver, &m, &err), &err);
    CHECK(m.type == VF_MSG_OFFER);
    CHECK_EQ_U64(m.offer.size, 512 * 77);
    vf_msg_free(&m);
    m = (struct vf_msg){.type = VF_MSG_ACCEPT, .accept = {.path = path}};
    CHECK_OK(send_msg(receiver, &m, &err), &err);
    receiver->ops->close(receiver);
    vf_hello_free(&hello);
    hang_up(p.source);
    hang_up(p.receiver);
    p = wires(false);
    /* Both answers in one go. */
    say(p.receiver[1], VF_MAGIC, VF_MAGIC_LEN);
    m = (struct vf_msg){.type = VF_MSG_WELCOME, .welcome = some_welcome()};
    m.welcome.version = VF_PROTOCOL_MAX;
    say_msg(p.receiver[1], m);
    say_msg(p.receiver[1], (struct vf_msg){.type = VF_MSG_ACCEPT, .accept = {.path = path}});
    o = (struct vf_session_opts){.purpose = VF_FOR_MIGRATE, .offer = &offer};
    source = vf_session_source(p.source[0], p.source[1], &o, &w, &err);
    CHECK_OK(source, &err);
    CHECK_OK(source->ops->recv(source, &m, &err), &err);
    CHECK(m.type == VF_MSG_ACCEPT);
    vf_msg_free(&m);
    vf_welcome_free(&w);
    source->ops->close(source);
    hang_up(p.source);
    hang_up(p.receiver);
}

/* A far end that chooses what was not offered. */
TEST(version_not_offered)
{
    struct vf_msg m = {.type = VF_MSG_WELCOME, .welcome = some_welcome()};
    struct vf_session_opts o = {0};
    struct vf_msg_welcome w;
    struct wires p = wires(false);
    struct vf_error err;

    m.welcome.version = 7;
    say(p.receiver[1], VF_MAGIC, VF_MAGIC_LEN);
    say_msg(p.receiver[1], m);
    CHECK_FAIL(vf_session_source(p.source[0], p.source[1], &o, &w, &err), &err, VF_ERR_PROTOCOL);
    CHECK_HAS(err.msg, "version 7");
    hang_up(p.source);
    hang_up(p.receiver);
}

/* What a source says of a far end that says this and hangs up (or just stays). */
static void foreign(const void *said, size_t len, bool hangs_up, enum vf_err code, const char *why)
{
    struct vf_session_opts o = {.watchdog_ms = 300};
    struct vf_msg_welcome w;
    struct vf_error err;

    for (unsigned sock = 0; sock < 2; sock++) {
        struct wires p = wires(sock);

        say(p.receiver[1], said, len);
        if (hangs_up)
            hang_up(p.receiver);
        CHECK_FAIL(vf_session_source(p.source[0], p.source[1], &o, &w, &err), &err, code);
        CHECK_HAS(err.msg, why);
        hang_up(p.source);
        if (!hangs_up)
            hang_up(p.receiver);
    }
}

TEST(not_vmferry)
{
    static const char motd[] = "Welcome to Debian 12!\nYou have mail.\n";
    static const char tls[] = "\x15\x03\x01";

    for (unsigned hangs_up = 0; hangs_up < 2; hangs_up++) {
        foreign(motd, sizeof motd - 1, hangs_up, VF_ERR_PROTOCOL,
                "the far end is not vmferry: it said 'Welcome to Debian 12!'");
        foreign("\n\n\x1b[31mhello", 12, hangs_up, VF_ERR_PROTOCOL, "it said '[31mhello'");
        foreign("VMFERRY 2000\n", 13, hangs_up, VF_ERR_PROTOCOL, "it said 'VMFERRY 2000'");
        foreign(tls, 3, hangs_up, VF_ERR_PROTOCOL, "it said nothing readable");
        foreign("VMFERRY\r\nmore", 13, hangs_up, VF_ERR_PROTOCOL, "changes bytes");
    }
    foreign("", 0, true, VF_ERR_UNREACHABLE, "closed the connection before it said who it is");
    foreign("VMFER", 5, true, VF_ERR_UNREACHABLE, "closed the connection before");
    foreign("", 0, false, VF_ERR_TIMEOUT, "nothing was heard");
    foreign("VMFER", 5, false, VF_ERR_TIMEOUT, "nothing was heard");
    foreign("VMFERRY\n", 8, false, VF_ERR_TIMEOUT, "nothing was heard");
    foreign("VMFERRY\n", 8, true, VF_ERR_UNREACHABLE, "the far end closed the connection");
}

/* The same look at who calls. */
TEST(not_a_source)
{
    struct vf_session_opts o = {.watchdog_ms = 300};
    struct wires p = wires(true);
    struct vf_msg_hello h;
    struct vf_error err;

    say(p.source[1], "GET / HTTP/1.1\r\n", 16);
    CHECK_FAIL(vf_session_receiver(p.receiver[0], p.receiver[1], &o, &h, &err), &err,
               VF_ERR_PROTOCOL);
    CHECK_HAS(err.msg, "it said 'GET / HTTP/1.1'");
    hang_up(p.source);
    hang_up(p.receiver);
}

/* ---- a hostile or broken peer ---- */

/* What the receiver says of a source that, after HELLO and its answer, says this. */
static void hostile(enum vf_purpose purpose, const char *hex, enum vf_err code, const char *why)
{
    struct vf_msg_welcome w = some_welcome();
    struct vf_session_opts o = {0};
    struct vf_buf b = VF_BUF_INIT;
    struct wires p = wires(false);
    struct vf_msg_hello h;
    struct vf_stream *st;
    struct vf_error err;
    struct vf_msg m;

    golden_hex(hex, &b);
    say_hello(p.source[1], purpose);
    st = vf_session_receiver(p.receiver[0], p.receiver[1], &o, &h, &err);
    CHECK_OK(st, &err);
    CHECK_OK(vf_session_welcome(st, &w, &err), &err);
    say(p.source[1], b.data, b.len);
    hang_up(p.source);
    CHECK_FAIL(st->ops->recv(st, &m, &err), &err, code);
    CHECK_HAS(err.msg, why);
    /* It stays as it is. */
    CHECK_FAIL(st->ops->recv(st, &m, &err), &err, code);
    CHECK_HAS(err.msg, why);
    st->ops->close(st);
    vf_hello_free(&h);
    vf_buf_free(&b);
    hang_up(p.receiver);
}

TEST(hostile_source)
{
    hostile(VF_FOR_MIGRATE, "ff00000000", VF_ERR_PROTOCOL, "unknown type 255");
    hostile(VF_FOR_MIGRATE, "00", VF_ERR_PROTOCOL, "unknown type 0");
    hostile(VF_FOR_MIGRATE, "0affffffff", VF_ERR_PROTOCOL, "4294967295 bytes");
    hostile(VF_FOR_MIGRATE, "0901000400", VF_ERR_PROTOCOL, "DATA of 262145 bytes");
    hostile(VF_FOR_MIGRATE, "0901000000aa", VF_ERR_PROTOCOL, "DATA before OFFER");
    hostile(VF_FOR_MIGRATE, "02ffff0000", VF_ERR_PROTOCOL, "WELCOME of 65535");
    hostile(VF_FOR_MIGRATE, "0201000000", VF_ERR_PROTOCOL, "WELCOME from the source");
    hostile(VF_FOR_MIGRATE, "0100000000", VF_ERR_PROTOCOL, "HELLO before OFFER");
    hostile(VF_FOR_CHECK, "0300000000", VF_ERR_PROTOCOL, "OFFER does not belong");
    hostile(VF_FOR_MIGRATE, "13080000000000000000000000", VF_ERR_PROTOCOL, "PONG without PING");
    hostile(VF_FOR_MIGRATE, "0302000000ffff", VF_ERR_PROTOCOL, "malformed OFFER");
    hostile(VF_FOR_MIGRATE, "0305000000", VF_ERR_UNREACHABLE, "in the middle of a message");
    hostile(VF_FOR_MIGRATE, "03050000", VF_ERR_UNREACHABLE, "in the middle of a message");
    hostile(VF_FOR_MIGRATE, "03", VF_ERR_UNREACHABLE, "in the middle of a message");
    hostile(VF_FOR_MIGRATE, "", VF_ERR_UNREACHABLE, "the far end closed the connection");
    hostile(VF_FOR_MIGRATE, "1104000000 04 026e6f", VF_ERR_SPACE, "far end: no");
    hostile(VF_FOR_MIGRATE, "1104000000 00 026e6f", VF_ERR_PROTOCOL, "far end: no");
    hostile(VF_FOR_MIGRATE, "1104000000 c8 026e6f", VF_ERR_PROTOCOL, "far end: no");
}

/* What the peer would refuse is refused here. */
TEST(own_order)
{
    struct vf_msg m = {.type = VF_MSG_RECHECK};
    struct vf_error err;
    struct ends e;

    meet(&e, false, 0, VF_FOR_MIGRATE);
    CHECK_FAIL(send_msg(e.source, &m, &err), &err, VF_ERR_PROTOCOL);
    CHECK_HAS(err.msg, "cannot send: RECHECK from the source");
    start_work(&e);
    m = (struct vf_msg){.type = VF_MSG_BATCH, .batch = {0, {5, 5}}};
    CHECK_FAIL(send_msg(e.source, &m, &err), &err, VF_ERR_PROTOCOL);
    m.batch.range.n = 0;
    CHECK_FAIL(send_msg(e.source, &m, &err), &err, VF_ERR_RANGE);
    m.batch.range = (struct vf_run){0, 5};
    across(e.source, e.receiver, &m); /* the session is as good as before */
    part(&e);
}

/* ---- many senders, counters, long messages ---- */

#define SENDERS 4u
#define EACH    60u

struct sender {
    struct vf_stream *st;
    uint8_t id;
    uint64_t bytes;
};

static void *send_marked(void *arg)
{
    struct sender *s = arg;
    struct rng r = {s->id};

    for (unsigned i = 0; i < EACH; i++) {
        struct vf_msg m = sample_msg(VF_MSG_DATA, i, 2 + rng_num(&r, i % 10 ? 5000 : 200000));
        struct vf_error err;

        memset(m.data.bytes, s->id, m.data.len);
        m.data.bytes[0] = (uint8_t)i;
        s->bytes += VF_FRAME_HEAD + m.data.len;
        CHECK_OK(send_msg(s->st, &m, &err), &err);
        vf_msg_free(&m);
    }
    return NULL;
}

static void many_senders(bool sock)
{
    unsigned seen[SENDERS] = {0};
    struct sender s[SENDERS];
    struct vf_stream_stats a, b;
    pthread_t t[SENDERS];
    uint64_t sum = 0;
    struct ends e;

    meet(&e, sock, 0, VF_FOR_MIGRATE);
    start_work(&e);
    for (unsigned i = 0; i < SENDERS; i++) {
        s[i] = (struct sender){e.source, (uint8_t)i, 0};
        CHECK(pthread_create(&t[i], NULL, send_marked, &s[i]) == 0);
    }
    for (unsigned i = 0; i < SENDERS * EACH; i++) {
        struct vf_error err;
        struct vf_msg m;
        uint8_t id;

        CHECK_OK(e.receiver->ops->recv(e.receiver, &m, &err), &err);
        id = m.data.bytes[1];
        CHECK(id < SENDERS);
        CHECK_EQ_U64(m.data.bytes[0], seen[id]++);
        for (size_t k = 1; k < m.data.len; k++)
            CHECK(m.data.bytes[k] == id);
        vf_msg_free(&m);
    }
    for (unsigned i = 0; i < SENDERS; i++) {
        CHECK(pthread_join(t[i], NULL) == 0);
        sum += s[i].bytes;
    }
    e.source->ops->stats(e.source, &a);
    e.receiver->ops->stats(e.receiver, &b);
    CHECK_EQ_U64(a.sent_data, sum);
    CHECK_EQ_U64(a.sent, b.received);
    CHECK_EQ_U64(a.received, b.sent);
    CHECK_EQ_U64(b.sent_data, 0);
    part(&e);
}

TEST(many_senders_over_pipes) { many_senders(false); }
TEST(many_senders_over_a_socket) { many_senders(true); }

static void *send_counts(void *arg)
{
    struct vf_stream *st = arg;
    struct vf_msg m = sample_msg(VF_MSG_COUNTS, 3, 60000);
    struct vf_error err;

    CHECK_OK(send_msg(st, &m, &err), &err);
    vf_msg_free(&m);
    return NULL;
}

/* Longer than the input buffer. */
TEST(long_message)
{
    struct vf_msg m = {.type = VF_MSG_END}, want = sample_msg(VF_MSG_COUNTS, 3, 60000);
    char name[] = "n", path[] = "p";
    struct vf_error err;
    struct ends e;
    pthread_t t;

    meet(&e, false, 0, VF_FOR_COUNT);
    m = (struct vf_msg){.type = VF_MSG_OFFER, .offer = {.name = name, .format = path}};
    across(e.source, e.receiver, &m);
    m = (struct vf_msg){.type = VF_MSG_ACCEPT, .accept = {.path = path}};
    across(e.receiver, e.source, &m);
    m = (struct vf_msg){.type = VF_MSG_END};
    across(e.source, e.receiver, &m);
    CHECK(pthread_create(&t, NULL, send_counts, e.receiver) == 0);
    CHECK_OK(e.source->ops->recv(e.source, &m, &err), &err);
    check_same_msg(&want, &m);
    CHECK(pthread_join(t, NULL) == 0);
    vf_msg_free(&m);
    vf_msg_free(&want);
    part(&e);
}

/* What the source had sent when it did not know of the RESULT is no error, and nobody's concern. */
TEST(late_messages)
{
    struct vf_msg data = sample_msg(VF_MSG_DATA, 1, 1000), result = {.type = VF_MSG_RESULT};
    struct vf_error err;
    struct vf_msg m;
    struct ends e;

    meet(&e, true, 0, VF_FOR_MIGRATE);
    start_work(&e);
    CHECK_OK(send_msg(e.source, &data, &err), &err);
    CHECK_OK(send_msg(e.receiver, &result, &err), &err);
    CHECK_OK(e.source->ops->recv(e.source, &m, &err), &err);
    vf_msg_free(&m);
    e.source->ops->close(e.source);
    e.source = NULL;
    hang_up(e.w.source);
    CHECK_FAIL(e.receiver->ops->recv(e.receiver, &m, &err), &err, VF_ERR_UNREACHABLE);
    CHECK_STR(err.msg, "the far end closed the connection");
    vf_msg_free(&data);
    part(&e);
}

/* Descriptors may be shared with others: they are left as they were found. */
TEST(flags_restored)
{
    struct ends e;
    int flags;

    for (unsigned sock = 0; sock < 2; sock++) {
        meet(&e, sock, 0, VF_FOR_CHECK);
        CHECK(fcntl(e.w.source[0], F_GETFL) & O_NONBLOCK);
        e.source->ops->close(e.source);
        e.source = NULL;
        for (unsigned i = 0; i < 2; i++) {
            flags = fcntl(e.w.source[i], F_GETFL);
            CHECK(flags >= 0 && !(flags & O_NONBLOCK));
        }
        part(&e);
    }
}

TEST(bad_descriptor)
{
    struct vf_session_opts o = {0};
    struct vf_msg_welcome w;
    struct vf_error err;

    CHECK(vf_session_source(-1, -1, &o, &w, &err) == NULL);
    CHECK(err.code != VF_ERR_NONE);
}

/* ---- the frozen bytes ---- */

/* One end goes through the conversation; the other end's bytes are there from the start.  What it
 * says must be the frozen bytes. */
static void play(enum golden g, enum vf_side side)
{
    struct vf_buf b[2] = {VF_BUF_INIT, VF_BUF_INIT};
    struct wires p = wires(false);
    int *me = side == VF_SIDE_SOURCE ? p.source : p.receiver;
    int *raw = side == VF_SIDE_SOURCE ? p.receiver : p.source;
    struct vf_session_opts o = {.program = "vmferry 0.1.0", .group = "web"};
    struct vf_msg_welcome w = {0};
    struct vf_msg_hello h = {0};
    struct vf_stream *st = NULL;
    struct vf_msg m, got;
    struct vf_error err;
    enum vf_side from;
    uint8_t *said;

    golden_read(g, b);
    o.purpose = g == GOLDEN_MIGRATE   ? VF_FOR_MIGRATE
                : g == GOLDEN_SUMMARY ? VF_FOR_SUMMARY
                : g == GOLDEN_TUNNEL  ? VF_FOR_TUNNEL
                                      : VF_FOR_COUNT;
    say(raw[1], b[!side].data, b[!side].len);
    for (unsigned i = 0; golden_msg(g, i, &from, &m); i++) {
        if (m.type == VF_MSG_HELLO) {
            if (side == VF_SIDE_RECEIVER)
                CHECK_OK(st = vf_session_receiver(me[0], me[1], &o, &h, &err), &err);
        } else if (m.type == VF_MSG_WELCOME) {
            if (side == VF_SIDE_SOURCE)
                CHECK_OK(st = vf_session_source(me[0], me[1], &o, &w, &err), &err);
            else
                CHECK_OK(vf_session_welcome(st, &m.welcome, &err), &err);
        } else if (m.type == VF_MSG_PING || m.type == VF_MSG_PONG) {
            if (from == side && m.type == VF_MSG_PING)
                CHECK_OK(send_msg(st, &m, &err), &err);
        } else if (from == side) {
            CHECK_OK(send_msg(st, &m, &err), &err);
        } else {
            CHECK_OK(st->ops->recv(st, &got, &err), &err);
            check_same_msg(&m, &got);
            vf_msg_free(&got);
        }
        vf_msg_free(&m);
    }
    said = room(b[side].len, 1);
    for (size_t at = 0; at < b[side].len;) {
        long n = vf_read_some(raw[0], said + at, b[side].len - at, &err);

        CHECK(n > 0);
        at += (size_t)n;
    }
    if (g != GOLDEN_MIGRATE || side == VF_SIDE_SOURCE) /* when it says PONG is not fixed */
        CHECK_MEM(said, b[side].data, b[side].len);
    st->ops->close(st);
    free(said);
    vf_hello_free(&h);
    vf_welcome_free(&w);
    vf_buf_free(&b[0]);
    vf_buf_free(&b[1]);
    hang_up(p.source);
    hang_up(p.receiver);
}

TEST(golden_source)
{
    play(GOLDEN_MIGRATE, VF_SIDE_SOURCE);
    play(GOLDEN_COUNT, VF_SIDE_SOURCE);
    play(GOLDEN_SUMMARY, VF_SIDE_SOURCE);
    play(GOLDEN_TUNNEL, VF_SIDE_SOURCE);
}

TEST(golden_receiver)
{
    play(GOLDEN_MIGRATE, VF_SIDE_RECEIVER);
    play(GOLDEN_COUNT, VF_SIDE_RECEIVER);
    play(GOLDEN_SUMMARY, VF_SIDE_RECEIVER);
    play(GOLDEN_TUNNEL, VF_SIDE_RECEIVER);
}

TESTS(greets_over_pipes, greets_over_a_socket, versions, version_not_offered,
      offer_with_the_greeting, not_vmferry, not_a_source, hostile_source, own_order,
      many_senders_over_pipes, many_senders_over_a_socket, long_message, late_messages,
      flags_restored, bad_descriptor, golden_source, golden_receiver)
