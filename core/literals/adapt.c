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

#define HEAVY_LOOKS 2                   /* that must agree on less */
#define FEW         (UINT64_C(2) << 20) /* bytes of input that say how things go */

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

static bool strong(const struct vf_adapt *a) { return a->level > VF_LEVEL_FIRST; }

static void add(struct vf_stretch *sum, const struct vf_flow *f, const struct vf_times *t)
{
    sum->times.link += t->link;
    sum->times.compress += t->compress;
    sum->times.other += t->other;
    sum->times.prepare += t->prepare;
    sum->times.idle += t->idle;
    sum->len += f->len;
    sum->made += f->made;
}

/* Begins the stretch that the next look is about. */
static void look_later(struct vf_adapt *a, const struct vf_flow *f)
{
    a->recent = (struct vf_stretch){.from = f->stock.sent};
    a->look = a->seen + (strong(a) ? VF_ADAPT_LOOK_STRONG : VF_ADAPT_LOOK);
}

/* The same for the next decision. */
static void decide_later(struct vf_adapt *a, const struct vf_flow *f, uint64_t slow_after)
{
    a->past = (struct vf_stretch){.from = f->stock.sent};
    a->next = a->slow ? a->seen + slow_after : a->seen * 2;
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

/* Does the effort take clearly less time than the link does for what it gives? */
static bool keeps_up(const struct vf_adapt *a, const struct vf_stretch *s, const struct vf_flow *f,
                     unsigned rung)
{
    struct vf_times r = at_rung(a, &s->times, rung);
    uint64_t sent = f->stock.sent - s->from;

    return (double)(r.compress + r.other) * (double)sent <
           (double)all_of(&s->times) * (double)s->made * 0.75;
}

/* Is there time for the effort, and a processor? */
static bool affordable(const struct vf_adapt *a, const struct vf_stretch *s,
                       const struct vf_flow *f, unsigned rung)
{
    const struct vf_times *t = &s->times;
    struct vf_times r = at_rung(a, t, rung);
    uint64_t all = all_of(t), extra = r.compress + r.prepare - t->compress - t->prepare;

    if (!keeps_up(a, s, f, rung))
        return false;
    /* On a link so slow it matters little what else the processors do. */
    if (t->link >= all / 8 * 7 && r.compress + r.prepare < all / 4)
        return true;
    return extra + all / 5 * a->processors <= t->idle;
}

static unsigned strongest(const struct vf_adapt *a, const struct vf_flow *f)
{
    unsigned best = a->rung;

    for (unsigned i = a->rung + 1; i < EFFORTS && efforts[i].level <= a->most; i++)
        if (affordable(a, &a->past, f, i))
            best = i;
    return best;
}

/* The stock runs low.  Behind a strong effort that was only just taken it may be low because it has
 * much room now. */
static bool runs_low(const struct vf_adapt *a, const struct vf_flow *f)
{
    return f->stock.held <= f->stock.room / 8 &&
           (!strong(a) || f->stock.sent - a->recent.from >= a->recent.made);
}

/* The source keeps the link waiting. */
static bool starves_link(const struct vf_adapt *a, const struct vf_flow *f)
{
    const struct vf_times *t = &a->recent.times;
    uint64_t half = all_of(t) / 2;

    return runs_low(a, f) && (t->compress > half || (!strong(a) && t->prepare > half));
}

/* No processor has time left, packing takes much of it, and the link would take more. */
static bool crowded(const struct vf_adapt *a, const struct vf_flow *f)
{
    const struct vf_times *t = &a->recent.times;
    uint64_t all = all_of(t);

    return t->idle < all / 5 * a->processors && t->link < all / 2 && t->compress > all / 4 &&
           (!strong(a) || runs_low(a, f));
}

static unsigned weaker(const struct vf_adapt *a, const struct vf_flow *f, bool starves)
{
    unsigned rung = a->rung - 1;

    while (starves && rung > 0 && !keeps_up(a, &a->recent, f, rung))
        rung--;
    return rung;
}

bool vf_adapt_due(const struct vf_adapt *a, uint64_t len, const struct vf_times *t)
{
    return a->seen + len >= a->look || a->seen + len >= a->next ||
           all_of(&a->recent.times) + all_of(t) >= VF_ADAPT_LOOK_NS;
}

/* Looks at what was since the last time: the effort, or a weaker one. */
static unsigned look(struct vf_adapt *a, const struct vf_flow *f, bool due)
{
    bool starves = starves_link(a, f), heavy = a->rung > 0 && (starves || crowded(a, f));
    unsigned rung = a->rung;

    /* A strong effort that lets the stock run low does not wait for a second look. */
    if (heavy && starves && strong(a) && a->recent.len >= FEW)
        return weaker(a, f, true);
    if (!due)
        return rung;
    a->heavy = heavy ? a->heavy + 1 : 0;
    if (a->heavy >= HEAVY_LOOKS) {
        rung = weaker(a, f, starves);
        a->heavy = HEAVY_LOOKS - 1; /* one more look is enough for the next step */
        if (!strong(a))
            a->hold = a->seen * 2;
    }
    look_later(a, f);
    return rung;
}

/* The effort, or a stronger one, where the link takes enough of the time. */
static unsigned decide(struct vf_adapt *a, const struct vf_flow *f)
{
    const struct vf_times *t = &a->past.times;
    unsigned rung = a->rung;

    if (a->seen >= a->hold && t->link >= all_of(t) / 10)
        rung = strongest(a, f);
    decide_later(a, f, VF_ADAPT_AGAIN);
    return rung;
}

bool vf_adapt_step(struct vf_adapt *a, const struct vf_flow *f, const struct vf_times *t)
{
    bool due = vf_adapt_due(a, f->len, t);
    unsigned rung;

    a->seen += f->len;
    add(&a->past, f, t);
    add(&a->recent, f, t);
    rung = look(a, f, due);
    if (rung == a->rung && a->seen >= a->next)
        rung = decide(a, f);
    if (rung == a->rung)
        return false;
    take(a, rung);
    a->slow = a->slow || strong(a);
    look_later(a, f);
    decide_later(a, f, VF_ADAPT_CHANGED);
    return true;
}
