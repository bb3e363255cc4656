/* transport/session_lines.c - the source's further connections: opening them, and PIECEs over all.
 *
 * Threads: one for each further connection ("vf-line"), which opens it and writes; one that reads
 * life signs from it ("vf-line-in"); one that puts PIECEs on the first connection ("vf-line-0");
 * and one that decides how many there are ("vf-tune").  Until the first further connection is up
 * there is only the last of them, and DATA goes as it always did. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/clock.h"
#include "core/thread.h"
#include "transport/bulk.h"
#include "transport/message.h"
#include "transport/session.h"
#include "transport/session_impl.h"
#include "transport/spread.h"
#include "transport/tune.h"

#define TRIES      3          /* to open the same connection */
#define AGAIN_MS   1000       /* before the next try, times the tries */
#define TUNE_MS    100        /* how often to look at the rate */
#define WINDOW_MIN (1u << 20) /* a receiver with less takes no further connections */
#define URGENT_MS  200

struct line {
    struct vf_session *s;
    int number; /* 1 and up; the first connection is 0 */
    pthread_t writer;
    bool started;
    struct vf_bulk bulk;
    /* order_lock guards: */
    bool open;   /* bulk is there */
    bool broken; /* it is of no use any more */
    struct vf_error why;
};

struct vf_lines {
    struct vf_links_opts opts;
    char token[VF_TOKEN_LEN + 1];
    unsigned max; /* connections, the first included */
    pthread_t tuner, first;
    bool tunes;
    atomic_bool stop;
    /* order_lock guards the rest: */
    pthread_cond_t room, work; /* for senders; for threads that can take a PIECE */
    pthread_cond_t pause;      /* for threads that only let time pass, or rest */
    struct vf_spread spread;
    bool on; /* DATA goes as PIECEs */
    bool first_runs;
    unsigned live;       /* further connections that are up */
    unsigned use;        /* numbers of connections that carry PIECEs are below; others rest */
    bool lost;           /* one broke: all are of use */
    int64_t progress_ms; /* when an ACK last brought something */
    struct vf_error why; /* code set: the first connection failed */
    struct vf_stream_stats gone; /* of connections that were closed */
    struct line line[VF_LINKS_MAX];
};

static void say(struct vf_lines *l, const char *what, const struct line *n, const char *why)
{
    char text[320];

    if (!l->opts.say)
        return;
    (void)snprintf(text, sizeof text, "connection %d %s%s%s", n->number + 1, what, *why ? ": " : "",
                   why); /* cut where it is too long */
    l->opts.say(l->opts.ctx, text);
}

/* Waits on cond at most ms; order_lock is held. */
static void wait_on(struct vf_session *s, pthread_cond_t *cond, int64_t ms)
{
    (void)vf_thread_wait(cond, &s->order_lock, ms); /* the caller looks again anyway */
}

/* ---- opening ---- */

static bool stopped(void *arg)
{
    struct vf_lines *l = arg;

    return atomic_load(&l->stop);
}

/* Waits for the ACK that says that the connection was taken. */
static int wait_taken(struct vf_bulk *b, struct vf_error *err)
{
    struct vf_msg m = {.type = VF_MSG_PING};

    while (m.type != VF_MSG_ACK)
        if (vf_bulk_read(b, 0, &m, err) < 0)
            return -1;
    return 0;
}

static void set_open(struct line *n, bool open)
{
    pthread_mutex_lock(&n->s->order_lock);
    n->open = open;
    n->broken = false;
    pthread_mutex_unlock(&n->s->order_lock);
}

static void close_bulk(struct line *n)
{
    struct vf_lines *l = n->s->lines;

    pthread_mutex_lock(&n->s->order_lock);
    n->open = false;
    l->gone.sent += atomic_load(&n->bulk.link.sent);
    l->gone.received += atomic_load(&n->bulk.link.received);
    pthread_mutex_unlock(&n->s->order_lock);
    vf_bulk_close(&n->bulk);
}

