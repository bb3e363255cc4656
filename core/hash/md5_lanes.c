/* core/hash/md5_lanes.c - choice of the way to compute MD5, and the test for zeros. */
#include "core/hash/md5_lanes.h"

#include "core/hash/md5_lanes_impl.h"

void vf_md5_blocks(enum vf_simd way, const void *data, size_t n, uint8_t (*ret)[VF_MD5_LEN])
{
    switch (way) {
#if defined(__x86_64__)
    case VF_SIMD_AVX2:
        vf_md5_avx2(data, n, ret);
        return;
    case VF_SIMD_AVX512:
        vf_md5_avx512(data, n, ret);
        return;
#endif
    default:
        vf_md5_portable(data, n, ret);
        return;
    }
}

/* Words of any alignment; the attribute allows them to be read from what is not an array of them.
 */
typedef uint64_t word __attribute__((aligned(1), may_alias));
typedef uint64_t words __attribute__((vector_size(16), aligned(1), may_alias));

bool vf_all_zero(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint8_t rest = 0;

    /* Data that is not zero mostly shows it at once. */
    if (len >= sizeof(word) && *(const word *)p)
        return false;
    for (; len >= 8 * sizeof(words); p += 8 * sizeof(words), len -= 8 * sizeof(words)) {
        const words *w = (const words *)p;
        words any = (w[0] | w[1] | w[2] | w[3]) | (w[4] | w[5] | w[6] | w[7]);

        if (any[0] | any[1])
            return false;
    }
    for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word))
        if (*(const word *)p)
            return false;
    for (; len; p++, len--)
        rest |= *p;
    return !rest;
}
