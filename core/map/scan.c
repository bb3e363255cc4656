#include "core/map/scan.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/hash/digest.h"
#include "core/hash/md5_lanes.h"
#include "core/map/cut.h"

#define CARRY       VF_SEG_MAX /* an open segment never holds more blocks than this */
#define MAX_WORKERS 16u        /* 1.4 MiB each; faster than any disk that images lie on */

/* What is common to the workers.  `lock` guards all of it but image, range, fn and ctx, which do
 * not change.  A chunk has a sequence number; the worker that holds chunk `cut_turn` may cut, the
 * one that holds `emit_turn` may call back. */
struct scan {
    struct vf_image *image;
    uint64_t end; /* first block after the range */
    vf_scan_fn *fn;
    void *ctx;
    const volatile int *stop;
    enum vf_simd way;

    pthread_mutex_t lock;
    pthread_cond_t moved;
    uint64_t next;           /* first block not handed out */
    struct vf_extent extent; /* the data extent that `next` lies in, bytes */
    uint64_t seq, cut_turn, emit_turn;
    bool failed;
    struct vf_error err;

    struct vf_cut cut; /* the open segment behind the last cut: */
    uint64_t carry_first;
    size_t carry_n;
    uint8_t carry_md5[CARRY][VF_MD5_LEN];
    uint8_t *carry; /* CARRY blocks */
};

/* One worker's buffers: the blocks carried over from the chunk before end where the chunk begins.
 */
struct worker {
    struct scan *s;
    struct vf_sha *sha;
    uint64_t seq, first; /* the chunk */
    size_t n;
    uint8_t *data; /* CARRY + VF_SCAN_CHUNK blocks */
    uint8_t (*md5)[VF_MD5_LEN];
    bool zero[VF_SCAN_CHUNK];
    size_t nsegs;
    struct vf_node segs[VF_SCAN_CHUNK + 1];
    struct vf_sha_job jobs[VF_SCAN_CHUNK + 1];
    size_t at[VF_SCAN_CHUNK + 1]; /* where in data each segment begins, in blocks */
};

struct vf_scanner {
    unsigned workers;
    struct worker *worker[MAX_WORKERS]; /* made when one is needed */
    uint8_t *carry;                     /* of struct scan */
};

static void fail(struct scan *s, const struct vf_error *err)
{
    pthread_mutex_lock(&s->lock);
    if (!s->failed) {
        s->failed = true;
        s->err = *err;
    }
    pthread_cond_broadcast(&s->moved);
    pthread_mutex_unlock(&s->lock);
}

/* Moves s->next to the next block that may hold data.  1: there is one, 0: none is left, -1. */
static int find_data(struct scan *s, struct vf_error *err)
{
    while (s->next < s->end) {
        uint64_t off = s->next * VF_BLOCK;

        if (s->extent.len && off < s->extent.off + s->extent.len)
            return 1;
        if (vf_image_next_extent(s->image, off, &s->extent, err) < 0)
            return -1;
        if (!s->extent.zero)
            continue;
        /* Round down: a block that is only partly zero has to be looked at. */
        s->next = (s->extent.off + s->extent.len) / VF_BLOCK;
        if (s->extent.off + s->extent.len >= s->image->size)
            s->next = s->end;
        if (s->next * VF_BLOCK <= off) /* less than one whole block of zeros */
            s->extent = (struct vf_extent){off, VF_BLOCK, false};
        else
            s->extent.len = 0;
    }
    return 0;
}

