/* transport/session.c - a conversation: its beginning, its keepalive, its end. */
#include "transport/session.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/clock.h"
#include "core/thread.h"
#include "transport/frame.h"
#include "transport/join.h"
#include "transport/message.h"
#include "transport/session_impl.h"

#define IN_BYTES (512u << 10) /* input buffer; only a longer message makes it grow */
#define STACK    (256u << 10)

/* ---- the pulse thread: PING when nothing was sent for a while, PONG when asked ---- */

/* The message that is due now; false when none is, and *ret_ms is when to look again. */
static bool pulse_due(struct vf_session *s, struct vf_msg *ret, int64_t *ret_ms)
{
    int64_t at = atomic_load(&s->link.sent_ms) + s->link.watchdog_ms / 3, now = vf_clock_ms();

    memset(ret, 0, sizeof *ret);
    *ret_ms = at;
    if (s->ack_due) {
        s->ack_due = false;
        *ret = (struct vf_msg){.type = VF_MSG_ACK, .ack = {s->ack}};
        return true;
    }
    if (s->pong_due) {
        s->pong_due = false;
        *ret = (struct vf_msg){.type = VF_MSG_PONG, .pong = {s->pong_cookie}};
        return true;
    }
    *ret = (struct vf_msg){.type = VF_MSG_PING, .ping = {(uint64_t)now}};
    if (!s->ping_due && now < at)
        return false;
    s->ping_due = false;
    return true;
}

static void *pulse(void *arg)
{
    struct vf_session *s = arg;
    struct vf_msg m;
    int64_t at;

    pthread_mutex_lock(&s->pulse_lock);
    while (!s->stop) {
        if (pulse_due(s, &m, &at)) {
            int rc;

            pthread_mutex_unlock(&s->pulse_lock);
            rc = vf_session_send(s, &m, NULL);
            pthread_mutex_lock(&s->pulse_lock);
            /* The link is broken or we have said FAIL: others will notice, there is no more to do
             * here. */
            if (rc < 0)
                break;
        } else {
            (void)vf_thread_wait_until(&s->pulse_cond, &s->pulse_lock, at);
            pthread_mutex_unlock(&s->pulse_lock);
            vf_ins_pulse(s);
            pthread_mutex_lock(&s->pulse_lock);
        }
    }
    pthread_mutex_unlock(&s->pulse_lock);
    return NULL;
}

int vf_session_thread(pthread_t *ret, const char *name, void *(*run)(void *), void *arg,
                      struct vf_error *err)
{
    return vf_thread_start_small(ret, name, STACK, run, arg, err);
}

static int start_pulse(struct vf_session *s, struct vf_error *err)
{
    if (vf_session_thread(&s->pulse, "vf-keepalive", pulse, s, err) < 0)
        return -1;
    s->pulse_runs = true;
    return 0;
}

void vf_session_ack(struct vf_session *s, uint64_t pieces)
{
    pthread_mutex_lock(&s->pulse_lock);
    s->ack_due = true;
    s->ack = pieces;
    pthread_cond_signal(&s->pulse_cond);
    pthread_mutex_unlock(&s->pulse_lock);
}

void vf_session_ask_rtt(struct vf_session *s)
{
    pthread_mutex_lock(&s->pulse_lock);
    s->ping_due = true;
    pthread_cond_signal(&s->pulse_cond);
    pthread_mutex_unlock(&s->pulse_lock);
}

/* ---- the stream ---- */

static struct vf_session *of(struct vf_stream *st) { return (struct vf_session *)st; }

/* The source's DATA may go over other connections, and it is measured how long it takes. */
static int send_data(struct vf_session *s, const struct vf_msg *m, struct vf_error *err)
{
    uint64_t start = vf_clock_ns();
    int rc = vf_lines_on(s) ? vf_lines_send(s, m, err) : vf_session_send(s, m, err);

    atomic_fetch_add(&s->blocked_ns, vf_clock_ns() - start);
    return rc;
}

static int op_send(struct vf_stream *st, const struct vf_msg *m, struct vf_error *err)
{
    struct vf_session *s = of(st);
    struct vf_error e;

    if ((m->type == VF_MSG_DATA ? send_data(s, m, &e) : vf_session_send(s, m, &e)) == 0)
        return 0;
    if (e.code == VF_ERR_UNREACHABLE && m->type != VF_MSG_FAIL)
        vf_session_reason(s, &e);
    return vf_error_pass(err, &e);
}

static int op_recv(struct vf_stream *st, struct vf_msg *ret, struct vf_error *err)
{
    return vf_session_recv(of(st), ret, err);
}

static void op_cancel(struct vf_stream *st)
{
    vf_link_cancel(&of(st)->link);
    vf_lines_cancel(of(st));
}

