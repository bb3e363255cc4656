/* core/simd.h - which vector instructions this processor has: for code that is written once for
 * each set of them.
 *
 * Thread rules: pure functions, any thread (the environment must not change meanwhile). */
#ifndef VF_CORE_SIMD_H
#define VF_CORE_SIMD_H

#include <stdbool.h>

/* The ways to write a loop, fastest last. */
enum vf_simd { VF_SIMD_PORTABLE, VF_SIMD_AVX2, VF_SIMD_AVX512, VF_SIMD_WAYS };

/* Can this machine run it?  Each of the two stands for what comes with it in every processor: BMI
 * 1 and 2 and POPCNT. */
bool vf_simd_ok(enum vf_simd way);
const char *vf_simd_name(enum vf_simd way); /* "portable", "avx2", "avx512" */

/* The fastest way that this machine can run; VF_SIMD=name in the environment forces a slower one
 * (tests). */
enum vf_simd vf_simd_best(void);

#endif
