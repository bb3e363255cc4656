/* core/hash/md5_portable.c - MD5 of 512-byte blocks with the compiler's own vectors of four words.
 *
 * The same shape as md5_avx512.c without anything that belongs to one processor: the compiler turns
 * these vectors into whatever 128-bit registers there are (SSE2, NEON, ...), or into plain words.
 */
#include "core/hash/md5_lanes_impl.h"

enum { LANES = 4, SETS = 2, GROUP = LANES * SETS };

typedef uint32_t vec __attribute__((vector_size(16)));

#define TARGET
#define INLINE static inline __attribute__((always_inline))

/* State of the 4 messages of one set. */
struct state {
    vec a, b, c, d;
};

#define ADD(x, y) ((x) + (y))
#define SET1(x)   ((vec){0, 0, 0, 0} + (x))
#define LESS_F    0u
#define LESS_G    0u
#define LESS_H    0u
#define LESS_I    0u

#define F(b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define G(b, c, d) ((c) ^ ((d) & ((b) ^ (c))))
#define H(b, c, d) ((b) ^ (c) ^ (d))
#define I(b, c, d) ((c) ^ ((b) | ~(d)))

INLINE vec rotate_add(vec x, vec y, const int rot) { return ((x << rot) | (x >> (32 - rot))) + y; }

/* One step of one set; km is the sum of constant and message word. */
#define STEP(fn, s, a, b, c, d, rot, km)                                                           \
    (s).a = rotate_add((s).a + fn((s).b, (s).c, (s).d) + (km), (s).b, (rot))

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

INLINE void load(const uint8_t *data, size_t first, size_t last, size_t at, const uint8_t *next,
                 vec m[16])
{
    const uint8_t *row[LANES];

    (void)next;
    for (size_t i = 0; i < LANES; i++)
        row[i] = data + (first + i < last ? first + i : last) * VF_BLOCK + at;
    for (size_t w = 0; w < 16; w++)
        m[w] = (vec){get_le32(row[0] + 4 * w), get_le32(row[1] + 4 * w), get_le32(row[2] + 4 * w),
                     get_le32(row[3] + 4 * w)};
}

#define LOADED(next, at, sets)

INLINE void store(const struct state *s, uint8_t (*ret)[VF_MD5_LEN])
{
    for (int i = 0; i < LANES; i++) {
        put_le32(ret[i], s->a[i]);
        put_le32(ret[i] + 4, s->b[i]);
        put_le32(ret[i] + 8, s->c[i]);
        put_le32(ret[i] + 12, s->d[i]);
    }
}

#define VF_MD5_FN vf_md5_portable
#include "core/hash/md5_sets.h"
