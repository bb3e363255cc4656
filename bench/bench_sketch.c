/* Sketches: what they cost, and how good the estimates from them are.
 *
 *   bench_sketch                speed of making, comparing, uniting, encoding; made-up contents
 *   bench_sketch STORE          the images of a store's index, each against each and against random
 *                               sets of the others: exact counts (from the index), estimates and
 *                               their bounds; then how often the first place by estimate is the
 *                               true one.  Lines with tabs; the last ones are sums.
 *
 * tests/lab/check-estimates.sh compares the exact counts with an independent program's. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/clock.h"
#include "bench/sample.h"
#include "core/similar/delta.h"
#include "core/similar/sketch.h"
#include "index/index.h"

#define IMAGES_MAX 10u
#define SETS       400u /* random sets compared */
#define RANKINGS   2000u

static int fail(const struct vf_error *err)
{
    fprintf(stderr, "bench_sketch: %s\n", err->msg);
    return 1;
}

static uint64_t below(uint64_t *x, uint64_t n) { return (sample_next(x) >> 16) % n; }

/* ---- speed ---- */

struct made {
    uint64_t fp, step, n, x; /* ascending, about `step` apart */
};

static long made_next(void *ctx, struct vf_print *ret, size_t max, struct vf_error *err)
{
    struct made *m = ctx;
    size_t i = 0;

    (void)err;
    for (; i < max && m->n; i++, m->n--) {
        m->fp += 1 + below(&m->x, 2 * m->step - 2);
        ret[i] = (struct vf_print){m->fp, sample_next(&m->x) % 8 ? 1 : 3};
    }
    return (long)i;
}

static int make(uint64_t n, uint64_t seed, struct vf_sketch *ret, struct vf_error *err)
{
    struct made m = {0, UINT64_MAX / n - 1, n, seed};

    return vf_sketch_make(made_next, &m, 1000, ret, err);
}

static int speed(void)
{
    enum { N = 100 };
    static struct vf_sketch s[N];
    static struct vf_sketch_set each[N];
    struct vf_sketch_set all;
    struct vf_sketch back;
    struct vf_likeness like;
    struct vf_buf b = VF_BUF_INIT;
    struct vf_error err = VF_ERROR_INIT;
    double t = wall();

    for (unsigned i = 0; i < N; i++) {
        if (make(i ? 800000 : 6500000, 77 + i, &s[i], &err) < 0)
            return fail(&err);
        each[i] = vf_sketch_as_set(&s[i]);
        if (i == 0)
            printf("make, 6.5 M contents            %8.1f ms (with making them up)\n",
                   1e3 * (wall() - t));
    }
    if (vf_sketch_encode(&s[0], &b, &err) < 0)
        return fail(&err);
    printf("samples %zu, scale %u, encoded  %8zu bytes\n", s[0].n, s[0].scale, b.len);
    t = wall();
    for (unsigned i = 0; i < 100; i++) {
        if (vf_sketch_decode(b.data, b.len, &back, &err) < 0)
            return fail(&err);
        vf_sketch_free(&back);
    }
    printf("decode                          %8.1f us\n", 1e4 * (wall() - t));
    t = wall();
    for (unsigned i = 0; i < 10 * N; i++)
        vf_sketch_compare(&s[0], &each[i % N], &like);
    printf("compare with one image          %8.1f us\n", 1e6 * (wall() - t) / (10 * N));
    t = wall();
    if (vf_sketch_union(each, N, 0, 0, &all, &err) < 0)
        return fail(&err);
    printf("union of 100                    %8.1f ms, %zu samples\n", 1e3 * (wall() - t), all.n);
    t = wall();
    for (unsigned i = 0; i < 100; i++)
        vf_sketch_compare(&s[0], &all, &like);
    printf("compare with the union          %8.1f us\n", 1e4 * (wall() - t));
    vf_sketch_set_free(&all);
    for (unsigned i = 0; i < N; i++)
        vf_sketch_free(&s[i]);
    vf_buf_free(&b);
    return 0;
}

/* ---- accuracy ---- */

struct one {
    char *name, *path;
    struct vf_print *print;
    size_t n;
    struct vf_sketch sketch;
};

struct all {
    struct vf_index *ix;
    struct one image[IMAGES_MAX];
    unsigned n;
    struct vf_shared known[IMAGES_MAX][1u << IMAGES_MAX]; /* counts made, plus 1 */
    uint64_t x;                                           /* random numbers */
    unsigned checks, shared_in, distinct_in;
    double width, error, error_max; /* of the distinct ones, as a share of all contents */
};

