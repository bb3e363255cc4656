/* core/literals/adapt.c, against simulated links and processors. */
#include "core/literals/adapt.h"

#include "tests/lib/check.h"

#define MIB    (UINT64_C(1) << 20)
#define MADE   (MIB / 2)    /* bytes that a MiB is packed into */
#define ROOM   (8.0 * MIB)  /* for what waits before the link, behind a strong effort */
#define LITTLE (ROOM / 16)  /* the same behind a weak one */
#define LATE   UINT64_C(16) /* MiB with which a strong effort may be tried again */

/* One MiB of literals on a machine: nanoseconds. */
struct machine {
    double link; /* what the link takes for it, compressed at level 3 */
    double far;  /* processor time that the far end takes of this machine's */
    unsigned processors;
};

/* A migration under way. */
struct way {
    struct vf_adapt a;
    struct machine m;
    double held, sent;       /* bytes before the link, and through it */
    double time, idle;       /* ns so far; with nothing for the link */
    unsigned changes, light; /* of the effort; content that compresses so many times better */
};

/* To compress it: level 3 at 200 MB/s, the others as measured (core/literals/adapt.c). */
static double compress_ns(int level)
{
    static const double share[20] = {
        [1] = 0.35, [3] = 1, [6] = 2.2, [9] = 3.3, [12] = 8.5, [17] = 74, [19] = 105};

    return 5.2e6 * share[level];
}

/* To read it and to look for quotes. */
static double prepare_ns(int level) { return level >= 3 ? 2.4e6 : 1.5e6; }

static double most(double a, double b) { return a > b ? a : b; }

/* Time passes, in which so much is packed and the link takes what it can. */
static void pass(struct way *w, double ns, double made)
{
    double rate = (double)MADE / most(w->m.link, 1), taken = ns * rate;

    w->held += made;
    if (taken > w->held) {
        w->idle += ns - w->held / rate;
        taken = w->held;
    }
    w->held -= taken;
    w->sent += taken;
    w->time += ns;
}

/* One MiB: all that runs at the same time takes as long as the slowest of it, or as all of it
 * together takes the processors; then the packer waits while there is more than there is room for.
 */
static void step(struct way *w)
{
    double c = compress_ns(w->a.level), q = prepare_ns(w->a.level), work = c + q + w->m.far;
    double own = most(c, q), t = most(own, work / w->m.processors), wait = 0;
    double room = w->a.level > VF_LEVEL_FIRST ? ROOM : LITTLE;
    double made = (double)MADE * (w->a.level >= 3 ? 1 : 1.05) / (w->light ? w->light : 1);
    struct vf_flow f = {.len = MIB, .made = (uint64_t)made};
    struct vf_times x;

    pass(w, t, made);
    if (w->held > room) {
        wait = (w->held - room) * w->m.link / (double)MADE;
        pass(w, wait, 0);
    }
    x = (struct vf_times){.link = (uint64_t)(t - own + wait),
                          .compress = (uint64_t)c,
                          .other = (uint64_t)(own - c),
                          .prepare = (uint64_t)q,
                          .idle = (uint64_t)((t + wait) * w->m.processors - work)};
    f.stock = (struct vf_stock){(uint64_t)w->held, (uint64_t)room, (uint64_t)w->sent};
    w->changes += vf_adapt_step(&w->a, &f, &x);
}

static void go(struct way *w, unsigned mib)
{
    for (unsigned i = 0; i < mib; i++)
        step(w);
}

static struct way begin(struct machine m, int level_most)
{
    struct way w = {.m = m};

    vf_adapt_init(&w.a, level_most, m.processors);
    return w;
}

/* How it is after some MiB. */
static struct way settle(struct machine m, int level_most, unsigned mib)
{
    struct way w = begin(m, level_most);

    go(&w, mib);
    return w;
}

