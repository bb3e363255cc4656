/* transport/bulk.h - one further connection of a migration: magic, LINK, then PIECEs one way and
 * life signs both ways (PROTOCOL.md, section 14).
 *
 * Thread rules: as struct vf_link: one thread may read while another writes. */
#ifndef VF_TRANSPORT_BULK_H
#define VF_TRANSPORT_BULK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/stream.h"
#include "transport/frame.h"
#include "transport/link.h"
#include "transport/order.h"

struct vf_out;

#define VF_PIECE_HEAD (VF_FRAME_HEAD + 20u) /* bytes before a PIECE's own */

struct vf_bulk {
    struct vf_link link;
    enum vf_side peer;
    bool greeted; /* the peer's magic has come */
    uint8_t *in;  /* bytes [start, end) have come and were not used; owned */
    size_t start, end, cap;
};

/* As vf_link_open.  greeted: somebody else has read the magic. */
int vf_bulk_open(struct vf_bulk *b, int rfd, int wfd, unsigned watchdog_ms,
                 struct vf_ratelimit *rate, enum vf_side peer, bool greeted,
                 struct vf_error *err) VF_MUST_CHECK;
void vf_bulk_close(struct vf_bulk *b); /* closes no descriptor */

/* The next message: from a source PIECE and PING, from a receiver ACK, PING and FAIL (which becomes
 * an error); all else is VF_ERR_PROTOCOL.  Owned by the caller.  limit_ms as vf_link_read.  The end
 * of the stream is VF_ERR_UNREACHABLE. */
int vf_bulk_read(struct vf_bulk *b, int64_t limit_ms, struct vf_msg *ret,
                 struct vf_error *err) VF_MUST_CHECK;

/* The source's first words. */
int vf_bulk_hello(struct vf_bulk *b, const char *token, uint8_t number,
                  struct vf_error *err) VF_MUST_CHECK;

/* A short message (PING, ACK).  urgent_ms as vf_link_write. */
int vf_bulk_say(struct vf_bulk *b, const struct vf_msg *m, int64_t urgent_ms,
                struct vf_error *err) VF_MUST_CHECK;

/* Frame head and numbers of a PIECE; how many bytes they are. */
size_t vf_piece_head(const struct vf_out *p, uint8_t ret[VF_PIECE_HEAD]);
int vf_bulk_piece(struct vf_bulk *b, struct vf_out *p, struct vf_error *err) VF_MUST_CHECK;

#endif
