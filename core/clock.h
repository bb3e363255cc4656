/* core/clock.h - the monotonic clock: for measuring, and for deadlines.
 *
 * It does not jump when somebody sets the time of day, and stands still while the machine is
 * suspended.  The service's timers go on meanwhile: service/clock.h.
 *
 * None of these can fail.  Any thread. */
#ifndef VF_CORE_CLOCK_H
#define VF_CORE_CLOCK_H

#include <stdint.h>

double vf_clock_now(void); /* seconds */
int64_t vf_clock_ms(void);
uint64_t vf_clock_ns(void);

/* Processor time that the calling thread has used, in nanoseconds. */
uint64_t vf_clock_cpu_ns(void);

#endif
