/* One migration over several connections: content and order are those of one, whatever becomes of
 * the further ones. */
#include "transport/session.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/ratelimit.h"
#include "tests/lib/check.h"
#include "tests/transport/ends.h"
#include "transport/gather.h"
#include "transport/join.h"
#include "transport/link.h"

/* ---- a connection to the far end: through a relay that can cut or stall it ---- */

enum fate { LIVES, CUT, STALLS };

struct wire {
    struct net *net;
    int near, mid[2]; /* the source's end; the relay's two ends */
    int far;          /* the far end's */
    uint64_t life;    /* bytes from the source until its fate comes */
    enum fate fate;
    pthread_t relay, far_end;
};

#define WIRES 64

struct net {
    int store_fd;
    enum fate fate;
    uint64_t least, most; /* bytes until then */
    unsigned wait;        /* for so many connections before DATA is sent */
    atomic_uint up;
    _Atomic uint64_t passed;      /* bytes from the source over further connections */
    unsigned refuse;              /* so many first tries to open fail */
    char token[VF_TOKEN_LEN + 1]; /* not empty: what is used instead of the right one */
    pthread_mutex_t lock;
    struct rng r;
    unsigned n;
    struct wire *wire[WIRES];
};

/* What the second `serve` does. */
static void *far_end(void *arg)
{
    struct wire *w = arg;
    struct vf_msg_link link = {0};
    struct vf_session_opts o = {.ret_link = &link};
    struct vf_msg_hello hello;
    struct vf_error err;
    struct vf_stream *st = vf_session_receiver(w->far, w->far, &o, &hello, &err);
    struct vf_msg m = {.type = VF_MSG_LINK};
    int sock;

    if (st) {
        sock = vf_join_connect(w->net->store_fd, link.token, &err);
        if (sock < 0)
            vf_stream_fail(st, &err);
        st->ops->close(st);
        if (sock >= 0 && vf_join_hand_over(sock, link.number, w->far, w->far, NULL, &err) < 0)
            CHECK(err.msg[0]);
        vf_close_fd(&sock);
    }
    m.link = link;
    vf_msg_free(&m);
    vf_close_fd(&w->far);
    return NULL;
}

static bool copy_some(int from, int to, uint64_t max, uint64_t *ret)
{
    static _Thread_local uint8_t bytes[65536];
    struct vf_error err;
    ssize_t n = read(from, bytes, max < sizeof bytes ? (size_t)max : sizeof bytes);

    if (n <= 0 || vf_write_full(to, bytes, (size_t)n, &err) < 0)
        return false;
    *ret += (uint64_t)n;
    return true;
}

static void *relay(void *arg)
{
    struct wire *w = arg;
    uint64_t passed = 0, back = 0;

    for (;;) {
        struct pollfd p[2] = {{w->mid[0], POLLIN, 0}, {w->mid[1], POLLIN, 0}};

        if (passed >= w->life && w->fate == CUT)
            break;
        if (passed >= w->life) { /* stalls: only the end is noticed */
            p[0].events = p[1].events = 0;
            if (poll(p, 2, 10) > 0)
                break;
            continue;
        }
        if (poll(p, 2, -1) <= 0)
            continue;
        if (p[0].revents && !copy_some(w->mid[0], w->mid[1], w->life - passed, &passed))
            break;
        if (p[1].revents && !copy_some(w->mid[1], w->mid[0], UINT64_MAX, &back))
            break;
    }
    atomic_fetch_add(&w->net->passed, passed);
    vf_close_fd(&w->mid[0]); /* with all that was on the way */
    vf_close_fd(&w->mid[1]);
    return NULL;
}

