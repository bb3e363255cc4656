#include "core/sort.h"

#include <stdbool.h>
#include <string.h>

#include "core/checked.h"
#include "core/runfile.h"

#define LEAST_MEMORY 65536u
#define SMALL        32u /* records up to which an insertion sort is faster */

/* A sorted run on disk, read through a piece of the buffer. */
struct run {
    struct vf_run rest; /* not read yet */
    uint8_t *buf;
    size_t pos, len; /* bytes of buf */
    uint64_t front;  /* the first eight bytes of the front record's key, as a number */
    bool empty;      /* used up */
};

struct vf_sorter {
    size_t record, key;
    uint8_t *data, *scratch; /* half of the memory each */
    size_t cap, n;           /* records */
    struct vf_runfile file;
    struct run *runs;
    size_t nruns, run_room;
    size_t *losers; /* a tournament of the runs: [i] lost the match i, [0] won the last one */
    bool given;     /* in memory: the one batch was handed out */
};

struct vf_sorter *vf_sorter_new(size_t record_len, size_t key_len, uint64_t memory_limit,
                                const char *tmpdir, struct vf_error *err)
{
    struct vf_sorter *s = vf_calloc(1, sizeof *s, err);

    if (!s)
        return NULL;
    if (memory_limit < LEAST_MEMORY)
        memory_limit = LEAST_MEMORY;
    s->record = record_len;
    s->key = key_len;
    s->cap = (size_t)(memory_limit / 2 / record_len);
    s->data = vf_calloc(s->cap, record_len, err); /* untouched memory costs nothing */
    s->scratch = vf_calloc(s->cap, record_len, err);
    s->runs = vf_calloc(VF_RUNS_MAX, sizeof *s->runs, err);
    if (vf_runfile_init(&s->file, tmpdir, err) < 0 || !s->data || !s->scratch || !s->runs) {
        vf_sorter_free(s);
        return NULL;
    }
    return s;
}

void vf_sorter_free(struct vf_sorter *s)
{
    if (!s)
        return;
    vf_runfile_close(&s->file);
    free(s->data);
    free(s->scratch);
    free(s->runs);
    free(s->losers);
    free(s);
}

/* Up to eight bytes of the key from `from` on, as a number that compares as they do. */
static uint64_t prefix(const struct vf_sorter *s, const uint8_t *rec, size_t from)
{
    size_t n = s->key - from < 8 ? s->key - from : 8, at;
    uint64_t v = 0;

    if (s->record < 8) {
        for (size_t i = 0; i < n; i++)
            v |= (uint64_t)rec[from + i] << (56 - 8 * i);
        return v;
    }
    at = from <= s->record - 8 ? from : s->record - 8; /* never outside the record */
    for (size_t i = 0; i < 8; i++)
        v |= (uint64_t)rec[at + i] << (56 - 8 * i); /* compilers make one load of this */
    return v << (8 * (from - at)) & (UINT64_MAX << (64 - 8 * n));
}

/* Sorts up to SMALL records by the key bytes from `from` on, with b as scratch. */
static void insertion_sort(const struct vf_sorter *s, uint8_t *a, uint8_t *b, size_t n, size_t from)
{
    struct {
        uint64_t v;
        size_t i;
    } e[SMALL], x;
    size_t r = s->record, rest = s->key - from > 8 ? from + 8 : s->key;

    for (size_t i = 0; i < n; i++) {
        size_t k = i;

        x.v = prefix(s, a + i * r, from);
        x.i = i;
        while (k && (e[k - 1].v > x.v ||
                     (e[k - 1].v == x.v && rest < s->key &&
                      memcmp(a + e[k - 1].i * r + rest, a + i * r + rest, s->key - rest) > 0))) {
            e[k] = e[k - 1];
            k--;
        }
        e[k] = x;
    }
    memcpy(b, a, n * r);
    for (size_t i = 0; i < n; i++)
        if (e[i].i != i)
            memcpy(a + i * r, b + e[i].i * r, r);
}

