/* transport/ssh_pump.c - the loop that serves an SSH channel.
 *
 * Each round does what can be done without waiting: receive, deliver, collect, send.  Only a round
 * in which nothing moved is followed by a wait, so no data that sits inside libssh2 can be
 * forgotten. Every step returns 1 when something moved, 0 when not, -1 with *err when the
 * connection is over. */
#include "transport/ssh_pump.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/fdio.h"

#define WRITE_MAX    32700u     /* libssh2 takes no more in one call */
#define ROUND_BUDGET (1u << 20) /* bytes received at most before it is time to send again */

static int broken(struct vf_pump *p, int rc, struct vf_error *err)
{
    return vf_link_error(p->link, rc, VF_ERR_UNREACHABLE, "connection lost", err);
}

/* The far end's stderr.  Read first and always: it shares the window with the data, and the call
 * also takes in whatever else has come, which must go on while the caller does not read. */
static int receive_stderr(struct vf_pump *p, struct vf_error *err)
{
    char buf[4096];
    int moved = 0;

    for (;;) {
        ssize_t n = libssh2_channel_read_stderr(p->channel, buf, sizeof buf);

        if (n == 0 || n == LIBSSH2_ERROR_EAGAIN)
            return moved;
        if (n < 0)
            return broken(p, (int)n, err);
        vf_diag_add(p->diag, buf, (size_t)n);
        moved = 1;
    }
}

static int receive(struct vf_pump *p, struct vf_error *err)
{
    int moved = 0;

    p->link->budget = ROUND_BUDGET;
    moved = receive_stderr(p, err);
    if (moved < 0)
        return -1;
    if (p->down_off == p->down_end && !p->far_eof) {
        ssize_t n = libssh2_channel_read(p->channel, (char *)p->down, VF_PUMP_BUF);

        if (n < 0 && n != LIBSSH2_ERROR_EAGAIN)
            return broken(p, (int)n, err);
        if (n > 0) {
            p->down_off = 0;
            p->down_end = (size_t)n;
            moved = 1;
        } else if (libssh2_channel_eof(p->channel) == 1) {
            p->far_eof = true; /* it is masked while data of either stream waits */
            moved = 1;
        }
    }
    /* Bytes that libssh2 holds, or that it left in the socket, are worth another round. */
    return moved || p->link->budget < ROUND_BUDGET;
}

static int deliver(struct vf_pump *p)
{
    ssize_t n;

    if (p->to_user < 0)
        p->down_off =
            p->down_end; /* nobody reads any more: throw it away, so that the rest flows */
    if (p->down_off == p->down_end) {
        if (p->to_user < 0 || !p->far_eof)
            return 0;
        vf_close_fd(&p->to_user); /* the caller reads the end */
        return 1;
    }
    n = write(p->to_user, p->down + p->down_off, p->down_end - p->down_off);
    if (n > 0) {
        p->down_off += (size_t)n;
        return 1;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    vf_close_fd(&p->to_user); /* the caller closed his end */
    return 1;
}

static int collect(struct vf_pump *p)
{
    ssize_t n;

    if (p->from_user < 0 || p->up_off < p->up_end)
        return 0;
    n = read(p->from_user, p->up, VF_PUMP_BUF);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        vf_close_fd(&p->from_user);
        return 1;
    }
    p->up_off = 0;
    p->up_end = (size_t)n;
    return 1;
}

