/* transport/gather.h - the receiver's order: PIECEs come over several connections in any order,
 * other messages over the first one; out they go exactly as they were sent.
 *
 * A PIECE has a number, and says how many messages the source had sent on the first connection
 * before it (`after`).  A FENCE on the first connection says how many PIECEs were sent before what
 * follows there.  Together they fix one order of all messages.
 *
 * What waits for its turn is bounded: PIECEs by the window that WELCOME announced, messages of the
 * first connection by VF_HOLD_MAX.  A peer that passes a bound breaks the protocol.
 *
 * Thread rules: no I/O, no locks; the session guards it. */
#ifndef VF_TRANSPORT_GATHER_H
#define VF_TRANSPORT_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/stream.h"

#define VF_PIECES_OPEN  1024u       /* PIECEs sent and not acknowledged at most */
#define VF_HOLD_MAX     (4u << 20)  /* payload of messages that wait for PIECEs before them */
#define VF_LINKS_WINDOW (32u << 20) /* bytes of PIECEs that this program announces */

struct vf_held; /* private: a message that waits */

struct vf_gather {
    uint64_t window;                      /* bytes of PIECEs that may wait */
    uint64_t next;                        /* PIECE that is to be delivered next */
    uint64_t counted;                     /* other messages that were delivered */
    uint64_t fence;                       /* the last FENCE */
    size_t bytes;                         /* in PIECEs that wait */
    struct vf_msg *piece[VF_PIECES_OPEN]; /* by number modulo their count; owned */
    struct vf_held *first, **last;        /* other messages that wait, in order; owned */
    size_t held;                          /* their payload bytes */
};

void vf_gather_init(struct vf_gather *g, uint64_t window);
void vf_gather_free(struct vf_gather *g);

/* A PIECE has come, over whatever connection.  Takes m (zeroes it) on success; one that is there
 * already is dropped.  *ret_next: it is the one that is due next.  -1: VF_ERR_PROTOCOL beyond the
 * window, VF_ERR_NOMEM. */
int vf_gather_piece(struct vf_gather *g, struct vf_msg *m, bool *ret_next,
                    struct vf_error *err) VF_MUST_CHECK;

/* A FENCE has come.  -1: VF_ERR_PROTOCOL. */
int vf_gather_fence(struct vf_gather *g, uint64_t pieces, struct vf_error *err) VF_MUST_CHECK;

/* Another message with len bytes of payload has come on the first connection.  Takes m (zeroes it)
 * on success. */
int vf_gather_other(struct vf_gather *g, struct vf_msg *m, size_t len,
                    struct vf_error *err) VF_MUST_CHECK;

/* Is nothing waiting, and no PIECE due before the next message of the first connection?  Then that
 * may be delivered as it comes: vf_gather_pass notes it. */
bool vf_gather_idle(const struct vf_gather *g);
void vf_gather_pass(struct vf_gather *g);

/* The next message in order, owned by the caller; a PIECE comes out as the DATA that it is.  1;
 * 0: it has not come yet; -1: VF_ERR_PROTOCOL. */
int vf_gather_next(struct vf_gather *g, struct vf_msg *ret, struct vf_error *err) VF_MUST_CHECK;

#endif
