/* The source's half: what its threads share: how it fails, waits and reports. */
#include "core/clock.h"
#include "core/engine/send_impl.h"
#include "core/thread.h"

void vf_sender_fail(struct sender *s, const struct vf_error *err)
{
    bool first;

    pthread_mutex_lock(&s->lock);
    first = !s->failed;
    if (first) {
        s->failed = true;
        s->err = *err;
    }
    pthread_cond_broadcast(&s->moved);
    pthread_cond_broadcast(&s->arrived);
    pthread_cond_broadcast(&s->handed);
    pthread_mutex_unlock(&s->lock);
    vf_send_out_stop(&s->out);
    if (first)
        s->st->ops->cancel(s->st);
}

void vf_sender_progress(struct sender *s, bool now)
{
    int64_t ms = vf_clock_ms();

    if (!s->opts->progress)
        return;
    pthread_mutex_lock(&s->lock);
    if (now || ms - s->reported_ms >= 100) {
        s->reported_ms = ms;
        s->opts->progress(s->opts->progress_ctx, &s->now); /* under the lock: never two at once */
    }
    pthread_mutex_unlock(&s->lock);
}

bool vf_sender_stopped(const struct sender *s) { return s->opts->stop && *s->opts->stop; }

void vf_sender_wait(struct sender *s, pthread_cond_t *cond)
{
    (void)vf_thread_wait(cond, &s->lock, 200); /* the callers look again anyway */
}
