/* core/literals/places_avx2.c - places, 32 positions at a time: words at every fourth position in
 * each of four registers. */
#include "core/literals/places_impl.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("avx2,bmi,bmi2,popcnt")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum { AT_ONCE = 32 };

/* Which of p, p + 4, ..., p + 28 are places; bit 4 * i for p + 4 * i. */
INLINE uint32_t every_fourth(const uint8_t *p, int32_t limit)
{
    __m256i a = _mm256_loadu_si256((const void *)p), b = _mm256_loadu_si256((const void *)(p + 4));
    __m256i x = _mm256_or_si256(_mm256_slli_epi32(b, VF_PLACE_ROTATE),
                                _mm256_srli_epi32(b, 32 - VF_PLACE_ROTATE));

    x = _mm256_mullo_epi32(_mm256_xor_si256(a, x), _mm256_set1_epi32((int)VF_PLACE_FACTOR));
    x = _mm256_cmpgt_epi32(x, _mm256_set1_epi32(limit));
    return _pdep_u32((uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(x)), 0x11111111u);
}

TARGET size_t vf_places_avx2(const uint8_t *data, size_t n, int32_t limit, uint32_t *ret)
{
    size_t found = 0, i = 0;

    for (; i + AT_ONCE <= n; i += AT_ONCE) {
        const uint8_t *p = data + i;
        uint32_t is = every_fourth(p, limit) | every_fourth(p + 1, limit) << 1 |
                      every_fourth(p + 2, limit) << 2 | every_fourth(p + 3, limit) << 3;

        found = vf_places_take(is, (uint32_t)i, ret, found);
    }
    return vf_places_rest(data, i, n, limit, ret, found);
}

#endif
