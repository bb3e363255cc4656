/* core/hash/md5_avx512.c - MD5 of 512-byte blocks in 16 lanes, up to four sets of them at once. */
#include "core/hash/md5_lanes_impl.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "core/hash/lanes_avx512.h"

enum { LANES = 16, SETS = 4, GROUP = LANES * SETS };

#define TARGET __attribute__((target("avx512f")))
#define INLINE static inline __attribute__((always_inline)) TARGET

/* State of the 16 messages of one set. */
struct state {
    __m512i a, b, c, d;
};

/* The immediates are truth tables of the round functions over (b, c, d). */
#define F(b, c, d) _mm512_ternarylogic_epi32((b), (c), (d), 0xca)
#define G(b, c, d) _mm512_ternarylogic_epi32((b), (c), (d), 0xe4)
#define H(b, c, d) _mm512_ternarylogic_epi32((b), (c), (d), 0x96)
#define I(b, c, d) _mm512_ternarylogic_epi32((b), (c), (d), 0x39)

#define ADD(x, y) _mm512_add_epi32((x), (y))
#define SET1(x)   _mm512_set1_epi32((int)(x))

/* One step of one set; km is the sum of constant and message word. */
#define STEP(fn, s, a, b, c, d, rot, km)                                                           \
    (s).a = ADD((s).b, _mm512_rol_epi32(ADD(ADD((s).a, fn((s).b, (s).c, (s).d)), (km)), (rot)))

/* One step of every set, with message words from m ... */
#define DATA_STEP(fn, a, b, c, d, w, rot, k)                                                       \
    STEP(fn, s[0], a, b, c, d, rot, ADD(m[0][w], SET1(k)));                                        \
    if (sets > 1)                                                                                  \
        STEP(fn, s[1], a, b, c, d, rot, ADD(m[1][w], SET1(k)));                                    \
    if (sets > 2) {                                                                                \
        STEP(fn, s[2], a, b, c, d, rot, ADD(m[2][w], SET1(k)));                                    \
        STEP(fn, s[3], a, b, c, d, rot, ADD(m[3][w], SET1(k)));                                    \
    }
/* ... and with those of the padding, which fold into the constant. */
#define PAD_STEP(fn, a, b, c, d, w, rot, k)                                                        \
    STEP(fn, s[0], a, b, c, d, rot, SET1((k) + VF_MD5_PAD(w)));                                    \
    if (sets > 1)                                                                                  \
        STEP(fn, s[1], a, b, c, d, rot, SET1((k) + VF_MD5_PAD(w)));                                \
    if (sets > 2) {                                                                                \
        STEP(fn, s[2], a, b, c, d, rot, SET1((k) + VF_MD5_PAD(w)));                                \
        STEP(fn, s[3], a, b, c, d, rot, SET1((k) + VF_MD5_PAD(w)));                                \
    }

INLINE void add_states(struct state *state, const struct state *s, const unsigned sets)
{
    for (unsigned i = 0; i < sets; i++) {
        state[i].a = ADD(state[i].a, s[i].a);
        state[i].b = ADD(state[i].b, s[i].b);
        state[i].c = ADD(state[i].c, s[i].c);
        state[i].d = ADD(state[i].d, s[i].d);
    }
}

INLINE void compress_data(struct state *state, const __m512i (*m)[16], const unsigned sets)
{
    struct state s[SETS];

    for (unsigned i = 0; i < sets; i++)
        s[i] = state[i];
    VF_MD5_STEPS(DATA_STEP)
    add_states(state, s, sets);
}

INLINE void compress_pad(struct state *state, const unsigned sets)
{
    struct state s[SETS];

    for (unsigned i = 0; i < sets; i++)
        s[i] = state[i];
    VF_MD5_STEPS(PAD_STEP)
    add_states(state, s, sets);
}

/* The chunk at `at` of the 16 blocks from number `first`, transposed.  Lanes behind the last block
 * work on that block again.  next (may be NULL): 16 lines of 64 bytes that will be asked for soon;
 * to the second-level cache, because the first is small and full of what is in work. */
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

/* Blocks 0 to last, last < sets * LANES; writes all lanes of ret.  next (may be NULL): the blocks
 * of the next call. */
INLINE void hash_group(const uint8_t *data, size_t last, const uint8_t *next, const unsigned sets,
                       uint8_t (*ret)[VF_MD5_LEN])
{
    struct state s[SETS];
    __m512i m[SETS][16];

    for (unsigned i = 0; i < sets; i++)
        s[i] = (struct state){SET1(VF_MD5_A), SET1(VF_MD5_B), SET1(VF_MD5_C), SET1(VF_MD5_D)};
    for (size_t at = 0; at < VF_BLOCK; at += VF_MD5_CHUNK) {
        for (unsigned i = 0; i < sets; i++)
            load(data, i * LANES, last, at, next ? next + (at * sets + i * 64) * LANES : NULL,
                 m[i]);
        compress_data(s, (const __m512i(*)[16])m, sets);
    }
    compress_pad(s, sets);
    for (unsigned i = 0; i < sets; i++)
        store(&s[i], ret + i * LANES);
}

/* One piece of code for each number of sets, so that few blocks do not pay for many. */
TARGET static void hash_4(const uint8_t *data, size_t last, const uint8_t *next,
                          uint8_t (*ret)[VF_MD5_LEN])
{
    hash_group(data, last, next, 4, ret);
}

TARGET static void hash_2(const uint8_t *data, size_t last, uint8_t (*ret)[VF_MD5_LEN])
{
    hash_group(data, last, NULL, 2, ret);
}

TARGET static void hash_1(const uint8_t *data, size_t last, uint8_t (*ret)[VF_MD5_LEN])
{
    hash_group(data, last, NULL, 1, ret);
}

void vf_md5_avx512(const uint8_t *data, size_t n, uint8_t (*ret)[VF_MD5_LEN])
{
    uint8_t rest[GROUP][VF_MD5_LEN];

    for (; n >= GROUP; n -= GROUP, data += GROUP * VF_BLOCK, ret += GROUP)
        hash_4(data, GROUP - 1, n >= 2 * GROUP ? data + GROUP * VF_BLOCK : NULL, ret);
    if (!n)
        return;
    if (n <= LANES)
        hash_1(data, n - 1, rest);
    else if (n <= 2 * LANES)
        hash_2(data, n - 1, rest);
    else
        hash_4(data, n - 1, NULL, rest);
    memcpy(ret, rest, n * VF_MD5_LEN);
}

#endif
