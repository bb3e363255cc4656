/* core/adapt.c, against simulated links and processors. */
#include "core/adapt.h"

#include "tests/lib/check.h"

#define MIB (UINT64_C(1) << 20)

/* Nanoseconds to compress a MiB at a level: level 3 at 200 MB/s, each further one a quarter slower.
 */
static double compress_ns(int level)
{
    double ns = 5.2e6;

    for (int l = 3; l < level; l++)
        ns *= 1.3;
    return level < 3 ? ns * 0.75 : ns;
}

/* The level after some MiB over a link that takes so many nanoseconds for what a MiB is compressed
 * to. */
static int settle(double link_ns, int most, unsigned mib, unsigned *ret_changes)
{
    struct vf_adapt a;

    vf_adapt_init(&a, most);
    *ret_changes = 0;
    for (unsigned i = 0; i < mib; i++) {
        double c = compress_ns(a.level), wait = link_ns > c ? link_ns - c : 0;

        *ret_changes += vf_adapt_step(&a, MIB, (uint64_t)wait, (uint64_t)c, 100000);
    }
    return a.level;
}

TEST(slow_links_get_strong_levels)
{
    unsigned changes;

    CHECK(settle(400e6, 19, 1000, &changes) >= 12); /* 10 Mbit/s at a ratio of 2 */
    CHECK(settle(40e6, 19, 1000, &changes) >= 9);   /* 100 Mbit/s */
    CHECK_EQ_I64(settle(400e6, 6, 1000, &changes), 6);
}

TEST(fast_links_get_weak_levels)
{
    unsigned changes;

    CHECK_EQ_I64(settle(4e6, 19, 1000, &changes), 1); /* 1 Gbit/s */
    CHECK_EQ_I64(settle(6e6, 19, 1000, &changes), 3); /* just slower than level 3 */
    CHECK_EQ_U64(changes, 0);
}

/* Every change costs the window: they get rare. */
TEST(few_changes)
{
    unsigned changes;

    (void)settle(40e6, 19, 100000, &changes);
    CHECK(changes <= 4);
}

/* A link that becomes ten times faster, because connections were added, is not left waiting. */
TEST(faster_link_is_noticed)
{
    struct vf_adapt a;
    unsigned changes = 0, mib = 0;

    vf_adapt_init(&a, 12);
    for (; mib < 200; mib++) { /* 100 Mbit/s */
        double c = compress_ns(a.level), wait = 40e6 > c ? 40e6 - c : 0;

        (void)vf_adapt_step(&a, MIB, (uint64_t)wait, (uint64_t)c, 100000);
    }
    CHECK(a.level >= 9);
    for (; mib < 340; mib++) { /* 1 Gbit/s */
        double c = compress_ns(a.level), wait = 4e6 > c ? 4e6 - c : 0;

        changes += vf_adapt_step(&a, MIB, (uint64_t)wait, (uint64_t)c, 100000);
    }
    CHECK(a.level <= 3);
    CHECK(changes >= 1 && changes <= 3);
}

/* One that waits for something else does not need a weaker level. */
TEST(idle_for_other_reasons)
{
    struct vf_adapt a;

    vf_adapt_init(&a, 19);
    a.next = UINT64_MAX;
    for (unsigned i = 0; i < 500; i++)
        CHECK(!vf_adapt_step(&a, MIB, 1000, 5000000, 20000000));
}

/* The processor gets busy with something else: a strong level is left before long. */
TEST(gives_way)
{
    struct vf_adapt a;
    unsigned i;

    vf_adapt_init(&a, 19);
    for (i = 0; i < 100; i++)
        (void)vf_adapt_step(&a, MIB, 400 * 1000000, (uint64_t)compress_ns(a.level) / 2, 100000);
    CHECK(a.level >= 9);
    a.level = 19; /* as it was chosen when there was time */
    for (i = 0; i < 100 && a.level == 19; i++)
        (void)vf_adapt_step(&a, MIB, 1000, 2000 * 1000000ull, 100000);
    CHECK(i <= 4);
}

TEST(short_streams_stay)
{
    unsigned changes;

    CHECK_EQ_I64(settle(400e6, 19, 7, &changes), VF_LEVEL_FIRST);
}

TESTS(slow_links_get_strong_levels, fast_links_get_weak_levels, few_changes, faster_link_is_noticed,
      idle_for_other_reasons, gives_way, short_streams_stay)
