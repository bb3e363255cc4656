/* cmd/stopper.c - watches the stop flag. */
#include "cmd/stopper.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/checked.h"
#include "core/thread.h"

#define LOOK_MS 100

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
    while (!s->ending && !*s->stop)
        (void)vf_thread_wait(&s->end, &s->lock, LOOK_MS); /* the loop looks again anyway */
    if (!s->ending)
        s->stream->ops->cancel(s->stream);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

struct vf_stopper *vf_stopper_start(const volatile int *stop, struct vf_stream *st,
                                    struct vf_error *err)
{
    struct vf_stopper *s = vf_calloc(1, sizeof *s, err);

    if (!s)
        return NULL;
    s->stop = stop;
    s->stream = st;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->end, NULL);
    if (vf_thread_start(&s->thread, watch, s, err) < 0) {
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
