/* cmd/clock.h - time for measuring. */
#ifndef VF_CMD_CLOCK_H
#define VF_CMD_CLOCK_H

#include <time.h>

/* Seconds of the monotonic clock; any thread. */
static inline double vf_clock_now(void)
{
    struct timespec ts = {0, 0};

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with this clock */
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

#endif
