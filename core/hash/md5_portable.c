/* core/hash/md5_portable.c - MD5 of 512-byte blocks with the compiler's own vectors of four words.
 *
 * The same shape as md5_avx512.c without anything that belongs to one processor: the compiler turns
 * these vectors into whatever 128-bit registers there are (SSE2, NEON, ...), or into plain words.
 */
#include "core/hash/md5_lanes_impl.h"

#include <string.h>

enum { LANES = 4, SETS = 2, GROUP = LANES * SETS };

typedef uint32_t vec __attribute__((vector_size(16)));

#define INLINE static inline __attribute__((always_inline))

/* State of the 4 messages of one set. */
struct state {
    vec a, b, c, d;
};

#define F(b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define G(b, c, d) ((c) ^ ((d) & ((b) ^ (c))))
#define H(b, c, d) ((b) ^ (c) ^ (d))
#define I(b, c, d) ((c) ^ ((b) | ~(d)))

INLINE vec rotate_add(vec x, vec y, const int rot) { return ((x << rot) | (x >> (32 - rot))) + y; }

/* One step of one set; km is the sum of constant and message word. */
#define STEP(fn, s, a, b, c, d, rot, km)                                                           \
    (s).a = rotate_add((s).a + fn((s).b, (s).c, (s).d) + (km), (s).b, (rot))

/* One step of every set, with message words from m, and with those of the padding. */
#define DATA_STEP(fn, a, b, c, d, w, rot, k)                                                       \
    STEP(fn, s[0], a, b, c, d, rot, m[0][w] + (k));                                                \
    if (sets > 1)                                                                                  \
        STEP(fn, s[1], a, b, c, d, rot, m[1][w] + (k));
#define PAD_STEP(fn, a, b, c, d, w, rot, k)                                                        \
    STEP(fn, s[0], a, b, c, d, rot, (k) + VF_MD5_PAD(w));                                          \
    if (sets > 1)                                                                                  \
        STEP(fn, s[1], a, b, c, d, rot, (k) + VF_MD5_PAD(w));

INLINE void add_states(struct state *state, const struct state *s, const unsigned sets)
{
    for (unsigned i = 0; i < sets; i++) {
        state[i].a += s[i].a;
        state[i].b += s[i].b;
        state[i].c += s[i].c;
        state[i].d += s[i].d;
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

INLINE uint32_t get_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

INLINE void put_le32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

/* The chunk at `at` of the 4 blocks from number `first`: m[w] = word w of each.  Lanes behind the
 * last block work on that block again. */
INLINE void load(const uint8_t *data, size_t first, size_t last, size_t at, vec m[16])
{
    const uint8_t *row[LANES];

    for (size_t i = 0; i < LANES; i++)
        row[i] = data + (first + i < last ? first + i : last) * VF_BLOCK + at;
    for (size_t w = 0; w < 16; w++)
        m[w] = (vec){get_le32(row[0] + 4 * w), get_le32(row[1] + 4 * w), get_le32(row[2] + 4 * w),
                     get_le32(row[3] + 4 * w)};
}

INLINE void store(const struct state *s, uint8_t (*ret)[VF_MD5_LEN])
{
    for (int i = 0; i < LANES; i++) {
        put_le32(ret[i], s->a[i]);
        put_le32(ret[i] + 4, s->b[i]);
        put_le32(ret[i] + 8, s->c[i]);
        put_le32(ret[i] + 12, s->d[i]);
    }
}

/* Blocks 0 to last, last < sets * LANES; writes all lanes of ret. */
INLINE void hash_group(const uint8_t *data, size_t last, const unsigned sets,
                       uint8_t (*ret)[VF_MD5_LEN])
{
    const vec zero = {0, 0, 0, 0};
    struct state s[SETS];
    vec m[SETS][16];

    for (unsigned i = 0; i < sets; i++)
        s[i] = (struct state){zero + VF_MD5_A, zero + VF_MD5_B, zero + VF_MD5_C, zero + VF_MD5_D};
    for (size_t at = 0; at < VF_BLOCK; at += VF_MD5_CHUNK) {
        for (unsigned i = 0; i < sets; i++)
            load(data, i * LANES, last, at, m[i]);
        compress_data(s, (const vec(*)[16])m, sets);
    }
    compress_pad(s, sets);
    for (unsigned i = 0; i < sets; i++)
        store(&s[i], ret + i * LANES);
}

static void hash_2(const uint8_t *data, size_t last, uint8_t (*ret)[VF_MD5_LEN])
{
    hash_group(data, last, 2, ret);
}

static void hash_1(const uint8_t *data, size_t last, uint8_t (*ret)[VF_MD5_LEN])
{
    hash_group(data, last, 1, ret);
}

void vf_md5_portable(const uint8_t *data, size_t n, uint8_t (*ret)[VF_MD5_LEN])
{
    uint8_t rest[GROUP][VF_MD5_LEN];

    for (; n >= GROUP; n -= GROUP, data += GROUP * VF_BLOCK, ret += GROUP)
        hash_2(data, GROUP - 1, ret);
    if (!n)
        return;
    if (n <= LANES)
        hash_1(data, n - 1, rest);
    else
        hash_2(data, n - 1, rest);
    memcpy(ret, rest, n * VF_MD5_LEN);
}
