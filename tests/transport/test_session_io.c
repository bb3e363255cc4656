/* Sessions in use: watchdog, keepalive, cancelling, failing, broken links. */
#include "transport/session.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/check.h"
#include "tests/transport/ends.h"
#include "transport/session_impl.h"

/* ---- silence and stalls ---- */

/* No one may be kept waiting for bytes that were announced, nor for any others. */
TEST(silent_peer)
{
    struct vf_error err;
    struct vf_msg m;
    struct ends e;

    meet_raw(&e, false, 200);
    CHECK_FAIL(e.source->ops->recv(e.source, &m, &err), &err, VF_ERR_TIMEOUT);
    part(&e);
    meet_raw(&e, true, 200);
    say(e.w.receiver[1], "\x11\xff", 2);
    CHECK_FAIL(e.source->ops->recv(e.source, &m, &err), &err, VF_ERR_TIMEOUT);
    part(&e);
}

static int send_much(struct vf_stream *st, struct vf_error *err)
{
    struct vf_msg m = sample_msg(VF_MSG_DATA, 1, VF_MAX_DATA);
    int rc = 0;

    while (rc == 0)
        rc = send_msg(st, &m, err);
    vf_msg_free(&m);
    return rc;
}

static void offer_raw(struct ends *e)
{
    char name[] = "n";
    struct vf_msg m = {.type = VF_MSG_OFFER, .offer = {.size = 1 << 20, .name = name}};
    struct vf_msg a = {.type = VF_MSG_ACCEPT};
    struct vf_error err;

    CHECK_OK(send_msg(e->source, &m, &err), &err);
    say_msg(e->w.receiver[1], a);
    CHECK_OK(e->source->ops->recv(e->source, &m, &err), &err);
    vf_msg_free(&m);
}

TEST(stalled_reader)
{
    struct vf_error err;
    struct ends e;

    for (unsigned sock = 0; sock < 2; sock++) {
        meet_raw(&e, sock, 200);
        offer_raw(&e);
        CHECK_FAIL(send_much(e.source, &err), &err, VF_ERR_TIMEOUT);
        CHECK_HAS(err.msg, "taken nothing");
        /* The link is of no use any more, and says so at once. */
        CHECK_FAIL(send_much(e.source, &err), &err, VF_ERR_TIMEOUT);
        part(&e);
    }
}

/* No CHECK in here: a child must not go on with the parent's tests. */
static void be_child(struct ends *e)
{
    struct vf_session_opts o = {.watchdog_ms = 60000};
    struct vf_msg_welcome w = some_welcome();
    struct vf_msg m;

    e->receiver = vf_session_receiver(e->w.receiver[0], e->w.receiver[1], &o, &e->hello, NULL);
    if (e->receiver && vf_session_welcome(e->receiver, &w, NULL) == 0)
        while (e->receiver->ops->recv(e->receiver, &m, NULL) == 0)
            vf_msg_free(&m);
    _exit(0);
}

/* A process that is stopped while it receives: both directions notice. */
TEST(stopped_process)
{
    struct ends e = {.w = wires(true)};
    struct vf_error err;
    struct vf_msg m;
    pid_t pid;

    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        be_child(&e);
    vf_close_fd(&e.w.receiver[0]);
    e.opts = (struct vf_session_opts){.watchdog_ms = 2000, .purpose = VF_FOR_MIGRATE};
    e.source = vf_session_source(e.w.source[0], e.w.source[1], &e.opts, &e.welcome, &err);
    CHECK_OK(e.source, &err);
    CHECK(kill(pid, SIGSTOP) == 0);
    CHECK_FAIL(e.source->ops->recv(e.source, &m, &err), &err, VF_ERR_TIMEOUT);
    CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
    e.w.receiver[1] = -1;
    part(&e);
}

/* ---- keepalive ---- */

