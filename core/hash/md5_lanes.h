/* core/hash/md5_lanes.h - MD5 (RFC 1321) of many 512-byte blocks at once: one block per SIMD lane.
 *
 * Thread rules: pure functions, any thread. */
#ifndef VF_CORE_MD5_LANES_H
#define VF_CORE_MD5_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/block.h"
#include "core/simd.h"

/* MD5 of each of the n consecutive 512-byte blocks at data (any alignment) to ret[i]; way must be
 * ok.  Nothing outside the n blocks is read.  Worth its speed from 16 blocks a call, best at
 * multiples of 64; one block alone takes as long as in any other library. */
void vf_md5_blocks(enum vf_simd way, const void *data, size_t n, uint8_t (*ret)[VF_MD5_LEN]);

/* True when all len bytes are zero; any alignment. */
bool vf_all_zero(const void *data, size_t len);

#endif
