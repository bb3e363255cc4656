#include "core/numbers.h"

#include <stdbool.h>
#include <string.h>

#include "core/checked.h"
#include "core/runfile.h"
#include "core/sort_words.h"

#define LEAST_MEMORY 65536u
#define BATCH        8192u /* numbers merged at a time: they stay in the second-level cache */
#define FEW_RUNS     8u    /* up to so many are merged two by two; of more a batch is sorted anew */

/* A sorted run: in memory, or on disk and read through a piece of memory. */
struct run {
    const uint64_t *v; /* numbers that are there and not taken yet */
    size_t n;
    struct vf_run rest; /* on disk and not read yet */
    uint64_t *buf;
};

struct vf_numbers {
    uint64_t *data, *scratch; /* half of the memory each */
    size_t cap, n;            /* numbers */
    struct vf_runfile file;
    struct run *runs; /* those of the file, then the one in memory */
    size_t nruns;
    size_t room;        /* numbers that a run on disk has memory for */
    size_t batch;       /* numbers given at a time at most */
    uint64_t *merge[2]; /* room for a batch each */
    size_t *piece;      /* where the runs' parts of a batch begin; one more for the end */
};

struct vf_numbers *vf_numbers_new(uint64_t memory_limit, const char *tmpdir, struct vf_error *err)
{
    struct vf_numbers *s = vf_calloc(1, sizeof *s, err);

    if (!s)
        return NULL;
    if (memory_limit < LEAST_MEMORY)
        memory_limit = LEAST_MEMORY;
    s->cap = (size_t)(memory_limit / 2 / sizeof *s->data);
    s->data = vf_calloc(s->cap, sizeof *s->data, err); /* untouched memory costs nothing */
    s->scratch = vf_calloc(s->cap, sizeof *s->scratch, err);
    s->runs = vf_calloc(VF_RUNS_MAX + 1, sizeof *s->runs, err);
    if (vf_runfile_init(&s->file, tmpdir, err) < 0 || !s->data || !s->scratch || !s->runs) {
        vf_numbers_free(s);
        return NULL;
    }
    return s;
}

void vf_numbers_free(struct vf_numbers *s)
{
    if (!s)
        return;
    vf_runfile_close(&s->file);
    free(s->data);
    free(s->scratch);
    free(s->runs);
    free(s->piece);
    free(s);
}

/* ---- filling ---- */

/* Sorts what is in memory and appends it to the file as one run. */
static int spill(struct vf_numbers *s, struct vf_error *err)
{
    struct run run = {0};

    vf_sort_words(s->data, s->scratch, s->n);
    if (vf_runfile_append(&s->file, s->data, s->n * sizeof *s->data, &run.rest, err) < 0)
        return -1;
    s->runs[s->nruns++] = run;
    s->n = 0;
    return 0;
}

int vf_numbers_add(struct vf_numbers *s, const uint64_t *v, size_t n, struct vf_error *err)
{
    while (n) {
        size_t room = s->cap - s->n, take = n < room ? n : room;

        if (room == 0) { /* only now: the last ones need not go to disk */
            if (spill(s, err) < 0)
                return -1;
            continue;
        }
        memcpy(s->data + s->n, v, take * sizeof *v);
        s->n += take;
        v += take;
        n -= take;
    }
    return 0;
}

/* ---- taking ---- */

/* Shares scratch out: two batches, and a piece for each run on disk. */
static int share_out(struct vf_numbers *s, size_t on_disk, struct vf_error *err)
{
    uint64_t *at = s->scratch;

    s->batch = s->nruns * 64 < BATCH ? BATCH : s->nruns * 64;
    if (s->batch > s->cap / 4)
        s->batch = s->cap / 4;
    s->room = on_disk ? (s->cap - 2 * s->batch) / on_disk : 0;
    if (s->batch < s->nruns || (on_disk && s->room == 0))
        return vf_error_set(err, VF_ERR_SPACE, 0, "too many numbers to sort in this much memory");
    for (int i = 0; i < 2; i++, at += s->batch)
        s->merge[i] = at;
    for (size_t i = 0; i < on_disk; i++, at += s->room)
        s->runs[i].buf = at;
    return 0;
}

int vf_numbers_finish(struct vf_numbers *s, struct vf_error *err)
{
    const size_t on_disk = s->nruns;

    vf_sort_words(s->data, s->scratch, s->n);
    s->runs[s->nruns++] = (struct run){.v = s->data, .n = s->n};
    if (share_out(s, on_disk, err) < 0)
        return -1;
    s->piece = vf_calloc(s->nruns + 1, sizeof *s->piece, err);
    return s->piece ? 0 : -1;
}