static void *receive_one(void *arg)
{
    struct vf_stream *st = arg;
    struct vf_error err;
    struct vf_msg m;

    CHECK_OK(st->ops->recv(st, &m, &err), &err);
    vf_msg_free(&m);
    return NULL;
}

/* Nothing to say for longer than the watchdog's time is no failure. */
TEST(ping_keeps_alive)
{
    struct vf_msg m = {.type = VF_MSG_DATA};
    struct vf_stream_stats a, b;
    uint8_t byte = 1;
    struct ends e;
    struct vf_error err;
    pthread_t t[2];

    meet(&e, false, 2000, VF_FOR_MIGRATE);
    start_work(&e);
    CHECK(pthread_create(&t[0], NULL, receive_one, e.receiver) == 0);
    CHECK(pthread_create(&t[1], NULL, receive_one, e.source) == 0);
    nap(5000);
    m.data.len = 1;
    m.data.bytes = &byte;
    CHECK_OK(send_msg(e.source, &m, &err), &err);
    CHECK(pthread_join(t[0], NULL) == 0);
    m = (struct vf_msg){.type = VF_MSG_RESULT};
    CHECK_OK(send_msg(e.receiver, &m, &err), &err);
    CHECK(pthread_join(t[1], NULL) == 0);
    e.source->ops->stats(e.source, &a);
    e.receiver->ops->stats(e.receiver, &b);
    CHECK(a.received > 0 && b.received > 0);
    part(&e);
}

static void *drain(void *arg)
{
    struct vf_stream *st = arg;
    struct vf_error err;
    struct vf_msg m;

    while (st->ops->recv(st, &m, &err) == 0)
        vf_msg_free(&m);
    return NULL;
}

static void *send_a_lot(void *arg)
{
    struct vf_stream *st = arg;
    struct vf_msg m = sample_msg(VF_MSG_DATA, 1, VF_MAX_DATA);
    struct vf_error err;

    for (unsigned i = 0; i < 8; i++)
        CHECK_OK(send_msg(st, &m, &err), &err);
    vf_msg_free(&m);
    return NULL;
}

/* A receiver that is busy for longer than the watchdog's time, but alive, is waited for. */
TEST(busy_receiver)
{
    struct vf_error err;
    struct vf_msg m;
    pthread_t t, d;
    struct ends e;

    meet(&e, false, 2000, VF_FOR_MIGRATE);
    start_work(&e);
    CHECK(pthread_create(&d, NULL, drain, e.source) == 0);
    CHECK(pthread_create(&t, NULL, send_a_lot, e.source) == 0);
    nap(5000);
    for (unsigned i = 0; i < 8; i++) {
        CHECK_OK(e.receiver->ops->recv(e.receiver, &m, &err), &err);
        CHECK_EQ_U64(m.data.len, VF_MAX_DATA);
        vf_msg_free(&m);
    }
    CHECK(pthread_join(t, NULL) == 0);
    e.source->ops->cancel(e.source);
    CHECK(pthread_join(d, NULL) == 0);
    part(&e);
}

/* But not for ever, when it takes nothing at all. */
TEST(patience_ends)
{
    struct vf_error err;
    struct ends e;
    pthread_t d;

    meet(&e, true, 100, VF_FOR_MIGRATE);
    start_work(&e);
    CHECK(pthread_create(&d, NULL, drain, e.source) == 0);
    CHECK_FAIL(send_much(e.source, &err), &err, VF_ERR_TIMEOUT);
    e.source->ops->cancel(e.source);
    CHECK(pthread_join(d, NULL) == 0);
    part(&e);
}

/* ---- cancelling ---- */

struct waiter {
    struct vf_stream *st;
    struct vf_error err;
    int rc;
    atomic_bool running;
};

static void *wait_recv(void *arg)
{
    struct waiter *w = arg;
    struct vf_msg m;

    atomic_store(&w->running, true);
    w->rc = w->st->ops->recv(w->st, &m, &w->err);
    return NULL;
}

