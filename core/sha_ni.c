/* core/sha_ni.c - SHA-256 of two messages at the same time, with the processor's own instructions.
 *
 * The rounds of one message wait for each other; a second message fills the gaps.  A third one
 * would not: there are 16 registers. */
#include "core/sha_ni.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

enum { LANES = 2, CHUNK = 64, TAIL = 2 * CHUNK };

#define TARGET __attribute__((target("sha,sse4.1,ssse3")))
#define INLINE static inline __attribute__((always_inline)) TARGET

/* FIPS 180-4, 4.2.2. */
static const uint32_t constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* A message in work.  The instructions want the state in this order. */
struct lane {
    __m128i abef, cdgh;
    const uint8_t *p;   /* chunks that come next, */
    size_t left;        /* so many */
    size_t tail_chunks; /* 0: p is in tail */
    uint8_t tail[TAIL]; /* the end of the message and its padding */
    uint8_t *ret;
};

/* Four rounds of one message: w are their words.  In all but the last ones, the words of the same
 * place 16 rounds later take their place. */
INLINE void rounds(__m128i *abef, __m128i *cdgh, __m128i w[4], unsigned r)
{
    __m128i k = _mm_load_si128((const __m128i *)(const void *)(constants + 4 * r));
    __m128i x = _mm_add_epi32(w[r & 3], k);

    *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, x);
    if (r < 12) {
        __m128i old = _mm_alignr_epi8(w[(r + 3) & 3], w[(r + 2) & 3], 4);
        __m128i next = _mm_add_epi32(_mm_sha256msg1_epu32(w[r & 3], w[(r + 1) & 3]), old);

        w[r & 3] = _mm_sha256msg2_epu32(next, w[(r + 3) & 3]);
    }
    *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(x, 0x0e));
}

/* The next n chunks of the first `lanes` of the lanes. */
INLINE void run(struct lane *const lane[], size_t n, const unsigned lanes)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i a[LANES], c[LANES];

    for (unsigned i = 0; i < lanes; i++) {
        a[i] = lane[i]->abef;
        c[i] = lane[i]->cdgh;
    }
    for (size_t at = 0; at < n; at++) {
        __m128i w[LANES][4], a0[LANES], c0[LANES];

        for (unsigned i = 0; i < lanes; i++) {
            const uint8_t *p = lane[i]->p + at * CHUNK;

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
        lane[i]->abef = a[i];
        lane[i]->cdgh = c[i];
        lane[i]->p += n * CHUNK;
        lane[i]->left -= n;
    }
}

TARGET static void run_two(struct lane *const lane[], size_t n) { run(lane, n, 2); }

TARGET static void run_one(struct lane *const lane[], size_t n) { run(lane, n, 1); }

/* The rest after the last whole chunk, a one bit, zeros, the length in bits. */
static void make_tail(struct lane *l, const struct vf_sha_job *job)
{
    size_t rest = job->len % CHUNK;
    uint64_t bits = (uint64_t)job->len * 8;
    uint8_t *end;

    l->tail_chunks = rest + 9 <= CHUNK ? 1 : 2;
    memset(l->tail, 0, sizeof l->tail);
    if (rest)
        memcpy(l->tail, job->data + (job->len - rest), rest);
    l->tail[rest] = 0x80;
    end = l->tail + l->tail_chunks * CHUNK;
    for (unsigned i = 1; i <= 8; i++, bits >>= 8)
        end[-(int)i] = (uint8_t)bits;
}

TARGET static void begin(struct lane *l, const struct vf_sha_job *job)
{
    l->abef = _mm_set_epi32(0x6a09e667, (int)0xbb67ae85, 0x510e527f, (int)0x9b05688c);
    l->cdgh = _mm_set_epi32(0x3c6ef372, (int)0xa54ff53a, 0x1f83d9ab, 0x5be0cd19);
    l->p = job->data;
    l->left = job->len / CHUNK;
    l->ret = job->ret;
    make_tail(l, job);
}

TARGET static void put_digest(const struct lane *l)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    /* from the top: a b e f and c d g h; wanted: a b c d and e f g h */
    __m128i abcd = _mm_unpackhi_epi64(l->cdgh, l->abef),
            efgh = _mm_unpacklo_epi64(l->cdgh, l->abef);

    abcd = _mm_shuffle_epi32(_mm_shuffle_epi8(abcd, swap), 0x1b);
    efgh = _mm_shuffle_epi32(_mm_shuffle_epi8(efgh, swap), 0x1b);
    _mm_storeu_si128((__m128i *)(void *)l->ret, abcd);
    _mm_storeu_si128((__m128i *)(void *)(l->ret + 16), efgh);
}

/* Nothing is left of what p points to: goes on with the tail.  false: that was the tail. */
static bool more(struct lane *l)
{
    if (l->left)
        return true;
    if (!l->tail_chunks)
        return false;
    l->p = l->tail;
    l->left = l->tail_chunks;
    l->tail_chunks = 0;
    return true;
}

void vf_sha_ni(const struct vf_sha_job *jobs, size_t n)
{
    struct lane lane[LANES], *live[LANES];
    size_t next = 0, k = 0;

    while (next < n || k) {
        for (; k < LANES && next < n; next++) {
            live[k] = &lane[k == 1 && live[0] == &lane[1] ? 0 : k];
            begin(live[k++], &jobs[next]);
        }
        for (size_t i = 0; i < k;) {
            if (more(live[i])) {
                i++;
                continue;
            }
            put_digest(live[i]);
            live[i] = live[--k];
        }
        if (k == 2)
            run_two(live, live[0]->left < live[1]->left ? live[0]->left : live[1]->left);
        else if (k == 1 && next == n)
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

void vf_sha_ni(const struct vf_sha_job *jobs, size_t n)
{
    (void)jobs; /* never called */
    (void)n;
}

#endif