static int open_wire(void *ctx, bool (*stopped)(void *), void *arg, int *ret_rfd, int *ret_wfd,
                     void **ret_conn, struct vf_error *err)
{
    struct net *net = ctx;
    struct wire *w;
    int a[2], b[2];
    bool refuse;

    (void)stopped(arg);
    pthread_mutex_lock(&net->lock);
    refuse = net->refuse > 0;
    net->refuse -= refuse;
    w = refuse ? NULL : room(1, sizeof *w);
    if (w) {
        w->fate = net->fate;
        w->life =
            w->fate == LIVES ? UINT64_MAX : net->least + rng_below(&net->r, net->most - net->least);
        CHECK(net->n < WIRES);
        net->wire[net->n++] = w;
    }
    pthread_mutex_unlock(&net->lock);
    if (!w)
        return vf_error_set(err, VF_ERR_UNREACHABLE, 0, "nobody there");
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b) == 0);
    w->net = net;
    w->near = a[0];
    w->mid[0] = a[1];
    w->mid[1] = b[0];
    w->far = b[1];
    CHECK(pthread_create(&w->relay, NULL, relay, w) == 0);
    CHECK(pthread_create(&w->far_end, NULL, far_end, w) == 0);
    *ret_rfd = *ret_wfd = w->near;
    *ret_conn = w;
    return 0;
}

static void count_up(void *ctx, const char *text)
{
    struct net *net = ctx;

    atomic_fetch_add(&net->up, strstr(text, "is up") != NULL);
}

static void close_wire(void *ctx, void *conn)
{
    struct wire *w = conn;

    (void)ctx;
    vf_close_fd(&w->near);
}

static void net_end(struct net *net)
{
    for (unsigned i = 0; i < net->n; i++) {
        CHECK(pthread_join(net->wire[i]->relay, NULL) == 0);
        CHECK(pthread_join(net->wire[i]->far_end, NULL) == 0);
        free(net->wire[i]);
    }
    pthread_mutex_destroy(&net->lock);
    vf_close_fd(&net->store_fd);
}

/* ---- a conversation ---- */

#define MESSAGES 700
#define SEED     4711

struct talk {
    struct ends e;
    struct net net;
    unsigned links;
    pthread_mutex_t lock; /* guards open and the counts */
    pthread_cond_t moved;
    unsigned open;
    uint64_t bytes;
};

/* The i-th message, the same on both sides: DATA, or a BATCH of one block. */
static struct vf_msg script(unsigned i, unsigned *batch, uint8_t *room_for_data)
{
    struct rng r = {SEED + i * 77ull};
    struct vf_msg m = {.type = VF_MSG_BATCH};

    if (i == 0 || rng_below(&r, 3) == 0) {
        m.batch = (struct vf_msg_batch){*batch, {*batch, 1}};
        ++*batch;
        return m;
    }
    m.type = VF_MSG_DATA;
    m.data.len = 1 + rng_below(&r, rng_below(&r, 4) ? VF_MAX_DATA : 1000);
    m.data.bytes = room_for_data;
    memset(room_for_data, (int)(i * 31), m.data.len);
    memcpy(room_for_data, &i, sizeof i < m.data.len ? sizeof i : m.data.len);
    return m;
}

static void *receive(void *arg)
{
    struct talk *t = arg;
    struct vf_stream *st = t->e.receiver;
    struct vf_msg done = {.type = VF_MSG_DONE}, result = {.type = VF_MSG_RESULT}, m;
    uint8_t *data = room(VF_MAX_DATA, 1);
    struct vf_error err;
    unsigned batch = 0;

    for (unsigned i = 0; i < MESSAGES; i++) {
        struct vf_msg want = script(i, &batch, data);

        CHECK_OK(st->ops->recv(st, &m, &err), &err);
        check_same_msg(&want, &m);
        if (m.type == VF_MSG_BATCH) {
            done.done.batch = m.batch.batch;
            CHECK_OK(send_msg(st, &done, &err), &err);
        }
        vf_msg_free(&m);
    }
    free(data);
    CHECK_OK(send_msg(st, &result, &err), &err);
    CHECK_FAIL(st->ops->recv(st, &m, &err), &err, VF_ERR_UNREACHABLE);
    return NULL;
}

