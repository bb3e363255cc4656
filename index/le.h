/* index/le.h - little-endian numbers of 1 to 8 bytes, at any alignment.  Pure; any thread. */
#ifndef VF_INDEX_LE_H
#define VF_INDEX_LE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline void vf_st64(void *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof v);
}

/* n bytes, 1 <= n <= 8; touches no others. */
static inline uint64_t vf_ldn(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;

    while (n--)
        v = v << 8 | p[n];
    return v;
}

static inline void vf_stn(uint8_t *p, unsigned n, uint64_t v)
{
    for (; n--; v >>= 8)
        *p++ = (uint8_t)v;
}

static inline uint64_t vf_ld40(const uint8_t *p) { return vf_ldn(p, 5); }

/* Big-endian, for database keys, whose order is that of their bytes. */
static inline void vf_be_put(uint8_t *p, unsigned n, uint64_t v)
{
    for (; n--; v >>= 8)
        p[n] = (uint8_t)v;
}

static inline uint64_t vf_be_get(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

/* Bytes that a number below or equal to max needs, at least 1. */
static inline unsigned vf_width_of(uint64_t max)
{
    unsigned n = 1;

    while (n < 8 && max >> (8 * n))
        n++;
    return n;
}

#endif
