/* core/block.h - the units that everything is counted in. */
#ifndef VF_CORE_BLOCK_H
#define VF_CORE_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#define VF_BLOCK   512u /* bytes; the last one of an image is padded with zeros for hashing */
#define VF_MD5_LEN 16u
#define VF_SHA_LEN 32u

/* Largest image: 2^40 blocks (512 TiB).  Bounds every block number and lets one fit into 5 bytes.
 */
#define VF_MAX_BLOCKS (UINT64_C(1) << 40)

/* Blocks of an image of size bytes. */
static inline uint64_t vf_blocks_of(uint64_t size)
{
    return size / VF_BLOCK + (size % VF_BLOCK != 0);
}

/* Run of blocks [first, first + n). */
struct vf_run {
    uint64_t first, n;
};

/* MD5 of 512 zero bytes: bf619eac0cdf3f68d496ea9344137e8b. */
extern const uint8_t vf_zero_md5[VF_MD5_LEN];

#endif
