/* cmd/similar/ask.c - worker threads, a clock for each job, and one who looks at the clocks. */
#include "cmd/similar/ask.h"

#include <pthread.h>
#include <stdlib.h>

#include "cmd/cmd.h"
#include "core/checked.h"
#include "core/clock.h"
#include "core/thread.h"

enum { GO = 0, STOP = 1, LATE = VF_STOP_NOW }; /* values of a job's stop flag */

#define LOOK_MS 20

struct vf_ask_job {
    struct vf_cli cli;
    volatile int stop;
    double until; /* when its time is over */
    bool met, done;
    const struct vf_ask *ask;
    struct asking *all;
};

struct asking {
    const struct vf_ask *ask;
    struct vf_ask_job *job;
    pthread_mutex_t lock; /* guards what follows, and until, met and done of jobs */
    size_t next, running; /* the next job to begin; workers that have not ended */
    bool failed;
    struct vf_error err;
};

/* A flag that others poll: as cmd/main.c says of its own. */
__attribute__((no_sanitize("thread"))) static void raise_flag(struct vf_ask_job *j, int how)
{
    if (j->stop == GO)
        j->stop = how;
}

__attribute__((no_sanitize("thread"))) static int flag_of(const volatile int *stop)
{
    return *stop;
}

static void run_job(struct asking *a, size_t i)
{
    struct vf_ask_job *j = &a->job[i];
    struct vf_error err = VF_ERROR_INIT;
    int rc = a->ask->fn(a->ask->ctx, i, j, &err);

    pthread_mutex_lock(&a->lock);
    j->done = true;
    if (rc < 0 && !a->failed) {
        a->failed = true;
        a->err = err;
    }
    pthread_mutex_unlock(&a->lock);
}

static void *work(void *arg)
{
    struct asking *a = arg;

    pthread_mutex_lock(&a->lock);
    while (!a->failed && a->next < a->ask->n && flag_of(a->ask->cli->stop) == GO) {
        size_t i = a->next++;

        a->job[i].until = vf_clock_now() + a->ask->deadline;
        pthread_mutex_unlock(&a->lock);
        run_job(a, i);
        pthread_mutex_lock(&a->lock);
    }
    a->running--;
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* Raises the flags whose time has come; false when no worker is left. */
static bool look(struct asking *a)
{
    bool all = flag_of(a->ask->cli->stop) != GO, some;
    double now = vf_clock_now();

    pthread_mutex_lock(&a->lock);
    all = all || a->failed;
    for (size_t i = 0; i < a->next; i++) {
        struct vf_ask_job *j = &a->job[i];

        if (j->done)
            continue;
        if (all)
            raise_flag(j, STOP);
        else if (a->ask->deadline > 0 && !j->met && now > j->until)
            raise_flag(j, LATE);
    }
    some = a->running > 0;
    pthread_mutex_unlock(&a->lock);
    return some;
}

static int start(struct asking *a, pthread_t *thread, size_t n, size_t *ret_n, struct vf_error *err)
{
    int rc = 0;

    for (*ret_n = 0; *ret_n < n && rc == 0;) {
        pthread_mutex_lock(&a->lock);
        a->running++;
        pthread_mutex_unlock(&a->lock);
        rc = vf_thread_start(&thread[*ret_n], work, a, err);
        if (rc == 0) {
            ++*ret_n;
            continue;
        }
        pthread_mutex_lock(&a->lock);
        a->running--;
        pthread_mutex_unlock(&a->lock);
    }
    return *ret_n ? 0 : -1; /* fewer are enough */
}

int vf_ask_all(const struct vf_ask *ask, struct vf_error *err)
{
    struct asking a = {.ask = ask, .err = VF_ERROR_INIT};
    unsigned most = ask->parallel ? ask->parallel : VF_ASK_PARALLEL;
    size_t n = ask->n < most ? ask->n : most, started = 0;
    pthread_t *thread;
    int rc = -1;

    if (!ask->n)
        return 0;
    a.job = vf_calloc(ask->n, sizeof *a.job, err);
    thread = vf_calloc(n, sizeof *thread, err);
    pthread_mutex_init(&a.lock, NULL);
    if (!a.job || !thread)
        goto out;
    for (size_t i = 0; i < ask->n; i++) {
        a.job[i].cli = *ask->cli;
        a.job[i].cli.stop = &a.job[i].stop;
        a.job[i].cli.report = NULL;
        a.job[i].ask = ask;
        a.job[i].all = &a;
    }
    if (start(&a, thread, n, &started, err) < 0)
        goto out;
    while (look(&a))
        vf_thread_nap(LOOK_MS);
    for (size_t i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    if (flag_of(ask->cli->stop) != GO)
        rc = vf_error_set(err, VF_ERR_CANCELLED, 0, "interrupted");
    else if (a.failed)
        rc = vf_error_pass(err, &a.err);
    else
        rc = 0;
out:
    pthread_mutex_destroy(&a.lock);
    free(thread);
    free(a.job);
    return rc;
}

const struct vf_cli *vf_ask_cli(const struct vf_ask_job *job) { return &job->cli; }

void vf_ask_met(struct vf_ask_job *job)
{
    pthread_mutex_lock(&job->all->lock);
    job->met = true;
    pthread_mutex_unlock(&job->all->lock);
}

void vf_ask_more(struct vf_ask_job *job, double seconds)
{
    pthread_mutex_lock(&job->all->lock);
    job->until = vf_clock_now() + seconds;
    pthread_mutex_unlock(&job->all->lock);
}

int vf_ask_failed(const struct vf_ask_job *job, struct vf_error *why, struct vf_error *err)
{
    if (flag_of(&job->stop) == LATE)
        (void)vf_error_set(why, VF_ERR_TIMEOUT, 0, "no answer within %g s", job->ask->deadline);
    if (why->code == VF_ERR_CANCELLED || why->code == VF_ERR_NOMEM)
        return vf_error_set(err, why->code, 0, "%s", why->msg);
    return 0;
}
