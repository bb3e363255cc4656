/* transport/tune.h - how many connections are worth having: as long as the link is what holds up
 * the sender, and more of them make it faster.
 *
 * Thread rules: pure; one thread at a time. */
#ifndef VF_TRANSPORT_TUNE_H
#define VF_TRANSPORT_TUNE_H

#include <stdint.h>

/* An SSH channel moves no more than this in a round trip (OpenSSH's window). */
#define VF_TUNE_CHANNEL (UINT64_C(2) << 20)

enum vf_tune_state {
    VF_TUNE_WATCH,   /* is the link what holds up the sender? */
    VF_TUNE_OPEN,    /* waits for new connections */
    VF_TUNE_SETTLE,  /* lets them come up to speed */
    VF_TUNE_MEASURE, /* what do they bring? */
    VF_TUNE_DONE     /* there will be no more */
};

struct vf_tune {
    unsigned want, max;
    unsigned use;    /* of them carry data; others did not help, and rest */
    unsigned before; /* connections in use before the last were added */
    enum vf_tune_state state;
    double base;                /* bytes per second before the last were added */
    int64_t since_ms;           /* beginning of what is measured now */
    uint64_t bytes, blocked_ns; /* at that time */
    /* The same for the quick look at whether one connection's channel is full. */
    int64_t soon_ms;
    uint64_t soon_bytes, soon_blocked_ns;
};

/* Begins with one connection. */
void vf_tune_init(struct vf_tune *t, unsigned max, int64_t now_ms);

/* To be asked a few times a second.  bytes: sent so far over all connections; blocked_ns: time that
 * sending has taken so far; rtt_ms: a round trip, 0: not known; live: connections in use.  How many
 * there should be; never fewer than before.  t->use of them should carry data. */
unsigned vf_tune_step(struct vf_tune *t, int64_t now_ms, uint64_t bytes, uint64_t blocked_ns,
                      int64_t rtt_ms, unsigned live);

#endif
