/* core/hash/lanes_avx512.h - what the hashes of 16 lanes share; for core/hash only. */
#ifndef VF_CORE_LANES_AVX512_H
#define VF_CORE_LANES_AVX512_H

#if defined(__x86_64__)

#include <immintrin.h>

/* r[i] = words 0 to 15 of lane i  becomes  m[w] = word w of lanes 0 to 15.  Three times in powers
 * of two: words within 128 bits, pairs of words within 128 bits, then whole 128-bit quarters. */
static inline __attribute__((always_inline, target("avx512f"))) void
vf_lanes_transpose(const __m512i r[16], __m512i m[16])
{
    __m512i t[16], u[16];

    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        u[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        u[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        u[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        u[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    /* Quarter q of u[4 * j + w] has word 4 * q + w of lanes 4 * j to 4 * j + 3. */
    for (int w = 0; w < 4; w++) {
        __m512i lo01 = _mm512_shuffle_i32x4(u[w], u[4 + w], 0x44),
                hi01 = _mm512_shuffle_i32x4(u[w], u[4 + w], 0xee),
                lo23 = _mm512_shuffle_i32x4(u[8 + w], u[12 + w], 0x44),
                hi23 = _mm512_shuffle_i32x4(u[8 + w], u[12 + w], 0xee);

        m[w] = _mm512_shuffle_i32x4(lo01, lo23, 0x88);
        m[4 + w] = _mm512_shuffle_i32x4(lo01, lo23, 0xdd);
        m[8 + w] = _mm512_shuffle_i32x4(hi01, hi23, 0x88);
        m[12 + w] = _mm512_shuffle_i32x4(hi01, hi23, 0xdd);
    }
}

#endif
#endif