/* Opens it and says hello.  *ret_conn is owned. */
static int open_line(struct line *n, void **ret_conn, struct vf_error *err)
{
    struct vf_lines *l = n->s->lines;
    int rfd = -1, wfd = -1;
    void *conn = NULL;

    if (l->opts.open(l->opts.ctx, stopped, l, &rfd, &wfd, &conn, err) < 0)
        return -1;
    if (vf_bulk_open(&n->bulk, rfd, wfd, (unsigned)n->s->link.watchdog_ms, n->s->link.rate,
                     VF_SIDE_RECEIVER, false, err) < 0) {
        l->opts.close(l->opts.ctx, conn);
        return -1;
    }
    set_open(n, true); /* from here on close can wake it */
    if (atomic_load(&l->stop))
        vf_link_cancel(&n->bulk.link);
    if (vf_bulk_hello(&n->bulk, l->token, (uint8_t)n->number, err) < 0 ||
        wait_taken(&n->bulk, err) < 0) {
        close_bulk(n);
        l->opts.close(l->opts.ctx, conn);
        return -1;
    }
    *ret_conn = conn;
    return 0;
}

/* ---- in use ---- */

/* It is of no use any more; wakes its threads. */
static void break_line(struct line *n, const struct vf_error *why)
{
    pthread_mutex_lock(&n->s->order_lock);
    if (!n->broken) {
        n->broken = true;
        n->why = *why;
    }
    pthread_cond_broadcast(&n->s->lines->work);
    pthread_cond_broadcast(&n->s->lines->pause);
    pthread_mutex_unlock(&n->s->order_lock);
    vf_link_cancel(&n->bulk.link);
}

/* Only life signs come this way, and the end. */
static void *read_line(void *arg)
{
    struct line *n = arg;
    struct vf_error err;
    struct vf_msg m;

    while (vf_bulk_read(&n->bulk, 0, &m, &err) == 0)
        ; /* PING and ACK own nothing */
    break_line(n, &err);
    return NULL;
}

/* Sends PING when nothing was sent for a while; how long until the next. */
static int64_t keep_alive(struct line *n)
{
    struct vf_link *link = &n->bulk.link;
    int64_t left = atomic_load(&link->sent_ms) + link->watchdog_ms / 3 - vf_clock_ms();
    struct vf_msg ping = {.type = VF_MSG_PING};
    struct vf_error err;

    if (left > 0)
        return left;
    if (vf_bulk_say(&n->bulk, &ping, URGENT_MS, &err) < 0)
        break_line(n, &err);
    return link->watchdog_ms / 3;
}

/* Writes PIECEs until it breaks or all is over. */
static void write_line(struct line *n)
{
    struct vf_session *s = n->s;
    struct vf_lines *l = s->lines;
    struct vf_error err;

    pthread_mutex_lock(&s->order_lock);
    while (!n->broken && !atomic_load(&l->stop)) {
        bool rests = (unsigned)n->number >= l->use;
        struct vf_out *p = rests ? NULL : vf_spread_take(&l->spread, n->number);
        int rc = 0;

        if (!p) {
            int64_t ms;

            pthread_mutex_unlock(&s->order_lock);
            ms = keep_alive(n);
            pthread_mutex_lock(&s->order_lock);
            if (!n->broken && (rests || !l->spread.unsent) && !atomic_load(&l->stop))
                wait_on(s, rests ? &l->pause : &l->work, ms);
            continue;
        }
        pthread_cond_broadcast(&l->room);
        pthread_mutex_unlock(&s->order_lock);
        rc = vf_bulk_piece(&n->bulk, p, &err);
        if (rc == 0)
            atomic_fetch_add(&s->sent_data, VF_FRAME_HEAD + p->len);
        else
            break_line(n, &err);
        pthread_mutex_lock(&s->order_lock);
        vf_spread_sent(&l->spread, p);
    }
    pthread_mutex_unlock(&s->order_lock);
}

