/* transport/link.h - bytes over a pair of descriptors: watchdog, rate limit, a way to wake what
 * blocks.
 *
 * Thread rules: one thread at a time may read, and one at a time may write; reading, writing,
 * cancelling and looking at the counters may go on at the same time. */
#ifndef VF_TRANSPORT_LINK_H
#define VF_TRANSPORT_LINK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/error.h"

struct vf_ratelimit;

/* A write that moves nothing gives up after the watchdog's time if the peer is silent as well, and
 * after this many times that in any case. */
#define VF_LINK_PATIENCE 10

struct vf_link {
    int rfd, wfd;       /* borrowed */
    int rflags, wflags; /* file status flags as they were found */
    bool wsock;         /* wfd is a socket */
    int wake_fd;        /* eventfd, readable from vf_link_cancel on */
    int nudge_fd;       /* a read also ends when this is readable; borrowed, -1: none */
    int64_t watchdog_ms;
    struct vf_ratelimit *rate; /* borrowed; NULL: no limit */
    size_t piece;              /* bytes to pay for at a time; the writer's own */
    atomic_bool cancelled;
    _Atomic uint64_t sent, received;      /* bytes */
    _Atomic int64_t sent_ms, received_ms; /* when the last ones moved (vf_clock_ms) */
};

/* Makes both descriptors (they may be one) non-blocking; they are borrowed until vf_link_close.  0,
 * or -1 with nothing to close. */
int vf_link_open(struct vf_link *l, int rfd, int wfd, unsigned watchdog_ms,
                 struct vf_ratelimit *rate, struct vf_error *err) VF_MUST_CHECK;

/* Gives the descriptors their flags back; closes neither. */
void vf_link_close(struct vf_link *l);

/* Makes running and later reads and writes fail with VF_ERR_CANCELLED. */
void vf_link_cancel(struct vf_link *l);

/* What vf_link_read returns when nothing came but nudge_fd was readable. */
#define VF_LINK_NUDGED (-2)

/* Waits for bytes and takes up to len of them; how many, 0 at the end of the stream.  -1:
 * VF_ERR_TIMEOUT when none came for limit_ms (0: the watchdog's time), VF_ERR_UNREACHABLE,
 * VF_ERR_CANCELLED. */
long vf_link_read(struct vf_link *l, void *buf, size_t len, int64_t limit_ms,
                  struct vf_error *err) VF_MUST_CHECK;

/* Writes all of iov[0..n), which moves past what was written, on failure too.  urgent_ms: 0, or the
 * time that all of it may take; it then goes on after a cancel.  0, or -1: VF_ERR_TIMEOUT,
 * VF_ERR_UNREACHABLE, VF_ERR_CANCELLED.
 *
 * A broken pipe raises SIGPIPE (a broken socket does not): the program has to ignore that signal.
 */
int vf_link_write(struct vf_link *l, struct iovec *iov, size_t n, int64_t urgent_ms,
                  struct vf_error *err) VF_MUST_CHECK;

#endif
