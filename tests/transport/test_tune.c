/* When more connections are worth having. */
#include "transport/tune.h"

#include <stdbool.h>

#include "tests/lib/check.h"

/* A link that moves rate(n) bytes a second with n connections, for so many seconds. */
struct world {
    struct vf_tune t;
    double each, all; /* bytes per second of one connection, of the line */
    double source;    /* that the sender could send; 0: any */
    int64_t rtt_ms;   /* 0: not known */
    bool refuses;     /* further connections never come */
    int64_t now_ms;
    double bytes, blocked_ns;
    unsigned live;
};

static unsigned run(struct world *w, unsigned seconds)
{
    unsigned want = 1;

    w->live = 1;
    for (unsigned i = 0; i < seconds * 4; i++) {
        double rate = w->each * w->live < w->all ? w->each * w->live : w->all;
        bool source = w->source > 0 && w->source < rate;

        w->now_ms += 250;
        w->bytes += (source ? w->source : rate) / 4;
        w->blocked_ns += source ? w->source / rate * 0.4 * 250e6 : 240e6;
        want = vf_tune_step(&w->t, w->now_ms, (uint64_t)w->bytes, (uint64_t)w->blocked_ns,
                            w->rtt_ms, w->live);
        CHECK(want >= w->live && want <= w->t.max);
        if (!w->refuses)
            w->live = want;
    }
    return want;
}

static unsigned wants(struct world w, unsigned max, unsigned seconds)
{
    w.now_ms = 12345;
    vf_tune_init(&w.t, max, w.now_ms);
    return run(&w, seconds);
}

TEST(as_many_as_help)
{
    CHECK_EQ_U64(wants((struct world){.each = 40e6, .all = 1e12}, 8, 60), 8);
    CHECK_EQ_U64(wants((struct world){.each = 40e6, .all = 1e12}, 5, 60), 5);
    CHECK_EQ_U64(wants((struct world){.each = 40e6, .all = 1e12}, 1, 60), 1);
    /* One fills the line: the trial stays, nothing more. */
    CHECK_EQ_U64(wants((struct world){.each = 40e6, .all = 40e6}, 8, 600), 2);
    CHECK_EQ_U64(wants((struct world){.each = 40e6, .all = 80e6}, 8, 600), 4);
    /* Never held up. */
    CHECK_EQ_U64(wants((struct world){.each = 40e6, .all = 80e6, .source = 20e6}, 8, 600), 1);
    /* Held up with one only. */
    CHECK_EQ_U64(wants((struct world){.each = 40e6, .all = 1e9, .source = 60e6}, 8, 600), 2);
    CHECK_EQ_U64(wants((struct world){.each = 40e6, .all = 1e9, .refuses = true}, 8, 600), 2);
}

TEST(soon)
{
    CHECK_EQ_U64(wants((struct world){.each = 40e6, .all = 1e12}, 8, 14), 8);
    CHECK_EQ_U64(wants((struct world){.each = 40e6, .all = 1e12}, 8, 0), 1);
}

/* A channel that is full shows at once that one is too few; a slow line is not taken for one. */
TEST(window_of_a_channel)
{
    struct world far = {.each = 25e6, .all = 1e12, .rtt_ms = 50};

    CHECK_EQ_U64(wants(far, 8, 1), 4);
    CHECK_EQ_U64(wants(far, 3, 1), 3);
    far.source = 20e6; /* the sender is hardly faster than one of them */
    CHECK_EQ_U64(wants(far, 8, 1), 4);
    CHECK_EQ_U64(wants((struct world){.each = 12e6, .all = 12e6, .rtt_ms = 50}, 8, 600), 2);
    CHECK_EQ_U64(wants((struct world){.each = 12e6, .all = 12e6, .rtt_ms = 50}, 8, 5), 1);
    CHECK_EQ_U64(wants((struct world){.each = 12e6, .all = 12e6, .rtt_ms = 50}, 8, 7), 2);
    CHECK_EQ_U64(
        wants((struct world){.each = 300e6, .all = 300e6, .source = 200e6, .rtt_ms = 1}, 8, 600),
        1);
}

/* The slow beginning of a stream does not hide it: little for a while, then a full channel. */
TEST(window_after_a_slow_start)
{
    struct vf_tune t;
    int64_t now = 12345, full = now + 900;
    double bytes = 0, blocked_ns = 0;
    unsigned want = 1;

    vf_tune_init(&t, 8, now);
    while (want == 1 && now < full + 2000) {
        now += 100;
        bytes += now <= full ? 0.5e6 : 3.8e6;
        blocked_ns += now <= full ? 1e6 : 90e6;
        want = vf_tune_step(&t, now, (uint64_t)bytes, (uint64_t)blocked_ns, 50, 1);
    }
    CHECK_EQ_U64(want, 4);
    CHECK(now <= full + 400);
}

/* A line that is not so fast, whose buffers fill at first. */
TEST(buffers_that_fill)
{
    struct vf_tune t;
    int64_t now = 12345, begin = now;
    double bytes = 0, blocked_ns = 0;
    unsigned want = 1;

    vf_tune_init(&t, 8, now);
    while (now < begin + 900) {
        now += 100;
        bytes += now == begin + 400 ? 3.4e6 : 1.25e6;
        blocked_ns += 80e6;
        want = vf_tune_step(&t, now, (uint64_t)bytes, (uint64_t)blocked_ns, 50, 1);
    }
    CHECK_EQ_U64(want, 1);
}

/* What did not help rests; what helped goes on. */
TEST(those_that_do_not_help_rest)
{
    struct world w = {.each = 40e6, .all = 40e6, .now_ms = 12345};

    vf_tune_init(&w.t, 8, w.now_ms);
    CHECK_EQ_U64(run(&w, 6), 2);
    CHECK_EQ_U64(w.t.use, 2); /* on trial */
    w.live = 0;
    CHECK_EQ_U64(run(&w, 60), 2);
    CHECK_EQ_U64(w.t.use, 1);
    w = (struct world){.each = 40e6, .all = 80e6, .now_ms = 12345};
    vf_tune_init(&w.t, 8, w.now_ms);
    CHECK_EQ_U64(run(&w, 60), 4);
    CHECK_EQ_U64(w.t.use, 2);
    w = (struct world){.each = 40e6, .all = 1e12, .now_ms = 12345};
    vf_tune_init(&w.t, 8, w.now_ms);
    CHECK_EQ_U64(run(&w, 60), 8);
    CHECK_EQ_U64(w.t.use, 8);
}

TESTS(as_many_as_help, soon, window_of_a_channel, window_after_a_slow_start,
      those_that_do_not_help_rest, buffers_that_fill)
