/* core/literals/places.c - choice of the way to find places. */
#include "core/literals/places.h"

#include "core/literals/places_impl.h"

size_t vf_places_find(enum vf_simd way, const uint8_t *data, size_t n, bool few, uint32_t *ret)
{
    int32_t limit = few ? VF_PLACE_FEW : VF_PLACE_LIMIT;

    switch (way) {
#if defined(__x86_64__)
    case VF_SIMD_AVX2:
        return vf_places_avx2(data, n, limit, ret);
    case VF_SIMD_AVX512:
        return vf_places_avx512(data, n, limit, ret);
#endif
    default:
        return vf_places_rest(data, 0, n, limit, ret, 0);
    }
}
