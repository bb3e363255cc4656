/* transport/message.h - messages (core/stream.h) to payload bytes and back.  PROTOCOL.md is the
 * norm.
 *
 * Every message has exactly one encoding: what decodes encodes to the same bytes again.  (HELLO is
 * the exception: fields that a later version appended are passed over.)  A decoded message takes at
 * most VF_MSG_COST times the bytes of its payload in memory, plus a little for each text.
 *
 * Thread rules: pure functions, any thread. */
#ifndef VF_TRANSPORT_MESSAGE_H
#define VF_TRANSPORT_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/error.h"
#include "core/stream.h"

/* Protocol versions that this program speaks. */
#define VF_PROTOCOL_MIN 1u
#define VF_PROTOCOL_MAX 1u

#define VF_MAX_PROBE_WIDTH 8u                         /* bytes of a digest in PROBES */
#define VF_MAX_COUNTS      (16u << 20)                /* bytes of payload of COUNTS */
#define VF_MAX_CLUSTER     (64u << 20)                /* bytes of a cluster in OFFER */
#define VF_MAX_SIZE        (VF_MAX_BLOCKS * VF_BLOCK) /* bytes of an image in OFFER */
#define VF_MSG_COST        16u

/* "HELLO", "NODES", ...; "?" for what is no type. */
const char *vf_msg_name(uint8_t type);

/* What forbids this message to be sent (one phrase, static): a number beyond its limit, runs that
 * overlap, text with control characters ...; NULL when it is fine.  Texts may be NULL, which counts
 * as "". */
const char *vf_msg_wrong(const struct vf_msg *m);

/* Appends the payload to b.  0, or -1 (b is then as it was): VF_ERR_RANGE for a message that
 * vf_msg_wrong complains of, VF_ERR_NOMEM. */
int vf_msg_encode(const struct vf_msg *m, struct vf_buf *b, struct vf_error *err) VF_MUST_CHECK;

/* The message of that type whose whole payload is given (borrowed).  *ret is then owned by the
 * caller (vf_msg_free); its texts are not NULL.  -1: VF_ERR_PROTOCOL for anything but a well-formed
 * message within its limits, VF_ERR_NOMEM. */
int vf_msg_decode(uint8_t type, const uint8_t *payload, size_t len, struct vf_msg *ret,
                  struct vf_error *err) VF_MUST_CHECK;

#endif
