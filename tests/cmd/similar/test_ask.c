/* Many jobs at the same time, deadlines, and what ends them all. */
#include "cmd/similar/ask.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "core/clock.h"
#include "tests/lib/check.h"

static struct vf_error err;

struct work {
    pthread_mutex_t lock;
    unsigned now, most, done, late, stopped, ended;
    size_t fails, hangs, meets, more; /* numbers of jobs that do so; SIZE_MAX: none */
};

#define WORK                                                                                       \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER, .fails = SIZE_MAX, .hangs = SIZE_MAX,                   \
        .meets = SIZE_MAX, .more = SIZE_MAX                                                        \
    }

static int job(void *ctx, size_t i, struct vf_ask_job *j, struct vf_error *why)
{
    struct work *w = ctx;
    struct vf_error said = VF_ERROR_INIT;
    bool ended;
    int rc = 0;

    pthread_mutex_lock(&w->lock);
    w->now++;
    w->most = w->now > w->most ? w->now : w->most;
    pthread_mutex_unlock(&w->lock);
    if (i == w->meets)
        vf_ask_met(j);
    if (i == w->more)
        vf_ask_more(j, 30);
    for (unsigned n = 0; n < (i == w->hangs ? 3000 : i == w->meets || i == w->more ? 60 : 2); n++) {
        if (*vf_ask_cli(j)->stop)
            break;
        usleep(10000);
    }
    (void)vf_error_set(&said, VF_ERR_CANCELLED, 0, "interrupted"); /* what a peer would say */
    ended = vf_ask_failed(j, &said, why) < 0;
    pthread_mutex_lock(&w->lock);
    w->now--;
    w->done++;
    w->late += said.code == VF_ERR_TIMEOUT;
    w->stopped += *vf_ask_cli(j)->stop && said.code == VF_ERR_CANCELLED;
    w->ended += ended;
    pthread_mutex_unlock(&w->lock);
    if (i == w->fails)
        rc = vf_error_set(why, VF_ERR_NOMEM, 0, "job %zu", i);
    return rc;
}

static int run(struct work *w, size_t n, unsigned parallel, double deadline,
               const volatile int *stop)
{
    struct vf_cli cli = {.stop = stop};
    struct vf_ask ask = {&cli, n, parallel, deadline, job, w};

    return vf_ask_all(&ask, &err);
}

static volatile int go;

TEST(all_are_asked_in_parallel)
{
    struct work w = WORK;

    CHECK_OK(run(&w, 100, 8, 0, &go), &err);
    CHECK_EQ_U64(w.done, 100);
    CHECK(w.most > 1 && w.most <= 8);
    CHECK_EQ_U64(w.late + w.stopped, 0);
    CHECK_OK(run(&w, 0, 0, 1, &go), &err);
}

TEST(one_that_hangs_is_left)
{
    struct work w = WORK;
    double start = vf_clock_now();

    w.hangs = 3;
    CHECK_OK(run(&w, 10, 0, 0.3, &go), &err);
    CHECK_EQ_U64(w.done, 10);
    CHECK_EQ_U64(w.late, 1);
    CHECK_EQ_U64(w.ended, 9); /* each says "interrupted"; where the time was over it is a result */
    CHECK(vf_clock_now() - start < 20);
}

TEST(one_that_answers_has_time)
{
    struct work w = WORK;

    w.meets = 0;
    w.more = 1;
    CHECK_OK(run(&w, 4, 0, 0.3, &go), &err);
    CHECK_EQ_U64(w.late, 0);
}

TEST(a_failure_ends_all)
{
    struct work w = WORK;

    w.fails = 0;
    w.hangs = 1;
    CHECK_FAIL(run(&w, 100, 2, 0, &go), &err, VF_ERR_NOMEM);
    CHECK_HAS(err.msg, "job 0");
    CHECK(w.done < 100);
    CHECK_EQ_U64(w.stopped, 1);
}

TEST(the_user_stops_it)
{
    static volatile int stop = 1;
    struct work w = WORK;

    CHECK_FAIL(run(&w, 5, 0, 0, &stop), &err, VF_ERR_CANCELLED);
    CHECK_EQ_U64(w.done, 0);
}

TESTS(all_are_asked_in_parallel, one_that_hangs_is_left, one_that_answers_has_time,
      a_failure_ends_all, the_user_stops_it)
