/* core/similar/delta.h - brings a copy of some bytes up to date over a link: librsync with its
 * traps fenced.
 *
 *   the side with the old copy            the side with the new bytes
 *   vf_delta_signature(old)       ->
 *                                 <-      vf_delta_make(signature, new), and SHA-256 of new
 *   vf_delta_apply(old, delta)
 *
 * For small files with structure (summaries of some MB).  Everything is in memory.  Signatures and
 * deltas come from a peer and are hostile: their sizes, block lengths and copy commands are checked
 * before and while librsync works, steps are bounded, and a result is only given out when it has
 * the SHA-256 that was promised, for rs_patch checks nothing.
 *
 * Thread rules: pure functions. */
#ifndef VF_CORE_DELTA_H
#define VF_CORE_DELTA_H

#include <stddef.h>
#include <stdint.h>

#include "core/block.h"
#include "core/buf.h"

#define VF_DELTA_FILE_MAX (64u << 20) /* old or new bytes at most */
#define VF_DELTA_SIGNATURE_MAX                                                                     \
    (2u << 20) /* a signature; those made here: about 2 % of the old bytes */

/* Appends the signature of the old bytes to *ret.  VF_ERR_RANGE beyond VF_DELTA_FILE_MAX. */
int vf_delta_signature(const void *old, size_t len, struct vf_buf *ret,
                       struct vf_error *err) VF_MUST_CHECK;

/* Is it a signature that vf_delta_make would take?  0, or -1 (VF_ERR_PROTOCOL). */
int vf_delta_signature_check(const void *sig, size_t len, struct vf_error *err) VF_MUST_CHECK;

/* Appends to *ret what turns the old bytes into the new ones.  VF_ERR_PROTOCOL for a signature that
 * cannot be; VF_ERR_RANGE when the delta would have more than max bytes: send all of it then. */
int vf_delta_make(const void *sig, size_t sig_len, const void *data, size_t len, size_t max,
                  struct vf_buf *ret, struct vf_error *err) VF_MUST_CHECK;

/* Appends the new bytes, at most max, to *ret.  VF_ERR_PROTOCOL for a delta that cannot be;
 * VF_ERR_MISMATCH when the result is not what `sha` says (*ret is then as it was). */
int vf_delta_apply(const void *old, size_t old_len, const void *delta, size_t delta_len, size_t max,
                   const uint8_t sha[VF_SHA_LEN], struct vf_buf *ret,
                   struct vf_error *err) VF_MUST_CHECK;

#endif
