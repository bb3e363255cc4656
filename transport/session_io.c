/* transport/session_io.c - messages over the link of a session, both ways. */
#include "transport/session_impl.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "transport/bulk.h"
#include "transport/frame.h"
#include "transport/message.h"
#include "transport/spread.h"

#define FAIL_MS   3000 /* that a FAIL may take */
#define STUCK_S   1    /* that it waits for another send */
#define REASON_MS 1000 /* that a broken send looks for the peer's last words */
#define BANNER_MS 300  /* that the rest of a foreign greeting is waited for */
#define NO_CREDIT 2    /* of check_order: what waits at the receiver already is enough */

static enum vf_side peer_of(const struct vf_session *s)
{
    return s->side == VF_SIDE_SOURCE ? VF_SIDE_RECEIVER : VF_SIDE_SOURCE;
}

/* ---- sending ---- */

/* Keeps what iov still holds, for a later FAIL to finish the message with. */
static bool keep_rest(struct vf_session *s, const struct iovec *iov, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (iov[i].iov_len && vf_buf_add(&s->rest, iov[i].iov_base, iov[i].iov_len, NULL) < 0)
            return false;
    return true;
}

/* Writes a whole frame, whose beginning is in head.  After an error nothing more can be sent, with
 * one exception: a cancelled send leaves its rest for a FAIL. */
static int write_parts(struct vf_session *s, uint8_t *head, size_t head_len, const uint8_t *payload,
                       size_t len, struct vf_error *err)
{
    struct iovec iov[3] = {{s->rest.data, s->rest.len}, {head, head_len}, {0}};
    uint8_t type = head[0];
    struct vf_error e;

    iov[2].iov_base = (void *)(uintptr_t)payload; /* writing only reads it */
    iov[2].iov_len = len;
    if (vf_link_write(&s->link, iov, 3, type == VF_MSG_FAIL ? FAIL_MS : 0, &e) == 0) {
        vf_buf_clear(&s->rest);
        if (type == VF_MSG_DATA || type == VF_MSG_PIECE)
            atomic_fetch_add(&s->sent_data, head_len + len);
        return 0;
    }
    /* Not a single byte gone: then there is no rest either. */
    if (e.code != VF_ERR_CANCELLED || (iov[1].iov_len < head_len && !keep_rest(s, iov + 1, 2))) {
        s->broken = true;
        s->broken_why = e;
    }
    return vf_error_pass(err, &e);
}

static int write_frame(struct vf_session *s, uint8_t type, const uint8_t *payload, size_t len,
                       struct vf_error *err)
{
    uint8_t head[VF_FRAME_HEAD];

    vf_frame_put(head, type, (uint32_t)len);
    return write_parts(s, head, sizeof head, payload, len, err);
}

bool vf_session_counts(enum vf_msg_type type)
{
    return type < VF_MSG_FAIL; /* the others are about the link, or the order itself */
}

/* May it be sent now?  Notes it, so that the answer finds the question.  *ret_fence: what FENCE has
 * to be said before, 0: none.  1: there is no need to send, because who has said FAIL does not
 * listen. */
static int check_order(struct vf_session *s, const struct vf_msg *m, size_t len,
                       uint64_t *ret_fence, struct vf_error *err)
{
    struct vf_spread *spread;
    int rc;

    *ret_fence = 0;
    pthread_mutex_lock(&s->order_lock);
    spread = vf_session_counts(m->type) ? vf_lines_spread(s) : NULL;
    if (m->type == VF_MSG_FAIL && s->order.failed[peer_of(s)])
        rc = 1;
    else if (spread && !vf_spread_credit(spread, len))
        rc = NO_CREDIT;
    else
        rc = vf_order_step(&s->order, s->side, m, err);
    if (rc == 0 && spread)
        *ret_fence = vf_spread_count(spread, len);
    else if (rc == 0 && vf_session_counts(m->type) && s->side == VF_SIDE_SOURCE)
        s->counted++;
    pthread_mutex_unlock(&s->order_lock);
    return rc < 0 ? vf_error_prefix(err, "cannot send") : rc;
}

static int say_fence(struct vf_session *s, uint64_t pieces, struct vf_error *err)
{
    struct vf_msg m = {.type = VF_MSG_FENCE, .fence = {pieces}};
    struct vf_buf b = VF_BUF_INIT;
    int rc = vf_msg_encode(&m, &b, err);

    if (rc == 0)
        rc = write_frame(s, VF_MSG_FENCE, b.data, b.len, err);
    vf_buf_free(&b);
    return rc;
}

