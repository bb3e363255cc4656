/* transport/session_lines.c - the source's further connections together: how many there are, and
 * PIECEs over all of them. */
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/clock.h"
#include "transport/lines_impl.h"
#include "transport/tune.h"

#define TUNE_MS    100        /* how often to look at the rate */
#define WINDOW_MIN (1u << 20) /* a receiver with less takes no further connections */

/* ---- how many ---- */

/* So many connections should be there. */
static void start_lines(struct vf_session *s, unsigned want)
{
    struct vf_lines *l = s->lines;

    for (unsigned i = 1; i < want && i < l->max; i++) {
        struct vf_line *n = &l->line[i];

        if (n->started)
            continue;
        n->s = s;
        n->number = (int)i;
        if (vf_session_thread(&n->writer, "vf-line", vf_line_run, n, NULL) < 0)
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
        vf_lines_wait(s, &l->pause, TUNE_MS);
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
        vf_lines_wait(s, &l->room, 1000);
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
        vf_lines_wait(s, &s->lines->room, 1000);
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