static void *hear(void *arg)
{
    struct talk *t = arg;
    struct vf_stream *st = t->e.source;
    struct vf_error err;
    struct vf_msg m;
    bool over = false;

    while (!over) {
        CHECK_OK(st->ops->recv(st, &m, &err), &err);
        over = m.type == VF_MSG_RESULT;
        pthread_mutex_lock(&t->lock);
        t->open--;
        pthread_cond_signal(&t->moved);
        pthread_mutex_unlock(&t->lock);
        vf_msg_free(&m);
    }
    return NULL;
}

static void speak(struct talk *t)
{
    uint8_t *data = room(VF_MAX_DATA, 1);
    struct vf_error err;
    unsigned batch = 0;

    for (unsigned i = 0; i < MESSAGES; i++) {
        struct vf_msg m = script(i, &batch, data);

        if (m.type == VF_MSG_BATCH) {
            pthread_mutex_lock(&t->lock);
            while (t->open == VF_BATCHES_OPEN)
                pthread_cond_wait(&t->moved, &t->lock);
            t->open++;
            pthread_mutex_unlock(&t->lock);
        } else {
            t->bytes += m.data.len;
        }
        CHECK_OK(send_msg(t->e.source, &m, &err), &err);
    }
    free(data);
}

static void *welcome_with_links(void *arg)
{
    struct talk *t = arg;
    struct ends *e = &t->e;
    struct vf_msg_welcome w = some_welcome();
    struct vf_join *j;
    struct vf_error err;

    e->receiver =
        vf_session_receiver(e->w.receiver[0], e->w.receiver[1], &e->opts, &e->hello, &err);
    CHECK_OK(e->receiver, &err);
    j = vf_join_listen(t->net.store_fd, &err);
    CHECK_OK(j, &err);
    CHECK_OK(vf_session_take_links(e->receiver, j, &w, &err), &err);
    CHECK_OK(vf_session_welcome(e->receiver, &w, &err), &err);
    return NULL;
}

static void begin(struct talk *t, unsigned watchdog_ms)
{
    struct vf_links_opts links = {
        .links = t->links, .ctx = &t->net, .open = open_wire, .close = close_wire, .say = count_up};
    struct vf_error err;
    pthread_t th;

    t->net.store_fd = open(vf_test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(t->net.store_fd >= 0);
    pthread_mutex_init(&t->net.lock, NULL);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->moved, NULL);
    t->e.w = wires(true);
    t->e.opts.watchdog_ms = watchdog_ms;
    t->e.opts.purpose = VF_FOR_MIGRATE;
    CHECK(pthread_create(&th, NULL, welcome_with_links, t) == 0);
    t->e.source =
        vf_session_source(t->e.w.source[0], t->e.w.source[1], &t->e.opts, &t->e.welcome, &err);
    CHECK_OK(t->e.source, &err);
    CHECK(pthread_join(th, NULL) == 0);
    start_work(&t->e);
    if (t->net.token[0])
        memcpy(t->e.welcome.token, t->net.token, VF_TOKEN_LEN);
    CHECK_OK(vf_session_spread(t->e.source, &t->e.welcome, &links, &err), &err);
}

static void finish(struct talk *t)
{
    t->e.source->ops->close(t->e.source);
    t->e.source = NULL;
    hang_up(t->e.w.source);
}

static void clean(struct talk *t)
{
    part(&t->e);
    net_end(&t->net);
    pthread_cond_destroy(&t->moved);
    pthread_mutex_destroy(&t->lock);
}

