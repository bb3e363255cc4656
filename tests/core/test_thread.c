#include "core/thread.h"

#include <signal.h>
#include <unistd.h>

#include "core/clock.h"
#include "tests/lib/check.h"

struct seen {
    sigset_t mask;
};

static void *look(void *arg)
{
    struct seen *s = arg;

    (void)pthread_sigmask(SIG_SETMASK, NULL, &s->mask); /* cannot fail: it only asks */
    return arg;
}

static bool blocked(const sigset_t *set)
{
    return sigismember(set, SIGINT) == 1 && sigismember(set, SIGTERM) == 1 &&
           sigismember(set, SIGALRM) == 1;
}

TEST(has_no_signals)
{
    struct vf_error err = VF_ERROR_INIT;
    struct seen s = {0};
    sigset_t ours;
    pthread_t t;
    void *ret;

    CHECK_OK(vf_thread_start(&t, look, &s, &err), &err);
    CHECK(pthread_join(t, &ret) == 0 && ret == &s && blocked(&s.mask));
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &ours) == 0 && !blocked(&ours));
    sigemptyset(&s.mask);
    CHECK_OK(vf_thread_start_small(&t, "vf-test", 64 << 10, look, &s, &err), &err);
    CHECK(pthread_join(t, &ret) == 0 && ret == &s && blocked(&s.mask));
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &ours) == 0 && !blocked(&ours));
}

struct bell {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool rung;
};

static void *ring(void *arg)
{
    struct bell *b = arg;

    pthread_mutex_lock(&b->lock);
    b->rung = true;
    pthread_cond_signal(&b->cond);
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

TEST(waits_no_longer)
{
    struct bell b = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    int64_t start = vf_clock_ms(), late = start + 1050; /* with a carry into the seconds */

    pthread_mutex_lock(&b.lock);
    while (vf_thread_wait(&b.cond, &b.lock, 50))
        ; /* woken for no reason */
    CHECK(vf_clock_ms() - start >= 50);
    while (vf_thread_wait_until(&b.cond, &b.lock, late))
        ; /* as above */
    CHECK(vf_clock_ms() >= late);
    CHECK(!vf_thread_wait(&b.cond, &b.lock, -5) && !vf_thread_wait_until(&b.cond, &b.lock, 1));
    pthread_mutex_unlock(&b.lock);
}

TEST(is_woken)
{
    struct bell b = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    struct vf_error err = VF_ERROR_INIT;
    int64_t start = vf_clock_ms();
    bool in_time = true;
    pthread_t t;

    pthread_mutex_lock(&b.lock);
    CHECK_OK(vf_thread_start(&t, ring, &b, &err), &err);
    while (!b.rung && in_time)
        in_time = vf_thread_wait(&b.cond, &b.lock, 60000);
    pthread_mutex_unlock(&b.lock);
    CHECK(in_time && vf_clock_ms() - start < 60000);
    CHECK(pthread_join(t, NULL) == 0);
}

static void nothing(int sig) { (void)sig; }

TEST(naps)
{
    const struct sigaction act = {.sa_handler = nothing};
    int64_t start = vf_clock_ms();
    struct sigaction old;

    vf_thread_nap(-1000);
    vf_thread_nap(0);
    vf_thread_nap(1050); /* with whole seconds */
    CHECK(vf_clock_ms() - start >= 1050);
    start = vf_clock_ms();
    CHECK(sigaction(SIGALRM, &act, &old) == 0);
    (void)alarm(1);
    vf_thread_nap(60000);
    CHECK(vf_clock_ms() - start < 60000); /* cut short */
    CHECK(sigaction(SIGALRM, &old, NULL) == 0);
}

static void *at_once(void *arg) { return arg; }

/* No room for its stack: that is memory, not a failed read or write. */
TEST(no_room_for_a_thread)
{
    struct vf_error err;
    pthread_t t;

    CHECK_FAIL(vf_thread_start_small(&t, "big", (size_t)1 << 50, at_once, NULL, &err), &err,
               VF_ERR_NOMEM);
    CHECK(err.sys != 0);
}

TESTS(has_no_signals, waits_no_longer, is_woken, naps, no_room_for_a_thread)