/* Takes the next chunk.  1: have one, 0: the end, -1. */
static int take_chunk(struct worker *w, struct vf_error *err)
{
    struct scan *s = w->s;
    int rc;

    pthread_mutex_lock(&s->lock);
    rc = s->failed ? 0 : find_data(s, err);
    if (rc == 1 && s->stop && *s->stop)
        rc = vf_error_set(err, VF_ERR_CANCELLED, 0, "interrupted");
    if (rc == 1) {
        uint64_t upto = vf_blocks_of(s->extent.off + s->extent.len);
        uint64_t left = (upto < s->end ? upto : s->end) - s->next;

        w->first = s->next;
        w->n = left < VF_SCAN_CHUNK ? (size_t)left : VF_SCAN_CHUNK;
        w->seq = s->seq++;
        s->next += w->n;
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* Reads the chunk and hashes its blocks that are not zero. */
static int read_chunk(struct worker *w, struct vf_error *err)
{
    uint8_t *p = w->data + CARRY * VF_BLOCK;

    if (vf_image_read_blocks(w->s->image, p, w->first, w->n, err) < 0)
        return -1;
    for (size_t i = 0; i < w->n;) {
        size_t from = i;

        while (i < w->n && !(w->zero[i] = vf_all_zero(p + i * VF_BLOCK, VF_BLOCK)))
            i++;
        if (i > from)
            vf_md5_blocks(w->s->way, p + from * VF_BLOCK, i - from, w->md5 + CARRY + from);
        else
            i++;
    }
    return 0;
}

static void add_segment(struct worker *w, size_t at, uint64_t first, size_t n)
{
    w->at[w->nsegs] = at;
    w->segs[w->nsegs] = (struct vf_node){.first = first, .span = n, .data = n};
    w->nsegs++;
}

/* In turn: puts what is left over from the chunk before in front, cuts, and leaves the open rest
 * for the next chunk. */
static void cut_chunk(struct worker *w)
{
    struct scan *s = w->s;
    size_t at = CARRY - s->carry_n, n = s->carry_n;

    memcpy(w->data + at * VF_BLOCK, s->carry, n * VF_BLOCK);
    memcpy(w->md5 + at, s->carry_md5, n * VF_MD5_LEN);
    w->nsegs = 0;
    if (n && s->carry_first + n != w->first) {
        add_segment(w, at, s->carry_first, n);
        n = 0;
        s->cut.len = 0;
    }
    for (size_t i = 0; i < w->n; i++) {
        size_t end = CARRY + i + 1;

        if (w->zero[i]) {
            if (n)
                add_segment(w, end - 1 - n, w->first + i - n, n);
            n = 0;
            s->cut.len = 0;
            continue;
        }
        n++;
        if (vf_cut_block(&s->cut, w->md5[end - 1])) {
            add_segment(w, end - n, w->first + i + 1 - n, n);
            n = 0;
        }
    }
    at = CARRY + w->n - n;
    s->carry_n = n;
    s->carry_first = w->first + w->n - n;
    memcpy(s->carry, w->data + at * VF_BLOCK, n * VF_BLOCK);
    memcpy(s->carry_md5, w->md5 + at, n * VF_MD5_LEN);
}

/* Waits for the turn of this worker's chunk; false when the scan failed meanwhile.  Returns with
 * the lock held. */
static bool wait_turn(struct scan *s, const uint64_t *turn, uint64_t seq)
{
    pthread_mutex_lock(&s->lock);
    while (!s->failed && *turn != seq)
        pthread_cond_wait(&s->moved, &s->lock);
    return !s->failed;
}

static int longest_first(const void *a, const void *b)
{
    const struct vf_sha_job *x = a, *y = b;

    return x->len > y->len ? -1 : x->len < y->len;
}

static int hash_segments(struct worker *w, struct vf_error *err)
{
    size_t out = 0;

    for (size_t i = 0; i < w->nsegs; i++) {
        struct vf_node *g = &w->segs[i];
        size_t n = (size_t)g->span;

        w->jobs[i] = (struct vf_sha_job){w->data + w->at[i] * VF_BLOCK, n * VF_BLOCK, g->sha};
        memmove(w->md5 + out, w->md5 + w->at[i], n * VF_MD5_LEN); /* digests close up */
        out += n;
    }
    qsort(w->jobs, w->nsegs, sizeof w->jobs[0], longest_first);
    return vf_sha_many(w->sha, w->jobs, w->nsegs, err);
}

/* Cuts, hashes and hands over one chunk that was read.  1 to go on, 0 when another worker failed,
 * -1. */
static int finish_chunk(struct worker *w, struct vf_error *err)
{
    struct scan *s = w->s;
    bool go = wait_turn(s, &s->cut_turn, w->seq);
    uint64_t upto;
    int rc;

    if (go) {
        cut_chunk(w);
        s->cut_turn++;
        pthread_cond_broadcast(&s->moved);
    }
    upto = s->carry_n ? s->carry_first : w->first + w->n;
    pthread_mutex_unlock(&s->lock);
    if (!go)
        return 0;
    if (hash_segments(w, err) < 0)
        return -1;
    go = wait_turn(s, &s->emit_turn, w->seq);
    pthread_mutex_unlock(&s->lock);
    if (!go)
        return 0;
    rc = s->fn(s->ctx, w->segs, w->nsegs, (const uint8_t(*)[VF_MD5_LEN])w->md5, upto, err);
    if (rc < 0)
        return -1;
    pthread_mutex_lock(&s->lock);
    s->emit_turn++;
    pthread_cond_broadcast(&s->moved);
    pthread_mutex_unlock(&s->lock);
    return 1;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct vf_error err = VF_ERROR_INIT;
    int rc;

    while ((rc = take_chunk(w, &err)) == 1) {
        rc = read_chunk(w, &err);
        if (rc == 0)
            rc = finish_chunk(w, &err);
        if (rc <= 0)
            break;
    }
    if (rc < 0)
        fail(w->s, &err);
    return NULL;
}

static void worker_free(struct worker *w)
{
    if (!w)
        return;
    vf_sha_free(w->sha);
    free(w->data);
    free(w->md5);
    free(w);
}

static struct worker *worker_new(struct vf_error *err)
{
    struct worker *w = vf_calloc(1, sizeof *w, err);

    if (!w)
        return NULL;
    w->data = vf_calloc(CARRY + VF_SCAN_CHUNK, VF_BLOCK, err);
    w->md5 = vf_calloc(CARRY + VF_SCAN_CHUNK, VF_MD5_LEN, err);
    w->sha = vf_sha_new(err);
    if (!w->data || !w->md5 || !w->sha) {
        worker_free(w);
        return NULL;
    }
    return w;
}

/* The segment that is still open when all chunks are through, and the zeros at the end. */
static int last_segment(struct scan *s, struct worker *w, struct vf_error *err)
{
    w->nsegs = 0;
    if (s->carry_n) {
        memcpy(w->data, s->carry, s->carry_n * VF_BLOCK);
        memcpy(w->md5, s->carry_md5, s->carry_n * VF_MD5_LEN);
        add_segment(w, 0, s->carry_first, s->carry_n);
    }
    if (hash_segments(w, err) < 0)
        return -1;
    return s->fn(s->ctx, w->segs, w->nsegs, (const uint8_t(*)[VF_MD5_LEN])w->md5, s->end, err);
}

/* Runs the workers: this thread is one of them. */
static int run(struct scan *s, struct worker **w, unsigned workers, struct vf_error *err)
{
    pthread_t thread[MAX_WORKERS];
    unsigned started = 0;

    while (started + 1 < workers &&
           pthread_create(&thread[started], NULL, work, w[started + 1]) == 0)
        started++; /* fewer threads than wished for are only slower */
    work(w[0]);
    for (unsigned i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    if (s->failed)
        return vf_error_pass(err, &s->err);
    return last_segment(s, w[0], err);
}

/* As many as a range of that length has work for. */
static unsigned useful(unsigned workers, struct vf_run range)
{
    uint64_t chunks = range.n / VF_SCAN_CHUNK + 1;

    return workers < chunks ? workers : (unsigned)chunks;
}

struct vf_scanner *vf_scanner_new(unsigned workers, struct vf_error *err)
{
    struct vf_scanner *sc = vf_calloc(1, sizeof *sc, err);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    if (!sc)
        return NULL;
    if (workers == 0)
        workers = cpus > 0 && cpus < (long)MAX_WORKERS ? (unsigned)cpus : MAX_WORKERS;
    sc->workers = workers < MAX_WORKERS ? workers : MAX_WORKERS;
    sc->carry = vf_calloc(CARRY, VF_BLOCK, err);
    if (sc->carry)
        return sc;
    free(sc);
    return NULL;
}

void vf_scanner_free(struct vf_scanner *sc)
{
    if (!sc)
        return;
    for (unsigned i = 0; i < MAX_WORKERS; i++)
        worker_free(sc->worker[i]);
    free(sc->carry);
    free(sc);
}

int vf_scanner_run(struct vf_scanner *sc, struct vf_image *image, struct vf_run range,
                   vf_scan_fn *fn, void *ctx, const volatile int *stop, struct vf_error *err)
{
    struct scan s = {.image = image,
                     .next = range.first,
                     .end = range.first + range.n,
                     .fn = fn,
                     .ctx = ctx,
                     .stop = stop,
                     .way = vf_simd_best(),
                     .carry = sc->carry};
    unsigned workers = useful(sc->workers, range);
    int rc;

    for (unsigned i = 0; i < workers; i++) {
        if (!sc->worker[i] && !(sc->worker[i] = worker_new(err)))
            return -1;
        sc->worker[i]->s = &s;
    }
    pthread_mutex_init(&s.lock, NULL);
    pthread_cond_init(&s.moved, NULL);
    rc = run(&s, sc->worker, workers, err);
    pthread_cond_destroy(&s.moved);
    pthread_mutex_destroy(&s.lock);
    return rc;
}

int vf_scan(struct vf_image *image, struct vf_run range, unsigned workers, vf_scan_fn *fn,
            void *ctx, const volatile int *stop, struct vf_error *err)
{
    struct vf_scanner *sc = vf_scanner_new(workers, err);
    int rc = sc ? vf_scanner_run(sc, image, range, fn, ctx, stop, err) : -1;

    vf_scanner_free(sc);
    return rc;
}
