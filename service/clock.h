/* service/clock.h - the time of the service's timers: it does not go back, does not jump when
 * somebody sets the clock, and goes on while the machine is suspended. */
#ifndef VF_SERVICE_CLOCK_H
#define VF_SERVICE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds since boot; any thread. */
static inline int64_t vf_boot_ms(void)
{
    struct timespec ts = {0, 0};

    (void)clock_gettime(CLOCK_BOOTTIME, &ts); /* cannot fail with this clock */
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

#endif
