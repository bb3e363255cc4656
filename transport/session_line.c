/* transport/session_line.c - one further connection of the source: opened, in use, broken, opened
 * again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "transport/lines_impl.h"

#define TRIES     3    /* to open the same connection */
#define AGAIN_MS  1000 /* before the next try, times the tries */
#define URGENT_MS 200

static void say(struct vf_lines *l, const char *what, const struct vf_line *n, const char *why)
{
    char text[320];

    if (!l->opts.say)
        return;
    (void)snprintf(text, sizeof text, "connection %d %s%s%s", n->number + 1, what, *why ? ": " : "",
                   why); /* cut where it is too long */
    l->opts.say(l->opts.ctx, text);
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

static void set_open(struct vf_line *n, bool open)
{
    pthread_mutex_lock(&n->s->order_lock);
    n->open = open;
    n->broken = false;
    pthread_mutex_unlock(&n->s->order_lock);
}

static void close_bulk(struct vf_line *n)
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
static int open_line(struct vf_line *n, void **ret_conn, struct vf_error *err)
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
static void break_line(struct vf_line *n, const struct vf_error *why)
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
    struct vf_line *n = arg;
    struct vf_error err;
    struct vf_msg m;

    while (vf_bulk_read(&n->bulk, 0, &m, &err) == 0)
        ; /* PING and ACK own nothing */
    break_line(n, &err);
    return NULL;
}

/* Sends PING when nothing was sent for a while; how long until the next. */
static int64_t keep_alive(struct vf_line *n)
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
static void write_line(struct vf_line *n)
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
                vf_lines_wait(s, rests ? &l->pause : &l->work, ms);
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
            vf_lines_wait(s, &l->work, s->link.watchdog_ms);
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
static int bring_up(struct vf_line *n, struct vf_error *err)
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

static void take_down(struct vf_line *n)
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
static int live(struct vf_line *n, struct vf_error *err)
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
        vf_lines_wait(s, &l->pause, end - now);
    over = atomic_load(&l->stop) || s->order.phase == VF_PHASE_RESULT;
    pthread_mutex_unlock(&s->order_lock);
    return over;
}

void *vf_line_run(void *arg)
{
    struct vf_line *n = arg;
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
