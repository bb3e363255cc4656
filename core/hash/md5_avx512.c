/* core/hash/md5_avx512.c - MD5 of 512-byte blocks in 16 lanes, up to four sets of them at once. */
#include "core/hash/md5_lanes_impl.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "core/hash/lanes_avx512.h"

enum { LANES = 16, SETS = 4, GROUP = LANES * SETS };

#define TARGET __attribute__((target("avx512f")))
#define INLINE static inline __attribute__((always_inline)) TARGET

typedef __m512i vec;

/* State of the 16 messages of one set. */
struct state {
    vec a, b, c, d;
};

/* The immediates are truth tables of the round functions over (b, c, d). */
#define F(b, c, d) _mm512_ternarylogic_epi32((b), (c), (d), 0xca)
#define G(b, c, d) _mm512_ternarylogic_epi32((b), (c), (d), 0xe4)
#define H(b, c, d) _mm512_ternarylogic_epi32((b), (c), (d), 0x96)
#define I(b, c, d) _mm512_ternarylogic_epi32((b), (c), (d), 0x39)

#define ADD(x, y) _mm512_add_epi32((x), (y))
#define SET1(x)   _mm512_set1_epi32((int)(x))
#define LESS_F    0u
#define LESS_G    0u
#define LESS_H    0u
#define LESS_I    0u

/* One step of one set; km is the sum of constant and message word. */
#define STEP(fn, s, a, b, c, d, rot, km)                                                           \
    (s).a = ADD((s).b, _mm512_rol_epi32(ADD(ADD((s).a, fn((s).b, (s).c, (s).d)), (km)), (rot)))

/* next goes to the second-level cache, because the first is small and full of what is in work. */
INLINE void load(const uint8_t *data, size_t first, size_t last, size_t at, const uint8_t *next,
                 __m512i m[16])
{
    __m512i r[16];

    for (size_t i = 0; i < 16; i++) {
        size_t block = first + i < last ? first + i : last;

        r[i] = _mm512_loadu_si512(data + block * VF_BLOCK + at);
        if (next)
            _mm_prefetch((const char *)next + i * 64, _MM_HINT_T1);
    }
    vf_lanes_transpose(r, m);
}

#define LOADED(next, at, sets)

/* Digests of the lanes of one set: the transposition the other way. */
INLINE void store(const struct state *s, uint8_t (*ret)[VF_MD5_LEN])
{
    __m512i ab_lo = _mm512_unpacklo_epi32(s->a, s->b), ab_hi = _mm512_unpackhi_epi32(s->a, s->b),
            cd_lo = _mm512_unpacklo_epi32(s->c, s->d), cd_hi = _mm512_unpackhi_epi32(s->c, s->d);
    __m512i out[4] = {_mm512_unpacklo_epi64(ab_lo, cd_lo), _mm512_unpackhi_epi64(ab_lo, cd_lo),
                      _mm512_unpacklo_epi64(ab_hi, cd_hi), _mm512_unpackhi_epi64(ab_hi, cd_hi)};

    /* Quarter q of out[i] is the digest of lane 4 * q + i. */
    for (int i = 0; i < 4; i++) {
        _mm_storeu_si128((__m128i *)ret[i], _mm512_extracti32x4_epi32(out[i], 0));
        _mm_storeu_si128((__m128i *)ret[4 + i], _mm512_extracti32x4_epi32(out[i], 1));
        _mm_storeu_si128((__m128i *)ret[8 + i], _mm512_extracti32x4_epi32(out[i], 2));
        _mm_storeu_si128((__m128i *)ret[12 + i], _mm512_extracti32x4_epi32(out[i], 3));
    }
}

#define VF_MD5_FN vf_md5_avx512
#include "core/hash/md5_sets.h"

#endif
