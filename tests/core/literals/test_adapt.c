/* core/literals/adapt.c, against simulated links and processors. */
#include "core/literals/adapt.h"

#include "tests/lib/check.h"

#define MIB (UINT64_C(1) << 20)

/* One MiB of literals on a machine: nanoseconds. */
struct machine {
    double link; /* what the link takes for it, compressed at level 3 */
    double far;  /* processor time that the far end takes of this machine's */
    unsigned processors;
};

/* To compress it: level 3 at 200 MB/s, each further one a quarter slower. */
static double compress_ns(int level)
{
    double ns = 5.2e6;

    for (int l = 3; l < level; l++)
        ns *= 1.3;
    return level >= 3 ? ns : 1.8e6;
}

/* To read it and to look for quotes. */
static double prepare_ns(int level) { return level >= 3 ? 2.4e6 : 1.5e6; }

static double ratio(const struct vf_adapt *a) { return a->level >= 3 ? 1 : 1.05; }

static double most(double a, double b) { return a > b ? a : b; }

/* One step: all that runs at the same time takes as long as the slowest of it, or as all of it
 * together takes the processors.  Returns whether the effort changed; *time grows. */
static bool step(struct vf_adapt *a, const struct machine *m, double *time)
{
    double c = compress_ns(a->level), q = prepare_ns(a->level);
    double work = c + q + m->far, t = most(most(c, q), work / m->processors);
    struct vf_times x;

    t = most(t, m->link * ratio(a));
    x = (struct vf_times){.compress = (uint64_t)c,
                          .other = (uint64_t)(q > c ? q - c : 0),
                          .prepare = (uint64_t)q,
                          .idle = (uint64_t)(t * m->processors - work)};
    x.link = (uint64_t)t - x.compress - x.other;
    *time += t;
    return vf_adapt_step(a, MIB, &x);
}

/* The effort after some MiB. */
static struct vf_adapt settle(struct machine m, int level_most, unsigned mib, unsigned *ret_changes)
{
    struct vf_adapt a;
    double time = 0;

    vf_adapt_init(&a, level_most, m.processors);
    *ret_changes = 0;
    for (unsigned i = 0; i < mib; i++)
        *ret_changes += step(&a, &m, &time);
    return a;
}

TEST(slow_links_get_strong_levels)
{
    unsigned changes;

    CHECK(settle((struct machine){400e6, 0, 2}, 19, 1000, &changes).level >= 12); /* 10 Mbit/s */
    CHECK(settle((struct machine){40e6, 0, 2}, 19, 1000, &changes).level >= 9);   /* 100 Mbit/s */
    CHECK_EQ_I64(settle((struct machine){400e6, 0, 2}, 6, 1000, &changes).level, 6);
}

/* The far end on the same two processors does not matter there. */
TEST(slow_links_on_one_machine)
{
    unsigned changes;

    CHECK(settle((struct machine){400e6, 8e6, 2}, 19, 1000, &changes).level >= 12);
    CHECK(settle((struct machine){40e6, 8e6, 2}, 19, 1000, &changes).level >= 6);
}

TEST(fast_links_get_weak_levels)
{
    struct vf_adapt a;
    unsigned changes;

    a = settle((struct machine){4e6, 0, 2}, 19, 1000, &changes); /* 1 Gbit/s */
    CHECK_EQ_I64(a.level, 1);
    CHECK_EQ_I64(settle((struct machine){6e6, 0, 4}, 19, 1000, &changes).level, 3);
    CHECK_EQ_U64(changes, 0);
}

/* A link that is faster than the source: the weakest effort, before much was sent. */
TEST(faster_than_the_source)
{
    unsigned changes;

    CHECK_EQ_I64(settle((struct machine){0, 0, 4}, 19, 40, &changes).level, 1);
    CHECK_EQ_I64(settle((struct machine){0, 0, 4}, 19, 1000, &changes).level, 1);
    CHECK_EQ_U64(changes, 1);
}

/* Both ends on two processors, which are the bottleneck: what is left out is time gained. */
TEST(crowded_processors)
{
    struct machine m = {1e6, 5e6, 2};
    struct vf_adapt a;
    double time = 0, kept = 0;
    unsigned changes;

    a = settle(m, 19, 300, &changes);
    CHECK_EQ_I64(a.level, 1);
    CHECK(changes <= 3);
    vf_adapt_init(&a, 19, 2);
    for (unsigned i = 0; i < 1000; i++)
        (void)step(&a, &m, &time);
    for (unsigned i = 0; i < 1000; i++)
        kept += (compress_ns(3) + prepare_ns(3) + m.far) / 2;
    CHECK(time < kept * 0.75);
}

/* All processors are busy, but packing is little of it: a weaker level would not help. */
TEST(busy_elsewhere)
{
    unsigned changes;

    CHECK_EQ_I64(settle((struct machine){1e6, 40e6, 2}, 19, 1000, &changes).level, 3);
    CHECK_EQ_U64(changes, 0);
}

