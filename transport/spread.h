/* transport/spread.h - the source's PIECEs: numbered, given to whichever connection has room, kept
 * until the receiver has taken them, given to another one when a connection breaks.
 *
 * It also counts the messages of the first connection, so that the receiver can put all in order
 * again (transport/gather.h), and bounds what may wait there.
 *
 * Thread rules: no I/O, no locks; the session guards it.  The bytes of a PIECE that was taken may
 * be read without the guard until vf_spread_sent. */
#ifndef VF_TRANSPORT_SPREAD_H
#define VF_TRANSPORT_SPREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "transport/gather.h"

#define VF_SPREAD_BUCKETS 8u

struct vf_out {
    uint64_t seq, after;
    size_t len;
    int link;   /* that it was given to; -1: none yet, or that one broke */
    bool busy;  /* is being written */
    bool taken; /* the receiver has it */
    uint8_t bytes[];
};

/* Messages of the first connection that may still wait at the receiver, some together. */
struct vf_spread_bucket {
    uint64_t fence; /* when so many PIECEs are acknowledged, none of them waits */
    size_t bytes;
};

struct vf_spread {
    uint64_t window;                      /* bytes that may be without acknowledgement */
    uint64_t counted;                     /* messages sent on the first connection */
    uint64_t fenced;                      /* the last FENCE */
    uint64_t next;                        /* number of the next PIECE */
    uint64_t acked;                       /* PIECEs that the receiver has taken */
    uint64_t scan;                        /* no PIECE before it is unsent */
    size_t bytes;                         /* in PIECEs without acknowledgement */
    unsigned unsent;                      /* PIECEs that no connection has */
    struct vf_out *piece[VF_PIECES_OPEN]; /* by number modulo their count; owned */
    struct vf_spread_bucket bucket[VF_SPREAD_BUCKETS];
    unsigned first, n; /* buckets in use */
    size_t held;       /* bytes in them */
};

/* window: what WELCOME announced. */
void vf_spread_init(struct vf_spread *s, uint64_t window);
void vf_spread_free(struct vf_spread *s);

/* May another len bytes go as a PIECE? */
bool vf_spread_room(const struct vf_spread *s, size_t len);

/* Numbers a copy of the bytes; there is room.  0, or -1 (NOMEM). */
int vf_spread_add(struct vf_spread *s, const uint8_t *bytes, size_t len,
                  struct vf_error *err) VF_MUST_CHECK;

/* May another message with len bytes of payload be sent on the first connection? */
bool vf_spread_credit(const struct vf_spread *s, size_t len);

/* Notes that one is sent (there is credit).  The FENCE that has to go before it, 0: none. */
uint64_t vf_spread_count(struct vf_spread *s, size_t len);

/* The first PIECE that no connection has, now link's; NULL: there is none. */
struct vf_out *vf_spread_take(struct vf_spread *s, int link);

/* It was written, or will not be. */
void vf_spread_sent(struct vf_spread *s, struct vf_out *p);

/* The connection broke: what went over it and is not acknowledged must go over another.  None of
 * its PIECEs is being written. */
void vf_spread_lost(struct vf_spread *s, int link);

/* An ACK has come.  -1: VF_ERR_PROTOCOL. */
int vf_spread_ack(struct vf_spread *s, uint64_t pieces, struct vf_error *err) VF_MUST_CHECK;

#endif
