/* core/engine/send_out.h - what was packed and waits for the link, and the thread that sends it.
 *
 * A strong packer takes long where content compresses well and short where it does not; what it is
 * ahead keeps the link busy meanwhile.
 *
 * Thread rules: one thread packs (take, room, end), another one runs; stock and stop from any. */
#ifndef VF_CORE_SEND_OUT_H
#define VF_CORE_SEND_OUT_H

#include <pthread.h>

#include "core/literals/literals.h"
#include "core/stream.h"

#define VF_SEND_OUT      64u /* pieces of VF_PACK_OUT that wait at most */
#define VF_SEND_OUT_WEAK 4u  /* while packing is quick */

struct vf_send_piece {
    uint8_t *bytes; /* VF_PACK_OUT, from malloc */
    size_t len;
};

struct vf_send_out {
    struct vf_stream *st;
    unsigned most; /* pieces behind a strong packer */

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t moved;
    struct vf_send_piece piece[VF_SEND_OUT]; /* a ring */
    unsigned at, n, room;                    /* n: with that which is being sent */
    uint8_t *spare[VF_SEND_OUT];             /* buffers that were sent, the last one first */
    unsigned nspare;
    uint64_t sent; /* bytes */
    bool over;     /* nothing more comes */
    bool stopped;
};

/* most: VF_SEND_OUT_WEAK..VF_SEND_OUT.  Borrows st. */
void vf_send_out_init(struct vf_send_out *o, struct vf_stream *st, unsigned most);
void vf_send_out_free(struct vf_send_out *o);

/* A vf_pack_fn: waits until there is room.  VF_ERR_CANCELLED once it is stopped. */
int vf_send_out_take(void *out, uint8_t **buffer, size_t len, struct vf_error *err);
/* A vf_stock_fn. */
struct vf_stock vf_send_out_stock(void *out);
/* How much may wait: much behind a packer whose pace varies. */
void vf_send_out_room(struct vf_send_out *o, bool strong);
/* Nothing more comes; what is there still goes. */
void vf_send_out_end(struct vf_send_out *o);

/* Sends DATA until the end, or until it is stopped.  0, or -1 with what the stream says. */
int vf_send_out_run(struct vf_send_out *o, struct vf_error *err) VF_MUST_CHECK;
/* Gives up: nobody waits any more.  Whoever sends is woken by the stream. */
void vf_send_out_stop(struct vf_send_out *o);

#endif
