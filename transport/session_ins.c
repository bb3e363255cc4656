/* transport/session_ins.c - the receiver's further connections: taking them, and one order of all
 * that comes.
 *
 * Threads: one that takes connections ("vf-join"), and one for each that reads it ("vf-line-N").
 * The caller of recv reads the first connection itself, as without them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/clock.h"
#include "core/fdio.h"
#include "core/thread.h"
#include "transport/bulk.h"
#include "transport/gather.h"
#include "transport/join.h"
#include "transport/message.h"
#include "transport/session.h"
#include "transport/session_impl.h"

#define ACK_BYTES (1u << 20) /* of PIECEs delivered, after which they are acknowledged */
#define URGENT_MS 200        /* that a life sign may take */
#define NAP_MS    50         /* after a visitor that could not be let in */

struct line {
    struct vf_session *s;
    struct vf_bulk bulk;
    struct vf_joined conn;
    pthread_t reader;
    bool started; /* reader has to be joined; the joining thread's own */
    /* lines_lock guards: */
    bool open; /* bulk is there */
};

struct vf_ins {
    struct vf_join *join;
    pthread_t joiner;
    bool joins;
    int nudge; /* eventfd: there is news for recv */
    /* order_lock guards: */
    struct vf_gather gather;
    struct vf_error why; /* code set: a connection broke the protocol */
    /* recv_lock guards: */
    uint64_t acked, unacked; /* PIECEs acknowledged; bytes delivered since */

    pthread_mutex_t lines_lock; /* guards what follows */
    bool stop;
    struct vf_stream_stats gone; /* of connections that were closed */
    struct line line[VF_LINKS_MAX];
};

static void nudge(struct vf_ins *in)
{
    uint64_t one = 1;

    /* It fails only when the counter is full; then the descriptor is readable anyway. */
    if (write(in->nudge, &one, sizeof one) < 0)
        return;
}

/* ---- one connection ---- */

/* A message of a further connection. */
static int take_piece(struct vf_session *s, struct vf_msg *m, struct vf_error *err)
{
    bool next = false;
    int rc;

    pthread_mutex_lock(&s->order_lock);
    rc = vf_order_type(&s->order, VF_SIDE_SOURCE, VF_MSG_PIECE, err);
    if (rc == 0)
        rc = vf_gather_piece(&s->ins->gather, m, &next, err);
    pthread_mutex_unlock(&s->order_lock);
    if (next)
        nudge(s->ins);
    if (rc < 0)
        vf_msg_free(m);
    return rc;
}

static void close_line(struct vf_ins *in, struct line *n)
{
    pthread_mutex_lock(&in->lines_lock);
    n->open = false;
    in->gone.sent += atomic_load(&n->bulk.link.sent);
    in->gone.received += atomic_load(&n->bulk.link.received);
    vf_bulk_close(&n->bulk);
    vf_joined_close(&n->conn);
    pthread_mutex_unlock(&in->lines_lock);
}

static void *read_line(void *arg)
{
    struct line *n = arg;
    struct vf_session *s = n->s;
    struct vf_msg m = {.type = VF_MSG_PING};
    struct vf_error err;
    int rc;

    do
        rc = vf_bulk_read(&n->bulk, 0, &m, &err);
    while (rc == 0 && (m.type != VF_MSG_PIECE || (rc = take_piece(s, &m, &err)) == 0));
    /* Who loses a connection goes on without it; who breaks the rules does not go on. */
    if (err.code == VF_ERR_PROTOCOL || err.code == VF_ERR_NOMEM) {
        pthread_mutex_lock(&s->order_lock);
        s->ins->why = err;
        (void)vf_session_blame(&s->ins->why); /* kept */
        pthread_mutex_unlock(&s->order_lock);
        nudge(s->ins);
    }
    close_line(s->ins, n);
    return NULL;
}

/* ---- taking connections ---- */

/* A place for another one; NULL: there is none. */
static struct line *find_place(struct vf_ins *in)
{
    for (unsigned i = 0; i < VF_LINKS_MAX - 1; i++) {
        struct line *n = &in->line[i];
        bool open;

        pthread_mutex_lock(&in->lines_lock);
        open = n->open;
        pthread_mutex_unlock(&in->lines_lock);
        if (open)
            continue;
        if (n->started)
            (void)pthread_join(n->reader, NULL); /* it has ended or is about to */
        n->started = false;
        return n;
    }
    return NULL;
}

