/* transport/tune.c - more connections as long as they help. */
#include "transport/tune.h"

#include <stdbool.h>

#define SOON_MS    400   /* after which one connection may be seen to be too few */
#define WATCH_MS   1000  /* that the sender must have been held up */
#define SETTLE_MS  1000  /* for new connections to come up to speed */
#define MEASURE_MS 1000  /* what they bring */
#define OPEN_MS    30000 /* that opening them may take */
#define BLOCKED    0.5   /* share of the time that is "held up by the link" */
#define GROWTH     1.1   /* less than this is not worth more connections */
#define NEAR       0.35  /* of what a channel can move at most: it is what holds us up, */
#define NEAR_SHARE 0.15  /* for so much of the time already */
#define SEVERAL    4u    /* connections where one is certainly too few */

static void begin(struct vf_tune *t, enum vf_tune_state state, int64_t now_ms, uint64_t bytes,
                  uint64_t blocked_ns)
{
    t->state = state;
    t->since_ms = now_ms;
    t->bytes = bytes;
    t->blocked_ns = blocked_ns;
}

void vf_tune_init(struct vf_tune *t, unsigned max, int64_t now_ms)
{
    *t = (struct vf_tune){.want = 1, .max = max};
    begin(t, max > 1 ? VF_TUNE_WATCH : VF_TUNE_DONE, now_ms, 0, 0);
}

/* Is the rate near what one connection's channel allows?  Its window is then the limit, and there
 * is no need to try whether more of them help. */
static bool window_bound(const struct vf_tune *t, double rate, double share, int64_t rtt_ms)
{
    return t->want == 1 && rtt_ms > 0 && share >= NEAR_SHARE &&
           rate >= NEAR * (double)VF_TUNE_CHANNEL * 1000 / (double)rtt_ms;
}

/* Each trial takes seconds, so their number is doubled each time. */
static void add(struct vf_tune *t, double rate, int64_t now_ms, uint64_t bytes, uint64_t blocked_ns)
{
    if (t->want == t->max) {
        begin(t, VF_TUNE_DONE, now_ms, bytes, blocked_ns);
        return;
    }
    t->base = rate;
    t->want = 2 * t->want < t->max ? 2 * t->want : t->max;
    begin(t, VF_TUNE_OPEN, now_ms, bytes, blocked_ns);
}

unsigned vf_tune_step(struct vf_tune *t, int64_t now_ms, uint64_t bytes, uint64_t blocked_ns,
                      int64_t rtt_ms, unsigned live)
{
    int64_t ms = now_ms - t->since_ms;
    double rate = ms > 0 ? (double)(bytes - t->bytes) * 1000 / (double)ms : 0;
    double share = ms > 0 ? (double)(blocked_ns - t->blocked_ns) / 1e6 / (double)ms : 0;

    switch (t->state) {
    case VF_TUNE_WATCH:
        if (ms < SOON_MS)
            break;
        if (window_bound(t, rate, share, rtt_ms)) {
            t->want = SEVERAL / 2 < t->max ? SEVERAL / 2 : t->max;
            add(t, rate, now_ms, bytes, blocked_ns);
            break;
        }
        if (ms < WATCH_MS)
            break;
        if (share >= BLOCKED)
            add(t, rate, now_ms, bytes, blocked_ns);
        else
            begin(t, VF_TUNE_WATCH, now_ms, bytes, blocked_ns);
        break;
    case VF_TUNE_OPEN:
        if (live >= t->want)
            begin(t, VF_TUNE_SETTLE, now_ms, bytes, blocked_ns);
        else if (ms >= OPEN_MS)
            begin(t, VF_TUNE_DONE, now_ms, bytes, blocked_ns);
        break;
    case VF_TUNE_SETTLE:
        if (ms >= SETTLE_MS)
            begin(t, VF_TUNE_MEASURE, now_ms, bytes, blocked_ns);
        break;
    case VF_TUNE_MEASURE:
        if (ms < MEASURE_MS)
            break;
        if (share < BLOCKED)
            begin(t, VF_TUNE_WATCH, now_ms, bytes, blocked_ns);
        else if (rate >= t->base * GROWTH)
            add(t, rate, now_ms, bytes, blocked_ns);
        else
            begin(t, VF_TUNE_DONE, now_ms, bytes, blocked_ns);
        break;
    case VF_TUNE_DONE:
        break;
    }
    return t->want;
}