static void *wait_send(void *arg)
{
    struct waiter *w = arg;

    atomic_store(&w->running, true);
    w->rc = send_much(w->st, &w->err);
    return NULL;
}

/* Until the kernel takes no more from this writer; a moment in which it does is no harm. */
static void until_full(int wfd)
{
    struct pollfd p = {wfd, POLLOUT, 0};

    while (poll(&p, 1, 0) > 0)
        nap(10);
}

TEST(cancel_wakes)
{
    struct waiter r = {0}, s = {0};
    struct vf_error err;
    struct vf_msg m;
    pthread_t t[2];
    struct ends e;

    meet(&e, true, 0, VF_FOR_MIGRATE);
    start_work(&e);
    r.st = s.st = e.source;
    CHECK(pthread_create(&t[0], NULL, wait_recv, &r) == 0);
    CHECK(pthread_create(&t[1], NULL, wait_send, &s) == 0);
    until_full(e.w.source[1]);
    e.source->ops->cancel(e.source);
    CHECK(pthread_join(t[0], NULL) == 0 && pthread_join(t[1], NULL) == 0);
    CHECK(r.rc == -1 && r.err.code == VF_ERR_CANCELLED);
    CHECK(s.rc == -1 && s.err.code == VF_ERR_CANCELLED);
    /* And from now on. */
    CHECK_FAIL(e.source->ops->recv(e.source, &m, &err), &err, VF_ERR_CANCELLED);
    CHECK_FAIL(send_much(e.source, &err), &err, VF_ERR_CANCELLED);
    part(&e);
}

/* Reads until the conversation fails; how many messages came before. */
static unsigned read_all(struct vf_stream *st, struct vf_error *err)
{
    struct vf_msg m;
    unsigned n = 0;

    for (; st->ops->recv(st, &m, err) == 0; n++) {
        CHECK_EQ_U64(m.type, VF_MSG_DATA);
        CHECK_EQ_U64(m.data.len, VF_MAX_DATA);
        vf_msg_free(&m);
    }
    return n;
}

struct reader {
    struct vf_stream *st;
    struct vf_error err;
    unsigned n;
};

static void *read_all_thread(void *arg)
{
    struct reader *r = arg;

    r->n = read_all(r->st, &r->err);
    return NULL;
}

/* A FAIL gets through after a cancel that cut a message: the rest of that goes first. */
TEST(fail_after_cancel)
{
    struct vf_error why = {VF_ERR_SPACE, 0, "no room\nfor \x1b[1mthis"};
    struct waiter s = {0};
    struct reader r = {0};
    pthread_t t[2];
    struct ends e;

    for (unsigned sock = 0; sock < 2; sock++) {
        meet(&e, sock, 0, VF_FOR_MIGRATE);
        start_work(&e);
        s.st = e.source;
        r.st = e.receiver;
        CHECK(pthread_create(&t[0], NULL, wait_send, &s) == 0);
        until_full(e.w.source[1]);
        e.source->ops->cancel(e.source);
        CHECK(pthread_join(t[0], NULL) == 0);
        CHECK(pthread_create(&t[1], NULL, read_all_thread, &r) == 0);
        vf_stream_fail(e.source, &why);
        CHECK(pthread_join(t[1], NULL) == 0);
        CHECK(r.err.code == VF_ERR_SPACE);
        CHECK_STR(r.err.msg, "far end: no room?for ?[1mthis");
        part(&e);
    }
}

/* A FAIL does not wait for a send that is stuck. */
TEST(fail_while_stuck)
{
    struct vf_error why = {VF_ERR_MISMATCH, 0, "wrong"};
    struct waiter s = {0};
    struct reader r = {0};
    pthread_t t[2];
    struct ends e;

    meet(&e, false, 0, VF_FOR_MIGRATE);
    start_work(&e);
    s.st = e.source;
    r.st = e.receiver;
    CHECK(pthread_create(&t[0], NULL, wait_send, &s) == 0);
    until_full(e.w.source[1]);
    vf_stream_fail(e.source, &why); /* nobody reads: it gives up, but stops the other */
    CHECK(pthread_join(t[0], NULL) == 0);
    CHECK(s.rc == -1 && s.err.code == VF_ERR_CANCELLED);
    hang_up(e.w.source);
    CHECK(pthread_create(&t[1], NULL, read_all_thread, &r) == 0);
    CHECK(pthread_join(t[1], NULL) == 0);
    CHECK(r.err.code == VF_ERR_UNREACHABLE);
    e.source->ops->close(e.source);
    e.source = NULL;
    part(&e);
}

