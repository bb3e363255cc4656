/* core/ratelimit.c, at times that the test gives. */
#include "core/ratelimit.h"

#include <pthread.h>

#include "tests/lib/check.h"

#define SECOND UINT64_C(1000000000)

/* Sends pieces of n bytes from time t on, waiting as told; the time when the last of them goes. */
static uint64_t send(struct vf_ratelimit *rl, uint64_t t, uint64_t n, unsigned pieces)
{
    for (unsigned i = 0; i < pieces; i++)
        t += vf_ratelimit_take_at(rl, n, t);
    return t;
}

TEST(keeps_the_rate)
{
    struct vf_error err;
    struct vf_ratelimit *rl = vf_ratelimit_new(1000000, &err);
    uint64_t t;

    CHECK_OK(rl, &err);
    t = send(rl, 10 * SECOND, 10000, 1000); /* ten seconds' worth */
    CHECK(t > 19 * SECOND + SECOND / 2 && t < 20 * SECOND + SECOND / 2);
    vf_ratelimit_free(rl);
}

TEST(no_limit)
{
    struct vf_error err;
    struct vf_ratelimit *rl = vf_ratelimit_new(0, &err);

    CHECK_OK(rl, &err);
    CHECK_EQ_U64(send(rl, SECOND, 1u << 30, 1000), SECOND);
    vf_ratelimit_free(rl);
}

/* Idle time is not saved up. */
TEST(no_credit)
{
    struct vf_error err;
    struct vf_ratelimit *rl = vf_ratelimit_new(1000000, &err);
    uint64_t t;

    CHECK_OK(rl, &err);
    (void)send(rl, 0, 1000, 1);
    t = send(rl, 100 * SECOND, 100000, 10); /* one second's worth */
    CHECK(t > 100 * SECOND + SECOND * 8 / 10);
    vf_ratelimit_free(rl);
}

TEST(can_be_changed)
{
    struct vf_error err;
    struct vf_ratelimit *rl = vf_ratelimit_new(1000, &err);
    uint64_t t;

    CHECK_OK(rl, &err);
    (void)vf_ratelimit_take_at(rl, 1000000, SECOND); /* a debt of 1000 seconds */
    CHECK(vf_ratelimit_take_at(rl, 1, SECOND) > 900 * SECOND);
    CHECK_EQ_U64(vf_ratelimit_changes(rl), 0);
    vf_ratelimit_set(rl, 1000000);
    CHECK_EQ_U64(vf_ratelimit_changes(rl), 1);
    t = send(rl, SECOND, 100000, 10);
    CHECK(t < 3 * SECOND);
    vf_ratelimit_set(rl, 0);
    CHECK_EQ_U64(vf_ratelimit_take_at(rl, 1u << 30, t), 0);
    vf_ratelimit_free(rl);
}

static void *take_many(void *arg)
{
    for (int i = 0; i < 10000; i++)
        (void)vf_ratelimit_take_at(arg, 1000, SECOND); /* the sum of all is looked at below */
    return NULL;
}

/* Four threads that take a thousand bytes ten thousand times at the same moment. */
TEST(all_threads_pay_together)
{
    struct vf_error err;
    struct vf_ratelimit *rl = vf_ratelimit_new(1000000, &err);
    pthread_t t[4];
    uint64_t wait;

    CHECK_OK(rl, &err);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&t[i], NULL, take_many, rl) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
    wait = vf_ratelimit_take_at(rl, 1, SECOND);
    CHECK(wait > 39 * SECOND && wait <= 40 * SECOND);
    vf_ratelimit_free(rl);
}

TESTS(keeps_the_rate, no_limit, no_credit, can_be_changed, all_threads_pay_together)