/* start[v] = how many of the n records have a byte less than v at `at`; true if it is the same byte
 * in all of them. */
static bool count(const struct vf_sorter *s, const uint8_t *a, size_t n, size_t at,
                  size_t start[257])
{
    memset(start, 0, 257 * sizeof *start);
    for (size_t i = 0; i < n; i++)
        start[a[i * s->record + at] + 1]++;
    if (start[a[at] + 1] == n)
        return true;
    for (size_t v = 0; v < 256; v++)
        start[v + 1] += start[v];
    return false;
}

/* Moves n records of r bytes from a to b, each to where the next one with its byte at `at` goes, so
 * that they keep their order. */
static inline void move(const uint8_t *a, uint8_t *b, size_t n, size_t r, size_t at,
                        size_t next[256])
{
    for (size_t i = 0; i < n; i++)
        memcpy(b + next[a[i * r + at]]++ * r, a + i * r, r);
}

static void scatter(const struct vf_sorter *s, const uint8_t *a, uint8_t *b, size_t n, size_t at,
                    const size_t start[257])
{
    size_t next[256];

    memcpy(next, start, sizeof next);
    if (s->record == 12) /* the size that matters, so that the copy is a few moves */
        move(a, b, n, 12, at, next);
    else
        move(a, b, n, s->record, at, next);
}

/* Sorts a by the key bytes from `at` on, with b as scratch; the result is in a.  Most significant
 * byte first: after the first pass the parts fit into the cache. */
static void radix_sort(const struct vf_sorter *s, uint8_t *a, uint8_t *b, size_t n, size_t at)
{
    size_t start[257];

    for (;; at++) {
        if (at == s->key || n < 2)
            return;
        if (n <= SMALL) {
            insertion_sort(s, a, b, n, at);
            return;
        }
        if (!count(s, a, n, at, start))
            break; /* else there is nothing to move: numbers often begin with the same bytes */
    }
    scatter(s, a, b, n, at, start);
    memcpy(a, b, n * s->record);
    for (size_t v = 0; v < 256; v++) {
        size_t from = start[v] * s->record;

        if (start[v + 1] - start[v] > 1)
            radix_sort(s, a + from, b + from, start[v + 1] - start[v], at + 1);
    }
}

/* Sorts what is in memory. */
static void sort_all(struct vf_sorter *s) { radix_sort(s, s->data, s->scratch, s->n, 0); }

/* Sorts what is in memory and appends it to the file as one run. */
static int spill(struct vf_sorter *s, struct vf_error *err)
{
    struct run run = {0};

    sort_all(s);
    if (vf_runfile_append(&s->file, s->data, s->n * s->record, &run.rest, err) < 0)
        return -1;
    s->runs[s->nruns++] = run;
    s->n = 0;
    return 0;
}

int vf_sorter_add(struct vf_sorter *s, const void *records, size_t n, struct vf_error *err)
{
    const uint8_t *p = records;

    while (n) {
        size_t room = s->cap - s->n, take = n < room ? n : room;

        memcpy(s->data + s->n * s->record, p, take * s->record);
        s->n += take;
        p += take * s->record;
        n -= take;
        if (s->n == s->cap && spill(s, err) < 0)
            return -1;
    }
    return 0;
}

/* Makes sure that a run's front record is in its buffer, or that it counts as empty. */
static int fill(struct vf_sorter *s, struct run *r, struct vf_error *err)
{
    if (r->pos == r->len) {
        if (vf_runfile_read(&s->file, &r->rest, r->buf, s->run_room, &r->len, err) < 0)
            return -1;
        r->pos = 0;
        r->empty = r->len == 0;
        r->front = UINT64_MAX; /* behind all others, most often */
        if (r->empty)
            return 0;
    }
    r->front = prefix(s, r->buf + r->pos, 0);
    return 0;
}