static void converse(struct talk *t, unsigned watchdog_ms)
{
    struct vf_stream_stats a, b;
    pthread_t th[2];

    begin(t, watchdog_ms);
    while (atomic_load(&t->net.up) < t->net.wait)
        nap(2);
    CHECK(pthread_create(&th[0], NULL, receive, t) == 0);
    CHECK(pthread_create(&th[1], NULL, hear, t) == 0);
    speak(t);
    CHECK(pthread_join(th[1], NULL) == 0);
    t->e.source->ops->stats(t->e.source, &a);
    CHECK(t->bytes > 40u << 20);
    CHECK(a.sent_data >= t->bytes && a.sent >= a.sent_data);
    finish(t);
    CHECK(pthread_join(th[0], NULL) == 0);
    t->e.receiver->ops->stats(t->e.receiver, &b);
    CHECK(b.received >= t->bytes);
    clean(t);
    printf("# %u links: %u opened, %u up, %u %% over them\n", t->links, t->net.n,
           atomic_load(&t->net.up), (unsigned)(atomic_load(&t->net.passed) * 100 / t->bytes));
}

TEST(several)
{
    for (unsigned links = 1; links <= 8; links *= 2) {
        struct talk t = {.links = links, .net.wait = links - 1};

        converse(&t, 20000);
        CHECK_EQ_U64(t.net.n, links - 1);
        CHECK(links == 1 || atomic_load(&t.net.passed) > t.bytes / 8);
    }
}

/* Links break at any byte, those that replace them too. */
TEST(cut)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct talk t = {.links = seed % 3 ? 8 : 2};

        t.net.fate = CUT;
        t.net.wait = seed % 4 ? t.links / 2 : 0;
        t.net.r.state = seed;
        t.net.least = seed % 4 ? 60 : 0; /* 0: before it is taken as well */
        t.net.most = seed % 2 ? 6u << 20 : 600000;
        converse(&t, 20000);
        CHECK(t.net.n >= t.links - 1);
    }
}

/* Slow enough that links which broke are opened again while there is still something to send. */
TEST(opened_again)
{
    struct talk t = {.links = 3};
    struct vf_error err;
    struct vf_ratelimit *rate = vf_ratelimit_new(20000000, &err);
    int64_t start = vf_clock_ms();

    CHECK_OK(rate, &err);
    t.e.opts.ratelimit = rate;
    t.net.fate = CUT;
    t.net.r.state = 9;
    t.net.least = 1u << 20;
    t.net.most = 4u << 20;
    t.net.wait = 2;
    converse(&t, 20000);
    CHECK(t.net.n > 2); /* the limit holds for all together: */
    CHECK(vf_clock_ms() - start >= (int64_t)(t.bytes / 20000) - 500);
    vf_ratelimit_free(rate);
}

/* Links that stay open and move nothing: the watchdog finds out. */
TEST(stall)
{
    struct talk t = {.links = 3};

    t.net.fate = STALLS;
    t.net.wait = 2;
    t.net.r.state = 5;
    t.net.least = 100000;
    t.net.most = 3u << 20;
    converse(&t, 1500);
}

TEST(not_to_be_had)
{
    struct talk t = {.links = 4, .net.refuse = 100};

    converse(&t, 20000);
    CHECK_EQ_U64(t.net.n, 0);
    t = (struct talk){.links = 4, .net.refuse = 2};
    converse(&t, 20000);
    CHECK(t.net.n >= 1);
}

TEST(wrong_token)
{
    struct talk t = {.links = 3, .net.token = "0123456789abcdef0123456789abcdef"};

    converse(&t, 20000);
    CHECK(t.net.n >= 2);
}

/* By itself the session has one connection as long as nothing is slow. */
TEST(automatic)
{
    struct talk t = {.links = 0};

    converse(&t, 20000);
}

/* The receiver's program dies or gives up with all links in use. */
static void *take_a_few(void *arg)
{
    struct talk *t = arg;
    struct vf_stream *st = t->e.receiver;
    struct vf_error err;
    struct vf_msg m;

    for (unsigned i = 0; i < 100; i++) {
        CHECK_OK(st->ops->recv(st, &m, &err), &err);
        vf_msg_free(&m);
    }
    (void)vf_error_set(&err, VF_ERR_SPACE, 0, "disk full");
    vf_stream_fail(st, &err);
    return NULL;
}