/* PIECEs over the first connection too. */
static void *write_first(void *arg)
{
    struct vf_session *s = arg;
    struct vf_lines *l = s->lines;
    struct vf_error err = VF_ERROR_INIT;

    pthread_mutex_lock(&s->order_lock);
    while (!atomic_load(&l->stop) && err.code == VF_ERR_NONE) {
        struct vf_out *p = vf_spread_take(&l->spread, 0);

        if (!p) {
            wait_on(s, &l->work, s->link.watchdog_ms);
            continue;
        }
        pthread_cond_broadcast(&l->room);
        pthread_mutex_unlock(&s->order_lock);
        if (vf_session_send_piece(s, p, &err) == 0)
            err.code = VF_ERR_NONE;
        pthread_mutex_lock(&s->order_lock);
        vf_spread_sent(&l->spread, p);
    }
    l->why = err;
    pthread_cond_broadcast(&l->room);
    pthread_mutex_unlock(&s->order_lock);
    return NULL;
}

/* A further connection is up: from now on DATA goes as PIECEs.  0, or -1. */
static int bring_up(struct line *n, struct vf_error *err)
{
    struct vf_session *s = n->s;
    struct vf_lines *l = s->lines;
    int rc = 0;

    pthread_mutex_lock(&s->order_lock);
    if (!l->first_runs) {
        rc = vf_session_thread(&l->first, "vf-line-0", write_first, s, err);
        l->first_runs = rc == 0;
    }
    if (rc == 0) {
        l->live++;
        l->on = true;
    }
    pthread_mutex_unlock(&s->order_lock);
    return rc;
}

static void take_down(struct line *n)
{
    struct vf_session *s = n->s;
    struct vf_lines *l = s->lines;

    pthread_mutex_lock(&s->order_lock);
    l->live--;
    l->lost = true;
    l->use = l->max;
    vf_spread_lost(&l->spread, n->number);
    pthread_cond_broadcast(&l->work);
    pthread_cond_broadcast(&l->pause);
    pthread_cond_broadcast(&l->room);
    pthread_mutex_unlock(&s->order_lock);
}

/* One life of a connection. */
static int live(struct line *n, struct vf_error *err)
{
    struct vf_lines *l = n->s->lines;
    void *conn = NULL;
    pthread_t reader;
    int rc;

    if (open_line(n, &conn, err) < 0)
        return -1;
    rc = bring_up(n, err);
    if (rc == 0) {
        say(l, "is up", n, "");
        rc = vf_session_thread(&reader, "vf-line-in", read_line, n, err);
        if (rc == 0) {
            write_line(n);
            vf_link_cancel(&n->bulk.link);
            (void)pthread_join(reader, NULL); /* cannot fail: it runs, and is nobody else's */
            rc = n->broken ? vf_error_pass(err, &n->why) : 0;
        }
        take_down(n);
    }
    close_bulk(n);
    l->opts.close(l->opts.ctx, conn);
    return rc;
}

/* Lets time pass.  Is the migration over then, so that nothing is missed? */
static bool over_after(struct vf_session *s, int64_t ms)
{
    struct vf_lines *l = s->lines;
    int64_t end = vf_clock_ms() + ms, now;
    bool over;

    pthread_mutex_lock(&s->order_lock);
    while (!atomic_load(&l->stop) && (now = vf_clock_ms()) < end)
        wait_on(s, &l->pause, end - now);
    over = atomic_load(&l->stop) || s->order.phase == VF_PHASE_RESULT;
    pthread_mutex_unlock(&s->order_lock);
    return over;
}

static void *run_line(void *arg)
{
    struct line *n = arg;
    struct vf_session *s = n->s;
    struct vf_lines *l = s->lines;
    struct vf_error err = VF_ERROR_INIT;

    for (int tries = 1; tries <= TRIES && live(n, &err) < 0 && !over_after(s, tries * AGAIN_MS);
         tries++) {
        say(l, "failed", n, err.msg);
        if (err.code == VF_ERR_AUTH || err.code == VF_ERR_PROTOCOL)
            break;
    }
    return NULL;
}

/* ---- how many ---- */

/* So many connections should be there. */
static void start_lines(struct vf_session *s, unsigned want)
{
    struct vf_lines *l = s->lines;

    for (unsigned i = 1; i < want && i < l->max; i++) {
        struct line *n = &l->line[i];

        if (n->started)
            continue;
        n->s = s;
        n->number = (int)i;
        if (vf_session_thread(&n->writer, "vf-line", run_line, n, NULL) < 0)
            return; /* then there are fewer */
        n->started = true;
    }
}