/* After FAIL there is nothing more to say, and one answer of its kind is enough. */
TEST(fail_is_the_end)
{
    struct vf_error why = {VF_ERR_DENIED, 0, "no"}, err;
    struct vf_stream_stats before, after;
    struct vf_msg m;
    struct ends e;

    meet(&e, true, 0, VF_FOR_MIGRATE);
    vf_stream_fail(e.receiver, &why);
    CHECK_FAIL(e.source->ops->recv(e.source, &m, &err), &err, VF_ERR_DENIED);
    CHECK_STR(err.msg, "far end: no");
    e.source->ops->stats(e.source, &before);
    vf_stream_fail(e.source, &err);
    e.source->ops->stats(e.source, &after);
    CHECK_EQ_U64(before.sent, after.sent);
    m = (struct vf_msg){.type = VF_MSG_ACCEPT};
    CHECK_FAIL(send_msg(e.receiver, &m, &err), &err, VF_ERR_PROTOCOL);
    CHECK_HAS(err.msg, "after FAIL");
    part(&e);
}

/* The far end fails, says why and is gone: a send that finds the link broken reports the reason. */
TEST(reason_of_a_broken_link)
{
    struct vf_error why = {VF_ERR_SPACE, 0, "disk full"}, err;
    struct ends e;

    for (unsigned sock = 0; sock < 2; sock++) {
        meet(&e, sock, 0, VF_FOR_MIGRATE);
        start_work(&e);
        vf_stream_fail(e.receiver, &why);
        e.receiver->ops->close(e.receiver);
        e.receiver = NULL;
        hang_up(e.w.receiver);
        CHECK_FAIL(send_much(e.source, &err), &err, VF_ERR_SPACE);
        CHECK_STR(err.msg, "far end: disk full");
        part(&e);
    }
}

/* Without a reason it is the broken link. */
TEST(broken_link)
{
    struct vf_error err;
    struct vf_msg m;
    struct ends e;

    for (unsigned sock = 0; sock < 2; sock++) {
        meet(&e, sock, 0, VF_FOR_MIGRATE);
        start_work(&e);
        e.receiver->ops->close(e.receiver);
        e.receiver = NULL;
        hang_up(e.w.receiver);
        CHECK_FAIL(send_much(e.source, &err), &err, VF_ERR_UNREACHABLE);
        CHECK_FAIL(e.source->ops->recv(e.source, &m, &err), &err, VF_ERR_UNREACHABLE);
        part(&e);
    }
}

/* ---- blame ---- */

/* A message that there was no memory for is not the far end's fault. */
TEST(blame)
{
    struct vf_error err = VF_ERROR_INIT;

    CHECK(vf_session_blame(NULL) == -1);
    (void)vf_error_set(&err, VF_ERR_PROTOCOL, 0, "too long");
    CHECK(vf_session_blame(&err) == -1);
    CHECK_STR(err.msg, "the far end broke the protocol: too long");
    (void)vf_error_set(&err, VF_ERR_NOMEM, 0, "out of memory");
    CHECK(vf_session_blame(&err) == -1);
    CHECK_STR(err.msg, "out of memory");
}

TESTS(silent_peer, stalled_reader, stopped_process, ping_keeps_alive, busy_receiver, patience_ends,
      cancel_wakes, fail_after_cancel, fail_while_stuck, fail_is_the_end, reason_of_a_broken_link,
      broken_link, blame)
