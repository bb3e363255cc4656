/* core/hash/md5_sets.h - the part of a way of md5_lanes.h that does not depend on the processor;
 * for md5_*.c only, each of which includes it last.
 *
 * Before it:
 * - VF_MD5_FN, the name of the function to be made;
 * - the constants LANES, SETS (2 or 4) and GROUP = LANES * SETS;
 * - the type vec, and struct state { vec a, b, c, d; } of one set; TARGET and INLINE;
 * - ADD(x, y); SET1(x), a number in all lanes;
 * - STEP(fn, s, a, b, c, d, rot, km), one step of one set, where km is the sum of constant and
 *   message word; LESS_F to LESS_I, which the round function wants taken off the constant;
 * - load(data, first, last, at, next, m): the chunk at `at` of LANES blocks from number `first`, so
 *   that m[w] has word w of each.  Lanes behind block `last` work on that block again.  next (may
 *   be NULL): LANES lines of 64 bytes that will be asked for soon;
 * - LOADED(next, at, sets): the same for all sets at once, behind their loads;
 * - store(s, ret): the digests of one set. */
#ifndef VF_CORE_MD5_SETS_H
#define VF_CORE_MD5_SETS_H

#include <string.h>

#include "core/hash/md5_lanes_impl.h"

#ifdef VF_MD5_FN

/* One step of every set, with message words from m ... */
#define DATA_STEP(fn, a, b, c, d, w, rot, k)                                                       \
    STEP(fn, s[0], a, b, c, d, rot, ADD(m[0][w], SET1((k)-LESS_##fn)));                            \
    if (sets > 1)                                                                                  \
        STEP(fn, s[1], a, b, c, d, rot, ADD(m[1][w], SET1((k)-LESS_##fn)));                        \
    if (sets > 2) {                                                                                \
        STEP(fn, s[SETS - 2], a, b, c, d, rot, ADD(m[SETS - 2][w], SET1((k)-LESS_##fn)));          \
        STEP(fn, s[SETS - 1], a, b, c, d, rot, ADD(m[SETS - 1][w], SET1((k)-LESS_##fn)));          \
    }
/* ... and with those of the padding, which fold into the constant. */
#define PAD_STEP(fn, a, b, c, d, w, rot, k)                                                        \
    STEP(fn, s[0], a, b, c, d, rot, SET1((k) + VF_MD5_PAD(w) - LESS_##fn));                        \
    if (sets > 1)                                                                                  \
        STEP(fn, s[1], a, b, c, d, rot, SET1((k) + VF_MD5_PAD(w) - LESS_##fn));                    \
    if (sets > 2) {                                                                                \
        STEP(fn, s[SETS - 2], a, b, c, d, rot, SET1((k) + VF_MD5_PAD(w) - LESS_##fn));             \
        STEP(fn, s[SETS - 1], a, b, c, d, rot, SET1((k) + VF_MD5_PAD(w) - LESS_##fn));             \
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

INLINE void compress_data(struct state *state, const vec (*m)[16], const unsigned sets)
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

/* Blocks 0 to last, last < sets * LANES; writes all lanes of ret.  next (may be NULL): the blocks
 * of the next call. */
INLINE void hash_group(const uint8_t *data, size_t last, const uint8_t *next, const unsigned sets,
                       uint8_t (*ret)[VF_MD5_LEN])
{
    struct state s[SETS];
    vec m[SETS][16];

    for (unsigned i = 0; i < sets; i++)
        s[i] = (struct state){SET1(VF_MD5_A), SET1(VF_MD5_B), SET1(VF_MD5_C), SET1(VF_MD5_D)};
    for (size_t at = 0; at < VF_BLOCK; at += VF_MD5_CHUNK) {
        for (unsigned i = 0; i < sets; i++)
            load(data, i * LANES, last, at, next ? next + (at * sets + i * 64) * LANES : NULL,
                 m[i]);
        LOADED(next, at, sets)
        compress_data(s, (const vec(*)[16])m, sets);
    }
    compress_pad(s, sets);
    for (unsigned i = 0; i < sets; i++)
        store(&s[i], ret + i * LANES);
}

/* One piece of code for each number of sets, so that few blocks do not pay for many. */
TARGET static void hash_all(const uint8_t *data, size_t last, const uint8_t *next,
                            uint8_t (*ret)[VF_MD5_LEN])
{
    hash_group(data, last, next, SETS, ret);
}

TARGET static void hash_2(const uint8_t *data, size_t last, uint8_t (*ret)[VF_MD5_LEN])
{
    hash_group(data, last, NULL, 2, ret);
}

TARGET static void hash_1(const uint8_t *data, size_t last, uint8_t (*ret)[VF_MD5_LEN])
{
    hash_group(data, last, NULL, 1, ret);
}

void VF_MD5_FN(const uint8_t *data, size_t n, uint8_t (*ret)[VF_MD5_LEN])
{
    uint8_t rest[GROUP][VF_MD5_LEN];

    for (; n >= GROUP; n -= GROUP, data += GROUP * VF_BLOCK, ret += GROUP)
        hash_all(data, GROUP - 1, n >= 2 * GROUP ? data + GROUP * VF_BLOCK : NULL, ret);
    if (!n)
        return;
    if (n <= LANES)
        hash_1(data, n - 1, rest);
    else if (n <= 2 * LANES && SETS > 2)
        hash_2(data, n - 1, rest);
    else
        hash_all(data, n - 1, NULL, rest);
    memcpy(ret, rest, n * VF_MD5_LEN);
}

#endif

#endif
