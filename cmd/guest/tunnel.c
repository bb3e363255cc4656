/* cmd/guest/tunnel.c - the pump. */
#include "cmd/guest/tunnel.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "core/thread.h"
#include "hypervisor/hypervisor.h"

/* Small enough that another tunnel's bytes get in between on a slow line. */
#define PIECE (64u << 10)

struct pump {
    struct vf_stream *st;
    int fd;
    const struct vf_far_look *look;
    struct vf_error err; /* of the thread */
    int rc;
    bool held; /* the end of the socket is told later */
};

/* Some bytes of the socket's, or its end, to the far end. */
static int pass_on(struct pump *p, uint8_t *bytes, size_t n)
{
    const struct vf_far_look *look = p->look;
    struct vf_msg m = {.type = VF_MSG_BYTES};

    if (n && look && look->out && look->out(look->ctx, bytes, n, &p->err) < 0)
        return -1;
    if (look && look->goodbye && (!n || look->goodbye(bytes, n))) {
        p->held = true;
        return 0;
    }
    m.bytes.len = n;
    m.bytes.bytes = bytes;
    return p->st->ops->send(p->st, &m, &p->err);
}

/* From the socket to the far end. */
static void *outward(void *arg)
{
    struct pump *p = arg;
    uint8_t *buf = vf_calloc(1, PIECE, &p->err);
    ssize_t n;

    p->rc = buf ? 0 : -1;
    for (n = 1; n > 0 && p->rc == 0;) {
        n = recv(p->fd, buf, PIECE, 0);
        if (n < 0 && errno == EINTR)
            n = 1;
        else
            p->rc = pass_on(p, buf, n > 0 ? (size_t)n : 0);
    }
    free(buf);
    if (p->rc < 0)
        p->st->ops->cancel(p->st); /* the other direction waits in recv */
    return NULL;
}

/* From the far end to the socket. */
static int inward(struct pump *p, struct vf_error *err)
{
    for (;;) {
        struct vf_msg m;
        int rc;

        if (p->st->ops->recv(p->st, &m, err) < 0)
            return -1;
        if (m.bytes.len == 0) {
            (void)shutdown(p->fd, SHUT_WR); /* it may be gone already */
            vf_msg_free(&m);
            return 0;
        }
        rc = vf_write_full(p->fd, m.bytes.bytes, m.bytes.len, err);
        if (rc == 0 && p->look && p->look->in)
            p->look->in(p->look->ctx, m.bytes.bytes, m.bytes.len);
        vf_msg_free(&m);
        if (rc < 0)
            return -1;
    }
}

static int tell_end(struct vf_stream *st, struct vf_error *err)
{
    const struct vf_msg m = {.type = VF_MSG_BYTES};

    return st->ops->send(st, &m, err);
}

int vf_tunnel_pump(struct vf_stream *st, int fd, const struct vf_far_look *look,
                   struct vf_error *err)
{
    struct pump p = {.st = st, .fd = fd, .look = look};
    struct vf_error own = VF_ERROR_INIT;
    pthread_t thread;
    bool mine;
    int rc;

    if (vf_thread_start(&thread, outward, &p, err) < 0)
        return -1;
    rc = inward(&p, &own);
    if (rc < 0) {
        (void)shutdown(fd, SHUT_RDWR); /* ends the thread's recv */
        st->ops->cancel(st);
    }
    (void)pthread_join(thread, NULL); /* cannot fail: it runs, and is nobody else's */
    (void)shutdown(fd, SHUT_RDWR);
    if (rc == 0 && p.rc == 0)
        return p.held ? tell_end(st, err) : 0;
    mine = (rc < 0 && own.code != VF_ERR_CANCELLED) || p.err.code == VF_ERR_NONE;
    return vf_error_pass(err, mine ? &own : &p.err);
}