/* *ret_len: of the payload. */
static int send_locked(struct vf_session *s, const struct vf_msg *m, size_t *ret_len,
                       struct vf_error *err)
{
    const uint8_t *payload;
    uint64_t fence;
    size_t len;
    int rc;

    if (s->broken)
        return vf_error_pass(err, &s->broken_why);
    if (atomic_load(&s->link.cancelled) && m->type != VF_MSG_FAIL)
        return vf_error_set(err, VF_ERR_CANCELLED, 0, "cancelled");
    vf_buf_clear(&s->out);
    if (m->type == VF_MSG_DATA && !vf_msg_wrong(m)) {
        payload = m->data.bytes; /* the bulk of all traffic is not copied */
        len = m->data.len;
    } else {
        if (vf_msg_encode(m, &s->out, err) < 0)
            return -1;
        payload = s->out.data;
        len = s->out.len;
    }
    *ret_len = len;
    rc = check_order(s, m, len, &fence, err);
    if (rc)
        return rc == 1 ? 0 : rc;
    if (fence && say_fence(s, fence, err) < 0)
        return -1;
    return write_frame(s, (uint8_t)m->type, payload, len, err);
}

/* Takes send_lock.  FAIL ends the conversation in any case: when a send is stuck it is cancelled,
 * so that the peer still learns why. */
static void lock_for(struct vf_session *s, enum vf_msg_type type)
{
    struct timespec until;

    if (type == VF_MSG_FAIL && clock_gettime(CLOCK_REALTIME, &until) == 0) {
        until.tv_sec += STUCK_S;
        if (pthread_mutex_timedlock(&s->send_lock, &until) == 0)
            return;
        vf_link_cancel(&s->link);
    }
    pthread_mutex_lock(&s->turn_lock);
    pthread_mutex_lock(&s->send_lock);
    pthread_mutex_unlock(&s->turn_lock);
}

int vf_session_send(struct vf_session *s, const struct vf_msg *m, struct vf_error *err)
{
    size_t len = 0;
    int rc;

    for (;;) {
        lock_for(s, m->type);
        rc = send_locked(s, m, &len, err);
        pthread_mutex_unlock(&s->send_lock);
        if (rc != NO_CREDIT)
            return rc;
        if (vf_lines_wait_credit(s, len, err) < 0)
            return -1;
    }
}

int vf_session_send_piece(struct vf_session *s, struct vf_out *p, struct vf_error *err)
{
    uint8_t head[VF_PIECE_HEAD];
    size_t len = vf_piece_head(p, head);
    int rc = -1;

    lock_for(s, VF_MSG_PIECE);
    if (s->broken)
        (void)vf_error_pass(err, &s->broken_why); /* rc says it */
    else if (atomic_load(&s->link.cancelled))
        (void)vf_error_set(err, VF_ERR_CANCELLED, 0, "cancelled"); /* rc says it */
    else
        rc = write_parts(s, head, len, p->bytes, p->len, err);
    pthread_mutex_unlock(&s->send_lock);
    return rc;
}

/* ---- receiving ---- */

/* Reads until at least need bytes are there.  1, 0 at the end of the stream, -1. */
static int fill(struct vf_session *s, size_t need, int64_t limit_ms, struct vf_error *err)
{
    while (s->end - s->start < need) {
        long n;

        if (s->start && (s->start == s->end || s->in_cap - s->start < need)) {
            memmove(s->in, s->in + s->start, s->end - s->start);
            s->end -= s->start;
            s->start = 0;
        }
        if (s->end == s->in_cap) {
            /* The peer has announced a long message.  Believe it as far as bytes have come. */
            size_t cap = need < 2 * s->in_cap ? need : 2 * s->in_cap;
            uint8_t *in = realloc(s->in, cap);

            if (!in)
                return vf_error_nomem(err);
            s->in = in;
            s->in_cap = cap;
        }
        n = vf_link_read(&s->link, s->in + s->end, s->in_cap - s->end, limit_ms, err);
        if (n == VF_LINK_NUDGED) {
            s->nudged = true;
            return vf_error_set(err, VF_ERR_BUSY, 0, "there is news elsewhere");
        }
        if (n <= 0)
            return (int)n;
        s->end += (size_t)n;
    }
    return 1;
}

