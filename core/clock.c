/* core/clock.c - the monotonic clock in three units. */
#include "core/clock.h"

#include <time.h>

#define NS_PER_S UINT64_C(1000000000)

static uint64_t read_ns(clockid_t clock)
{
    struct timespec t = {0, 0};

    (void)clock_gettime(clock, &t); /* cannot fail with the clocks below */
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

double vf_clock_now(void) { return (double)vf_clock_ns() / 1e9; }

int64_t vf_clock_ms(void) { return (int64_t)(vf_clock_ns() / 1000000); }

uint64_t vf_clock_ns(void) { return read_ns(CLOCK_MONOTONIC); }

uint64_t vf_clock_cpu_ns(void) { return read_ns(CLOCK_THREAD_CPUTIME_ID); }
