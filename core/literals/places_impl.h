/* core/literals/places_impl.h - what the ways to find places share; nobody else includes it. */
#ifndef VF_CORE_PLACES_IMPL_H
#define VF_CORE_PLACES_IMPL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* A place: (a ^ b rotated) * FACTOR, as a signed number, is above a limit; a and b are the first
 * and the last four bytes, little endian. */
#define VF_PLACE_ROTATE 13
#define VF_PLACE_FACTOR 0x9e3779b1u
#define VF_PLACE_LIMIT  (INT32_MAX - (1 << 26)) /* one in 64 */
#define VF_PLACE_FEW    (INT32_MAX - (1 << 24)) /* one in 256 */

static inline uint32_t vf_place_word(const uint8_t *p)
{
    uint32_t w;

    memcpy(&w, p, sizeof w);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap32(w);
#endif
    return w;
}

static inline int vf_place_is(const uint8_t *p, int32_t limit)
{
    uint32_t b = vf_place_word(p + 4);
    uint32_t x = vf_place_word(p) ^ (b << VF_PLACE_ROTATE | b >> (32 - VF_PLACE_ROTATE));

    return (int32_t)(x * VF_PLACE_FACTOR) > limit;
}

/* Positions [from, n), behind the `found` that are in ret already. */
static inline size_t vf_places_rest(const uint8_t *data, size_t from, size_t n, int32_t limit,
                                    uint32_t *ret, size_t found)
{
    for (size_t i = from; i < n; i++) {
        ret[found] = (uint32_t)i;
        found += (size_t)vf_place_is(data + i, limit);
    }
    return found;
}

#if defined(__x86_64__)
/* Puts i + n into ret, behind the `found` that are there, for each bit n that is set; ret has room
 * for four at least.  Nobody can foretell how many there are, but few have more than four: so much
 * is written without asking. */
static inline __attribute__((always_inline, target("bmi,popcnt"))) size_t
vf_places_take(uint64_t is, uint32_t i, uint32_t *ret, size_t found)
{
    size_t n = (size_t)__builtin_popcountll(is);

    for (size_t k = 0; k < 4; k++, is = _blsr_u64(is))
        ret[found + k] = i + (uint32_t)_tzcnt_u64(is);
    for (size_t k = 4; k < n; k++, is = _blsr_u64(is))
        ret[found + k] = i + (uint32_t)_tzcnt_u64(is);
    return found + n;
}

size_t vf_places_avx2(const uint8_t *data, size_t n, int32_t limit, uint32_t *ret);
size_t vf_places_avx512(const uint8_t *data, size_t n, int32_t limit, uint32_t *ret);
#endif

#endif
