/* transport/order.h - which message may come when: the state diagram of PROTOCOL.md as code.
 *
 * One struct vf_order follows one conversation, as one end sees it, and is told of all messages of
 * both directions.  It knows the phase, the batches that are open and what was asked about each, so
 * that nothing a peer sends reaches the engine at a time or with a batch, range or count that the
 * protocol does not allow.  Messages that cross on the way are no error: what is legal here does
 * not depend on which end looks.
 *
 * Thread rules: no I/O, no locks; the session guards it. */
#ifndef VF_TRANSPORT_ORDER_H
#define VF_TRANSPORT_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/stream.h"

enum vf_side { VF_SIDE_SOURCE, VF_SIDE_RECEIVER };

enum vf_phase {
    VF_PHASE_HELLO,   /* nothing was said yet */
    VF_PHASE_WELCOME, /* HELLO was */
    VF_PHASE_OFFER,   /* WELCOME was */
    VF_PHASE_ACCEPT,  /* OFFER was */
    VF_PHASE_WORK,    /* ACCEPT was: batches */
    VF_PHASE_COUNTS,  /* END was */
    VF_PHASE_RESULT,  /* RESULT was; what the source sent before it knew is on its way */
    VF_PHASE_OVER,    /* COUNTS was, or the last PART */
    VF_PHASE_LINK,    /* LINK was: no conversation of its own */
    VF_PHASE_GUEST,   /* GUEST was, from the source: it waits for the answer */
    VF_PHASE_TUNNEL,  /* the answer to a tunnel's first question was: BYTES, both ways */
    VF_PHASE_SUMMARY, /* ASK was */
    VF_PHASE_PARTS,   /* SUMMARY was */
};

/* An announced batch that is not DONE. */
struct vf_order_batch {
    bool open, recheck; /* recheck: RECHECK was said */
    uint32_t batch;
    struct vf_run range;
    /* By level (0: PROBES): how much was asked, and how much of it has no HAVE yet. */
    uint64_t asked[3], waiting[3];
};

struct vf_order {
    enum vf_phase phase;
    enum vf_purpose purpose;         /* from HELLO on */
    bool offered;                    /* OFFER has been said */
    bool empty;                      /* from ACCEPT on: no walk */
    bool ended;                      /* END has been said */
    bool failed[2];                  /* by side: has said FAIL */
    uint64_t pings[2];               /* by side: PINGs that the other has not answered */
    uint64_t blocks;                 /* of the image, from OFFER on */
    uint64_t next_batch, next_block; /* what the next BATCH must say */
    unsigned n_open;
    uint64_t parts;                               /* bytes of PARTs that are still to come */
    struct vf_order_batch batch[VF_BATCHES_OPEN]; /* in any order */
};

void vf_order_init(struct vf_order *o);

/* May a message of that type come from that side now?  Looks at nothing else and changes nothing:
 * asked before the payload is read.  0, or -1: VF_ERR_PROTOCOL. */
int vf_order_type(const struct vf_order *o, enum vf_side from, uint8_t type,
                  struct vf_error *err) VF_MUST_CHECK;

/* The same for a whole message (one that vf_msg_wrong has no objection to), which is then noted. */
int vf_order_step(struct vf_order *o, enum vf_side from, const struct vf_msg *m,
                  struct vf_error *err) VF_MUST_CHECK;

#endif
