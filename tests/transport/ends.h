/* tests/transport/ends.h - two ends of a link to test sessions with, or one end and a raw peer. */
#ifndef VF_TESTS_TRANSPORT_ENDS_H
#define VF_TESTS_TRANSPORT_ENDS_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/fdio.h"
#include "tests/lib/check.h"
#include "tests/transport/golden.h"
#include "tests/transport/samples.h"
#include "transport/session.h"

/* ---- two ends ---- */

struct wires {
    int source[2], receiver[2]; /* what each reads from and writes to */
};

static inline struct wires wires(bool sock)
{
    struct wires w;
    int a[2], b[2];

    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR); /* as the program does */
    if (sock) {
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a) == 0);
        return (struct wires){{a[0], a[0]}, {a[1], a[1]}};
    }
    CHECK(pipe2(a, O_CLOEXEC) == 0 && pipe2(b, O_CLOEXEC) == 0);
    w = (struct wires){{a[0], b[1]}, {b[0], a[1]}};
    return w;
}

static inline void hang_up(int end[2])
{
    if (end[1] != end[0])
        vf_close_fd(&end[1]);
    vf_close_fd(&end[0]);
    end[1] = -1;
}

static inline void nap(int64_t ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

struct ends {
    struct wires w;
    struct vf_session_opts opts;
    struct vf_stream *source, *receiver;
    struct vf_msg_hello hello;
    struct vf_msg_welcome welcome;
};

static inline struct vf_msg_welcome some_welcome(void)
{
    static char node[] = "b.example", dir[] = "/srv";

    return (struct vf_msg_welcome){
        .window_log = 27, .writable = true, .free_bytes = 5, .node = node, .dir = dir};
}

static inline void *be_receiver(void *arg)
{
    struct ends *e = arg;
    struct vf_msg_welcome w = some_welcome();
    struct vf_error err;

    e->receiver =
        vf_session_receiver(e->w.receiver[0], e->w.receiver[1], &e->opts, &e->hello, &err);
    CHECK_OK(e->receiver, &err);
    CHECK_OK(vf_session_welcome(e->receiver, &w, &err), &err);
    return NULL;
}

/* A conversation that has come to WELCOME. */
static inline void meet(struct ends *e, bool sock, unsigned watchdog_ms, enum vf_purpose purpose)
{
    struct vf_error err;
    pthread_t t;

    *e = (struct ends){.w = wires(sock)};
    e->opts = (struct vf_session_opts){
        .watchdog_ms = watchdog_ms, .purpose = purpose, .program = "p", .group = "g"};
    CHECK(pthread_create(&t, NULL, be_receiver, e) == 0);
    e->source = vf_session_source(e->w.source[0], e->w.source[1], &e->opts, &e->welcome, &err);
    CHECK_OK(e->source, &err);
    CHECK(pthread_join(t, NULL) == 0);
}

static inline int send_msg(struct vf_stream *st, const struct vf_msg *m, struct vf_error *err)
{
    return st->ops->send(st, m, err);
}

/* Sends m and takes it out at the other end. */
static inline void across(struct vf_stream *from, struct vf_stream *to, struct vf_msg *m)
{
    struct vf_error err;
    struct vf_msg got;

    CHECK_OK(send_msg(from, m, &err), &err);
    CHECK_OK(to->ops->recv(to, &got, &err), &err);
    check_same_msg(m, &got);
    vf_msg_free(&got);
}

/* On to the point where data may flow. */
static inline void start_work(struct ends *e)
{
    char name[] = "n", format[] = "raw", path[] = "/p";
    struct vf_msg m = {.type = VF_MSG_OFFER};

    m.offer = (struct vf_msg_offer){.size = VF_MAX_SIZE, .name = name, .format = format};
    across(e->source, e->receiver, &m);
    m = (struct vf_msg){.type = VF_MSG_ACCEPT, .accept = {.path = path}};
    across(e->receiver, e->source, &m);
}

static inline void part(struct ends *e)
{
    if (e->source)
        e->source->ops->close(e->source);
    if (e->receiver)
        e->receiver->ops->close(e->receiver);
    hang_up(e->w.source);
    hang_up(e->w.receiver);
    vf_hello_free(&e->hello);
    vf_welcome_free(&e->welcome);
}

/* A raw peer: says these bytes. */
static inline void say(int fd, const void *bytes, size_t len)
{
    struct vf_error err;

    CHECK_OK(vf_write_full(fd, bytes, len, &err), &err);
}

static inline void say_msg(int fd, struct vf_msg m)
{
    struct vf_buf b = VF_BUF_INIT;

    golden_frame(&m, &b);
    say(fd, b.data, b.len);
    vf_buf_free(&b);
}

static inline void say_welcome(int fd)
{
    struct vf_msg m = {.type = VF_MSG_WELCOME, .welcome = some_welcome()};

    m.welcome.version = 1;
    say(fd, VF_MAGIC, VF_MAGIC_LEN);
    say_msg(fd, m);
}

static inline void say_hello(int fd, enum vf_purpose purpose)
{
    struct vf_msg m = {.type = VF_MSG_HELLO, .hello = {1, 1, (uint8_t)purpose, NULL, NULL}};

    say(fd, VF_MAGIC, VF_MAGIC_LEN);
    say_msg(fd, m);
}

/* A source whose peer is raw and has said WELCOME. */
static inline void meet_raw(struct ends *e, bool sock, unsigned watchdog_ms)
{
    struct vf_error err;

    *e = (struct ends){.w = wires(sock)};
    e->opts = (struct vf_session_opts){.watchdog_ms = watchdog_ms, .purpose = VF_FOR_MIGRATE};
    say_welcome(e->w.receiver[1]);
    e->source = vf_session_source(e->w.source[0], e->w.source[1], &e->opts, &e->welcome, &err);
    CHECK_OK(e->source, &err);
}

#endif
