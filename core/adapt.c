#include "core/adapt.h"

#define SEEN_NS UINT64_C(250000000)

void vf_adapt_init(struct vf_adapt *a, int most)
{
    *a = (struct vf_adapt){.level = VF_LEVEL_FIRST < most ? VF_LEVEL_FIRST : most, .most = most};
}

int vf_adapt_step(struct vf_adapt *a, uint64_t link_ns, uint64_t compress_ns, uint64_t other_ns)
{
    uint64_t all;
    int step = 0;

    a->link_ns += link_ns;
    a->compress_ns += compress_ns;
    a->other_ns += other_ns;
    all = a->link_ns + a->compress_ns + a->other_ns;
    if (all < SEEN_NS)
        return a->level;
    if (a->link_ns > all / 10 * 8)
        step = 2;
    else if (a->link_ns > all / 2)
        step = 1;
    else if (a->link_ns < all / 10 && a->compress_ns > all / 2)
        step = -1;
    a->level += step;
    if (a->level > a->most)
        a->level = a->most;
    if (a->level < VF_LEVEL_LEAST)
        a->level = VF_LEVEL_LEAST;
    a->link_ns = a->compress_ns = a->other_ns = 0;
    return a->level;
}
