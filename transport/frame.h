/* transport/frame.h - how messages lie in the byte stream: magic, heads, ceilings.
 *
 * Each direction begins with VF_MAGIC.  Then follow frames: type (1 byte), length of the payload
 * (4 bytes, little-endian), payload.  PROTOCOL.md is the norm.
 *
 * Thread rules: pure functions, any thread. */
#ifndef VF_TRANSPORT_FRAME_H
#define VF_TRANSPORT_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

#define VF_MAGIC      "VMFERRY\n"
#define VF_MAGIC_LEN  8u
#define VF_FRAME_HEAD 5u /* bytes before the payload */

/* Largest payload of a type (enum vf_msg_type); 0 when there is no such type. */
uint32_t vf_frame_ceiling(uint8_t type);

/* Writes the head of a frame. */
void vf_frame_put(uint8_t ret[VF_FRAME_HEAD], uint8_t type, uint32_t len);

/* Looks at the front of n bytes from the peer.  1: a whole head, known type, length within its
 * ceiling; *ret_type and *ret_len are set.  0: more bytes are needed.  -1: VF_ERR_PROTOCOL; the
 * type is judged as soon as it is there. */
int vf_frame_get(const uint8_t *p, size_t n, uint8_t *ret_type, uint32_t *ret_len,
                 struct vf_error *err) VF_MUST_CHECK;

/* Compares the first n bytes from the peer with the magic.  1: there and right; 0: right as far as
 * it goes, more is needed; -1: wrong (vf_magic_error words it). */
int vf_magic_get(const uint8_t *p, size_t n) VF_MUST_CHECK;

/* Fills *err with VF_ERR_PROTOCOL "the far end is not vmferry: it said '...'", quoting the first
 * line of the n bytes that came instead of the magic.  Returns -1. */
int vf_magic_error(const uint8_t *p, size_t n, struct vf_error *err);

#endif
