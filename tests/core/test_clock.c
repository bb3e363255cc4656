#include "core/clock.h"

#include <time.h>

#include "tests/lib/check.h"

TEST(units_agree)
{
    double s = vf_clock_now();
    int64_t ms = vf_clock_ms();
    uint64_t ns = vf_clock_ns();

    CHECK(s > 0 && (double)ms / 1e3 - s > -0.002 && (double)ms / 1e3 - s < 10);
    CHECK(ns / 1000000 >= (uint64_t)ms && ns / 1000000 - (uint64_t)ms < 10000);
}

TEST(goes_on)
{
    const struct timespec nap = {0, 20 * 1000 * 1000};
    int64_t ms = vf_clock_ms();
    uint64_t ns = vf_clock_ns();

    CHECK(nanosleep(&nap, NULL) == 0);
    CHECK(vf_clock_ns() - ns >= 20000000);
    CHECK(vf_clock_ms() - ms >= 19);
}

TEST(sleep_is_no_work)
{
    const struct timespec nap = {0, 100 * 1000 * 1000};
    uint64_t before = vf_clock_cpu_ns();

    CHECK(nanosleep(&nap, NULL) == 0);
    CHECK(vf_clock_cpu_ns() - before < 50000000);
    for (uint64_t from = vf_clock_cpu_ns(); vf_clock_cpu_ns() - from < 1000000;)
        ; /* comes to an end, as this is work */
}

TESTS(units_agree, goes_on, sleep_is_no_work)