static int closed(const char *when, struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_UNREACHABLE, 0, "the far end closed the connection%s", when);
}

/* The first bytes show who is there. */
static int greet(struct vf_session *s, int64_t limit_ms, struct vf_error *err)
{
    int right, more;

    while ((right = vf_magic_get(s->in + s->start, s->end - s->start)) == 0) {
        more = fill(s, s->end - s->start + 1, limit_ms, err);
        if (more <= 0)
            return more < 0 ? -1 : closed(" before it said who it is", err);
    }
    if (right > 0) {
        s->start += VF_MAGIC_LEN;
        s->greeted = true;
        return 0;
    }
    /* Somebody else: a line of what it says tells the user more than its first bytes. */
    while (s->end - s->start < 80 && !memchr(s->in + s->start, '\n', s->end - s->start))
        if (fill(s, s->end - s->start + 1, BANNER_MS, NULL) <= 0)
            break;
    return vf_magic_error(s->in + s->start, s->end - s->start, err);
}

int vf_session_blame(struct vf_error *err)
{
    bool ours = err && err->code == VF_ERR_NOMEM;

    return ours ? -1 : vf_error_prefix(err, "the far end broke the protocol");
}

/* The next whole frame; its payload stays in the buffer until the next call. */
static int next_frame(struct vf_session *s, int64_t limit_ms, uint8_t *ret_type,
                      const uint8_t **ret_payload, uint32_t *ret_len, struct vf_error *err)
{
    size_t need = 1;
    uint8_t type;
    uint32_t len;
    int got, rc;

    if (!s->greeted && greet(s, limit_ms, err) < 0)
        return -1;
    while ((got = vf_frame_get(s->in + s->start, s->end - s->start, &type, &len, err)) == 0) {
        rc = fill(s, need, limit_ms, err);
        if (rc <= 0)
            return rc < 0 ? -1 : closed(need > 1 ? " in the middle of a message" : "", err);
        need = VF_FRAME_HEAD;
    }
    if (got < 0)
        return vf_session_blame(err);
    /* Before a single byte of a message that must not come is waited for. */
    pthread_mutex_lock(&s->order_lock);
    rc = vf_order_type(&s->order, peer_of(s), type, err);
    pthread_mutex_unlock(&s->order_lock);
    if (rc < 0)
        return vf_session_blame(err);
    rc = fill(s, VF_FRAME_HEAD + (size_t)len, limit_ms, err);
    if (rc <= 0)
        return rc < 0 ? -1 : closed(" in the middle of a message", err);
    *ret_type = type;
    *ret_len = len;
    *ret_payload = s->in + s->start + VF_FRAME_HEAD;
    s->start += VF_FRAME_HEAD + (size_t)len;
    return 0;
}

static void wake_pulse(struct vf_session *s, uint64_t cookie)
{
    pthread_mutex_lock(&s->pulse_lock);
    s->pong_due = true;
    s->pong_cookie = cookie;
    pthread_cond_signal(&s->pulse_cond);
    pthread_mutex_unlock(&s->pulse_lock);
}

/* Our PING's cookie was the time when it was made. */
static void take_rtt(struct vf_session *s, uint64_t cookie)
{
    uint64_t now = (uint64_t)vf_clock_ms();
    int64_t least = atomic_load(&s->rtt_ms), ms;

    if (cookie > now || now - cookie > INT32_MAX)
        return; /* not ours: the peer may say anything */
    ms = now > cookie ? (int64_t)(now - cookie) : 1;
    if (least == 0 || ms < least)
        atomic_store(&s->rtt_ms, ms); /* only the receiving thread does */
}

/* FAIL as an error of ours. */
static int far_end_failed(struct vf_msg *m, struct vf_error *err)
{
    enum vf_err code = VF_ERR_PROTOCOL;

    if (m->fail.code > VF_ERR_NONE && m->fail.code < VF_ERR_COUNT_)
        code = (enum vf_err)m->fail.code;
    (void)vf_error_set(err, code, 0, "far end: %s", m->fail.text); /* we return -1 too */
    vf_msg_free(m);
    return -1;
}