/* Tells the source that the connection is taken, and reads from it.  conn is taken on success. */
static int add_line(struct vf_session *s, struct vf_joined *conn, struct vf_error *err)
{
    struct vf_ins *in = s->ins;
    struct vf_msg ack = {.type = VF_MSG_ACK};
    struct line *n = find_place(in);
    char name[16]; /* as long as a thread's may be */
    int rc;

    if (!n)
        return vf_error_set(err, VF_ERR_DENIED, 0, "too many connections");
    if (vf_bulk_open(&n->bulk, conn->rfd, conn->wfd, (unsigned)s->link.watchdog_ms, s->link.rate,
                     VF_SIDE_SOURCE, true, err) < 0)
        return -1;
    pthread_mutex_lock(&s->order_lock);
    ack.ack.pieces = in->gather.next;
    pthread_mutex_unlock(&s->order_lock);
    rc = vf_bulk_say(&n->bulk, &ack, URGENT_MS, err);
    n->s = s;
    n->conn = *conn;
    (void)snprintf(name, sizeof name, "vf-line-%u", conn->number); /* fits */
    pthread_mutex_lock(&in->lines_lock);
    if (rc == 0 && in->stop)
        rc = vf_error_set(err, VF_ERR_CANCELLED, 0, "cancelled");
    if (rc == 0)
        rc = vf_session_thread(&n->reader, name, read_line, n, err);
    n->started = n->open = rc == 0;
    if (rc < 0)
        vf_bulk_close(&n->bulk);
    pthread_mutex_unlock(&in->lines_lock);
    return rc;
}

static void *take_all(void *arg)
{
    struct vf_session *s = arg;
    struct vf_error err;
    bool over = false;

    while (!over) {
        struct vf_joined conn;

        if (vf_join_accept(s->ins->join, &conn, &err) < 0) {
            over = err.code == VF_ERR_CANCELLED;
            if (!over)
                vf_thread_nap(NAP_MS); /* a visitor that errs must not keep us busy */
        } else if (add_line(s, &conn, &err) < 0) {
            vf_joined_close(&conn); /* the source sees it, and does without */
        }
    }
    return NULL;
}

/* ---- one order ---- */

/* PIECEs that were delivered are acknowledged now and then, and when nothing more is there. */
static void ack(struct vf_session *s, bool idle)
{
    struct vf_ins *in = s->ins;
    uint64_t next;

    pthread_mutex_lock(&s->order_lock);
    next = in->gather.next;
    pthread_mutex_unlock(&s->order_lock);
    if (next == in->acked || (!idle && in->unacked < ACK_BYTES))
        return;
    in->acked = next;
    in->unacked = 0;
    vf_session_ack(s, next);
}

/* Puts what came on the first connection into the order of all.  1: m is the next, 0: taken. */
static int sort_in(struct vf_session *s, struct vf_msg *m, size_t len, struct vf_error *err)
{
    struct vf_gather *g = &s->ins->gather;
    bool next;
    int rc = 0;

    pthread_mutex_lock(&s->order_lock);
    if (m->type == VF_MSG_PIECE) {
        rc = vf_gather_piece(g, m, &next, err);
    } else if (m->type == VF_MSG_FENCE) {
        rc = vf_gather_fence(g, m->fence.pieces, err);
    } else if (!vf_session_counts(m->type)) {
        vf_msg_free(m);
    } else if (vf_gather_idle(g)) {
        vf_gather_pass(g);
        rc = 1;
    } else {
        rc = vf_gather_other(g, m, len, err);
    }
    pthread_mutex_unlock(&s->order_lock);
    if (rc < 0) {
        vf_msg_free(m);
        return vf_session_blame(err);
    }
    return rc;
}

/* What is there already and due.  1, 0, -1. */
static int next_there(struct vf_session *s, struct vf_msg *ret, struct vf_error *err)
{
    struct vf_ins *in = s->ins;
    int rc;

    if (atomic_load(&s->link.cancelled))
        return vf_error_set(err, VF_ERR_CANCELLED, 0, "cancelled");
    pthread_mutex_lock(&s->order_lock);
    rc = vf_gather_next(&in->gather, ret, err);
    if (rc < 0)
        (void)vf_session_blame(err); /* rc says it */
    if (rc == 0 && in->why.code != VF_ERR_NONE)
        rc = vf_error_pass(err, &in->why);
    pthread_mutex_unlock(&s->order_lock);
    if (rc == 1 && ret->type == VF_MSG_DATA)
        in->unacked += ret->data.len;
    ack(s, rc == 0);
    return rc;
}