/* After EAGAIN the next call has the same arguments: up changes only when a write has succeeded. */
static int send_up(struct vf_pump *p, struct vf_error *err)
{
    int moved = 0;

    while (p->up_off < p->up_end && vf_link_waiting(p->link) < VF_LINK_OUT_HIGH) {
        size_t left = p->up_end - p->up_off;
        ssize_t n = libssh2_channel_write(p->channel, (char *)p->up + p->up_off,
                                          left < WRITE_MAX ? left : WRITE_MAX);

        if (n == 0 || n == LIBSSH2_ERROR_EAGAIN)
            return moved; /* the window is full, or a key exchange is under way */
        if (n < 0)
            return broken(p, (int)n, err);
        p->up_off += (size_t)n;
        moved = 1;
    }
    if (p->up_off == p->up_end && p->from_user < 0 && !p->eof_sent) {
        int rc = libssh2_channel_send_eof(p->channel);

        if (rc == LIBSSH2_ERROR_EAGAIN)
            return moved;
        if (rc < 0)
            return broken(p, rc, err);
        p->eof_sent = true;
        moved = 1;
    }
    return moved;
}

/* Has the far end closed the channel?  Sending on would end the whole connection. */
static int see_close(struct vf_pump *p, struct vf_error *err)
{
    int rc = libssh2_channel_wait_closed(p->channel); /* does not wait: non-blocking */

    if (rc == LIBSSH2_ERROR_EAGAIN)
        return 0;
    if (rc < 0)
        return broken(p, rc, err);
    p->far_closed = true;
    vf_close_fd(&p->from_user);
    return 1;
}

/* One round. */
static int round_of(struct vf_pump *p, struct vf_error *err)
{
    int got, sent, flushed, moved;

    if (p->far_closed)
        return deliver(p);
    got = receive(p, err);
    if (got < 0)
        return -1;
    moved = deliver(p);
    if (p->far_eof) {
        int closed = see_close(p, err);

        if (closed)
            return closed;
    }
    moved |= collect(p);
    sent = send_up(p, err);
    if (sent < 0)
        return -1;
    flushed = vf_link_flush(p->link);
    if (flushed < 0)
        return broken(p, LIBSSH2_ERROR_SOCKET_SEND, err);
    return got | moved | sent | flushed;
}

static int wait_for_more(struct vf_pump *p, struct vf_error *err)
{
    enum { SOCK, WAKE, FROM, TO };
    bool want_user = p->up_off == p->up_end;
    struct pollfd w[4] = {
        [SOCK] = {p->far_closed ? -1 : p->link->sock, POLLIN, 0},
        [WAKE] = {p->wake, POLLIN, 0},
        [FROM] = {want_user ? p->from_user : -1, POLLIN, 0},
        [TO] = {p->to_user, 0, 0}, /* without data: only to learn that the caller has closed it */
    };
    int seconds = 0;

    /* Keeps middle boxes from forgetting the connection.  A failure shows at the next round. */
    (void)libssh2_keepalive_send(p->link->session, &seconds);
    if (vf_link_waiting(p->link))
        w[SOCK].events |= POLLOUT;
    if (p->down_off < p->down_end)
        w[TO].events = POLLOUT;
    if (poll(w, 4, (seconds > 0 ? seconds : 1) * 1000) < 0 && errno != EINTR)
        return vf_error_sys(err, errno, "wait for %s", p->link->peer);
    if (w[TO].revents & (POLLERR | POLLNVAL))
        vf_close_fd(&p->to_user);
    return 0;
}

int vf_pump_run(struct vf_pump *p, struct vf_error *err)
{
    int rc = -1;

    p->up = malloc(VF_PUMP_BUF);
    p->down = malloc(VF_PUMP_BUF);
    if (!p->up || !p->down) {
        (void)vf_error_nomem(err); /* rc is -1 */
        goto out;
    }
    while (!p->far_closed || p->to_user >= 0) {
        int moved = round_of(p, err);

        if (moved < 0)
            goto out;
        if (atomic_load(&p->stop)) {
            (void)vf_error_set(err, VF_ERR_CANCELLED, 0, "the connection to %s was cut",
                               p->link->peer); /* rc is -1 */
            goto out;
        }
        if (!moved && wait_for_more(p, err) < 0)
            goto out;
    }
    rc = 0;
out:
    vf_close_fd(&p->from_user);
    vf_close_fd(&p->to_user);
    free(p->up);
    free(p->down);
    p->up = p->down = NULL;
    return rc;
}
