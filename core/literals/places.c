/* core/literals/places.c - choice of the way to find places. */
#include "core/literals/places.h"

#include <stdlib.h>

#include "core/literals/places_impl.h"

static const char *const names[VF_PLACES_WAYS] = {
    [VF_PLACES_PORTABLE] = "portable", [VF_PLACES_AVX2] = "avx2", [VF_PLACES_AVX512] = "avx512"};

bool vf_places_way_ok(enum vf_places_way way)
{
    switch (way) {
    case VF_PLACES_PORTABLE:
        return true;
#if defined(__x86_64__)
    case VF_PLACES_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
               __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
    case VF_PLACES_AVX512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("bmi") &&
               __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
#endif
    default:
        return false;
    }
}

const char *vf_places_way_name(enum vf_places_way way)
{
    return (unsigned)way < VF_PLACES_WAYS ? names[way] : "unknown";
}

enum vf_places_way vf_places_best(void)
{
    const char *forced = getenv("VF_PLACES_WAY");
    unsigned best = VF_PLACES_PORTABLE;

    for (unsigned w = 0; w < VF_PLACES_WAYS; w++) {
        if (!vf_places_way_ok((enum vf_places_way)w))
            continue;
        best = w;
        if (forced && strcmp(forced, names[w]) == 0)
            break;
    }
    return (enum vf_places_way)best;
}

size_t vf_places_find(enum vf_places_way way, const uint8_t *data, size_t n, bool few,
                      uint32_t *ret)
{
    int32_t limit = few ? VF_PLACE_FEW : VF_PLACE_LIMIT;

    switch (way) {
#if defined(__x86_64__)
    case VF_PLACES_AVX2:
        return vf_places_avx2(data, n, limit, ret);
    case VF_PLACES_AVX512:
        return vf_places_avx512(data, n, limit, ret);
#endif
    default:
        return vf_places_rest(data, 0, n, limit, ret, 0);
    }
}
