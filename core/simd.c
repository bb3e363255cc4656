/* core/simd.c - the choice among code for several processors. */
#include "core/simd.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[VF_SIMD_WAYS] = {
    [VF_SIMD_PORTABLE] = "portable", [VF_SIMD_AVX2] = "avx2", [VF_SIMD_AVX512] = "avx512"};

#if defined(__x86_64__)
static bool has_bits(void)
{
    return __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("popcnt");
}
#endif

bool vf_simd_ok(enum vf_simd way)
{
    switch (way) {
    case VF_SIMD_PORTABLE:
        return true;
#if defined(__x86_64__)
    case VF_SIMD_AVX2:
        return __builtin_cpu_supports("avx2") && has_bits();
    case VF_SIMD_AVX512:
        return __builtin_cpu_supports("avx512f") && has_bits();
#endif
    default:
        return false;
    }
}

const char *vf_simd_name(enum vf_simd way)
{
    return (unsigned)way < VF_SIMD_WAYS ? names[way] : "unknown";
}

enum vf_simd vf_simd_best(void)
{
    const char *forced = getenv("VF_SIMD");
    unsigned best = VF_SIMD_PORTABLE;

    for (unsigned w = 0; w < VF_SIMD_WAYS; w++) {
        if (!vf_simd_ok((enum vf_simd)w))
            continue;
        best = w;
        if (forced && strcmp(forced, names[w]) == 0)
            break;
    }
    return (enum vf_simd)best;
}
