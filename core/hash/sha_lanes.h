/* core/hash/sha_lanes.h - SHA-256 of many messages at the same time, each in a lane of its own; for
 * core/hash/digest.c, which has the choice, and the ways themselves.
 *
 * Thread rules: pure functions. */
#ifndef VF_CORE_SHA_LANES_H
#define VF_CORE_SHA_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/hash/digest.h"

#define VF_SHA_CHUNK 64u

/* A message in work. */
struct vf_sha_lane {
    uint32_t h[8];
    const uint8_t *p;               /* chunks that come next, */
    size_t left;                    /* so many */
    size_t tail_chunks;             /* 0: p is in tail */
    uint8_t tail[2 * VF_SHA_CHUNK]; /* the end of the message and its padding */
    uint8_t *ret;
};

/* FIPS 180-4, 5.3.3 and 4.2.2. */
extern const uint32_t vf_sha_start[8], vf_sha_constants[64];

/* Does this processor have what it takes? */
bool vf_sha_ni_ok(void), vf_sha_avx512_ok(void);

/* The processor's own instructions: two messages at a time.  Ends the k messages that were begun,
 * then makes all n digests; only where vf_sha_ni_ok. */
void vf_sha_ni(struct vf_sha_lane *const *begun, size_t k, const struct vf_sha_job *jobs, size_t n);

/* Sixteen at a time; only where vf_sha_avx512_ok.  ni: hands over to vf_sha_ni when too few are
 * left. */
void vf_sha_avx512(const struct vf_sha_job *jobs, size_t n, bool ni);

/* From this many messages on vf_sha_avx512 is the faster way. */
#define VF_SHA_AVX512_LEAST 10u

/* Puts a message into a lane: the rest after its last whole chunk becomes the tail, with a one bit,
 * zeros, and the length in bits. */
static inline void vf_sha_lane_begin(struct vf_sha_lane *l, const struct vf_sha_job *job)
{
    size_t rest = job->len % VF_SHA_CHUNK;
    uint64_t bits = (uint64_t)job->len * 8;
    uint8_t *end;

    memcpy(l->h, vf_sha_start, sizeof l->h);
    l->p = job->data;
    l->left = job->len / VF_SHA_CHUNK;
    l->ret = job->ret;
    l->tail_chunks = rest + 9 <= VF_SHA_CHUNK ? 1 : 2;
    memset(l->tail, 0, sizeof l->tail);
    if (rest)
        memcpy(l->tail, job->data + (job->len - rest), rest);
    l->tail[rest] = 0x80;
    end = l->tail + l->tail_chunks * VF_SHA_CHUNK;
    for (unsigned i = 1; i <= 8; i++, bits >>= 8)
        end[-(int)i] = (uint8_t)bits;
}

/* Is anything left of the message?  When only the tail is, goes on with that. */
static inline bool vf_sha_lane_more(struct vf_sha_lane *l)
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

/* Nothing is left: gives the digest. */
static inline void vf_sha_lane_end(const struct vf_sha_lane *l)
{
    for (unsigned i = 0; i < 8; i++)
        for (unsigned b = 0; b < 4; b++)
            l->ret[4 * i + b] = (uint8_t)(l->h[i] >> (24 - 8 * b));
}

#endif
