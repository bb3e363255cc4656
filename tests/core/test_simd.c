#include "core/simd.h"

#include <stdlib.h>

#include "tests/lib/check.h"

TEST(portable_always_works)
{
    CHECK(vf_simd_ok(VF_SIMD_PORTABLE));
    CHECK(!vf_simd_ok(VF_SIMD_WAYS));
}

TEST(names)
{
    CHECK_STR(vf_simd_name(VF_SIMD_PORTABLE), "portable");
    CHECK_STR(vf_simd_name(VF_SIMD_AVX2), "avx2");
    CHECK_STR(vf_simd_name(VF_SIMD_AVX512), "avx512");
    CHECK_STR(vf_simd_name(VF_SIMD_WAYS), "unknown");
}

TEST(a_way_can_be_forced)
{
    enum vf_simd best;

    CHECK(unsetenv("VF_SIMD") == 0);
    best = vf_simd_best();
    CHECK(vf_simd_ok(best));
    for (int way = 0; way < VF_SIMD_WAYS; way++) {
        CHECK(setenv("VF_SIMD", vf_simd_name((enum vf_simd)way), 1) == 0);
        CHECK_EQ_U64(vf_simd_best(), vf_simd_ok((enum vf_simd)way) ? (enum vf_simd)way : best);
    }
    CHECK(setenv("VF_SIMD", "no such way", 1) == 0);
    CHECK_EQ_U64(vf_simd_best(), best);
    CHECK(unsetenv("VF_SIMD") == 0);
}

TESTS(portable_always_works, names, a_way_can_be_forced)
