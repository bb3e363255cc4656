/* core/thread.c - threads without signals, waits on the monotonic clock. */
#include "core/thread.h"

#include <signal.h>
#include <time.h>

#include "core/clock.h"

/* There is no memory for it, or there are too many: nothing is wrong but that. */
static int no_thread(int sys, struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_NOMEM, sys, "start a thread");
}

static int start(pthread_t *ret, const pthread_attr_t *attr, void *(*run)(void *), void *arg,
                 struct vf_error *err)
{
    sigset_t all, old;
    int rc;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old); /* cannot fail with these arguments */
    rc = pthread_create(ret, attr, run, arg);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc ? no_thread(rc, err) : 0;
}

int vf_thread_start(pthread_t *ret, void *(*run)(void *), void *arg, struct vf_error *err)
{
    return start(ret, NULL, run, arg, err);
}

int vf_thread_start_small(pthread_t *ret, const char *name, size_t stack, void *(*run)(void *),
                          void *arg, struct vf_error *err)
{
    pthread_attr_t attr;
    int rc = pthread_attr_init(&attr);

    if (rc)
        return no_thread(rc, err);
    (void)pthread_attr_setstacksize(&attr, stack); /* else it gets the usual one */
    rc = start(ret, &attr, run, arg, err);
    (void)pthread_attr_destroy(&attr);
    if (rc == 0)
        (void)pthread_setname_np(*ret, name); /* for debuggers only */
    return rc;
}

bool vf_thread_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t ms)
{
    return vf_thread_wait_until(cond, lock, vf_clock_ms() + (ms > 0 ? ms : 0));
}

bool vf_thread_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t at_ms)
{
    const struct timespec t = {at_ms / 1000, at_ms % 1000 * 1000000};

    return pthread_cond_clockwait(cond, lock, CLOCK_MONOTONIC, &t) == 0;
}

void vf_thread_nap(int64_t ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    if (ms > 0)
        (void)nanosleep(&t, NULL); /* cut short: as promised */
}