static void op_stats(struct vf_stream *st, struct vf_stream_stats *ret)
{
    struct vf_session *s = of(st);

    ret->sent = atomic_load(&s->link.sent);
    ret->received = atomic_load(&s->link.received);
    ret->sent_data = atomic_load(&s->sent_data);
    vf_lines_stats(s, ret);
    vf_ins_stats(s, ret);
}

static void op_close(struct vf_stream *st)
{
    struct vf_session *s = of(st);

    vf_lines_close(s);
    if (s->pulse_runs) {
        pthread_mutex_lock(&s->pulse_lock);
        s->stop = true;
        pthread_cond_signal(&s->pulse_cond);
        pthread_mutex_unlock(&s->pulse_lock);
        vf_link_cancel(&s->link);           /* it may be blocked in a write */
        (void)pthread_join(s->pulse, NULL); /* cannot fail: it runs, and is nobody else's */
    }
    vf_ins_close(s);
    vf_link_close(&s->link);
    vf_buf_free(&s->out);
    vf_buf_free(&s->rest);
    free(s->in);
    pthread_cond_destroy(&s->pulse_cond);
    pthread_mutex_destroy(&s->pulse_lock);
    pthread_mutex_destroy(&s->recv_lock);
    pthread_mutex_destroy(&s->send_lock);
    pthread_mutex_destroy(&s->turn_lock);
    pthread_mutex_destroy(&s->order_lock);
    free(s);
}

static const struct vf_stream_ops session_ops = {
    .send = op_send,
    .recv = op_recv,
    .cancel = op_cancel,
    .stats = op_stats,
    .close = op_close,
};

/* ---- the beginning ---- */

static void init_locks(struct vf_session *s)
{
    /* Default ones cannot fail on Linux. */
    (void)pthread_cond_init(&s->pulse_cond, NULL);
    (void)pthread_mutex_init(&s->pulse_lock, NULL);
    (void)pthread_mutex_init(&s->recv_lock, NULL);
    (void)pthread_mutex_init(&s->send_lock, NULL);
    (void)pthread_mutex_init(&s->order_lock, NULL);
    (void)pthread_mutex_init(&s->turn_lock, NULL);
}

static struct vf_session *session_new(int rfd, int wfd, const struct vf_session_opts *o,
                                      enum vf_side side, struct vf_error *err)
{
    struct vf_session *s = vf_calloc(1, sizeof *s, err);

    if (!s)
        return NULL;
    s->in = vf_calloc(IN_BYTES, 1, err);
    if (!s->in)
        goto failed;
    s->in_cap = IN_BYTES;
    s->st.ops = &session_ops;
    s->side = side;
    s->version_min = o->version_min ? o->version_min : VF_PROTOCOL_MIN;
    s->version_max = o->version_max ? o->version_max : VF_PROTOCOL_MAX;
    vf_order_init(&s->order);
    if (vf_link_open(&s->link, rfd, wfd, o->watchdog_ms ? o->watchdog_ms : VF_WATCHDOG_MS,
                     o->ratelimit, err) < 0)
        goto failed;
    init_locks(s);
    return s;
failed:
    free(s->in);
    free(s);
    return NULL;
}

static int say_magic(struct vf_session *s, struct vf_error *err)
{
    char magic[VF_MAGIC_LEN];
    struct iovec iov = {magic, sizeof magic};

    memcpy(magic, VF_MAGIC, sizeof magic);
    return vf_link_write(&s->link, &iov, 1, 0, err);
}

static int say_hello(struct vf_session *s, const struct vf_session_opts *o, struct vf_error *err)
{
    char none[] = "";
    struct vf_msg m = {.type = VF_MSG_HELLO};
    char *program = o->program ? vf_strdup(o->program, err) : none;
    char *group = o->group ? vf_strdup(o->group, err) : none;
    int rc = -1;

    if (!program || !group)
        goto out;
    m.hello.version_min = s->version_min;
    m.hello.version_max = s->version_max;
    m.hello.purpose = (uint8_t)o->purpose;
    m.hello.program = program;
    m.hello.group = group;
    rc = say_magic(s, err);
    if (rc == 0)
        rc = vf_session_send(s, &m, err);
out:
    if (program != none)
        free(program);
    if (group != none)
        free(group);
    return rc;
}

/* Only good while there is one version, which the far end can but take or refuse. */
static int say_offer(struct vf_session *s, const struct vf_msg_offer *offer, struct vf_error *err)
{
    const struct vf_msg m = {.type = VF_MSG_OFFER, .offer = *offer}; /* borrowed by send */

    return vf_session_send(s, &m, err);
}

