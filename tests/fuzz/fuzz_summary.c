/* Summaries from a node.  The checksum is put right first, or nothing behind it would be reached.
 * The quick comparison and the full one must say the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/similar/summary_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void compare(const uint8_t *data, size_t len, const struct vf_summary *s,
                    const struct vf_sketch *target)
{
    struct vf_likeness a, b;

    for (size_t i = 0; i < s->groups; i++) {
        if (vf_summary_compare(data, len, s->group[i].name, target, NULL, &a, NULL) !=
            VF_SUMMARY_COMPARED)
            abort();
        vf_sketch_compare(target, &s->group[i].held, &b);
        if (memcmp(&a, &b, sizeof a) != 0)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint8_t root[VF_SHA_LEN];
    struct vf_sketch none = VF_SKETCH_INIT;
    struct vf_summary s;
    struct vf_likeness l;
    uint8_t *copy = malloc(len ? len : 1);
    uint64_t sum;

    if (!copy)
        return 0;
    if (len)
        memcpy(copy, data, len);
    if (len >= VF_SUMMARY_CHECKED) {
        sum = vf_summary_checksum(copy + VF_SUMMARY_CHECKED, len - VF_SUMMARY_CHECKED);
        for (unsigned i = 0; i < 8; i++)
            copy[8 + i] = (uint8_t)(sum >> (8 * i));
    }
    (void)!vf_summary_compare(copy, len, "", &none, root, &l, NULL);
    if (vf_summary_parse(copy, len, &s, NULL) == 0) {
        compare(copy, len, &s, &none);
        for (size_t i = 0; i < s.images; i++)
            if (s.image[i].sketched) {
                compare(copy, len, &s, &s.image[i].sketch);
                break;
            }
        vf_summary_free(&s);
    }
    free(copy);
    return 0;
}