static int load(void *ctx, const struct vf_image_record *rec, struct vf_error *err)
{
    struct all *a = ctx;
    struct one *o = &a->image[a->n];
    const uint64_t n = rec->info.distinct_blocks;
    struct vf_map *map;
    struct vf_index_prints *prints;
    const char *slash = strrchr(rec->path, '/');
    long got = 1;

    if (a->n == IMAGES_MAX)
        return vf_error_set(err, VF_ERR_RANGE, 0, "at most %u images", IMAGES_MAX);
    map = vf_index_map(a->ix, rec->path, err);
    prints = map ? vf_index_prints_new(map, err) : NULL;
    o->name = strdup(slash ? slash + 1 : rec->path);
    o->path = strdup(rec->path);
    o->print = calloc(n + 1, sizeof *o->print);
    if (!prints || !o->name || !o->path || !o->print || vf_index_sketch(map, &o->sketch, err) < 0)
        return -1;
    while (got > 0 && (got = vf_index_prints_next(prints, o->print + o->n, n - o->n, err)) > 0)
        o->n += (size_t)got;
    vf_index_prints_free(prints);
    map->ops->close(map);
    a->n++;
    return got < 0 ? -1 : 0;
}

/* Of the target, what the images of a set of bits hold. */
static struct vf_shared count(struct all *a, unsigned target, unsigned bits)
{
    struct vf_shared *known = &a->known[target][bits];
    const struct one *t = &a->image[target];
    struct vf_shared s = {0, 0};
    size_t at[IMAGES_MAX] = {0};

    if (known->distinct)
        return (struct vf_shared){known->blocks - 1, known->distinct - 1};
    for (size_t i = 0; i < t->n; i++) {
        bool hit = false;

        for (unsigned k = 0; k < a->n; k++) {
            const struct one *o = &a->image[k];

            if (!(bits & 1u << k))
                continue;
            while (at[k] < o->n && o->print[at[k]].fp < t->print[i].fp)
                at[k]++;
            hit |= at[k] < o->n && o->print[at[k]].fp == t->print[i].fp;
        }
        s.blocks += hit ? t->print[i].count : 0;
        s.distinct += hit;
    }
    *known = (struct vf_shared){s.blocks + 1, s.distinct + 1};
    return s;
}

static int estimate(const struct all *a, unsigned target, unsigned bits, struct vf_likeness *ret,
                    struct vf_error *err)
{
    struct vf_sketch_set each[IMAGES_MAX], set;
    unsigned n = 0;

    for (unsigned k = 0; k < a->n; k++)
        if (bits & 1u << k)
            each[n++] = vf_sketch_as_set(&a->image[k].sketch);
    if (vf_sketch_union(each, n, 0, 0, &set, err) < 0)
        return -1;
    vf_sketch_compare(&a->image[target].sketch, &set, ret);
    vf_sketch_set_free(&set);
    return 0;
}

static bool inside(uint64_t v, const struct vf_bounded *b) { return b->low <= v && v <= b->high; }

static int compare(struct all *a, unsigned target, unsigned bits, struct vf_error *err)
{
    const struct one *t = &a->image[target];
    const struct vf_shared is = count(a, target, bits);
    const double all = (double)vf_sketch_distinct(&t->sketch);
    struct vf_likeness l;
    bool in, distinct_in;
    double off;

    if (estimate(a, target, bits, &l, err) < 0)
        return -1;
    in = inside(is.blocks, &l.shared);
    distinct_in = inside(is.distinct, &l.shared_distinct);
    off = ((double)l.shared_distinct.value - (double)is.distinct) / all;
    a->checks++;
    a->shared_in += in;
    a->distinct_in += distinct_in;
    a->error += off * off;
    a->error_max = off * off > a->error_max * a->error_max ? off : a->error_max;
    a->width += (double)(l.shared_distinct.high - l.shared_distinct.low) / all;
    printf("%s\t", t->name);
    for (unsigned k = 0, n = 0; k < a->n; k++)
        if (bits & 1u << k)
            printf("%s%s", n++ ? "+" : "", a->image[k].name);
    printf("\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "-%" PRIu64 "\t%s\t%" PRIu64 "\t%" PRIu64
           "\t%" PRIu64 "-%" PRIu64 "\t%s\n",
           is.blocks, l.shared.value, l.shared.low, l.shared.high, in ? "in" : "OUT", is.distinct,
           l.shared_distinct.value, l.shared_distinct.low, l.shared_distinct.high,
           distinct_in ? "in" : "OUT");
    return 0;
}

/* A random set of images that are not the target, at least one. */
static unsigned random_set(struct all *a, unsigned target)
{
    unsigned bits;

    do
        bits = (unsigned)below(&a->x, 1u << a->n) & ~(1u << target);
    while (!bits);
    return bits;
}

struct ranked {
    unsigned same, close; /* first places that were the best; that cost at most 0.1 % more */
};

