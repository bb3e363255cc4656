/* transport/bulk.c - frames over a further connection. */
#include "transport/bulk.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/checked.h"
#include "transport/message.h"
#include "transport/spread.h"

#define IN_BYTES (VF_PIECE_HEAD + VF_MAX_DATA + 1) /* the longest frame that may come, and more */

int vf_bulk_open(struct vf_bulk *b, int rfd, int wfd, unsigned watchdog_ms,
                 struct vf_ratelimit *rate, enum vf_side peer, bool greeted, struct vf_error *err)
{
    memset(b, 0, sizeof *b);
    b->peer = peer;
    b->greeted = greeted;
    b->cap = peer == VF_SIDE_SOURCE ? IN_BYTES : VF_MAX_TEXT + 64;
    b->in = vf_calloc(b->cap, 1, err);
    if (!b->in)
        return -1;
    if (vf_link_open(&b->link, rfd, wfd, watchdog_ms, rate, err) < 0) {
        free(b->in);
        return -1;
    }
    return 0;
}

void vf_bulk_close(struct vf_bulk *b)
{
    vf_link_close(&b->link);
    free(b->in);
    b->in = NULL;
}

/* Reads until need bytes are there. */
static int fill(struct vf_bulk *b, size_t need, int64_t limit_ms, struct vf_error *err)
{
    while (b->end - b->start < need) {
        long n;

        if (b->cap - b->start < need || b->start == b->end) {
            memmove(b->in, b->in + b->start, b->end - b->start);
            b->end -= b->start;
            b->start = 0;
        }
        n = vf_link_read(&b->link, b->in + b->end, b->cap - b->end, limit_ms, err);
        if (n < 0)
            return -1;
        if (n == 0)
            return vf_error_set(err, VF_ERR_UNREACHABLE, 0, "the far end closed the connection");
        b->end += (size_t)n;
    }
    return 0;
}

static int greet(struct vf_bulk *b, int64_t limit_ms, struct vf_error *err)
{
    int right;

    while ((right = vf_magic_get(b->in + b->start, b->end - b->start)) == 0)
        if (fill(b, b->end - b->start + 1, limit_ms, err) < 0)
            return -1;
    if (right < 0)
        return vf_magic_error(b->in + b->start, b->end - b->start, err);
    b->start += VF_MAGIC_LEN;
    b->greeted = true;
    return 0;
}

static bool may_come(enum vf_side from, uint8_t type)
{
    if (type == VF_MSG_PING)
        return true;
    if (from == VF_SIDE_SOURCE)
        return type == VF_MSG_PIECE;
    return type == VF_MSG_ACK || type == VF_MSG_FAIL;
}

/* A far end that refuses the connection says why. */
static int failed(struct vf_msg *m, struct vf_error *err)
{
    (void)vf_error_set(err, VF_ERR_DENIED, 0, "far end: %s", m->fail.text); /* -1 below */
    vf_msg_free(m);
    return -1;
}

int vf_bulk_read(struct vf_bulk *b, int64_t limit_ms, struct vf_msg *ret, struct vf_error *err)
{
    struct vf_msg m;
    uint32_t len = 0;
    uint8_t type = 0;
    int got;

    if (!b->greeted && greet(b, limit_ms, err) < 0)
        return -1;
    while ((got = vf_frame_get(b->in + b->start, b->end - b->start, &type, &len, err)) == 0)
        if (fill(b, b->end - b->start ? VF_FRAME_HEAD : 1, limit_ms, err) < 0)
            return -1;
    if (got < 0)
        return -1;
    if (!may_come(b->peer, type))
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "%s on a further connection",
                            vf_msg_name(type));
    if (fill(b, VF_FRAME_HEAD + (size_t)len, limit_ms, err) < 0 ||
        vf_msg_decode(type, b->in + b->start + VF_FRAME_HEAD, len, &m, err) < 0)
        return -1;
    b->start += VF_FRAME_HEAD + (size_t)len;
    if (m.type == VF_MSG_FAIL)
        return failed(&m, err);
    *ret = m;
    return 0;
}

int vf_bulk_say(struct vf_bulk *b, const struct vf_msg *m, int64_t urgent_ms, struct vf_error *err)
{
    struct vf_buf payload = VF_BUF_INIT;
    uint8_t head[VF_FRAME_HEAD];
    struct iovec iov[2] = {{head, sizeof head}, {0}};
    int rc = vf_msg_encode(m, &payload, err);

    if (rc == 0) {
        vf_frame_put(head, (uint8_t)m->type, (uint32_t)payload.len);
        iov[1] = (struct iovec){payload.data, payload.len};
        rc = vf_link_write(&b->link, iov, 2, urgent_ms, err);
    }
    vf_buf_free(&payload);
    return rc;
}

int vf_bulk_hello(struct vf_bulk *b, const char *token, uint8_t number, struct vf_error *err)
{
    struct vf_msg m = {.type = VF_MSG_LINK};
    char magic[VF_MAGIC_LEN], copy[VF_TOKEN_LEN + 1] = "";
    struct iovec iov = {magic, sizeof magic};

    memcpy(magic, VF_MAGIC, sizeof magic);
    strncpy(copy, token, VF_TOKEN_LEN);
    m.link.number = number;
    m.link.token = copy;
    if (vf_link_write(&b->link, &iov, 1, 0, err) < 0)
        return -1;
    return vf_bulk_say(b, &m, 0, err);
}

static size_t put_num(uint8_t *p, uint64_t v)
{
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        p[n++] = (uint8_t)(v | 0x80);
    p[n++] = (uint8_t)v;
    return n;
}

size_t vf_piece_head(const struct vf_out *p, uint8_t ret[VF_PIECE_HEAD])
{
    size_t n = put_num(ret + VF_FRAME_HEAD, p->seq);

    n += put_num(ret + VF_FRAME_HEAD + n, p->after);
    vf_frame_put(ret, VF_MSG_PIECE, (uint32_t)(n + p->len));
    return VF_FRAME_HEAD + n;
}

int vf_bulk_piece(struct vf_bulk *b, struct vf_out *p, struct vf_error *err)
{
    uint8_t head[VF_PIECE_HEAD];
    struct iovec iov[2] = {{head, vf_piece_head(p, head)}, {p->bytes, p->len}};

    return vf_link_write(&b->link, iov, 2, 0, err);
}
