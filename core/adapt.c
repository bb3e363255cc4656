#include "core/adapt.h"

/* The levels in use and the time they take, level 3 being 100 (zstd 1.5.4 with long-distance
 * matching, on disk images; bench/bench_literals). */
static const struct {
    int level;
    uint64_t cost;
} levels[] = {{1, 75}, {3, 100}, {6, 240}, {9, 450}, {12, 1100}, {15, 2500}, {19, 9000}};
#define LEVELS (sizeof levels / sizeof levels[0])

void vf_adapt_init(struct vf_adapt *a, int most)
{
    *a = (struct vf_adapt){.level = VF_LEVEL_FIRST < most ? VF_LEVEL_FIRST : most,
                           .most = most,
                           .next = VF_ADAPT_FIRST};
}

static uint64_t cost_of(int level)
{
    uint64_t cost = levels[0].cost;

    for (unsigned i = 0; i < LEVELS && levels[i].level <= level; i++)
        cost = levels[i].cost;
    return cost;
}

/* The strongest level whose compressing fits into the time that the link takes, with a quarter to
 * spare; the weakest when not even the present one does. */
static int choose(const struct vf_adapt *a)
{
    uint64_t busy = a->compress_ns + a->other_ns, all = busy + a->link_ns, now = cost_of(a->level);
    int best = levels[0].level;

    if (a->link_ns >= all / 10) /* the link is what takes the time: never weaker than now */
        best = a->level;
    for (unsigned i = 0; i < LEVELS && levels[i].level <= a->most; i++)
        if (levels[i].level > best &&
            a->compress_ns * levels[i].cost / now + a->other_ns < all / 4 * 3)
            best = levels[i].level;
    return best;
}

bool vf_adapt_step(struct vf_adapt *a, uint64_t len, uint64_t link_ns, uint64_t compress_ns,
                   uint64_t other_ns)
{
    int level = a->level;

    a->seen += len;
    a->link_ns += link_ns;
    a->compress_ns += compress_ns;
    a->other_ns += other_ns;
    if (a->seen < a->next)
        return false;
    a->next = a->seen * 2;
    a->level = choose(a);
    a->link_ns = a->compress_ns = a->other_ns = 0;
    return a->level != level;
}
