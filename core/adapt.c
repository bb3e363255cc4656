#include "core/adapt.h"

/* The levels in use and the time they take, level 3 being 100 (zstd 1.5.4 on the literals of disk
 * images; bench/bench_literals).  Level 1 goes without long-distance matching; 13 to 16 cost many
 * times what 12 does and save next to nothing. */
static const struct {
    int level;
    uint64_t cost;
} levels[] = {{1, 30}, {3, 100}, {6, 220}, {9, 330}, {12, 850}, {17, 7400}, {19, 10500}};
#define LEVELS (sizeof levels / sizeof levels[0])

#define IDLE_LOOKS 2 /* in which a link must have been idle to be believed */

void vf_adapt_init(struct vf_adapt *a, int most)
{
    *a = (struct vf_adapt){.level = VF_LEVEL_FIRST < most ? VF_LEVEL_FIRST : most,
                           .most = most,
                           .next = VF_ADAPT_FIRST,
                           .look = VF_ADAPT_LOOK};
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

/* Has the compressor taken most of the time since the last look, and the link next to nothing, for
 * some looks in a row?  The sums are then of this stretch only: what was before was another link.
 */
static bool starves_link(struct vf_adapt *a, uint64_t link_ns, uint64_t compress_ns,
                         uint64_t other_ns)
{
    uint64_t *sum = a->look_ns, all;
    bool idle;

    sum[0] += link_ns;
    sum[1] += compress_ns;
    sum[2] += other_ns;
    all = sum[0] + sum[1] + sum[2];
    if (a->seen < a->look && all < VF_ADAPT_LOOK_NS)
        return false;
    idle = a->level > levels[0].level && sum[0] < all / 10 && sum[1] > all / 2;
    a->idle = idle ? a->idle + 1 : 0;
    a->look = a->seen + VF_ADAPT_LOOK;
    if (a->idle == IDLE_LOOKS) {
        a->link_ns = sum[0];
        a->compress_ns = sum[1];
        a->other_ns = sum[2];
        a->idle = 0;
        idle = true;
    } else {
        idle = false;
    }
    sum[0] = sum[1] = sum[2] = 0;
    return idle;
}

bool vf_adapt_step(struct vf_adapt *a, uint64_t len, uint64_t link_ns, uint64_t compress_ns,
                   uint64_t other_ns)
{
    int level = a->level;

    a->seen += len;
    a->link_ns += link_ns;
    a->compress_ns += compress_ns;
    a->other_ns += other_ns;
    if (!starves_link(a, link_ns, compress_ns, other_ns) && a->seen < a->next)
        return false;
    a->next = a->seen * 2;
    a->level = choose(a);
    a->link_ns = a->compress_ns = a->other_ns = 0;
    return a->level != level;
}
