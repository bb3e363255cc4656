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

struct vf_ins;
struct vf_lines;
struct vf_out;
struct vf_spread;

/* Lock order: recv_lock, turn_lock, send_lock, lines_lock, order_lock, pulse_lock. A receiving
 * thread never takes send_lock: if it did, two ends that both send a lot could wait for each other
 * forever.  PING is therefore answered by the pulse thread. */
struct vf_session {
    struct vf_stream st; /* first: a stream pointer is a session pointer */
    struct vf_link link;
    enum vf_side side; /* ours */
    uint16_t version_min, version_max, version;
    _Atomic uint64_t sent_data;
    _Atomic uint64_t blocked_ns; /* that sending DATA took */
    _Atomic int64_t rtt_ms;      /* the shortest round trip seen, 0: none yet */

    pthread_mutex_t order_lock; /* guards what follows, and inside lines and ins what says so */
    struct vf_order order;
    uint64_t counted;       /* messages on this connection that have a place in the order of all */
    struct vf_lines *lines; /* the source's further connections; NULL: it has none */
    struct vf_ins *ins;     /* the receiver's; set before WELCOME, then fixed */

    pthread_mutex_t turn_lock; /* who waits for send_lock has it: they take turns */

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
    bool nudged;  /* a read ended because a PIECE came elsewhere */
    struct vf_error over_why;

    pthread_mutex_t pulse_lock; /* guards what follows */
    pthread_cond_t pulse_cond;
    bool pulse_runs, stop, ping_due, pong_due, ack_due;
    uint64_t pong_cookie, ack;
    pthread_t pulse;
};

/* Sends one message; any thread.  vf_stream_ops.send is this and vf_session_reason. */
int vf_session_send(struct vf_session *s, const struct vf_msg *m,
                    struct vf_error *err) VF_MUST_CHECK;

/* A send found the link broken: if what came from the far end says why (FAIL, or words that are no
 * protocol), puts that into *err instead.  Takes a second at most. */
void vf_session_reason(struct vf_session *s, struct vf_error *err);

/* Sends a PIECE over this, the first, connection. */
int vf_session_send_piece(struct vf_session *s, struct vf_out *p,
                          struct vf_error *err) VF_MUST_CHECK;

/* Receives the next message of this connection as it comes, those about the link too; *ret_len is
 * its payload's length.  limit_ms as in vf_link_read. */
int vf_session_recv_one(struct vf_session *s, int64_t limit_ms, struct vf_msg *ret, size_t *ret_len,
                        struct vf_error *err) VF_MUST_CHECK;

/* *err says what is wrong with what came: adds that the far end broke the protocol, unless it was
 * our own memory that ran out.  Returns -1. */
int vf_session_blame(struct vf_error *err);

/* Has a message of that type a place in the order of all messages? */
bool vf_session_counts(enum vf_msg_type type);

/* Makes the pulse thread send ACK, as recv must not wait for sending. */
void vf_session_ack(struct vf_session *s, uint64_t pieces);

/* Makes the pulse thread send PING, whose PONG tells the round trip. */
void vf_session_ask_rtt(struct vf_session *s);

/* A thread with signals blocked, a small stack and a name. */
int vf_session_thread(pthread_t *ret, const char *name, void *(*run)(void *), void *arg,
                      struct vf_error *err) VF_MUST_CHECK;

/* ---- transport/session_lines.c: the source's further connections (lines_impl.h) ---- */

/* Does DATA go as PIECEs now?  Any thread. */
bool vf_lines_on(struct vf_session *s);
/* DATA as a PIECE; blocks while there is no room. */
int vf_lines_send(struct vf_session *s, const struct vf_msg *m, struct vf_error *err) VF_MUST_CHECK;
/* Waits until another message may go on the first connection. */
int vf_lines_wait_credit(struct vf_session *s, size_t len, struct vf_error *err) VF_MUST_CHECK;
/* The PIECEs; NULL when there are no lines.  order_lock is held. */
struct vf_spread *vf_lines_spread(struct vf_session *s);
/* An ACK has come; order_lock is held. */
int vf_lines_ack(struct vf_session *s, uint64_t pieces, struct vf_error *err) VF_MUST_CHECK;
void vf_lines_cancel(struct vf_session *s);
void vf_lines_stats(struct vf_session *s, struct vf_stream_stats *add);
void vf_lines_close(struct vf_session *s);

/* ---- transport/session_ins.c: the receiver's ---- */

/* The next message in order, of all connections; recv_lock is held. */
int vf_ins_recv(struct vf_session *s, int64_t limit_ms, struct vf_msg *ret,
                struct vf_error *err) VF_MUST_CHECK;
/* Life signs on the further connections. */
void vf_ins_pulse(struct vf_session *s);
void vf_ins_stats(struct vf_session *s, struct vf_stream_stats *add);
void vf_ins_close(struct vf_session *s);

/* Receives the next message that is not about the link itself. */
int vf_session_recv(struct vf_session *s, struct vf_msg *ret, struct vf_error *err) VF_MUST_CHECK;

#endif
