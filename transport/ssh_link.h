/* transport/ssh_link.h - a libssh2 session on a socket, with our own hand on what is sent; private
 * to transport/.
 *
 * libssh2's trouble with non-blocking sockets is the packet that was sent by half: until the rest
 * has gone, every other send on the session fails, window adjustments that a *read* wants to send
 * included, and a key re-exchange that the server begins just then ends in a deadlock.  So a packet
 * is never sent by half here: libssh2 sends through a callback that always takes everything.  What
 * the socket does not take waits in a queue of ours, and bulk data is offered to libssh2 only while
 * that queue is short.  EAGAIN then only ever means "nothing has come yet" or "the other side's
 * window is full".
 *
 * Received bytes are limited per round (`budget`), so that a fast sender cannot keep us from
 * sending, nor fill the memory with a whole window at once.
 *
 * Thread rules: a link belongs to one thread at a time. */
#ifndef VF_TRANSPORT_SSH_LINK_H
#define VF_TRANSPORT_SSH_LINK_H

#include <libssh2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "transport/wait.h"

/* Most that may ever wait to be sent: more means a peer that asks and asks but does not read.  Bulk
 * data is held back while VF_LINK_OUT_HIGH bytes wait. */
#define VF_LINK_OUT_MAX  (1u << 20)
#define VF_LINK_OUT_HIGH (128u << 10)
#define VF_LINK_NO_LIMIT SIZE_MAX

struct vf_link {
    LIBSSH2_SESSION *session;
    int sock;
    const char *peer;           /* for messages; borrows */
    const struct vf_wait *wait; /* for calls that talk to the key agent; NULL: no time limit */
    uint8_t *out;               /* VF_LINK_OUT_MAX bytes; [out_off, out_end) wait to be sent */
    size_t out_off, out_end;
    size_t budget; /* bytes that may still be received in this round */
    bool dead;     /* pretend that the socket is broken: nothing is sent or received any more */
    bool ended;    /* the other side has closed it */
    int sys;       /* errno of the failure that broke it, 0: the other side closed, or none */
};

/* A link on sock (kept, closed by vf_link_free).  NULL with *err; sock is then still the caller's.
 */
struct vf_link *vf_link_new(int sock, const char *peer, struct vf_error *err);

/* Ends at once, without a word to the other side.  NULL does nothing. */
void vf_link_free(struct vf_link *l);

static inline size_t vf_link_waiting(const struct vf_link *l) { return l->out_end - l->out_off; }

/* Is the connection gone?  libssh2 calls that a failed key exchange or a refused key as well. */
static inline bool vf_link_broken(const struct vf_link *l) { return l->ended || l->sys; }

/* Sends what waits, as far as the socket takes it.  1 some went, 0 none, -1 broken (l->sys). */
int vf_link_flush(struct vf_link *l);

/* After EAGAIN: sends what waits, then waits until something has come (or more can be sent).  what
 * names the step for messages.  0, or -1 (TIMEOUT, CANCELLED, UNREACHABLE). */
int vf_link_wait(struct vf_link *l, const char *what, const struct vf_wait *wait,
                 struct vf_error *err) VF_MUST_CHECK;

#define VF_LINK_GAVE_UP (-10001) /* no code of libssh2: vf_link_wait has set the error */

/* Repeats a libssh2 call that gives an int until that is not EAGAIN; VF_LINK_GAVE_UP when the wait
 * failed, *err then set. */
#define VF_LINK_CALL(rc, call, l, what, wait, err)                                                 \
    do {                                                                                           \
        (rc) = (call);                                                                             \
        if ((rc) == LIBSSH2_ERROR_EAGAIN && vf_link_wait((l), (what), (wait), (err)) < 0)          \
            (rc) = VF_LINK_GAVE_UP;                                                                \
    } while ((rc) == LIBSSH2_ERROR_EAGAIN)

/* The failure rc of a libssh2 call during the step what, as an error: VF_ERR_UNREACHABLE for a
 * broken connection, VF_ERR_NOMEM, else code.  With VF_LINK_GAVE_UP *err stays as it is.  Returns
 * -1. */
int vf_link_error(struct vf_link *l, int rc, enum vf_err code, const char *what,
                  struct vf_error *err);

#endif
