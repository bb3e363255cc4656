#include "core/repeats.h"

#include <string.h>

#include "core/checked.h"

#define FIRST_SLOTS 65536u

/* Open addressing, linear probing, at most half full.  fp 0 marks a free slot; a block whose fp is
 * 0 is not remembered. */
struct slot {
    uint64_t fp, block;
};

struct vf_repeats {
    struct slot *slots;
    uint64_t n, mask, max_slots;
};

struct vf_repeats *vf_repeats_new(uint64_t max_bytes, struct vf_error *err)
{
    struct vf_repeats *r = vf_calloc(1, sizeof *r, err);

    if (!r)
        return NULL;
    r->max_slots = FIRST_SLOTS;
    while (r->max_slots * 2 * sizeof(struct slot) <= max_bytes)
        r->max_slots *= 2;
    r->mask = FIRST_SLOTS - 1;
    r->slots = vf_calloc(FIRST_SLOTS, sizeof *r->slots, err);
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

static struct slot *find(struct slot *slots, uint64_t mask, uint64_t fp)
{
    uint64_t i = fp & mask;

    while (slots[i].fp && slots[i].fp != fp)
        i = (i + 1) & mask;
    return &slots[i];
}

/* Twice the slots, if allowed and possible; otherwise the table stays as it is. */
static void grow(struct vf_repeats *r)
{
    uint64_t slots = (r->mask + 1) * 2;
    struct slot *bigger;

    if (slots > r->max_slots || !(bigger = calloc(slots, sizeof *bigger)))
        return;
    for (uint64_t i = 0; i <= r->mask; i++)
        if (r->slots[i].fp)
            *find(bigger, slots - 1, r->slots[i].fp) = r->slots[i];
    free(r->slots);
    r->slots = bigger;
    r->mask = slots - 1;
}

bool vf_repeats_seen(struct vf_repeats *r, const uint8_t md5[VF_MD5_LEN], uint64_t block,
                     uint64_t *ret_first)
{
    struct slot *s;
    uint64_t fp;

    memcpy(&fp, md5, sizeof fp);
    if (fp == 0)
        return false;
    s = find(r->slots, r->mask, fp);
    if (s->fp == fp && s->block < block) {
        *ret_first = s->block;
        return true;
    }
    if (s->fp)
        return false;
    if (r->n * 2 >= r->mask) {
        grow(r);
        if (r->n * 2 >= r->mask)
            return false;
        s = find(r->slots, r->mask, fp);
    }
    *s = (struct slot){fp, block};
    r->n++;
    return false;
}