/* Nodes with random images each, ranked by estimate and by count. */
static int rank(struct all *a, bool single, struct ranked *ret, struct vf_error *err)
{
    const unsigned target = (unsigned)below(&a->x, a->n), n = 2 + (unsigned)below(&a->x, 4);
    uint64_t best = UINT64_MAX, guess = UINT64_MAX, of_guess = 0;

    for (unsigned i = 0; i < n; i++) {
        unsigned bits = random_set(a, target);
        struct vf_likeness l;
        uint64_t literals;

        while (single && bits & (bits - 1))
            bits &= bits - 1;
        literals = vf_sketch_distinct(&a->image[target].sketch) - count(a, target, bits).distinct;
        if (estimate(a, target, bits, &l, err) < 0)
            return -1;
        if (literals < best)
            best = literals;
        if (l.literals.value < guess) {
            guess = l.literals.value;
            of_guess = literals;
        }
    }
    ret->same += of_guess == best;
    ret->close += of_guess <= best + best / 1000;
    return 0;
}

/* What a summary takes, and a delta when one image was added. */
static int summaries(struct all *a, struct vf_error *err)
{
    static const char *const groups[] = {""};
    const char *const sizes[] = {"brief", "full"};

    for (unsigned size = VF_SUMMARY_BRIEF; size <= VF_SUMMARY_FULL; size++) {
        struct vf_buf new = VF_BUF_INIT;
        double deltas = 0, signatures = 0;

        if (vf_index_summary(a->ix, size, groups, 1, NULL, &new, err) < 0)
            return -1;
        for (unsigned i = 0; i < a->n; i++) {
            struct vf_buf old = VF_BUF_INIT, sig = VF_BUF_INIT, delta = VF_BUF_INIT;
            int rc = vf_index_summary(a->ix, size, groups, 1, a->image[i].path, &old, err);

            if (rc == 0)
                rc = vf_delta_signature(old.data, old.len, &sig, err);
            if (rc == 0)
                rc = vf_delta_make(sig.data, sig.len, new.data, new.len, 2 * new.len, &delta, err);
            signatures += (double)sig.len / a->n;
            deltas += (double)delta.len / a->n;
            vf_buf_free(&old);
            vf_buf_free(&sig);
            vf_buf_free(&delta);
            if (rc < 0)
                return -1;
        }
        printf(
            "=%s summary, bytes\t%zu\n=signature, when one image was added\t%.0f\n=delta\t%.0f\n",
            sizes[size], new.len, signatures, deltas);
        vf_buf_free(&new);
    }
    return 0;
}

static int accuracy(const char *store)
{
    struct vf_error err = VF_ERROR_INIT;
    struct all *a = calloc(1, sizeof *a);
    struct ranked ranked[2] = {{0, 0}, {0, 0}};

    if (!a)
        return 1;
    a->x = 20100721;
    a->ix = vf_index_open(store, 0, &err);
    if (!a->ix || vf_index_each(a->ix, load, a, &err) < 0)
        return fail(&err);
    if (a->n < 3)
        return fprintf(stderr, "bench_sketch: three images at least\n"), 1;
    printf("#target\theld by\tshared\testimate\tbounds\t\tshared distinct\testimate\tbounds\t\n");
    for (unsigned t = 0; t < a->n; t++)
        for (unsigned k = 0; k < a->n; k++)
            if (k != t && compare(a, t, 1u << k, &err) < 0)
                return fail(&err);
    for (unsigned i = 0; i < SETS; i++) {
        const unsigned t = (unsigned)below(&a->x, a->n);

        if (compare(a, t, random_set(a, t), &err) < 0)
            return fail(&err);
    }
    for (unsigned kind = 0; kind < 2; kind++)
        for (unsigned i = 0; i < RANKINGS; i++)
            if (rank(a, kind == 0, &ranked[kind], &err) < 0)
                return fail(&err);
    printf("=compared\t%u\n=shared in bounds\t%u\n=distinct in bounds\t%u\n", a->checks,
           a->shared_in, a->distinct_in);
    printf("=rms error\t%.5f\n=largest error\t%.5f\n=mean width\t%.5f\n",
           sqrt(a->error / a->checks), a->error_max, a->width / a->checks);
    for (unsigned kind = 0; kind < 2; kind++)
        printf("=first place right, %s\t%.2f %%\n=or at most 0.1 %% dearer\t%.2f %%\n",
               kind ? "nodes with several images" : "nodes with one image",
               100.0 * ranked[kind].same / RANKINGS, 100.0 * ranked[kind].close / RANKINGS);
    if (summaries(a, &err) < 0)
        return fail(&err);
    for (unsigned i = 0; i < a->n; i++) {
        free(a->image[i].name);
        free(a->image[i].path);
        free(a->image[i].print);
        vf_sketch_free(&a->image[i].sketch);
    }
    vf_index_close(a->ix);
    free(a);
    return 0;
}

int main(int argc, char **argv) { return argc > 1 ? accuracy(argv[1]) : speed(); }
