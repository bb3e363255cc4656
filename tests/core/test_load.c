/* core/load.c: the kernel's count of idle time. */
#include "core/load.h"

#include <time.h>

#include "tests/lib/check.h"

TEST(parses)
{
    CHECK_EQ_U64(vf_load_parse("cpu  10 20 30 4000 500 1 2 3 0 0\ncpu0 1"), 4500);
    CHECK_EQ_U64(vf_load_parse("cpu  10 20 30"), 0);
    CHECK_EQ_U64(vf_load_parse(""), 0);
    CHECK_EQ_U64(vf_load_parse("intr 1 2 3 4 5"), 0);
}

/* No more than all processors could be, whatever else the machine does. */
TEST(counts)
{
    struct timespec pause = {0, 50000000}, before, after;
    struct vf_load l;
    uint64_t idle, passed;

    vf_load_open(&l);
    CHECK(l.processors >= 1);
    (void)clock_gettime(CLOCK_MONOTONIC, &before);
    (void)nanosleep(&pause, NULL);
    idle = vf_load_idle(&l);
    (void)clock_gettime(CLOCK_MONOTONIC, &after);
    passed = (uint64_t)(after.tv_sec - before.tv_sec) * 1000000000 +
             (uint64_t)(after.tv_nsec - before.tv_nsec);
    if (l.fd >= 0)
        CHECK(idle <= (passed + 40000000) * l.processors);
    vf_load_close(&l);
    CHECK_EQ_U64(vf_load_idle(&l), UINT64_MAX / 4);
}

TESTS(parses, counts)
