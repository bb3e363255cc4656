/* bench/clock.h - wall and processor time for benchmarks. */
#ifndef VF_BENCH_CLOCK_H
#define VF_BENCH_CLOCK_H

#include <sys/resource.h>
#include <time.h>

/* Seconds on a clock that does not go back. */
static inline double wall(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Processor seconds of this process so far, all threads. */
static inline double cpu(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

#endif
