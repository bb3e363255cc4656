/* Sketches.  What is accepted must come back the same (its bytes may become fewer: a better width),
 * and can be compared, united and reduced. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/similar/sketch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const struct vf_bounded *b)
{
    if (b->low > b->value || b->value > b->high)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct vf_sketch s, small, again;
    struct vf_sketch_set set[2], all;
    struct vf_buf b = VF_BUF_INIT;
    struct vf_likeness l;

    if (vf_sketch_decode(data, len, &s, NULL) < 0)
        return 0;
    if (vf_sketch_encode(&s, &b, NULL) < 0 || b.len > len ||
        vf_sketch_decode(b.data, b.len, &again, NULL) < 0 || again.n != s.n ||
        memcmp(again.fp, s.fp, s.n * sizeof *s.fp) != 0 ||
        memcmp(again.count, s.count, s.n * sizeof *s.count) != 0 ||
        memcmp(again.stratum, s.stratum, sizeof s.stratum) != 0)
        abort();
    vf_sketch_free(&again);
    if (vf_sketch_reduce(&s, 8, &small, NULL) < 0)
        abort();
    set[0] = vf_sketch_as_set(&s);
    set[1] = vf_sketch_as_set(&small);
    if (vf_sketch_union(set, 2, 4, 20, &all, NULL) < 0)
        abort();
    vf_sketch_compare(&s, &all, &l);
    check(&l.shared);
    check(&l.shared_distinct);
    check(&l.literals);
    vf_sketch_compare(&small, &set[0], &l);
    check(&l.shared);
    check(&l.shared_distinct);
    vf_sketch_free(&s);
    vf_sketch_free(&small);
    vf_sketch_set_free(&all);
    vf_buf_free(&b);
    return 0;
}