/* The same front; 8: bytes of the key that it holds. */
static bool before_rest(const struct vf_sorter *s, size_t x, size_t y)
{
    const struct run *a = &s->runs[x], *b = &s->runs[y];
    int c = 0;

    if (a->empty || b->empty)
        return b->empty && (!a->empty || x < y);
    if (s->key > 8)
        c = memcmp(a->buf + a->pos + 8, b->buf + b->pos + 8, s->key - 8);
    return c ? c < 0 : x < y;
}

/* Does run x come before run y?  Equal keys: the earlier run. */
static inline bool before(const struct vf_sorter *s, size_t x, size_t y)
{
    const uint64_t a = s->runs[x].front, b = s->runs[y].front;

    return a != b ? a < b : before_rest(s, x, y);
}

/* Run w has a new front record: plays its matches again. */
static inline void replay(struct vf_sorter *s, size_t w)
{
    for (size_t i = (w + s->nruns) / 2; i > 0; i /= 2) {
        const size_t other = s->losers[i];

        if (before(s, other, w)) {
            s->losers[i] = w;
            w = other;
        }
    }
    s->losers[0] = w;
}

/* Plays the first tournament: the runs are its leaves nruns to 2 * nruns - 1. */
static int play_all(struct vf_sorter *s, struct vf_error *err)
{
    const size_t n = s->nruns;
    size_t *winner = vf_calloc(2 * n, sizeof *winner, err);

    if (!winner)
        return -1;
    for (size_t i = 0; i < n; i++)
        winner[n + i] = i;
    for (size_t i = n - 1; i > 0; i--) {
        const size_t x = winner[2 * i], y = winner[2 * i + 1];
        const bool first = before(s, x, y);

        winner[i] = first ? x : y;
        s->losers[i] = first ? y : x;
    }
    s->losers[0] = winner[1];
    free(winner);
    return 0;
}

int vf_sorter_finish(struct vf_sorter *s, struct vf_error *err)
{
    if (s->nruns == 0) {
        sort_all(s);
        return 0;
    }
    if (s->n && spill(s, err) < 0)
        return -1;
    s->losers = vf_calloc(s->nruns, sizeof *s->losers, err);
    if (!s->losers)
        return -1;
    s->run_room =
        s->cap / s->nruns * s->record; /* data is shared out; scratch holds what is given */
    if (s->run_room == 0)
        return vf_error_set(err, VF_ERR_SPACE, 0, "too many records to sort in this much memory");
    for (size_t i = 0; i < s->nruns; i++) {
        s->runs[i].buf = s->data + i * s->run_room;
        if (fill(s, &s->runs[i], err) < 0)
            return -1;
    }
    return play_all(s, err);
}

/* r: bytes of a record, so that the copy is a few moves where that is known. */
static inline __attribute__((always_inline)) long merge(struct vf_sorter *s, size_t r,
                                                        struct vf_error *err)
{
    size_t n = 0, most = s->cap < 8192 ? s->cap : 8192;

    for (; n < most; n++) {
        const size_t w = s->losers[0];
        struct run *run = &s->runs[w];

        if (run->empty)
            break;
        memcpy(s->scratch + n * r, run->buf + run->pos, r);
        run->pos += r;
        if (run->pos < run->len)
            run->front = prefix(s, run->buf + run->pos, 0);
        else if (fill(s, run, err) < 0)
            return -1;
        replay(s, w);
    }
    return (long)n;
}

static long next_merged(struct vf_sorter *s, const void **ret, struct vf_error *err)
{
    *ret = s->scratch;
    return s->record == 12 ? merge(s, 12, err) : merge(s, s->record, err);
}

long vf_sorter_next(struct vf_sorter *s, const void **ret, struct vf_error *err)
{
    if (s->nruns)
        return next_merged(s, ret, err);
    *ret = s->data;
    if (s->given)
        return 0;
    s->given = true;
    return (long)s->n;
}
