#include "service/workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "core/thread.h"
#include "service/polite.h"

enum stage { STAGE_FREE, STAGE_GIVEN, STAGE_ENDED };

struct worker {
    struct vf_workers *all;
    pthread_t thread;
    bool started;
    enum stage stage;
    struct vf_job job;
    struct vf_job_result result;
    _Atomic uint64_t progress;
};

struct vf_workers {
    vf_work_fn *run;
    void *ctx;
    int fd;
    unsigned limit;
    pthread_mutex_t
        lock; /* stages and ending; the rest of a worker belongs to whom its stage says */
    pthread_cond_t given;
    bool ending;
    struct worker worker[VF_WORKERS_MAX];
};

static void *work(void *arg)
{
    struct worker *me = arg;
    struct vf_workers *w = me->all;
    const uint64_t one = 1;

    vf_polite_thread();
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->ending && me->stage != STAGE_GIVEN)
            pthread_cond_wait(&w->given, &w->lock);
        if (me->stage != STAGE_GIVEN)
            break;
        pthread_mutex_unlock(&w->lock);
        w->run(w->ctx, &me->job, &me->progress, &me->result);
        pthread_mutex_lock(&w->lock);
        me->stage = STAGE_ENDED;
        if (write(w->fd, &one, sizeof one) < 0)
            continue; /* the counter is full: then it is readable anyway */
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

void vf_workers_limit(struct vf_workers *w, unsigned n)
{
    w->limit = n < 1 ? 1 : n > VF_WORKERS_MAX ? VF_WORKERS_MAX : n;
}

struct vf_workers *vf_workers_new(unsigned n, vf_work_fn *run, void *ctx, struct vf_error *err)
{
    struct vf_workers *w = vf_calloc(1, sizeof *w, err);

    if (!w)
        return NULL;
    w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->fd < 0) {
        (void)vf_error_sys(err, errno, "make an event descriptor"); /* the NULL says it */
        free(w);
        return NULL;
    }
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->given, NULL);
    w->run = run;
    w->ctx = ctx;
    vf_workers_limit(w, n);
    return w;
}

void vf_workers_free(struct vf_workers *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_cond_broadcast(&w->given);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < VF_WORKERS_MAX; i++) {
        if (w->worker[i].started)
            pthread_join(w->worker[i].thread, NULL);
        free(w->worker[i].job.path);
    }
    pthread_cond_destroy(&w->given);
    pthread_mutex_destroy(&w->lock);
    vf_close_fd(&w->fd);
    free(w);
}

int vf_workers_fd(const struct vf_workers *w) { return w->fd; }

unsigned vf_workers_busy(struct vf_workers *w)
{
    unsigned n = 0;

    pthread_mutex_lock(&w->lock);
    for (unsigned i = 0; i < VF_WORKERS_MAX; i++)
        n += w->worker[i].stage != STAGE_FREE;
    pthread_mutex_unlock(&w->lock);
    return n;
}

bool vf_workers_free_one(struct vf_workers *w) { return vf_workers_busy(w) < w->limit; }

int vf_workers_give(struct vf_workers *w, const struct vf_job *job, struct vf_error *err)
{
    struct worker *me = NULL;

    pthread_mutex_lock(&w->lock);
    for (unsigned i = 0; i < VF_WORKERS_MAX && !me; i++)
        if (w->worker[i].stage == STAGE_FREE)
            me = &w->worker[i];
    pthread_mutex_unlock(&w->lock);
    if (!me)
        return vf_error_set(err, VF_ERR_BUSY, 0, "all workers are busy");
    me->all = w;
    if (!me->started && vf_thread_start(&me->thread, work, me, err) < 0)
        return -1;
    me->started = true;
    me->job = *job;
    me->result = (struct vf_job_result){.rc = -1};
    atomic_store(&me->progress, 0);
    pthread_mutex_lock(&w->lock);
    me->stage = STAGE_GIVEN;
    pthread_cond_broadcast(&w->given);
    pthread_mutex_unlock(&w->lock);
    return 0;
}

bool vf_workers_collect(struct vf_workers *w, struct vf_job *ret_job, struct vf_job_result *ret)
{
    struct worker *me = NULL;
    uint64_t count;

    pthread_mutex_lock(&w->lock);
    for (unsigned i = 0; i < VF_WORKERS_MAX && !me; i++)
        if (w->worker[i].stage == STAGE_ENDED)
            me = &w->worker[i];
    if (me) {
        *ret_job = me->job;
        *ret = me->result;
        me->job = (struct vf_job){0};
        me->stage = STAGE_FREE;
    } else if (read(w->fd, &count, sizeof count) < 0) {
        /* nothing there: that is what was wanted */
    }
    pthread_mutex_unlock(&w->lock);
    return me != NULL;
}

bool vf_workers_at(struct vf_workers *w, unsigned i, const char **ret_path, bool *ret_moving,
                   uint64_t *ret_bytes)
{
    struct worker *me = &w->worker[i];
    bool busy;

    if (i >= VF_WORKERS_MAX)
        return false;
    pthread_mutex_lock(&w->lock);
    busy = me->stage != STAGE_FREE;
    pthread_mutex_unlock(&w->lock);
    if (!busy)
        return false;
    *ret_path = me->job.path;
    *ret_moving = me->job.moving;
    *ret_bytes = atomic_load(&me->progress);
    return true;
}
