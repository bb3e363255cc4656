/* formats/be.h - integers of image headers: big-endian in QEMU's and Microsoft's older formats,
 * little-endian in the others.  Pure; any thread. */
#ifndef VF_FORMATS_BE_H
#define VF_FORMATS_BE_H

#include <stdint.h>

static inline uint32_t vf_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t vf_be64(const uint8_t *p)
{
    return (uint64_t)vf_be32(p) << 32 | vf_be32(p + 4);
}

static inline uint32_t vf_le32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static inline uint64_t vf_le64(const uint8_t *p)
{
    return (uint64_t)vf_le32(p + 4) << 32 | vf_le32(p);
}

#endif
