/* core/hash/md5_avx2.c - MD5 of 512-byte blocks in 8 lanes, up to four sets of them at once.
 *
 * The same shape as md5_avx512.c, which says more; what differs is that rotations and the round
 * functions take several instructions here. */
#include "core/hash/md5_lanes_impl.h"

#if defined(__x86_64__)

#include <immintrin.h>

enum { LANES = 8, SETS = 4, GROUP = LANES * SETS };

#define TARGET __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline)) TARGET

typedef __m256i vec;

/* State of the 8 messages of one set. */
struct state {
    vec a, b, c, d;
};

#define ADD(x, y)    _mm256_add_epi32((x), (y))
#define SET1(x)      _mm256_set1_epi32((int)(x))
#define ROTATE(x, n) _mm256_or_si256(_mm256_slli_epi32((x), (n)), _mm256_srli_epi32((x), 32 - (n)))

/* The round functions, already added to a; written for few instructions and for a short way from b,
 * which is the newest value.  In G the two halves have no common bits, so they can be added one by
 * one.  I is not(c ^ (not b & d)): adding a negation is subtracting and taking one off the
 * constant, which LESS does. */
#define ADD_F(a, b, c, d)                                                                          \
    ADD((a), _mm256_xor_si256((d), _mm256_and_si256((b), _mm256_xor_si256((c), (d)))))
#define ADD_G(a, b, c, d) ADD(ADD((a), _mm256_andnot_si256((d), (c))), _mm256_and_si256((d), (b)))
#define ADD_H(a, b, c, d) ADD((a), _mm256_xor_si256((b), _mm256_xor_si256((c), (d))))
#define ADD_I(a, b, c, d)                                                                          \
    _mm256_sub_epi32((a), _mm256_xor_si256((c), _mm256_andnot_si256((b), (d))))
#define LESS_F 0u
#define LESS_G 0u
#define LESS_H 0u
#define LESS_I 1u

/* One step of one set; km is the sum of constant and message word. */
INLINE __m256i rotate_add(__m256i x, __m256i y, const int rot) { return ADD(ROTATE(x, rot), y); }
#define STEP(fn, s, a, b, c, d, rot, km)                                                           \
    (s).a = rotate_add(ADD_##fn(ADD((s).a, (km)), (s).b, (s).c, (s).d), (s).b, (rot))

/* Four words of lane i beside the same words of lane i + 4: halves r[i] of what transpose takes.
 * Loading the two halves is cheaper than moving them between registers. */
INLINE __m256i load_pair(const uint8_t *low, const uint8_t *high)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)low)),
                                   _mm_loadu_si128((const __m128i *)high), 1);
}

/* r[i] = words 0 to 3 of lane i and of lane i + 4  becomes  m[w] = word w of lanes 0 to 7. */
INLINE void transpose(const __m256i r[4], __m256i m[4])
{
    __m256i lo01 = _mm256_unpacklo_epi32(r[0], r[1]), hi01 = _mm256_unpackhi_epi32(r[0], r[1]),
            lo23 = _mm256_unpacklo_epi32(r[2], r[3]), hi23 = _mm256_unpackhi_epi32(r[2], r[3]);

    m[0] = _mm256_unpacklo_epi64(lo01, lo23);
    m[1] = _mm256_unpackhi_epi64(lo01, lo23);
    m[2] = _mm256_unpacklo_epi64(hi01, hi23);
    m[3] = _mm256_unpackhi_epi64(hi01, hi23);
}

INLINE void load(const uint8_t *data, size_t first, size_t last, size_t at, const uint8_t *next,
                 __m256i m[16])
{
    const uint8_t *row[LANES];

    (void)next; /* all at once behind the loads is 5 % faster here */
    for (size_t i = 0; i < LANES; i++)
        row[i] = data + (first + i < last ? first + i : last) * VF_BLOCK + at;
    for (size_t w = 0; w < 16; w += 4) {
        __m256i r[4];

        for (size_t i = 0; i < 4; i++)
            r[i] = load_pair(row[i] + 4 * w, row[i + 4] + 4 * w);
        transpose(r, m + w);
    }
}

#define LOADED(next, at, sets)                                                                     \
    for (size_t i = 0; (next) && i < (sets)*LANES; i++)                                            \
        _mm_prefetch((const char *)(next) + (at) * (sets)*LANES + i * 64, _MM_HINT_T1);

/* Digests of the lanes of one set: the transposition once more. */
INLINE void store(const struct state *s, uint8_t (*ret)[VF_MD5_LEN])
{
    __m256i in[4] = {s->a, s->b, s->c, s->d}, out[4];

    transpose(in, out);
    for (int i = 0; i < 4; i++) {
        _mm_storeu_si128((__m128i *)ret[i], _mm256_castsi256_si128(out[i]));
        _mm_storeu_si128((__m128i *)ret[4 + i], _mm256_extracti128_si256(out[i], 1));
    }
}

#define VF_MD5_FN vf_md5_avx2
#include "core/hash/md5_sets.h"

#endif
