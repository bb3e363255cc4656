/* core/ratelimit.h - a limit on bytes per second, shared by all that send (a token bucket that may
 * go into debt).
 *
 * Thread rules: any thread, any time; the rate may be changed while it is in use. */
#ifndef VF_CORE_RATELIMIT_H
#define VF_CORE_RATELIMIT_H

#include <stdint.h>

#include "core/error.h"

struct vf_ratelimit;

/* bytes_per_second 0: no limit. */
struct vf_ratelimit *vf_ratelimit_new(uint64_t bytes_per_second, struct vf_error *err);
void vf_ratelimit_free(struct vf_ratelimit *rl); /* NULL is fine */

/* Those who wait at the old rate should ask vf_ratelimit_changes now and then. */
void vf_ratelimit_set(struct vf_ratelimit *rl, uint64_t bytes_per_second);

/* How often the rate has been set: when it differs from what it was before a wait began, the wait
 * is over. */
unsigned vf_ratelimit_changes(struct vf_ratelimit *rl);

/* n bytes are about to be sent: how many nanoseconds to wait before (0: none).  What is asked for
 * is always paid: ask once for each piece, then wait, then send.  After idle time up to 50 ms worth
 * of bytes go at once. */
uint64_t vf_ratelimit_take(struct vf_ratelimit *rl, uint64_t n);

/* The same at a given time of a clock that does not go back, in nanoseconds. */
uint64_t vf_ratelimit_take_at(struct vf_ratelimit *rl, uint64_t n, uint64_t now_ns);

#endif
