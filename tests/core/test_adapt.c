/* core/adapt.c, against simulated links and processors. */
#include "core/adapt.h"

#include "tests/lib/check.h"

#define MS UINT64_C(1000000)

/* Bytes a second that level l compresses, roughly zstd's on disk images. */
static double speed(int l)
{
    double v = 400e6;

    for (int i = 1; i < l; i++)
        v *= 0.75;
    return v;
}

/* The level after n rounds of 100 ms each over a link of so many bytes a second, at a ratio of 2.
 */
static int settle(double link, int most, int n)
{
    struct vf_adapt a;
    int level;

    vf_adapt_init(&a, most);
    level = a.level;
    for (int i = 0; i < n; i++) {
        double c = speed(level), l = link * 2, both = 100e6; /* nanoseconds */
        double wait_link = c > l ? both * (1 - l / c) : 0;
        double wait_comp = c < l ? both * (1 - c / l) : 0;

        level = vf_adapt_step(&a, (uint64_t)wait_link, (uint64_t)wait_comp,
                              (uint64_t)(both - wait_link - wait_comp));
    }
    return level;
}

TEST(slow_links_get_strong_levels)
{
    CHECK(settle(1.25e6, 19, 200) >= 16);
    CHECK(settle(12.5e6, 19, 200) >= 8);
    CHECK(settle(12.5e6, 5, 200) == 5);
}

TEST(fast_links_get_weak_levels)
{
    CHECK(settle(125e6, 19, 200) <= 4);
    CHECK_EQ_I64(settle(1250e6, 19, 200), 1);
}

TEST(short_moments_change_nothing)
{
    struct vf_adapt a;

    vf_adapt_init(&a, 19);
    CHECK_EQ_I64(vf_adapt_step(&a, 200 * MS, 0, 0), VF_LEVEL_FIRST);
    CHECK(vf_adapt_step(&a, 200 * MS, 0, 0) > VF_LEVEL_FIRST);
}

TESTS(slow_links_get_strong_levels, fast_links_get_weak_levels, short_moments_change_nothing)