/* The line gets slow after all: the effort comes back. */
TEST(slower_link_is_noticed)
{
    struct machine fast = {0.5e6, 3e6, 2}, slow = {40e6, 3e6, 2};
    struct vf_adapt a;
    double time = 0;

    vf_adapt_init(&a, 19, 2);
    for (unsigned i = 0; i < 100; i++)
        (void)step(&a, &fast, &time);
    CHECK_EQ_I64(a.level, 1);
    for (unsigned i = 0; i < 200; i++)
        (void)step(&a, &slow, &time);
    CHECK(a.level >= 3);
    for (unsigned i = 0; i < 500; i++)
        (void)step(&a, &slow, &time);
    CHECK(a.level >= 6);
}

/* Every change costs the window: they get rare. */
TEST(few_changes)
{
    unsigned changes;

    (void)settle((struct machine){40e6, 0, 2}, 19, 100000, &changes);
    CHECK(changes <= 4);
    (void)settle((struct machine){3e6, 4e6, 2}, 19, 100000, &changes);
    CHECK(changes <= 30);
}

/* A link that becomes ten times faster, because connections were added, is not left waiting. */
TEST(faster_link_is_noticed)
{
    struct machine slow = {40e6, 0, 4}, fast = {4e6, 0, 4};
    struct vf_adapt a;
    unsigned changes = 0, mib = 0;
    double time = 0;

    vf_adapt_init(&a, 12, 4);
    for (; mib < 200; mib++)
        (void)step(&a, &slow, &time);
    CHECK(a.level >= 9);
    for (; mib < 340; mib++)
        changes += step(&a, &fast, &time);
    CHECK(a.level <= 3);
    CHECK(changes >= 1 && changes <= 3);
}

/* Content that compresses better: less for the link in the same time.  A strong level is left
 * before what is under way is gone: 2 MiB that travel, here 16 MiB of content. */
TEST(lighter_content_is_noticed)
{
    struct machine heavy = {40e6, 0, 4}, light = {10e6, 0, 4};
    struct vf_adapt a;
    unsigned mib = 0;
    double time = 0;
    int level;

    vf_adapt_init(&a, 12, 4);
    for (; mib < 200; mib++)
        (void)step(&a, &heavy, &time);
    level = a.level;
    CHECK(level >= 9);
    for (mib = 0; mib < 100 && a.level == level; mib++)
        (void)step(&a, &light, &time);
    CHECK(mib <= 12);
    for (mib = 0; mib < 40; mib++)
        (void)step(&a, &light, &time);
    CHECK(compress_ns(a.level) < light.link);
}

/* One that waits for something else does not need a weaker level. */
TEST(idle_for_other_reasons)
{
    struct vf_times t = {
        .link = 1000, .compress = 5000000, .other = 20000000, .prepare = 3000000, .idle = 30000000};
    struct vf_adapt a;

    vf_adapt_init(&a, 19, 2);
    a.next = UINT64_MAX;
    for (unsigned i = 0; i < 500; i++)
        CHECK(!vf_adapt_step(&a, MIB, &t));
}

/* The processor gets busy with something else: a strong level is left before long. */
TEST(gives_way)
{
    struct machine slow = {400e6, 0, 2};
    struct vf_times late = {.link = 1000, .compress = 2000000000, .other = 100000};
    struct vf_adapt a;
    double time = 0;
    unsigned i;

    vf_adapt_init(&a, 19, 2);
    for (i = 0; i < 100; i++)
        (void)step(&a, &slow, &time);
    CHECK(a.level >= 9);
    while (a.level < 19) { /* as it was chosen when there was time */
        a.rung++;
        a.level += a.level < 12 ? 3 : a.level < 17 ? 5 : 2;
    }
    for (i = 0; i < 100 && a.level == 19; i++)
        (void)vf_adapt_step(&a, MIB, &late);
    CHECK(i <= 4);
}

/* Processors that others keep busy: the link is kept full first, and then gets what is free. */
TEST(busy_with_other_work)
{
    struct machine m = {400e6, 0, 2};
    struct vf_adapt a;
    unsigned changes;

    a = settle((struct machine){400e6, 790e6, 2}, 19, 1000, &changes);
    CHECK(a.level >= 6);
    CHECK(compress_ns(a.level) + prepare_ns(a.level) < m.link / 2);
}

TEST(short_streams_stay)
{
    unsigned changes;
    struct vf_adapt a = settle((struct machine){400e6, 0, 2}, 19, 7, &changes);

    CHECK_EQ_I64(a.level, VF_LEVEL_FIRST);
    a = settle((struct machine){0, 5e6, 2}, 19, 12, &changes); /* one look is no look */
    CHECK_EQ_I64(a.level, VF_LEVEL_FIRST);
    vf_adapt_init(&a, 1, 2);
    CHECK_EQ_I64(a.level, 1);
}

TESTS(slow_links_get_strong_levels, slow_links_on_one_machine, fast_links_get_weak_levels,
      faster_than_the_source, crowded_processors, busy_elsewhere, slower_link_is_noticed,
      few_changes, faster_link_is_noticed, lighter_content_is_noticed, idle_for_other_reasons,
      gives_way, busy_with_other_work, short_streams_stay)