/* Makes sure that something of a run is in memory if there is more. */
static int fill(struct vf_numbers *s, struct run *r, struct vf_error *err)
{
    size_t len;

    if (r->n || r->rest.at == r->rest.end)
        return 0;
    if (vf_runfile_read(&s->file, &r->rest, r->buf, s->room * sizeof *r->v, &len, err) < 0)
        return -1;
    r->v = r->buf;
    r->n = len / sizeof *r->v;
    return 0;
}

/* How many of a run's numbers, n of them, are below the bound. */
static size_t below(const uint64_t *v, size_t n, uint64_t bound)
{
    size_t lo = 0;

    while (lo < n) {
        const size_t mid = lo + (n - lo) / 2;

        if (v[mid] < bound)
            lo = mid + 1;
        else
            n = mid;
    }
    return lo;
}

/* What all runs together can give now: all numbers below *ret, of which no run has more than
 * `share` and all are in memory.  False: no bound is needed, because that is true of all numbers
 * that are left. */
static bool find_bound(const struct vf_numbers *s, size_t share, uint64_t *ret)
{
    bool bounded = false;

    for (size_t i = 0; i < s->nruns; i++) {
        const struct run *r = &s->runs[i];
        uint64_t v;

        if (r->n > share)
            v = r->v[share];
        else if (r->n && r->rest.at < r->rest.end)
            v = r->v[r->n - 1]; /* what is not read yet may be the same again */
        else
            continue;
        if (!bounded || v < *ret)
            *ret = v;
        bounded = true;
    }
    return bounded;
}

/* Moves n numbers from the front of a run. */
static void take(struct run *r, uint64_t *to, size_t n)
{
    if (n)
        memcpy(to, r->v, n * sizeof *to);
    r->v += n;
    r->n -= n;
}

/* Merges a and b, which lie behind each other, from both ends at once: neither waits for the
 * other's comparison. */
static void merge_two(const uint64_t *a, size_t na, const uint64_t *b, size_t nb, uint64_t *to)
{
    const uint64_t *ae = a + na, *be = b + nb;
    uint64_t *end = to + na + nb;

    /* While both have two or more left, neither can run out in a step. */
    while (ae - a >= 2 && be - b >= 2) {
        const bool low = *b < *a, high = be[-1] < ae[-1];

        *to++ = low ? *b : *a;
        b += low;
        a += !low;
        *--end = high ? ae[-1] : be[-1];
        ae -= high;
        be -= !high;
    }
    while (a < ae && b < be)
        *to++ = *b < *a ? *b++ : *a++;
    while (a < ae)
        *to++ = *a++;
    while (b < be)
        *to++ = *b++;
}

/* Sorts the batch in merge[0], which consists of `pieces` sorted ones; where it is then. */
static const uint64_t *merge_pieces(struct vf_numbers *s, size_t pieces)
{
    uint64_t *from = s->merge[0], *to = s->merge[1], *t;
    size_t *p = s->piece;

    if (pieces > FEW_RUNS) {
        vf_sort_words(from, to, p[pieces]);
        return from;
    }
    while (pieces > 1) {
        size_t n = 0;

        for (size_t i = 0; i < pieces; i += 2) {
            const size_t mid = p[i + 1], end = i + 2 <= pieces ? p[i + 2] : mid;

            merge_two(from + p[i], mid - p[i], from + mid, end - mid, to + p[i]);
            p[n++] = p[i];
            p[n] = end;
        }
        pieces = n;
        t = from;
        from = to;
        to = t;
    }
    return from;
}

/* Nothing is below the bound, so a run has it many times: as many of these as there is room for. */
static long take_equal(struct vf_numbers *s, uint64_t bound)
{
    size_t n = 0;

    for (size_t i = 0; i < s->nruns; i++) {
        struct run *r = &s->runs[i];

        while (n < s->batch && r->n && r->v[0] == bound)
            take(r, s->merge[0] + n++, 1);
    }
    return (long)n;
}

long vf_numbers_next(struct vf_numbers *s, const uint64_t **ret, struct vf_error *err)
{
    size_t pieces = 0, n = 0;
    uint64_t bound = 0;
    bool bounded;

    if (s->nruns == 1) { /* all is in memory, and in order */
        *ret = s->runs[0].v;
        n = s->runs[0].n;
        s->runs[0].n = 0;
        return (long)n;
    }
    for (size_t i = 0; i < s->nruns; i++)
        if (fill(s, &s->runs[i], err) < 0)
            return -1;
    bounded = find_bound(s, s->batch / s->nruns, &bound);
    for (size_t i = 0; i < s->nruns; i++) {
        struct run *r = &s->runs[i];
        const size_t some = bounded ? below(r->v, r->n, bound) : r->n;

        if (some == 0)
            continue;
        s->piece[pieces++] = n;
        take(r, s->merge[0] + n, some);
        n += some;
    }
    s->piece[pieces] = n;
    *ret = n ? merge_pieces(s, pieces) : s->merge[0];
    return n || !bounded ? (long)n : take_equal(s, bound);
}