static void *tune(void *arg)
{
    struct vf_session *s = arg;
    struct vf_lines *l = s->lines;
    struct vf_tune t;

    vf_tune_init(&t, l->max < VF_LINKS_AUTO ? l->max : VF_LINKS_AUTO, vf_clock_ms());
    pthread_mutex_lock(&s->order_lock);
    while (!atomic_load(&l->stop) && t.state != VF_TUNE_DONE) {
        unsigned live = l->live + 1, want;

        want = vf_tune_step(&t, vf_clock_ms(), atomic_load(&s->sent_data),
                            atomic_load(&s->blocked_ns), atomic_load(&s->rtt_ms), live);
        if (!l->lost)
            l->use = t.use;
        if (want > live) {
            pthread_mutex_unlock(&s->order_lock);
            start_lines(s, want);
            pthread_mutex_lock(&s->order_lock);
        }
        wait_on(s, &l->pause, TUNE_MS);
    }
    pthread_mutex_unlock(&s->order_lock);
    return NULL;
}

/* ---- what the session calls ---- */

struct vf_spread *vf_lines_spread(struct vf_session *s)
{
    return s->lines ? &s->lines->spread : NULL;
}

bool vf_lines_on(struct vf_session *s)
{
    bool on;

    if (s->side == VF_SIDE_RECEIVER)
        return false;
    pthread_mutex_lock(&s->order_lock);
    on = s->lines && s->lines->on;
    pthread_mutex_unlock(&s->order_lock);
    return on;
}

/* Can nothing be sent any more?  The last ACK may be long ago; order_lock is held. */
static int check_alive(struct vf_session *s, int64_t since_ms, struct vf_error *err)
{
    struct vf_lines *l = s->lines;
    int64_t patience = VF_LINK_PATIENCE * s->link.watchdog_ms;
    int64_t from = since_ms > l->progress_ms ? since_ms : l->progress_ms;

    if (l->why.code != VF_ERR_NONE)
        return vf_error_pass(err, &l->why);
    if (atomic_load(&s->link.cancelled))
        return vf_error_set(err, VF_ERR_CANCELLED, 0, "cancelled");
    if (vf_clock_ms() - from >= patience)
        return vf_error_set(err, VF_ERR_TIMEOUT, 0, "the far end has taken nothing for %d ms",
                            (int)patience);
    return 0;
}

int vf_lines_send(struct vf_session *s, const struct vf_msg *m, struct vf_error *err)
{
    struct vf_lines *l = s->lines;
    const char *wrong = vf_msg_wrong(m);
    int64_t start = vf_clock_ms();
    int rc;

    if (wrong)
        return vf_error_set(err, VF_ERR_RANGE, 0, "cannot send DATA: %s", wrong);
    pthread_mutex_lock(&s->order_lock);
    rc = vf_order_step(&s->order, s->side, m, err);
    if (rc < 0)
        (void)vf_error_prefix(err, "cannot send"); /* rc says it */
    /* What no connection has yet is kept small: the caller should feel how fast the link is. */
    while (rc == 0 && (rc = check_alive(s, start, err)) == 0 &&
           (l->spread.unsent > l->live || !vf_spread_room(&l->spread, m->data.len)))
        wait_on(s, &l->room, 1000);
    if (rc == 0)
        rc = vf_spread_add(&l->spread, m->data.bytes, m->data.len, err);
    if (rc == 0)
        pthread_cond_signal(&l->work);
    pthread_mutex_unlock(&s->order_lock);
    return rc;
}

int vf_lines_wait_credit(struct vf_session *s, size_t len, struct vf_error *err)
{
    int64_t start = vf_clock_ms();
    int rc;

    pthread_mutex_lock(&s->order_lock);
    while ((rc = check_alive(s, start, err)) == 0 && !vf_spread_credit(&s->lines->spread, len))
        wait_on(s, &s->lines->room, 1000);
    pthread_mutex_unlock(&s->order_lock);
    return rc;
}