int vf_ins_recv(struct vf_session *s, int64_t limit_ms, struct vf_msg *ret, struct vf_error *err)
{
    struct vf_ins *in = s->ins;
    uint64_t n;
    size_t len;
    int rc;

    for (;;) {
        rc = next_there(s, ret, err);
        if (rc)
            return rc < 0 ? -1 : 0;
        if (vf_session_recv_one(s, limit_ms, ret, &len, err) < 0) {
            if (!s->nudged)
                return -1;
            /* Cleared before the next look, so that nothing is missed. */
            s->nudged = false;
            if (read(in->nudge, &n, sizeof n) < 0)
                n = 0; /* it is clear already */
            continue;
        }
        rc = sort_in(s, ret, len, err);
        if (rc)
            return rc < 0 ? -1 : 0;
    }
}

/* ---- what the session calls ---- */

/* For threads that may have begun before there were any. */
static struct vf_ins *ins_of(struct vf_session *s)
{
    struct vf_ins *in;

    pthread_mutex_lock(&s->order_lock);
    in = s->ins;
    pthread_mutex_unlock(&s->order_lock);
    return in;
}

void vf_ins_pulse(struct vf_session *s)
{
    struct vf_ins *in = ins_of(s);
    int64_t now = vf_clock_ms();

    if (!in)
        return;
    pthread_mutex_lock(&in->lines_lock);
    for (unsigned i = 0; i < VF_LINKS_MAX; i++) {
        struct vf_bulk *b = &in->line[i].bulk;
        struct vf_msg ping = {.type = VF_MSG_PING};

        if (!in->line[i].open || now - atomic_load(&b->link.sent_ms) < b->link.watchdog_ms / 4)
            continue;
        if (vf_bulk_say(b, &ping, URGENT_MS, NULL) < 0)
            vf_link_cancel(&b->link); /* its thread closes it */
    }
    pthread_mutex_unlock(&in->lines_lock);
}

void vf_ins_stats(struct vf_session *s, struct vf_stream_stats *add)
{
    struct vf_ins *in = ins_of(s);

    if (!in)
        return;
    pthread_mutex_lock(&in->lines_lock);
    add->sent += in->gone.sent;
    add->received += in->gone.received;
    for (unsigned i = 0; i < VF_LINKS_MAX; i++)
        if (in->line[i].open) {
            add->sent += atomic_load(&in->line[i].bulk.link.sent);
            add->received += atomic_load(&in->line[i].bulk.link.received);
        }
    pthread_mutex_unlock(&in->lines_lock);
}

void vf_ins_close(struct vf_session *s)
{
    struct vf_ins *in = s->ins;

    if (!in)
        return;
    pthread_mutex_lock(&in->lines_lock);
    in->stop = true;
    for (unsigned i = 0; i < VF_LINKS_MAX; i++)
        if (in->line[i].open)
            vf_link_cancel(&in->line[i].bulk.link);
    pthread_mutex_unlock(&in->lines_lock);
    if (in->joins) {
        vf_join_wake(in->join);
        (void)pthread_join(in->joiner, NULL); /* cannot fail: it runs, and is nobody else's */
    }
    for (unsigned i = 0; i < VF_LINKS_MAX; i++)
        if (in->line[i].started)
            (void)pthread_join(in->line[i].reader, NULL); /* as above */
    vf_join_close(in->join);
    vf_gather_free(&in->gather);
    vf_close_fd(&in->nudge);
    pthread_mutex_destroy(&in->lines_lock);
    free(in);
    s->ins = NULL;
}

int vf_session_take_links(struct vf_stream *st, struct vf_join *j, struct vf_msg_welcome *w,
                          struct vf_error *err)
{
    struct vf_session *s = (struct vf_session *)st;
    struct vf_ins *in = vf_calloc(1, sizeof *in, err);

    if (!in)
        return -1;
    in->nudge = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (in->nudge < 0) {
        free(in);
        return vf_error_sys(err, errno, "make an event descriptor");
    }
    vf_gather_init(&in->gather, VF_LINKS_WINDOW);
    (void)pthread_mutex_init(&in->lines_lock, NULL); /* cannot fail on Linux */
    in->join = j;
    pthread_mutex_lock(&s->order_lock);
    in->gather.counted = s->counted;
    s->ins = in;
    pthread_mutex_unlock(&s->order_lock);
    if (vf_session_thread(&in->joiner, "vf-join", take_all, s, err) < 0) {
        in->join = NULL; /* stays the caller's */
        vf_ins_close(s);
        return -1;
    }
    in->joins = true;
    s->link.nudge_fd = in->nudge;
    w->token = (char *)(uintptr_t)vf_join_token(j); /* borrowed: sending only reads it */
    w->links_max = VF_LINKS_MAX - 1;
    w->links_window = VF_LINKS_WINDOW;
    return 0;
}