/* What a message of this connection means for the order of all of them; order_lock is held. */
static int step(struct vf_session *s, const struct vf_msg *m, struct vf_error *err)
{
    if (vf_order_step(&s->order, peer_of(s), m, err) < 0)
        return -1;
    if ((m->type == VF_MSG_ACK && !s->lines) ||
        ((m->type == VF_MSG_PIECE || m->type == VF_MSG_FENCE) && !s->ins))
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "%s without further connections",
                            vf_msg_name((uint8_t)m->type));
    if (m->type == VF_MSG_ACK)
        return vf_lines_ack(s, m->ack.pieces, err);
    if (s->side == VF_SIDE_RECEIVER && vf_session_counts(m->type))
        s->counted++;
    return 0;
}

int vf_session_recv_one(struct vf_session *s, int64_t limit_ms, struct vf_msg *ret, size_t *ret_len,
                        struct vf_error *err)
{
    const uint8_t *payload = NULL;
    uint32_t len = 0;
    uint8_t type = 0;
    int rc;

    if (next_frame(s, limit_ms, &type, &payload, &len, err) < 0)
        return -1;
    if (vf_msg_decode(type, payload, len, ret, err) < 0)
        return vf_session_blame(err);
    pthread_mutex_lock(&s->order_lock);
    rc = step(s, ret, err);
    pthread_mutex_unlock(&s->order_lock);
    *ret_len = len;
    if (rc < 0) {
        vf_msg_free(ret);
        return vf_session_blame(err);
    }
    if (ret->type == VF_MSG_PING)
        wake_pulse(s, ret->ping.cookie);
    if (ret->type == VF_MSG_PONG)
        take_rtt(s, ret->pong.cookie);
    return ret->type == VF_MSG_FAIL ? far_end_failed(ret, err) : 0;
}

/* Not for the caller: what is about the link, and what the source sent before it knew of our
 * RESULT. */
static bool is_ours(struct vf_session *s, const struct vf_msg *m)
{
    bool late;

    pthread_mutex_lock(&s->order_lock);
    late = s->side == VF_SIDE_RECEIVER && s->order.phase == VF_PHASE_RESULT;
    pthread_mutex_unlock(&s->order_lock);
    return late || m->type == VF_MSG_PING || m->type == VF_MSG_PONG || m->type == VF_MSG_ACK;
}

/* limit_ms as in vf_link_read; a limit of its own (not 0) leaves the session usable when it is
 * passed. */
static int recv_locked(struct vf_session *s, int64_t limit_ms, struct vf_msg *ret,
                       struct vf_error *err)
{
    struct vf_error e;
    size_t len;

    if (s->over)
        return vf_error_pass(err, &s->over_why);
    while ((s->ins ? vf_ins_recv(s, limit_ms, ret, &e)
                   : vf_session_recv_one(s, limit_ms, ret, &len, &e)) == 0) {
        if (!is_ours(s, ret))
            return 0;
        vf_msg_free(ret);
    }
    if (e.code != VF_ERR_CANCELLED && !(limit_ms && e.code == VF_ERR_TIMEOUT)) {
        s->over = true;
        s->over_why = e;
    }
    return vf_error_pass(err, &e);
}

int vf_session_recv(struct vf_session *s, struct vf_msg *ret, struct vf_error *err)
{
    struct vf_msg m;
    int rc;

    pthread_mutex_lock(&s->recv_lock);
    rc = recv_locked(s, 0, &m, err);
    pthread_mutex_unlock(&s->recv_lock);
    if (rc == 0)
        *ret = m;
    return rc;
}

/* A send found the link broken.  If the far end has said why (FAIL, or words that are no protocol),
 * that is in the input, and is the better error.  Messages on the way there are of no use now. */
void vf_session_reason(struct vf_session *s, struct vf_error *err)
{
    struct timespec until;
    int64_t end = vf_clock_ms() + REASON_MS, left;
    struct vf_msg m;

    if (clock_gettime(CLOCK_REALTIME, &until) < 0)
        return;
    until.tv_sec += REASON_MS / 1000;
    if (pthread_mutex_timedlock(&s->recv_lock, &until) != 0)
        return; /* somebody else is reading, and will find it */
    while (!s->over && (left = end - vf_clock_ms()) > 0) {
        if (recv_locked(s, left, &m, NULL) < 0)
            break;
        vf_msg_free(&m);
    }
    if (s->over)
        (void)vf_error_pass(err, &s->over_why); /* it is the caller's failure, told better */
    pthread_mutex_unlock(&s->recv_lock);
}