TEST(slow_links_get_strong_levels)
{
    CHECK(settle((struct machine){400e6, 0, 2}, 19, 1000).a.level >= 12); /* 10 Mbit/s */
    CHECK(settle((struct machine){800e6, 0, 2}, 19, 1000).a.level >= 19);
    CHECK(settle((struct machine){40e6, 0, 2}, 19, 1000).a.level >= 9); /* 100 Mbit/s */
    CHECK_EQ_I64(settle((struct machine){400e6, 0, 2}, 6, 1000).a.level, 6);
}

/* The far end on the same two processors does not matter there. */
TEST(slow_links_on_one_machine)
{
    CHECK(settle((struct machine){400e6, 8e6, 2}, 19, 1000).a.level >= 12);
    CHECK(settle((struct machine){40e6, 8e6, 2}, 19, 1000).a.level >= 6);
}

TEST(fast_links_get_weak_levels)
{
    struct way w = settle((struct machine){4e6, 0, 2}, 19, 1000); /* 1 Gbit/s */

    CHECK_EQ_I64(w.a.level, 1);
    w = settle((struct machine){6e6, 0, 4}, 19, 1000);
    CHECK_EQ_I64(w.a.level, 3);
    CHECK_EQ_U64(w.changes, 0);
}

/* A link that is faster than the source: the weakest effort, before much was sent. */
TEST(faster_than_the_source)
{
    struct way w = settle((struct machine){0, 0, 4}, 19, 40);

    CHECK_EQ_I64(w.a.level, 1);
    go(&w, 960);
    CHECK_EQ_I64(w.a.level, 1);
    CHECK_EQ_U64(w.changes, 1);
}

/* Both ends on two processors, which are the bottleneck: what is left out is time gained. */
TEST(crowded_processors)
{
    struct machine m = {1e6, 5e6, 2};
    struct way w = settle(m, 19, 300);

    CHECK_EQ_I64(w.a.level, 1);
    CHECK(w.changes <= 3);
    go(&w, 700);
    CHECK(w.time < 1000 * (compress_ns(3) + prepare_ns(3) + m.far) / 2 * 0.75);
}

/* All processors are busy, but packing is little of it: a weaker level would not help. */
TEST(busy_elsewhere)
{
    struct way w = settle((struct machine){1e6, 40e6, 2}, 19, 1000);

    CHECK_EQ_I64(w.a.level, 3);
    CHECK_EQ_U64(w.changes, 0);
}

/* The line gets slow after all: the effort comes back. */
TEST(slower_link_is_noticed)
{
    struct way w = settle((struct machine){0.5e6, 3e6, 2}, 19, 100);

    CHECK_EQ_I64(w.a.level, 1);
    w.m.link = 40e6;
    go(&w, 200);
    CHECK(w.a.level >= 3);
    go(&w, 500);
    CHECK(w.a.level >= 6);
}

/* Every change costs the window. */
TEST(few_changes)
{
    CHECK(settle((struct machine){40e6, 0, 2}, 19, 100000).changes <= 4);
    CHECK(settle((struct machine){400e6, 0, 2}, 19, 100000).changes <= 4);
    CHECK(settle((struct machine){3e6, 4e6, 2}, 19, 100000).changes <= 30);
}

/* A link that becomes ten times faster, because connections were added, is not left waiting. */
TEST(faster_link_is_noticed)
{
    struct way w = settle((struct machine){40e6, 0, 4}, 12, 200);

    CHECK(w.a.level >= 9);
    w.m.link = 4e6;
    w.changes = 0;
    w.time = w.idle = 0;
    go(&w, 140);
    CHECK(w.a.level <= 3);
    CHECK(w.changes >= 1 && w.changes <= 3);
    CHECK(w.idle < w.time / 4); /* level 3 is just too slow for it */
}

/* Content that compresses better: less for the link in the same time.  A strong level is left
 * before the link has nothing to do, and comes back. */
