/* core/be.h - integers in a fixed byte order, wherever they lie: big-endian in keys, digests and
 * the older image formats, little-endian in the others.  Pure; any thread. */
#ifndef VF_CORE_BE_H
#define VF_CORE_BE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t vf_be32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return be32toh(v);
}

static inline uint64_t vf_be64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return be64toh(v);
}

static inline uint32_t vf_le32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return le32toh(v);
}

static inline uint64_t vf_le64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

#endif
