/* service/pace.h - how fast the service may read: a rate, and pauses while others need the machine.
 *
 * Readers enter before each read and leave after it.  From time to time all of them rest, and what
 * the kernel says about pressure in that time is what others suffer without the service.
 *
 * Thread rules: any thread. */
#ifndef VF_SERVICE_PACE_H
#define VF_SERVICE_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"

struct vf_pace_opts {
    uint64_t rate;            /* bytes per second; 0: no limit */
    unsigned io_percent;      /* pause while others wait for the disk more than that; 0: never */
    unsigned cpu_percent;     /* the same for processors */
    double max_load;          /* pause while the load average is higher; 0: never */
    const char *pressure_dir; /* NULL: /proc/pressure */
    /* Is something going on that comes before indexing?  Static text, or NULL.  May be NULL. */
    const char *(*occupied)(void *ctx);
    void *ctx;
};

struct vf_pace;
/* stop: non-zero ends all waiting. */
struct vf_pace *vf_pace_new(const struct vf_pace_opts *opts, const volatile int *stop,
                            struct vf_error *err);
void vf_pace_free(struct vf_pace *p); /* NULL is fine */
void vf_pace_configure(struct vf_pace *p, const struct vf_pace_opts *opts);

/* Waits until n bytes may be read.  0, or -1 with VF_ERR_CANCELLED; only after 0 does a leave
 * follow. */
int vf_pace_enter(struct vf_pace *p, uint64_t n, struct vf_error *err) VF_MUST_CHECK;
void vf_pace_leave(struct vf_pace *p);

struct vf_pace_state {
    const char *paused; /* static: why nothing is read just now; "" otherwise */
    uint64_t bytes;     /* let through so far */
    double rate;        /* bytes per second, over about the last ten seconds */
    double paused_seconds;
    unsigned io_percent, cpu_percent; /* of others, when it was last measured */
};
void vf_pace_state(struct vf_pace *p, struct vf_pace_state *ret);

#endif
