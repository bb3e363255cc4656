/* core/repeats.h - where a block's content was first sent: finds duplicate blocks inside one
 * migration.
 *
 * A hash table from the first 8 bytes of an MD5 to a block number, of bounded size: when it is
 * full, later contents are not remembered, which costs bytes on the wire and nothing else.  What it
 * says is a hint: the digest of the batch decides.
 *
 * Thread rules: one thread at a time. */
#ifndef VF_CORE_REPEATS_H
#define VF_CORE_REPEATS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/block.h"
#include "core/error.h"

struct vf_repeats;

/* Uses at most max_bytes, growing as needed. */
struct vf_repeats *vf_repeats_new(uint64_t max_bytes, struct vf_error *err);
void vf_repeats_free(struct vf_repeats *r);

/* true: this content was sent as block *ret_first.  false: it was not, and `block` is now
 * remembered for it. */
bool vf_repeats_seen(struct vf_repeats *r, const uint8_t md5[VF_MD5_LEN], uint64_t block,
                     uint64_t *ret_first);

#endif