static void *hear_the_end(void *arg)
{
    struct talk *t = arg;
    struct vf_stream *st = t->e.source;
    struct vf_error err;
    struct vf_msg m;

    CHECK_FAIL(st->ops->recv(st, &m, &err), &err, VF_ERR_SPACE);
    CHECK_STR(err.msg, "far end: disk full");
    st->ops->cancel(st); /* as the engine does */
    return NULL;
}

TEST(receiver_fails)
{
    struct talk t = {.links = 4};
    uint8_t *data = room(VF_MAX_DATA, 1);
    struct vf_msg m = {.type = VF_MSG_DATA, .data = {VF_MAX_DATA, data}};
    struct vf_error err;
    pthread_t th[2];

    begin(&t, 20000);
    CHECK(pthread_create(&th[0], NULL, take_a_few, &t) == 0);
    CHECK(pthread_create(&th[1], NULL, hear_the_end, &t) == 0);
    while (send_msg(t.e.source, &m, &err) == 0)
        ;
    CHECK(err.code == VF_ERR_CANCELLED);
    CHECK(pthread_join(th[0], NULL) == 0 && pthread_join(th[1], NULL) == 0);
    free(data);
    clean(&t);
}

/* Nobody takes anything: what waits is bounded, and cancel ends it. */
TEST(bounded)
{
    struct talk t = {.links = 3};
    uint8_t *data = room(VF_MAX_DATA, 1);
    struct vf_msg m = {.type = VF_MSG_DATA, .data = {VF_MAX_DATA, data}};
    struct vf_error err;
    uint64_t sent = 0;

    begin(&t, 300); /* patience is ten times that */
    while (send_msg(t.e.source, &m, &err) == 0)
        sent += VF_MAX_DATA;
    CHECK(err.code == VF_ERR_TIMEOUT || err.code == VF_ERR_UNREACHABLE);
    CHECK(sent <= VF_LINKS_WINDOW + (8u << 20));
    free(data);
    clean(&t);
}

/* ---- hostile peers ---- */

static bool never(void *arg)
{
    (void)arg;
    return false;
}

/* A further connection that was taken, whose source is raw. */
static int raw_link(struct talk *t)
{
    struct vf_msg m = {.type = VF_MSG_LINK, .link = {1, t->e.welcome.token}};
    uint8_t got[VF_MAGIC_LEN + VF_FRAME_HEAD + 1];
    void *conn = NULL;
    struct vf_error err;
    size_t have = 0;
    int fd, wfd;

    CHECK_OK(open_wire(&t->net, never, NULL, &fd, &wfd, &conn, &err), &err);
    say(fd, VF_MAGIC, VF_MAGIC_LEN);
    say_msg(fd, m);
    while (have < sizeof got) {
        ssize_t n = read(fd, got + have, sizeof got - have);

        CHECK(n > 0);
        have += (size_t)n;
    }
    CHECK_EQ_U64(got[VF_MAGIC_LEN], VF_MSG_ACK);
    return fd;
}

static void hostile_link(const char *hex, const char *why)
{
    struct talk t = {.links = 1};
    struct vf_buf b = VF_BUF_INIT;
    struct vf_error err;
    struct vf_msg m;
    int fd;

    begin(&t, 20000);
    fd = raw_link(&t);
    golden_hex(hex, &b);
    say(fd, b.data, b.len);
    CHECK_FAIL(t.e.receiver->ops->recv(t.e.receiver, &m, &err), &err, VF_ERR_PROTOCOL);
    CHECK_HAS(err.msg, why);
    vf_buf_free(&b);
    vf_close_fd(&fd);
    clean(&t);
}

