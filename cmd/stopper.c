/* cmd/stopper.c - watches the stop flag. */
#include "cmd/stopper.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "core/checked.h"

struct vf_stopper {
    const volatile int *stop;
    struct vf_stream *stream;
    pthread_t thread;
    pthread_mutex_t lock; /* guards ending */
    pthread_cond_t end;
    bool ending;
};

static void *watch(void *arg)
{
    struct vf_stopper *s = arg;

    pthread_mutex_lock(&s->lock);
    while (!s->ending && !*s->stop) {
        struct timespec at;

        clock_gettime(CLOCK_MONOTONIC, &at);
        at.tv_nsec += 100 * 1000 * 1000;
        if (at.tv_nsec >= 1000 * 1000 * 1000) {
            at.tv_nsec -= 1000 * 1000 * 1000;
            at.tv_sec++;
        }
        (void)pthread_cond_timedwait(&s->end, &s->lock, &at); /* the loop looks again anyway */
    }
    if (!s->ending)
        s->stream->ops->cancel(s->stream);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

struct vf_stopper *vf_stopper_start(const volatile int *stop, struct vf_stream *st,
                                    struct vf_error *err)
{
    struct vf_stopper *s = vf_calloc(1, sizeof *s, err);
    pthread_condattr_t attr;
    sigset_t all, old;
    int sys;

    if (!s)
        return NULL;
    s->stop = stop;
    s->stream = st;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->end, &attr);
    pthread_condattr_destroy(&attr);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    sys = pthread_create(&s->thread, NULL, watch, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (sys) {
        (void)vf_error_sys(err, sys, "start a thread"); /* the NULL says it */
        pthread_cond_destroy(&s->end);
        pthread_mutex_destroy(&s->lock);
        free(s);
        return NULL;
    }
    return s;
}

void vf_stopper_end(struct vf_stopper *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->ending = true;
    pthread_cond_signal(&s->end);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->end);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
