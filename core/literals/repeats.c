#include "core/literals/repeats.h"

#include <string.h>

#include "core/checked.h"

#define AHEAD       8u /* contents whose slots are fetched early */
#define LEAST_SLOTS UINT64_C(65536)
#define BLOCK_BITS  34 /* block numbers that fit into a slot: images of 8 TiB */
#define BLOCK_MASK  ((UINT64_C(1) << BLOCK_BITS) - 1)

/* Open addressing with linear probing.  A slot is tag << BLOCK_BITS | block + 1, 0 when free; the
 * tag is the top 30 bits of the fingerprint, its low bits choose the slot. */
struct vf_repeats {
    uint64_t *slots;
    uint64_t n, most, mask;
};

struct vf_repeats *vf_repeats_new(uint64_t expected, uint64_t max_bytes, struct vf_error *err)
{
    struct vf_repeats *r = vf_calloc(1, sizeof *r, err);
    uint64_t slots = LEAST_SLOTS;

    if (!r)
        return NULL;
    while (slots / 10 * 7 < expected && slots * 2 * sizeof *r->slots <= max_bytes)
        slots *= 2;
    r->mask = slots - 1;
    r->most = slots / 10 * 7;
    r->slots = vf_calloc_table(slots * sizeof *r->slots, err);
    if (!r->slots) {
        free(r);
        return NULL;
    }
    return r;
}

void vf_repeats_free(struct vf_repeats *r)
{
    if (!r)
        return;
    free(r->slots);
    free(r);
}

void vf_repeats_touch(struct vf_repeats *r)
{
    vf_table_touch(r->slots, (r->mask + 1) * sizeof *r->slots);
}

/* The slot of a fingerprint, or the free one where it belongs. */
static uint64_t *find(uint64_t *slots, uint64_t mask, uint64_t fp)
{
    uint64_t i = fp & mask, tag = fp >> BLOCK_BITS;

    while (slots[i] && slots[i] >> BLOCK_BITS != tag)
        i = (i + 1) & mask;
    return &slots[i];
}

void vf_repeats_ahead(const struct vf_repeats *r, const uint8_t (*md5)[VF_MD5_LEN], size_t i,
                      size_t n)
{
    uint64_t fp;

    if (n - i <= AHEAD)
        return;
    memcpy(&fp, md5[i + AHEAD], sizeof fp);
    __builtin_prefetch(&r->slots[fp & r->mask], 1);
}

bool vf_repeats_full(const struct vf_repeats *r) { return r->n >= r->most; }

bool vf_repeats_seen(struct vf_repeats *r, const uint8_t md5[VF_MD5_LEN], uint64_t block,
                     uint64_t *ret_first)
{
    uint64_t fp, *slot;

    memcpy(&fp, md5, sizeof fp);
    slot = find(r->slots, r->mask, fp);
    if (*slot && (*slot & BLOCK_MASK) - 1 < block) {
        *ret_first = (*slot & BLOCK_MASK) - 1;
        return true;
    }
    if (!*slot && !vf_repeats_full(r) && block < BLOCK_MASK) {
        *slot = fp >> BLOCK_BITS << BLOCK_BITS | (block + 1);
        r->n++;
    }
    return false;
}

void vf_repeats_add(struct vf_repeats *r, const uint8_t (*md5)[VF_MD5_LEN], uint64_t first,
                    size_t n)
{
    uint64_t ignored;

    for (size_t i = 0; i < n && !vf_repeats_full(r); i++) {
        vf_repeats_ahead(r, md5, i, n);
        (void)vf_repeats_seen(r, md5[i], first + i, &ignored);
    }
}
