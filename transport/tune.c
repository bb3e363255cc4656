/* transport/tune.c - more connections as long as they help. */
#include "transport/tune.h"

#include <stdbool.h>

#define SOON_MS    300   /* in which one connection may be seen to be too few */
#define WATCH_MS   6000  /* that the sender must have been held up otherwise */
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
    *t = (struct vf_tune){.want = 1, .use = 1, .max = max, .soon_ms = now_ms};
    begin(t, max > 1 ? VF_TUNE_WATCH : VF_TUNE_DONE, now_ms, 0, 0);
}

/* Was the rate of late near what one connection's channel allows?  Its window is then the limit,
 * and there is no need to try whether more of them help.  To log in takes them a second, so this
 * looks often, and at a time short enough that the slow beginning of a stream does not hide it. */
static bool window_bound(struct vf_tune *t, int64_t now_ms, uint64_t bytes, uint64_t blocked_ns,
                         int64_t rtt_ms)
{
    int64_t ms = now_ms - t->soon_ms;
    double rate, share;
    uint64_t moved;

    if (t->want > 1 || rtt_ms <= 0 || ms < SOON_MS)
        return false;
    /* What only fills buffers was not moved by the link: as much as the channel takes. */
    moved = bytes - t->soon_bytes > VF_TUNE_CHANNEL ? bytes - t->soon_bytes - VF_TUNE_CHANNEL : 0;
    rate = (double)moved * 1000 / (double)ms;
    share = (double)(blocked_ns - t->soon_blocked_ns) / 1e6 / (double)ms;
    t->soon_ms = now_ms;
    t->soon_bytes = bytes;
    t->soon_blocked_ns = blocked_ns;
    return share >= NEAR_SHARE && rate >= NEAR * (double)VF_TUNE_CHANNEL * 1000 / (double)rtt_ms;
}

/* There should be `to` of them. */
static void add(struct vf_tune *t, unsigned to, double rate, int64_t now_ms, uint64_t bytes,
                uint64_t blocked_ns)
{
    if (t->want == t->max) {
        begin(t, VF_TUNE_DONE, now_ms, bytes, blocked_ns);
        return;
    }
    t->base = rate;
    t->before = t->want;
    t->want = to < t->max ? to : t->max;
    t->use = t->want;
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
        if (window_bound(t, now_ms, bytes, blocked_ns, rtt_ms)) {
            add(t, SEVERAL, rate, now_ms, bytes, blocked_ns);
            break;
        }
        if (ms < WATCH_MS)
            break;
        /* Each trial takes seconds, so their number is doubled each time. */
        if (share >= BLOCKED)
            add(t, 2 * t->want, rate, now_ms, bytes, blocked_ns);
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
        if (share < BLOCKED) {
            begin(t, VF_TUNE_WATCH, now_ms, bytes, blocked_ns);
        } else if (rate >= t->base * GROWTH) {
            add(t, 2 * t->want, rate, now_ms, bytes, blocked_ns);
        } else {
            /* Of several that share a full line, one is late with its part at the end, and the line
             * is then not full. */
            t->use = t->before;
            begin(t, VF_TUNE_DONE, now_ms, bytes, blocked_ns);
        }
        break;
    case VF_TUNE_DONE:
        break;
    }
    return t->want;
}
