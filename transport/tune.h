/* transport/tune.h - how many connections are worth having: as long as the link is what holds up
 * the sender, and more of them make it faster.
 *
 * Thread rules: pure; one thread at a time. */
#ifndef VF_TRANSPORT_TUNE_H
#define VF_TRANSPORT_TUNE_H

#include <stdint.h>

struct vf_tune {
    unsigned want, max;
    enum { VF_TUNE_WATCH, VF_TUNE_OPEN, VF_TUNE_SETTLE, VF_TUNE_MEASURE, VF_TUNE_DONE } state;
    double base;                /* bytes per second before the last were added */
    int64_t since_ms;           /* beginning of what is measured now */
    uint64_t bytes, blocked_ns; /* at that time */
};

/* Begins with one connection. */
void vf_tune_init(struct vf_tune *t, unsigned max, int64_t now_ms);

/* To be asked a few times a second.  bytes: sent so far over all connections; blocked_ns: time that
 * sending has taken so far; live: connections in use.  How many there should be; never fewer than
 * before. */
unsigned vf_tune_step(struct vf_tune *t, int64_t now_ms, uint64_t bytes, uint64_t blocked_ns,
                      unsigned live);

#endif
