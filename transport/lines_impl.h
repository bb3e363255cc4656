/* transport/lines_impl.h - private to transport/session_line*.c: the source's further connections.
 *
 * Threads: one for each further connection ("vf-line"), which opens it and writes; one that reads
 * life signs from it ("vf-line-in"); one that puts PIECEs on the first connection ("vf-line-0");
 * and one that decides how many there are ("vf-tune").  Until the first further connection is up
 * there is only the last of them, and DATA goes as it always did. */
#ifndef VF_TRANSPORT_LINES_IMPL_H
#define VF_TRANSPORT_LINES_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/thread.h"
#include "transport/bulk.h"
#include "transport/message.h"
#include "transport/session.h"
#include "transport/session_impl.h"
#include "transport/spread.h"

/* One further connection. */
struct vf_line {
    struct vf_session *s;
    int number; /* 1 and up; the first connection is 0 */
    pthread_t writer;
    bool started;
    struct vf_bulk bulk;
    /* order_lock guards: */
    bool open;   /* bulk is there */
    bool broken; /* it is of no use any more */
    struct vf_error why;
};

/* All of them. */
struct vf_lines {
    struct vf_links_opts opts;
    char token[VF_TOKEN_LEN + 1];
    unsigned max; /* connections, the first included */
    pthread_t tuner, first;
    bool tunes;
    atomic_bool stop;
    /* order_lock guards the rest: */
    pthread_cond_t room, work; /* for senders; for threads that can take a PIECE */
    pthread_cond_t pause;      /* for threads that only let time pass, or rest */
    struct vf_spread spread;
    bool on; /* DATA goes as PIECEs */
    bool first_runs;
    unsigned live;       /* further connections that are up */
    unsigned use;        /* numbers of connections that carry PIECEs are below; others rest */
    bool lost;           /* one broke: all are of use */
    int64_t progress_ms; /* when an ACK last brought something */
    struct vf_error why; /* code set: the first connection failed */
    struct vf_stream_stats gone; /* of connections that were closed */
    struct vf_line line[VF_LINKS_MAX];
};

/* Waits on cond at most ms; order_lock is held. */
static inline void vf_lines_wait(struct vf_session *s, pthread_cond_t *cond, int64_t ms)
{
    (void)vf_thread_wait(cond, &s->order_lock, ms); /* the caller looks again anyway */
}

/* The life of one further connection, with a few tries; arg: a struct vf_line whose s and number
 * are set.  Runs as its thread until all is over, or the connection is given up. */
void *vf_line_run(void *arg);

#endif