int vf_lines_ack(struct vf_session *s, uint64_t pieces, struct vf_error *err)
{
    struct vf_lines *l = s->lines;

    if (vf_spread_ack(&l->spread, pieces, err) < 0)
        return -1;
    l->progress_ms = vf_clock_ms();
    pthread_cond_broadcast(&l->room);
    return 0;
}

void vf_lines_cancel(struct vf_session *s)
{
    pthread_mutex_lock(&s->order_lock);
    if (s->lines)
        pthread_cond_broadcast(&s->lines->room);
    pthread_mutex_unlock(&s->order_lock);
}

void vf_lines_stats(struct vf_session *s, struct vf_stream_stats *add)
{
    pthread_mutex_lock(&s->order_lock);
    if (s->lines) {
        add->sent += s->lines->gone.sent;
        add->received += s->lines->gone.received;
        for (unsigned i = 1; i < s->lines->max; i++)
            if (s->lines->line[i].open) {
                add->sent += atomic_load(&s->lines->line[i].bulk.link.sent);
                add->received += atomic_load(&s->lines->line[i].bulk.link.received);
            }
    }
    pthread_mutex_unlock(&s->order_lock);
}

void vf_lines_close(struct vf_session *s)
{
    struct vf_lines *l = s->lines;

    if (!l)
        return;
    vf_link_cancel(&s->link);
    pthread_mutex_lock(&s->order_lock);
    atomic_store(&l->stop, true);
    for (unsigned i = 1; i < l->max; i++)
        if (l->line[i].open)
            vf_link_cancel(&l->line[i].bulk.link);
    pthread_cond_broadcast(&l->work);
    pthread_cond_broadcast(&l->room);
    pthread_cond_broadcast(&l->pause);
    pthread_mutex_unlock(&s->order_lock);
    /* These joins cannot fail: they run, and are nobody else's. */
    if (l->tunes)
        (void)pthread_join(l->tuner, NULL);
    for (unsigned i = 1; i < l->max; i++)
        if (l->line[i].started)
            (void)pthread_join(l->line[i].writer, NULL);
    if (l->first_runs)
        (void)pthread_join(l->first, NULL);
    pthread_mutex_lock(&s->order_lock);
    s->lines = NULL;
    pthread_mutex_unlock(&s->order_lock);
    pthread_cond_destroy(&l->room);
    pthread_cond_destroy(&l->work);
    pthread_cond_destroy(&l->pause);
    vf_spread_free(&l->spread);
    free(l);
}

int vf_session_spread(struct vf_stream *st, const struct vf_msg_welcome *w,
                      const struct vf_links_opts *opts, struct vf_error *err)
{
    struct vf_session *s = (struct vf_session *)st;
    unsigned most = w->links_max < VF_LINKS_MAX - 1 ? w->links_max + 1u : VF_LINKS_MAX;
    struct vf_lines *l;
    int rc;

    if (!w->token || !*w->token || w->links_window < WINDOW_MIN || most < 2 || opts->links == 1)
        return 0;
    l = vf_calloc(1, sizeof *l, err);
    if (!l)
        return -1;
    l->opts = *opts;
    memcpy(l->token, w->token, VF_TOKEN_LEN); /* the decoder has checked its length */
    l->max = opts->links && opts->links < most ? opts->links : most;
    l->use = opts->links ? l->max : 1;
    l->progress_ms = vf_clock_ms();
    vf_spread_init(&l->spread, w->links_window);
    (void)pthread_cond_init(&l->room, NULL); /* default ones cannot fail on Linux */
    (void)pthread_cond_init(&l->work, NULL);
    (void)pthread_cond_init(&l->pause, NULL);
    pthread_mutex_lock(&s->order_lock);
    l->spread.counted = s->counted;
    s->lines = l;
    pthread_mutex_unlock(&s->order_lock);
    if (opts->links) {
        start_lines(s, opts->links);
        return 0;
    }
    vf_session_ask_rtt(s); /* while nothing else is on the way */
    rc = vf_session_thread(&l->tuner, "vf-tune", tune, s, err);
    l->tunes = rc == 0;
    return rc;
}
