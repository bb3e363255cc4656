/* core/literals/places_avx512.c - places, 64 positions at a time: words at every fourth position in
 * each of four registers. */
#include "core/literals/places_impl.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,bmi,bmi2,popcnt")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum { AT_ONCE = 64 };

/* Which of p, p + 4, ..., p + 60 are places; bit 4 * i for p + 4 * i. */
INLINE uint64_t every_fourth(const uint8_t *p, int32_t limit)
{
    __m512i a = _mm512_loadu_si512(p), b = _mm512_loadu_si512(p + 4);
    __m512i x = _mm512_xor_si512(a, _mm512_rol_epi32(b, VF_PLACE_ROTATE));

    x = _mm512_mullo_epi32(x, _mm512_set1_epi32((int)VF_PLACE_FACTOR));
    return _pdep_u64(_mm512_cmpgt_epi32_mask(x, _mm512_set1_epi32(limit)),
                     UINT64_C(0x1111111111111111));
}

TARGET size_t vf_places_avx512(const uint8_t *data, size_t n, int32_t limit, uint32_t *ret)
{
    size_t found = 0, i = 0;

    for (; i + AT_ONCE <= n; i += AT_ONCE) {
        const uint8_t *p = data + i;
        uint64_t is = every_fourth(p, limit) | every_fourth(p + 1, limit) << 1 |
                      every_fourth(p + 2, limit) << 2 | every_fourth(p + 3, limit) << 3;

        found = vf_places_take(is, (uint32_t)i, ret, found);
    }
    return vf_places_rest(data, i, n, limit, ret, found);
}

#endif
