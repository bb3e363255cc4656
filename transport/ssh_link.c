/* transport/ssh_link.c - the socket under a libssh2 session. */
#include "transport/ssh_link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/checked.h"
#include "core/fdio.h"

static bool would_block(int sys) { return sys == EAGAIN || sys == EWOULDBLOCK || sys == EINTR; }

/* ---- callbacks: they return -errno like the functions that they replace ---- */

/* The key agent's socket comes through the same callbacks.  It is a blocking one; libssh2 has no
 * way to go on after half an answer, so this waits, within the time for logging in. */
static int wait_agent(const struct vf_link *l, int fd, short events)
{
    if (l->wait && vf_wait_fd(l->wait, fd, events, "key agent", NULL) < 0)
        return -ETIMEDOUT;
    return 0;
}

static ssize_t agent_send(const struct vf_link *l, int fd, const void *buf, size_t len)
{
    ssize_t n;

    do {
        int rc = wait_agent(l, fd, POLLOUT);

        if (rc < 0)
            return rc;
        n = send(fd, buf, len, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t agent_recv(const struct vf_link *l, int fd, void *buf, size_t len)
{
    ssize_t n;

    do {
        int rc = wait_agent(l, fd, POLLIN);

        if (rc < 0)
            return rc;
        n = recv(fd, buf, len, 0);
    } while (n < 0 && errno == EINTR);
    /* libssh2 would ask for ever if an agent that closed gave 0. */
    return n < 0 ? -errno : n == 0 ? -ECONNRESET : n;
}

/* Room for len more bytes in the queue. */
static bool make_room(struct vf_link *l, size_t len)
{
    if (VF_LINK_OUT_MAX - vf_link_waiting(l) < len)
        return false;
    if (VF_LINK_OUT_MAX - l->out_end < len) {
        memmove(l->out, l->out + l->out_off, vf_link_waiting(l));
        l->out_end -= l->out_off;
        l->out_off = 0;
    }
    return true;
}

static LIBSSH2_SEND_FUNC(link_send)
{
    struct vf_link *l = *abstract;
    const uint8_t *data = buffer;
    ssize_t n = 0;

    (void)flags;
    if (socket != l->sock)
        return agent_send(l, socket, buffer, length);
    if (l->dead)
        return -EPIPE;
    if (!vf_link_waiting(l)) {
        n = send(l->sock, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && !would_block(errno)) {
            l->sys = errno;
            return -errno;
        }
        if (n < 0)
            n = 0;
    }
    if ((size_t)n < length) {
        size_t rest = length - (size_t)n;

        if (!make_room(l, rest))
            return -ENOBUFS;
        memcpy(l->out + l->out_end, data + n, rest);
        l->out_end += rest;
    }
    return (ssize_t)length;
}

static LIBSSH2_RECV_FUNC(link_recv)
{
    struct vf_link *l = *abstract;
    ssize_t n;

    (void)flags;
    if (socket != l->sock)
        return agent_recv(l, socket, buffer, length);
    if (l->dead)
        return -ECONNRESET;
    if (l->budget == 0)
        return -EAGAIN;
    n = recv(l->sock, buffer, length < l->budget ? length : l->budget, MSG_DONTWAIT);
    if (n < 0) {
        if (would_block(errno))
            return -EAGAIN;
        l->sys = errno;
        return -errno;
    }
    l->ended = n == 0 && length > 0;
    if (l->budget != VF_LINK_NO_LIMIT)
        l->budget -= (size_t)n;
    return n;
}

/* ---- life ---- */

struct vf_link *vf_link_new(int sock, const char *peer, struct vf_error *err)
{
    struct vf_link *l = vf_calloc(1, sizeof *l, err);

    if (!l)
        return NULL;
    l->sock = sock;
    l->peer = peer;
    l->budget = VF_LINK_NO_LIMIT;
    l->out = vf_calloc(1, VF_LINK_OUT_MAX, err);
    if (!l->out)
        goto fail;
    l->session = libssh2_session_init_ex(NULL, NULL, NULL, l);
    if (!l->session) {
        (void)vf_error_nomem(err); /* the NULL says it */
        goto fail;
    }
    libssh2_session_set_blocking(l->session, 0);
    (void)libssh2_session_callback_set(l->session, LIBSSH2_CALLBACK_SEND, (void *)link_send);
    (void)libssh2_session_callback_set(l->session, LIBSSH2_CALLBACK_RECV, (void *)link_recv);
    return l;
fail:
    free(l->out);
    free(l);
    return NULL;
}

void vf_link_free(struct vf_link *l)
{
    if (!l)
        return;
    l->dead = true; /* so that nothing below can wait for the other side */
    for (int i = 0; i < 100 && libssh2_session_free(l->session) == LIBSSH2_ERROR_EAGAIN; i++)
        ;
    vf_close_fd(&l->sock);
    free(l->out);
    free(l);
}

/* ---- moving ---- */

int vf_link_flush(struct vf_link *l)
{
    bool some = false;

    while (vf_link_waiting(l)) {
        ssize_t n =
            send(l->sock, l->out + l->out_off, vf_link_waiting(l), MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && would_block(errno))
            return some;
        if (n < 0) {
            l->sys = errno;
            return -1;
        }
        l->out_off += (size_t)n;
        some = true;
    }
    l->out_off = l->out_end = 0;
    return some;
}

int vf_link_wait(struct vf_link *l, const char *what, const struct vf_wait *wait,
                 struct vf_error *err)
{
    short events = POLLIN;

    if (vf_link_flush(l) < 0)
        return vf_error_set(err, VF_ERR_UNREACHABLE, l->sys, "%s: %s", l->peer, what);
    if (vf_link_waiting(l))
        events |= POLLOUT;
    if (vf_wait_fd(wait, l->sock, events, what, err) < 0)
        return vf_error_prefix(err, "%s", l->peer);
    return 0;
}

int vf_link_error(struct vf_link *l, int rc, enum vf_err code, const char *what,
                  struct vf_error *err)
{
    char *text = NULL;

    switch (rc) {
    case VF_LINK_GAVE_UP:
        return -1;
    case LIBSSH2_ERROR_ALLOC:
        return vf_error_nomem(err);
    case LIBSSH2_ERROR_SOCKET_NONE:
    case LIBSSH2_ERROR_SOCKET_SEND:
    case LIBSSH2_ERROR_SOCKET_RECV:
    case LIBSSH2_ERROR_SOCKET_DISCONNECT:
    case LIBSSH2_ERROR_SOCKET_TIMEOUT:
    case LIBSSH2_ERROR_BANNER_RECV:
        if (l->sys)
            return vf_error_set(err, VF_ERR_UNREACHABLE, l->sys, "%s: %s", l->peer, what);
        return vf_error_set(err, VF_ERR_UNREACHABLE, 0, "%s: %s: the other side hung up", l->peer,
                            what);
    default:
        (void)libssh2_session_last_error(l->session, &text, NULL, 0); /* only for the text */
        return vf_error_set(err, code, 0, "%s: %s: libssh2: %s (%d)", l->peer, what,
                            text && *text ? text : "error", rc);
    }
}
