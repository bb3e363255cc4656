/* core/literals/repeats.h - where a block's content first occurred: finds duplicate blocks inside
 * one image.
 *
 * A hash table from the beginning of an MD5 to a block number, of bounded size: when it is full,
 * later contents are not remembered, which costs bytes on the wire and nothing else.  What it says
 * is a hint, right but for one in 2^50: the digest of the batch decides.
 *
 * Thread rules: one thread at a time. */
#ifndef VF_CORE_REPEATS_H
#define VF_CORE_REPEATS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/block.h"
#include "core/error.h"

struct vf_repeats;

/* For about `expected` contents, in at most max_bytes (512 KiB are always used): 8 bytes for every
 * 0.7 contents. */
struct vf_repeats *vf_repeats_new(uint64_t expected, uint64_t max_bytes, struct vf_error *err);
void vf_repeats_free(struct vf_repeats *r);

/* As vf_table_touch. */
void vf_repeats_touch(struct vf_repeats *r);

/* For those who ask for n contents in turn, before each number i: has the slot of one that comes
 * soon fetched, which may lie anywhere in memory. */
void vf_repeats_ahead(const struct vf_repeats *r, const uint8_t (*md5)[VF_MD5_LEN], size_t i,
                      size_t n);

/* true: this content occurred as block *ret_first < block.  false: it did not, and `block` is now
 * remembered for it. */
bool vf_repeats_seen(struct vf_repeats *r, const uint8_t md5[VF_MD5_LEN], uint64_t block,
                     uint64_t *ret_first);

/* Remembers blocks [first, first + n) for their contents where these are new. */
void vf_repeats_add(struct vf_repeats *r, const uint8_t (*md5)[VF_MD5_LEN], uint64_t first,
                    size_t n);

/* Nothing more will be remembered. */
bool vf_repeats_full(const struct vf_repeats *r);

#endif
