/* transport/session_impl.h - private to transport/session*.c. */
#ifndef VF_TRANSPORT_SESSION_IMPL_H
#define VF_TRANSPORT_SESSION_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/error.h"
#include "core/stream.h"
#include "transport/link.h"
#include "transport/order.h"

/* Lock order: recv_lock, send_lock, order_lock, pulse_lock. A receiving thread never takes
 * send_lock: if it did, two ends that both send a lot could wait for each other forever.  PING is
 * therefore answered by the pulse thread. */
struct vf_session {
    struct vf_stream st; /* first: a stream pointer is a session pointer */
    struct vf_link link;
    enum vf_side side; /* ours */
    uint16_t version_min, version_max, version;
    _Atomic uint64_t sent_data;

    pthread_mutex_t order_lock;
    struct vf_order order;

    pthread_mutex_t send_lock; /* guards what follows, and writing */
    struct vf_buf out;         /* payload in the making */
    struct vf_buf rest;        /* what a cancel left unsent of a message */
    bool broken;               /* nothing can be sent any more */
    struct vf_error broken_why;

    pthread_mutex_t recv_lock; /* guards what follows, and reading */
    uint8_t *in;               /* bytes [start, end) have come and were not used */
    size_t in_cap, start, end;
    bool greeted; /* the magic has come */
    bool over;    /* nothing can be received any more */
    struct vf_error over_why;

    pthread_mutex_t pulse_lock; /* guards what follows */
    pthread_cond_t pulse_cond;
    bool pulse_runs, stop, pong_due;
    uint64_t pong_cookie;
    pthread_t pulse;
};

/* Sends one message; any thread.  vf_stream_ops.send is this and vf_session_reason. */
int vf_session_send(struct vf_session *s, const struct vf_msg *m,
                    struct vf_error *err) VF_MUST_CHECK;

/* A send found the link broken: if what came from the far end says why (FAIL, or words that are no
 * protocol), puts that into *err instead.  Takes a second at most. */
void vf_session_reason(struct vf_session *s, struct vf_error *err);

/* Receives the next message that is not about the link itself. */
int vf_session_recv(struct vf_session *s, struct vf_msg *ret, struct vf_error *err) VF_MUST_CHECK;

#endif
