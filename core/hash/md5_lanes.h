/* core/hash/md5_lanes.h - MD5 (RFC 1321) of many 512-byte blocks at once: one block per SIMD lane.
 *
 * Thread rules: pure functions, any thread. */
#ifndef VF_CORE_MD5_LANES_H
#define VF_CORE_MD5_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/block.h"

/* The ways to compute it, fastest last. */
enum vf_md5_way { VF_MD5_PORTABLE, VF_MD5_AVX2, VF_MD5_AVX512, VF_MD5_WAYS };

/* Can this machine run it? */
bool vf_md5_way_ok(enum vf_md5_way way);
const char *vf_md5_way_name(enum vf_md5_way way); /* "portable", "avx2", "avx512" */
/* The fastest way that this machine can run; VF_MD5_WAY=name in the environment forces a slower one
 * (tests). */
enum vf_md5_way vf_md5_best(void);

/* MD5 of each of the n consecutive 512-byte blocks at data (any alignment) to ret[i]; way must be
 * ok.  Nothing outside the n blocks is read.  Worth its speed from 16 blocks a call, best at
 * multiples of 64; one block alone takes as long as in any other library. */
void vf_md5_blocks(enum vf_md5_way way, const void *data, size_t n, uint8_t (*ret)[VF_MD5_LEN]);

/* True when all len bytes are zero; any alignment. */
bool vf_all_zero(const void *data, size_t len);

#endif
