/* core/hash/sha_avx512.c - SHA-256 of 16 messages at the same time, one in each 32-bit lane of a
 * vector.
 *
 * Where the processor has instructions for SHA-256, two messages at a time keep those busy, and 16
 * in lanes are still faster by half as long as most lanes have work. */
#include "core/hash/sha_lanes.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "core/hash/lanes_avx512.h"

enum { LANES = 16 };

#define TARGET __attribute__((target("avx512f,avx512bw")))
#define INLINE static inline __attribute__((always_inline)) TARGET

/* The 16 lanes; word w of lane i is in h[w][i]. */
struct work {
    uint32_t h[8][LANES] __attribute__((aligned(64)));
    const uint8_t *p[LANES]; /* lanes without a message read what another one reads */
    struct vf_sha_lane lane[LANES];
    bool live[LANES];
};

#define ADD(x, y)     _mm512_add_epi32((x), (y))
#define ROR(x, n)     _mm512_ror_epi32((x), (n))
#define XOR3(x, y, z) _mm512_ternarylogic_epi32((x), (y), (z), 0x96)
#define CH(x, y, z)   _mm512_ternarylogic_epi32((x), (y), (z), 0xca)
#define MAJ(x, y, z)  _mm512_ternarylogic_epi32((x), (y), (z), 0xe8)

/* One round (FIPS 180-4, 6.2.2); the sums that are the next a and e take the places of h and d. */
INLINE void one_round(const __m512i a, const __m512i b, const __m512i c, __m512i *d,
                      const __m512i e, const __m512i f, const __m512i g, __m512i *h, __m512i w,
                      uint32_t k)
{
    __m512i t = ADD(ADD(*h, ADD(w, _mm512_set1_epi32((int)k))),
                    ADD(CH(e, f, g), XOR3(ROR(e, 6), ROR(e, 11), ROR(e, 25))));

    *d = ADD(*d, t);
    *h = ADD(t, ADD(MAJ(a, b, c), XOR3(ROR(a, 2), ROR(a, 13), ROR(a, 22))));
}

/* Words 16 rounds on take the place of words i. */
INLINE void next_word(__m512i w[16], unsigned i)
{
    const __m512i x = w[(i + 1) & 15], y = w[(i + 14) & 15];
    const __m512i s0 = XOR3(ROR(x, 7), ROR(x, 18), _mm512_srli_epi32(x, 3)),
                  s1 = XOR3(ROR(y, 17), ROR(y, 19), _mm512_srli_epi32(y, 10));

    w[i] = ADD(ADD(w[i], w[(i + 9) & 15]), ADD(s0, s1));
}

/* The words of the next chunk of each lane. */
INLINE void load(const struct work *k, size_t at, __m512i w[16])
{
    const __m512i swap =
        _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
    __m512i r[16];

    for (unsigned i = 0; i < LANES; i++) {
        r[i] = _mm512_shuffle_epi8(_mm512_loadu_si512(k->p[i] + at), swap);
        _mm_prefetch((const char *)k->p[i] + at + 2 * VF_SHA_CHUNK, _MM_HINT_T0);
    }
    vf_lanes_transpose(r, w);
}

/* The next n chunks of all lanes. */
TARGET static void run(struct work *k, size_t n)
{
    __m512i h[8], s[8], w[16];

    for (unsigned i = 0; i < 8; i++)
        h[i] = _mm512_load_si512(k->h[i]);
    for (size_t at = 0; at < n * VF_SHA_CHUNK; at += VF_SHA_CHUNK) {
        load(k, at, w);
        for (unsigned i = 0; i < 8; i++)
            s[i] = h[i];
        for (unsigned r = 0; r < 64; r += 16)
#pragma GCC unroll 16
            for (unsigned i = 0; i < 16; i++) {
                one_round(s[-i & 7], s[(1 - i) & 7], s[(2 - i) & 7], &s[(3 - i) & 7],
                          s[(4 - i) & 7], s[(5 - i) & 7], s[(6 - i) & 7], &s[(7 - i) & 7], w[i],
                          vf_sha_constants[r + i]);
                if (r < 48)
                    next_word(w, i);
            }
        for (unsigned i = 0; i < 8; i++)
            h[i] = ADD(h[i], s[i]);
    }
    for (unsigned i = 0; i < 8; i++)
        _mm512_store_si512(k->h[i], h[i]);
}

static void put_state(struct work *k, unsigned i)
{
    for (unsigned w = 0; w < 8; w++)
        k->h[w][i] = k->lane[i].h[w];
}

static void get_state(struct work *k, unsigned i)
{
    for (unsigned w = 0; w < 8; w++)
        k->lane[i].h[w] = k->h[w][i];
}

/* Ends what is at its end, begins new messages in free lanes.  Returns how many lanes have work,
 * with the number of chunks that all of them have. */
static unsigned refill(struct work *k, const struct vf_sha_job *jobs, size_t n, size_t *next,
                       size_t *ret_chunks)
{
    const uint8_t *some = NULL;
    size_t least = SIZE_MAX;
    unsigned live = 0;

    for (unsigned i = 0; i < LANES; i++) {
        struct vf_sha_lane *l = &k->lane[i];

        if (k->live[i] && !vf_sha_lane_more(l)) {
            get_state(k, i);
            vf_sha_lane_end(l);
            k->live[i] = false;
        }
        if (!k->live[i] && *next < n) {
            vf_sha_lane_begin(l, &jobs[(*next)++]);
            (void)vf_sha_lane_more(l); /* there is a tail at least */
            put_state(k, i);
            k->live[i] = true;
        }
        if (!k->live[i])
            continue;
        live++;
        some = l->p;
        least = l->left < least ? l->left : least;
    }
    for (unsigned i = 0; i < LANES; i++)
        k->p[i] = k->live[i] ? k->lane[i].p : some;
    *ret_chunks = least;
    return live;
}

static void hand_over(struct work *k)
{
    struct vf_sha_lane *rest[LANES];
    size_t n = 0;

    for (unsigned i = 0; i < LANES; i++)
        if (k->live[i]) {
            get_state(k, i);
            rest[n++] = &k->lane[i];
        }
    vf_sha_ni(rest, n, NULL, 0);
}

void vf_sha_avx512(const struct vf_sha_job *jobs, size_t n, bool ni)
{
    struct work k;
    size_t next = 0, chunks;
    unsigned live;

    memset(k.h, 0, sizeof k.h);
    memset(k.live, 0, sizeof k.live);
    while ((live = refill(&k, jobs, n, &next, &chunks)) > 0) {
        if (ni && live < VF_SHA_AVX512_LEAST) {
            hand_over(&k);
            return;
        }
        run(&k, chunks);
        for (unsigned i = 0; i < LANES; i++)
            if (k.live[i]) {
                k.lane[i].p += chunks * VF_SHA_CHUNK;
                k.lane[i].left -= chunks;
            }
    }
}

bool vf_sha_avx512_ok(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

#else

bool vf_sha_avx512_ok(void) { return false; }

void vf_sha_avx512(const struct vf_sha_job *jobs, size_t n, bool ni)
{
    (void)jobs; /* never called */
    (void)n;
    (void)ni;
}

#endif