TEST(lighter_content_is_noticed)
{
    struct way w = settle((struct machine){40e6, 0, 4}, 12, 200);
    int level = w.a.level;

    CHECK(level >= 9);
    w.light = 4;
    w.idle = 0;
    go(&w, 100);
    CHECK(w.a.level < level);
    CHECK(w.idle < 1e6);
    w.light = 0;
    go(&w, 50);
    CHECK_EQ_I64(w.a.level, level);
}

/* Content of changing weight on a slow line: the line is never idle, and most of the time the
 * effort is a strong one. */
TEST(changing_content)
{
    struct way w = settle((struct machine){600e6, 0, 2}, 19, 60);
    unsigned strong = 0;

    CHECK(w.a.level >= 17);
    w.idle = 0;
    for (unsigned i = 0; i < 400; i++) {
        w.light = i / 50 % 2 ? 3 : 0;
        step(&w);
        strong += w.a.level >= 12;
    }
    CHECK(w.idle < 1e6);
    CHECK(strong > 350);
}

/* The room grows when a strong effort is taken: that alone is no reason to leave it. */
TEST(more_room_is_no_hunger)
{
    struct way w = begin((struct machine){400e6, 0, 2}, 19);

    while (w.a.level <= VF_LEVEL_FIRST)
        step(&w);
    w.changes = 0;
    go(&w, LATE - 1);
    CHECK_EQ_U64(w.changes, 0);
}

/* One that waits for something else does not need a weaker level. */
TEST(idle_for_other_reasons)
{
    struct vf_times t = {
        .link = 1000, .compress = 5000000, .other = 20000000, .prepare = 3000000, .idle = 30000000};
    struct vf_flow f = {MIB, MADE, {0, (uint64_t)ROOM, 0}};
    struct vf_adapt a;

    vf_adapt_init(&a, 19, 2);
    a.next = UINT64_MAX;
    for (unsigned i = 0; i < 500; i++) {
        f.stock.sent += MADE;
        CHECK(!vf_adapt_step(&a, &f, &t));
    }
}

/* The processor gets busy with something else: a strong level is left before long. */
TEST(gives_way)
{
    struct way w = settle((struct machine){800e6, 0, 2}, 19, 100);
    struct vf_times late = {.compress = 2000000000, .other = 100000};
    struct vf_flow f = {MIB, MADE, {0, (uint64_t)ROOM, (uint64_t)w.sent}};
    unsigned i;

    CHECK_EQ_I64(w.a.level, 19);
    for (i = 0; i < 100 && w.a.level == 19; i++) {
        f.stock.sent += 2 * MADE;
        (void)vf_adapt_step(&w.a, &f, &late);
    }
    CHECK(i <= 4);
}

/* Processors that others keep busy: the link is kept full first, and then gets what is free. */
TEST(busy_with_other_work)
{
    struct way w = settle((struct machine){400e6, 790e6, 2}, 19, 1000);

    CHECK(w.a.level >= 6);
    CHECK(compress_ns(w.a.level) + prepare_ns(w.a.level) < w.m.link / 2);
}

TEST(short_streams_stay)
{
    struct vf_adapt a;

    CHECK_EQ_I64(settle((struct machine){400e6, 0, 2}, 19, 7).a.level, VF_LEVEL_FIRST);
    /* one look is no look */
    CHECK_EQ_I64(settle((struct machine){0, 5e6, 2}, 19, 12).a.level, VF_LEVEL_FIRST);
    vf_adapt_init(&a, 1, 2);
    CHECK_EQ_I64(a.level, 1);
}

TESTS(slow_links_get_strong_levels, slow_links_on_one_machine, fast_links_get_weak_levels,
      faster_than_the_source, crowded_processors, busy_elsewhere, slower_link_is_noticed,
      few_changes, faster_link_is_noticed, lighter_content_is_noticed, changing_content,
      more_room_is_no_hunger, idle_for_other_reasons, gives_way, busy_with_other_work,
      short_streams_stay)