struct vf_stream *vf_session_source(int rfd, int wfd, const struct vf_session_opts *opts,
                                    struct vf_msg_welcome *ret_welcome, struct vf_error *err)
{
    struct vf_session *s = session_new(rfd, wfd, opts, VF_SIDE_SOURCE, err);
    struct vf_msg m = {.type = VF_MSG_TYPES_};
    struct vf_error e;

    if (!s)
        return NULL;
    if (say_hello(s, opts, &e) < 0 || (opts->offer && say_offer(s, opts->offer, &e) < 0)) {
        /* A program that is not ours prints a line and is gone before it has read anything. */
        if (e.code == VF_ERR_UNREACHABLE)
            vf_session_reason(s, &e);
        goto failed;
    }
    if ((opts->await && opts->await(opts->await_ctx, &e) < 0) || start_pulse(s, &e) < 0 ||
        vf_session_recv(s, &m, &e) < 0)
        goto failed;
    /* By the order of messages it is a WELCOME. */
    if (m.welcome.version < s->version_min || m.welcome.version > s->version_max) {
        (void)vf_error_set(&e, VF_ERR_PROTOCOL, 0, /* the NULL says it */
                           "the far end chose protocol version %u, offered were %u to %u",
                           m.welcome.version, s->version_min, s->version_max);
        vf_msg_free(&m);
        vf_stream_fail(&s->st, &e);
        goto failed;
    }
    s->version = m.welcome.version;
    *ret_welcome = m.welcome;
    return &s->st;
failed:
    op_close(&s->st);
    (void)vf_error_pass(err, &e); /* NULL says it */
    return NULL;
}

/* The highest version that both speak. */
static int choose_version(struct vf_session *s, const struct vf_msg_hello *h, struct vf_error *err)
{
    uint16_t top = h->version_max < s->version_max ? h->version_max : s->version_max;

    if (top < h->version_min || top < s->version_min)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0,
                            "no common protocol version: the source speaks %u to %u, the receiver "
                            "%u to %u",
                            h->version_min, h->version_max, s->version_min, s->version_max);
    s->version = top;
    return 0;
}

/* A further connection for a migration that another process has. */
static int take_link(struct vf_session *s, const struct vf_session_opts *opts, struct vf_msg *m,
                     struct vf_error *err)
{
    int rc = 0;

    if (!opts->ret_link)
        rc = vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "no further connections are taken here");
    else if (s->start != s->end)
        /* What came behind it could not be handed over. */
        rc = vf_error_set(err, VF_ERR_PROTOCOL, 0, "the source did not wait after LINK");
    if (rc < 0) {
        vf_stream_fail(&s->st, err);
        vf_msg_free(m);
        return -1;
    }
    *opts->ret_link = m->link; /* handed over */
    return 0;
}

struct vf_stream *vf_session_receiver(int rfd, int wfd, const struct vf_session_opts *opts,
                                      struct vf_msg_hello *ret_hello, struct vf_error *err)
{
    struct vf_session *s = session_new(rfd, wfd, opts, VF_SIDE_RECEIVER, err);
    struct vf_msg m = {.type = VF_MSG_TYPES_};
    struct vf_error e;

    if (!s)
        return NULL;
    /* By the order of messages the first is a HELLO or a LINK. */
    if (say_magic(s, &e) < 0 || vf_session_recv(s, &m, &e) < 0)
        goto failed;
    if (m.type == VF_MSG_LINK) {
        if (take_link(s, opts, &m, &e) < 0)
            goto failed;
        memset(ret_hello, 0, sizeof *ret_hello);
        return &s->st;
    }
    if (start_pulse(s, &e) < 0 || choose_version(s, &m.hello, &e) < 0) {
        vf_stream_fail(&s->st, &e);
        vf_msg_free(&m);
        goto failed;
    }
    *ret_hello = m.hello;
    return &s->st;
failed:
    op_close(&s->st);
    (void)vf_error_pass(err, &e); /* NULL says it */
    return NULL;
}

int vf_session_welcome(struct vf_stream *st, const struct vf_msg_welcome *w, struct vf_error *err)
{
    struct vf_msg m = {.type = VF_MSG_WELCOME, .welcome = *w};

    m.welcome.version = of(st)->version;
    return op_send(st, &m, err);
}

void vf_hello_free(struct vf_msg_hello *h)
{
    struct vf_msg m = {.type = VF_MSG_HELLO, .hello = *h};

    vf_msg_free(&m);
    *h = m.hello;
}

void vf_welcome_free(struct vf_msg_welcome *w)
{
    struct vf_msg m = {.type = VF_MSG_WELCOME, .welcome = *w};

    vf_msg_free(&m);
    *w = m.welcome;
}