TEST(hostile_links)
{
    hostile_link("0901000000aa", "DATA on a further connection");
    hostile_link("0100000000", "HELLO on a further connection");
    hostile_link("1701000000 00", "ACK on a further connection");
    hostile_link("15ffffffff", "4294967295 bytes");
    hostile_link("15 02000000 00 00", "malformed PIECE");
    hostile_link("15 04000000 8008 00 aa", "window");
    hostile_link("ff", "unknown type");
    hostile_link("15 03000000 00 00 aa", "FENCE"); /* OFFER was sent after it */
}

/* The same on the first connection. */
static void hostile_first(const char *hex, const char *why, bool links)
{
    struct vf_buf b = VF_BUF_INIT;
    struct talk t = {.links = 1};
    struct vf_error err;
    struct vf_msg m;

    if (links) {
        begin(&t, 20000);
    } else {
        meet(&t.e, true, 20000, VF_FOR_MIGRATE);
        start_work(&t.e);
    }
    golden_hex(hex, &b);
    say(t.e.w.source[1], b.data, b.len);
    CHECK_FAIL(t.e.receiver->ops->recv(t.e.receiver, &m, &err), &err, VF_ERR_PROTOCOL);
    CHECK_HAS(err.msg, why);
    vf_buf_free(&b);
    if (links)
        clean(&t);
    else
        part(&t.e);
}

TEST(hostile_source)
{
    hostile_first("15 03000000 00 00 aa", "without further connections", false);
    hostile_first("16 01000000 01", "without further connections", false);
    hostile_first("15 04000000 8008 00 aa", "window", true);
    hostile_first("16 01000000 00", "nothing new", true);
    hostile_first("16 02000000 8110", "window", true);
    hostile_first(
        "14 22000000 00 20 3031323334353637383961626364656630313233343536373839616263646566",
        "LINK during", true);
}

/* ACKs that a receiver must not send. */
TEST(hostile_receiver)
{
    struct talk t = {.links = 2};
    struct vf_msg ack = {.type = VF_MSG_ACK, .ack = {1}};
    struct vf_error err;
    struct vf_msg m;
    struct ends e;

    begin(&t, 20000);
    say_msg(t.e.w.receiver[1], ack);
    CHECK_FAIL(t.e.source->ops->recv(t.e.source, &m, &err), &err, VF_ERR_PROTOCOL);
    CHECK_HAS(err.msg, "ACK of what was not sent");
    clean(&t);
    meet(&e, true, 20000, VF_FOR_MIGRATE);
    start_work(&e);
    say_msg(e.w.receiver[1], ack);
    CHECK_FAIL(e.source->ops->recv(e.source, &m, &err), &err, VF_ERR_PROTOCOL);
    CHECK_HAS(err.msg, "without further connections");
    part(&e);
}

/* A LINK where it cannot be taken. */
TEST(refused_links)
{
    static char token[] = "0123456789abcdef0123456789abcdef";
    struct vf_msg m = {.type = VF_MSG_LINK, .link = {1, token}};
    struct vf_msg_link link = {0};
    struct vf_session_opts o = {0};
    struct vf_msg_hello hello;
    struct vf_error err;

    for (unsigned how = 0; how < 2; how++) {
        struct wires w = wires(true);
        struct vf_buf b = VF_BUF_INIT;

        o.ret_link = how ? &link : NULL;
        say(w.source[1], VF_MAGIC, VF_MAGIC_LEN);
        golden_frame(&m, &b);
        CHECK_OK(vf_buf_u8(&b, 1, &err), &err); /* bytes behind it cannot be handed over */
        say(w.source[1], b.data, b.len);
        CHECK(!vf_session_receiver(w.receiver[0], w.receiver[1], &o, &hello, &err));
        CHECK(err.code == (how ? VF_ERR_PROTOCOL : VF_ERR_UNSUPPORTED));
        CHECK(!link.token);
        vf_buf_free(&b);
        hang_up(w.source);
        hang_up(w.receiver);
    }
}

TESTS(several, cut, opened_again, stall, not_to_be_had, wrong_token, automatic, receiver_fails,
      bounded, hostile_links, hostile_source, hostile_receiver, refused_links)
