#include "core/ratelimit.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/checked.h"
#include "core/clock.h"

#define SECOND   UINT64_C(1000000000)
#define BURST_NS (SECOND / 20)
#define WAIT_MAX (3600 * SECOND)

struct vf_ratelimit {
    pthread_mutex_t lock;
    uint64_t rate; /* bytes a second; 0: no limit */
    unsigned changes;
    uint64_t paid_until; /* everything taken so far has gone at this time */
};

struct vf_ratelimit *vf_ratelimit_new(uint64_t bytes_per_second, struct vf_error *err)
{
    struct vf_ratelimit *rl = vf_calloc(1, sizeof *rl, err);

    if (!rl)
        return NULL;
    pthread_mutex_init(&rl->lock, NULL);
    rl->rate = bytes_per_second;
    return rl;
}

void vf_ratelimit_free(struct vf_ratelimit *rl)
{
    if (!rl)
        return;
    pthread_mutex_destroy(&rl->lock);
    free(rl);
}

void vf_ratelimit_set(struct vf_ratelimit *rl, uint64_t bytes_per_second)
{
    pthread_mutex_lock(&rl->lock);
    rl->rate = bytes_per_second;
    rl->paid_until = 0; /* a debt at the old rate is forgiven */
    rl->changes++;
    pthread_mutex_unlock(&rl->lock);
}

unsigned vf_ratelimit_changes(struct vf_ratelimit *rl)
{
    unsigned n;

    pthread_mutex_lock(&rl->lock);
    n = rl->changes;
    pthread_mutex_unlock(&rl->lock);
    return n;
}

uint64_t vf_ratelimit_take_at(struct vf_ratelimit *rl, uint64_t n, uint64_t now_ns)
{
    uint64_t wait = 0;

    pthread_mutex_lock(&rl->lock);
    if (rl->rate) {
        uint64_t floor = now_ns > BURST_NS ? now_ns - BURST_NS : 0;
        /* in floating point: n * SECOND may not fit, and a nanosecond does not matter */
        double cost = (double)n / (double)rl->rate * (double)SECOND;

        if (rl->paid_until < floor)
            rl->paid_until = floor;
        wait = rl->paid_until > now_ns ? rl->paid_until - now_ns : 0;
        rl->paid_until += cost < (double)WAIT_MAX ? (uint64_t)cost : WAIT_MAX;
    }
    pthread_mutex_unlock(&rl->lock);
    return wait;
}

uint64_t vf_ratelimit_take(struct vf_ratelimit *rl, uint64_t n)
{
    return vf_ratelimit_take_at(rl, n, vf_clock_ns());
}
