#include "core/literals/adapt.h"

/* The levels in use, and what they take of the thread that packs and of the one that prepares;
 * level 3 being 100 (zstd 1.5.4 on the literals of disk images; bench/bench_literals).  Below level
 * 3 there is no long-distance matching, and fewer quotes are looked for (core/literals/quote.h); 13
 * to 16 cost many times what 12 does and save next to nothing.  Weaker than 1 there is none:
 * leaving out quotes, or zstd's level -1, gains a tenth of the time where a line costs nothing, for
 * a fifth more bytes. */
static const struct {
    int level;
    uint64_t pack, prepare;
} efforts[] = {{1, 35, 65},    {3, 100, 100},   {6, 220, 100},   {9, 330, 100},
               {12, 850, 100}, {17, 7400, 100}, {19, 10500, 100}};
#define EFFORTS (sizeof efforts / sizeof efforts[0])

#define FREE_CHANGES 3 /* level from which on a change costs a large window */
#define HEAVY_LOOKS  2 /* that must agree on less */

static void take(struct vf_adapt *a, unsigned rung)
{
    a->rung = rung;
    a->level = efforts[rung].level;
}

void vf_adapt_init(struct vf_adapt *a, int most, unsigned processors)
{
    unsigned rung = 0;

    *a = (struct vf_adapt){.most = most,
                           .processors = processors ? processors : 1,
                           .next = VF_ADAPT_FIRST,
                           .look = VF_ADAPT_LOOK};
    while (rung + 1 < EFFORTS && efforts[rung + 1].level <= most &&
           efforts[rung + 1].level <= VF_LEVEL_FIRST)
        rung++;
    take(a, rung);
}

static void add(struct vf_times *sum, const struct vf_times *t)
{
    sum->link += t->link;
    sum->compress += t->compress;
    sum->other += t->other;
    sum->prepare += t->prepare;
    sum->idle += t->idle;
}

static uint64_t all_of(const struct vf_times *t) { return t->link + t->compress + t->other; }

/* What would be spent at another effort. */
static struct vf_times at_rung(const struct vf_adapt *a, const struct vf_times *t, unsigned rung)
{
    struct vf_times r = *t;

    r.compress = t->compress * efforts[rung].pack / efforts[a->rung].pack;
    r.prepare = t->prepare * efforts[rung].prepare / efforts[a->rung].prepare;
    if (r.prepare > t->prepare) /* the one that packs waits for it */
        r.other += r.prepare - t->prepare;
    return r;
}

/* Is there time for the effort, and a processor?  The link takes a tenth of the time at least. */
static bool affordable(const struct vf_adapt *a, const struct vf_times *t, unsigned rung)
{
    struct vf_times r = at_rung(a, t, rung);
    uint64_t all = all_of(t), extra = r.compress + r.prepare - t->compress - t->prepare;

    if (r.compress + r.other >= all / 4 * 3)
        return false;
    /* On a link so slow it matters little what else the processors do. */
    if (t->link >= all / 8 * 7 && r.compress + r.prepare < all / 4)
        return true;
    return extra + all / 5 * a->processors <= t->idle;
}

static unsigned strongest(const struct vf_adapt *a, const struct vf_times *t)
{
    unsigned best = a->rung;

    for (unsigned i = a->rung + 1; i < EFFORTS && efforts[i].level <= a->most; i++)
        if (affordable(a, t, i))
            best = i;
    return best;
}

/* The source keeps the link waiting. */
static bool starves_link(const struct vf_times *t)
{
    uint64_t all = all_of(t);

    return t->link < all / 10 && (t->compress > all / 2 || t->prepare > all / 2);
}

/* No processor has time left, packing takes much of it, and the link would take more. */
static bool crowded(const struct vf_adapt *a, const struct vf_times *t)
{
    uint64_t all = all_of(t);

    return t->idle < all / 5 * a->processors && t->link < all / 2 && t->compress > all / 4;
}

static unsigned weaker(const struct vf_adapt *a, const struct vf_times *t)
{
    unsigned rung = a->rung;

    if (rung > 0)
        rung--;
    while (starves_link(t) && rung > 0 && efforts[rung].level >= FREE_CHANGES &&
           at_rung(a, t, rung).compress + t->other >= all_of(t) / 4 * 3)
        rung--;
    return rung;
}

bool vf_adapt_due(const struct vf_adapt *a, uint64_t len, const struct vf_times *t)
{
    return a->seen + len >= a->look || a->seen + len >= a->next ||
           all_of(&a->recent) + all_of(t) >= VF_ADAPT_LOOK_NS;
}

/* When to look again at whether an effort is too much. */
static uint64_t next_look(const struct vf_adapt *a, unsigned rung)
{
    return a->seen + (efforts[rung].level > VF_LEVEL_FIRST ? VF_ADAPT_LOOK_STRONG : VF_ADAPT_LOOK);
}

/* Looks at what was since the last time: the effort, or a weaker one. */
static unsigned look(struct vf_adapt *a)
{
    unsigned rung = a->rung;
    bool heavy = rung > 0 && (starves_link(&a->recent) || crowded(a, &a->recent));

    a->heavy = heavy ? a->heavy + 1 : 0;
    if (a->heavy >= HEAVY_LOOKS) {
        rung = weaker(a, &a->recent);
        a->heavy = HEAVY_LOOKS - 1; /* one more look is enough for the next step */
        a->hold = a->seen * 2;
    }
    a->look = next_look(a, rung);
    a->recent = (struct vf_times){0};
    return rung;
}

bool vf_adapt_step(struct vf_adapt *a, uint64_t len, const struct vf_times *t)
{
    unsigned rung;
    bool due = vf_adapt_due(a, len, t);

    a->seen += len;
    add(&a->past, t);
    add(&a->recent, t);
    if (!due)
        return false;
    rung = look(a);
    if (rung == a->rung && a->seen < a->next)
        return false;
    if (rung == a->rung && a->seen >= a->hold && a->past.link >= all_of(&a->past) / 10)
        rung = strongest(a, &a->past);
    a->next = a->seen * 2;
    a->past = (struct vf_times){0};
    if (rung == a->rung)
        return false;
    a->look = next_look(a, rung);
    take(a, rung);
    return true;
}
