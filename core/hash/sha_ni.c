/* core/hash/sha_ni.c - SHA-256 of two messages at the same time, with the processor's own
 * instructions.
 *
 * The rounds of one message wait for each other; a second message fills the gaps.  A third one
 * would not: there are 16 registers. */
#include "core/hash/sha_lanes.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

enum { LANES = 2 };

#define TARGET __attribute__((target("sha,sse4.1,ssse3")))
#define INLINE static inline __attribute__((always_inline)) TARGET

/* The instructions want the state in this order. */
struct state {
    __m128i abef, cdgh;
};

/* Four rounds of one message: w are their words.  In all but the last ones, the words of the same
 * place 16 rounds later take their place. */
INLINE void rounds(__m128i *abef, __m128i *cdgh, __m128i w[4], unsigned r)
{
    __m128i k = _mm_load_si128((const __m128i *)(const void *)(vf_sha_constants + 4 * r));
    __m128i x = _mm_add_epi32(w[r & 3], k);

    *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, x);
    if (r < 12) {
        __m128i old = _mm_alignr_epi8(w[(r + 3) & 3], w[(r + 2) & 3], 4);
        __m128i next = _mm_add_epi32(_mm_sha256msg1_epu32(w[r & 3], w[(r + 1) & 3]), old);

        w[r & 3] = _mm_sha256msg2_epu32(next, w[(r + 3) & 3]);
    }
    *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(x, 0x0e));
}

INLINE struct state get_state(const uint32_t h[8])
{
    const __m128i *p = (const __m128i *)(const void *)h;
    __m128i abcd = _mm_shuffle_epi32(_mm_loadu_si128(p), 0x1b),
            efgh = _mm_shuffle_epi32(_mm_loadu_si128(p + 1), 0x1b);

    return (struct state){_mm_unpackhi_epi64(efgh, abcd), _mm_unpacklo_epi64(efgh, abcd)};
}

INLINE void put_state(struct state s, uint32_t h[8])
{
    __m128i abcd = _mm_unpackhi_epi64(s.cdgh, s.abef), efgh = _mm_unpacklo_epi64(s.cdgh, s.abef);

    _mm_storeu_si128((__m128i *)(void *)h, _mm_shuffle_epi32(abcd, 0x1b));
    _mm_storeu_si128((__m128i *)(void *)(h + 4), _mm_shuffle_epi32(efgh, 0x1b));
}

/* The next n chunks of the first `lanes` of the lanes. */
INLINE void run(struct vf_sha_lane *const lane[], size_t n, const unsigned lanes)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i a[LANES], c[LANES];

    for (unsigned i = 0; i < lanes; i++) {
        struct state s = get_state(lane[i]->h);

        a[i] = s.abef;
        c[i] = s.cdgh;
    }
    for (size_t at = 0; at < n; at++) {
        __m128i w[LANES][4], a0[LANES], c0[LANES];

        for (unsigned i = 0; i < lanes; i++) {
            const uint8_t *p = lane[i]->p + at * VF_SHA_CHUNK;

            a0[i] = a[i];
            c0[i] = c[i];
            for (unsigned k = 0; k < 4; k++)
                w[i][k] = _mm_shuffle_epi8(
                    _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * k)), swap);
        }
#pragma GCC unroll 16
        for (unsigned r = 0; r < 16; r++)
            for (unsigned i = 0; i < lanes; i++)
                rounds(&a[i], &c[i], w[i], r);
        for (unsigned i = 0; i < lanes; i++) {
            a[i] = _mm_add_epi32(a[i], a0[i]);
            c[i] = _mm_add_epi32(c[i], c0[i]);
        }
    }
    for (unsigned i = 0; i < lanes; i++) {
        put_state((struct state){a[i], c[i]}, lane[i]->h);
        lane[i]->p += n * VF_SHA_CHUNK;
        lane[i]->left -= n;
    }
}

TARGET static void run_two(struct vf_sha_lane *const lane[], size_t n) { run(lane, n, 2); }

TARGET static void run_one(struct vf_sha_lane *const lane[], size_t n) { run(lane, n, 1); }

void vf_sha_ni(struct vf_sha_lane *const *begun, size_t k, const struct vf_sha_job *jobs, size_t n)
{
    struct vf_sha_lane own[LANES], *spare[LANES] = {&own[0], &own[1]}, *live[LANES];
    size_t next_begun = 0, next = 0, spares = LANES, m = 0;

    for (;;) {
        for (; m < LANES && next_begun < k; next_begun++)
            live[m++] = begun[next_begun];
        for (; m < LANES && next < n; next++) {
            live[m] = spare[--spares];
            vf_sha_lane_begin(live[m++], &jobs[next]);
        }
        if (m == 0)
            return;
        for (size_t i = 0; i < m;) {
            if (vf_sha_lane_more(live[i])) {
                i++;
                continue;
            }
            vf_sha_lane_end(live[i]);
            if (live[i] == &own[0] || live[i] == &own[1])
                spare[spares++] = live[i];
            live[i] = live[--m];
        }
        if (m == 2)
            run_two(live, live[0]->left < live[1]->left ? live[0]->left : live[1]->left);
        else if (m == 1 && next_begun == k && next == n)
            run_one(live, live[0]->left);
    }
}

bool vf_sha_ni_ok(void)
{
    unsigned a, b, c, d;

    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & (1u << 29)))
        return false;
    return __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
}

#else

bool vf_sha_ni_ok(void) { return false; }

void vf_sha_ni(struct vf_sha_lane *const *begun, size_t k, const struct vf_sha_job *jobs, size_t n)
{
    (void)begun; /* never called */
    (void)k;
    (void)jobs;
    (void)n;
}

#endif
