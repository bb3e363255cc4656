/* The receiver's half: the threads that verify.  What counts is what is in the file: every batch is
 * read back and hashed, and only a batch whose strong digest is the source's is done.  Batches are
 * read back side by side and finished one after the other, in order. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/engine/receive_impl.h"
#include "core/hash/digest.h"
#include "core/map/build.h"
#include "core/map/scanned.h"

/* One hashes about as much as a line of 10 Gbit/s brings, and when the last literals are in the
 * file nobody else has work. */
#define VERIFY_THREADS 2u

#define BAD_BLOCKS 2048u /* wrong blocks from one resident image that are taken for bad luck */

/* What the threads share. */
struct verify_all {
    struct receiver *r;
    struct vf_build *build; /* of the thread that has the turn */
    /* guarded by r->lock: */
    uint32_t next; /* batch that the next thread takes which has none */
    uint32_t turn; /* batch that may be finished */
};

struct verify {
    struct verify_all *all;
    struct receiver *r;
    struct vf_sha *sha;
    struct vf_scanned own; /* the batch as it lies in the file */
};

/* Waits until all literals (up to the given seal) and copies of batch number id are in the file.
 * NULL: no such batch will come (all is done), or the migration has failed. */
static struct recv_batch *wait_batch(struct receiver *r, uint32_t id, unsigned seals)
{
    struct recv_batch *b = &r->batch[id % VF_BATCHES_OPEN];
    bool ok = false;

    pthread_mutex_lock(&r->lock);
    while (!r->failed && !(r->end_seen && id >= r->announced)) {
        ok = b->open && b->id == id && b->seals >= seals && b->copying == 0 && !b->walking;
        if (ok) {
            b->judged = true;
            break;
        }
        pthread_cond_wait(&r->moved, &r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return ok ? b : NULL;
}

static int by_first(const void *a, const void *b)
{
    const struct vf_run *x = a, *y = b;

    return x->first < y->first ? -1 : x->first > y->first;
}

/* Clears what lies in the range but in none of the runs (sorted here). */
static int clear_between(struct vf_image *part, struct vf_run range, struct vf_run *runs, size_t n,
                         struct vf_error *err)
{
    uint64_t at = range.first, end = range.first + range.n;

    if (n)
        qsort(runs, n, sizeof *runs, by_first);
    for (size_t i = 0; i <= n; i++) {
        uint64_t stop = i < n ? runs[i].first : end;

        if (stop > at) {
            uint64_t off = at * VF_BLOCK, len = (stop - at) * VF_BLOCK;

            if (len > part->size - off)
                len = part->size - off;
            if (vf_image_zero(part, off, len, err) < 0)
                return -1;
        }
        if (i < n && runs[i].first + runs[i].n > at)
            at = runs[i].first + runs[i].n;
    }
    return 0;
}

/* Reads the batch back.  1: it has the digest that the source gave, 0: it has not, -1. */
static int read_back(struct verify *v, const struct recv_batch *b, struct vf_error *err)
{
    uint8_t sha[VF_SHA_LEN];
    size_t n;
    const struct vf_node *segs;

    if (vf_scanned_read(&v->own, v->r->part, b->range, NULL, err) < 0)
        return -1;
    segs = vf_scanned_nodes(&v->own, &n);
    if (vf_batch_digest(v->sha, b->range, segs, n, sha, err) < 0)
        return -1;
    return memcmp(sha, b->sha, VF_SHA_LEN) == 0;
}

/* A resident image of which much was wrong is not asked again; the part itself (an earlier try)
 * always is. */
static void note_bad(struct receiver *r, const struct recv_batch *b, const struct vf_run *bad,
                     size_t n)
{
    const struct recv_copy *c = (const void *)b->copies.data;

    for (size_t i = 0; i < b->copies.len / sizeof *c; i++)
        for (size_t k = 0; k < n; k++) {
            struct recv_donor *d = &r->donor[c[i].image];

            if (c[i].to >= bad[k].first + bad[k].n || bad[k].first >= c[i].to + c[i].n)
                continue;
            d->bad += bad[k].n;
            if (d->bad > BAD_BLOCKS && d->bad > d->copied / 4 && (int64_t)c[i].image != r->leftover)
                __atomic_store_n(&d->distrusted, true, __ATOMIC_RELAXED);
        }
}

/* Which of the source's segments are not in the file as they should be? */
static int find_bad(struct verify *v, const struct recv_batch *b, struct vf_buf *ret_bad,
                    struct vf_error *err)
{
    size_t n, k = 0;
    const struct vf_node *own = vf_scanned_nodes(&v->own, &n);

    for (size_t i = 0; i < b->strong.n; i++) {
        struct vf_run run = b->strong.run[i];

        if (run.first < b->range.first || run.first - b->range.first > b->range.n ||
            run.n > b->range.n - (run.first - b->range.first))
            return vf_error_set(err, VF_ERR_PROTOCOL, 0, "a segment lies outside batch %u", b->id);
        while (k < n && own[k].first < run.first)
            k++;
        if (k < n && own[k].first == run.first && own[k].span == run.n &&
            memcmp(own[k].sha, b->strong.sha[i], VF_SHA_LEN) == 0)
            continue;
        if (vf_buf_add(ret_bad, &run, sizeof run, err) < 0)
            return -1;
    }
    return 0;
}

/* Asks for the strong digests of the batch's segments and waits for them. */
static int get_strong(struct verify *v, struct recv_batch *b, struct vf_error *err)
{
    struct receiver *r = v->r;
    struct vf_msg m = {.type = VF_MSG_RECHECK};
    bool ok;

    m.recheck.batch = b->id;
    pthread_mutex_lock(&r->lock);
    b->judged = false; /* the answer, and then what is wrong, are taken */
    pthread_mutex_unlock(&r->lock);
    if (r->st->ops->send(r->st, &m, err) < 0)
        return -1;
    pthread_mutex_lock(&r->lock);
    while (!r->failed && !b->strong.run)
        pthread_cond_wait(&r->moved, &r->lock);
    ok = !r->failed;
    pthread_mutex_unlock(&r->lock);
    return ok ? 0 : vf_error_set(err, VF_ERR_CANCELLED, 0, "given up");
}

static int ask_repair(struct verify *v, struct recv_batch *b, struct vf_run *bad, size_t n,
                      struct vf_error *err)
{
    struct receiver *r = v->r;
    struct vf_msg m = {.type = VF_MSG_REPAIR, .repair = {b->id, n, bad}};

    pthread_mutex_lock(&r->lock);
    note_bad(r, b, bad, n);
    for (size_t i = 0; i < n; i++)
        r->result.repaired_blocks += bad[i].n;
    pthread_mutex_unlock(&r->lock);
    return r->st->ops->send(r->st, &m, err);
}

/* The batch did not verify: finds out where, has that sent as it is, reads it back again. */
static int repair(struct verify *v, struct recv_batch *b, struct vf_error *err)
{
    struct vf_buf bad = VF_BUF_INIT;
    int rc = -1;

    if (get_strong(v, b, err) < 0 || find_bad(v, b, &bad, err) < 0 ||
        clear_between(v->r->part, b->range, b->strong.run, b->strong.n, err) < 0 ||
        ask_repair(v, b, (struct vf_run *)(void *)bad.data, bad.len / sizeof(struct vf_run), err) <
            0)
        goto out;
    if (!wait_batch(v->r, b->id, 2)) {
        (void)vf_error_set(err, VF_ERR_CANCELLED, 0, "given up"); /* rc is -1 */
        goto out;
    }
    rc = read_back(v, b, err);
    if (rc == 0)
        rc = vf_error_set(err, VF_ERR_MISMATCH, 0,
                          "batch %u does not verify although it was sent again", b->id);
out:
    vf_buf_free(&bad);
    return rc < 0 ? -1 : 0;
}

/* The batch is good: lets the kernel begin to write it to disk, so that little is left for the
 * flush at the end. */
static void start_writeback(struct receiver *r, struct vf_run range)
{
    int fd = vf_image_plain_fd(r->part);

    if (fd >= 0) /* a hint; the flush is what makes it durable */
        (void)sync_file_range(fd, (off_t)(range.first * VF_BLOCK), (off_t)(range.n * VF_BLOCK),
                              SYNC_FILE_RANGE_WRITE);
}

/* Waits until all batches before this one are finished.  0, or -1 when the migration has failed. */
static int take_turn(struct verify *v, uint32_t id, struct vf_error *err)
{
    struct receiver *r = v->r;
    bool ok;

    pthread_mutex_lock(&r->lock);
    while (!r->failed && v->all->turn != id)
        pthread_cond_wait(&r->moved, &r->lock);
    ok = !r->failed;
    pthread_mutex_unlock(&r->lock);
    return ok ? 0 : vf_error_set(err, VF_ERR_CANCELLED, 0, "given up");
}

static void pass_turn(struct verify *v)
{
    pthread_mutex_lock(&v->r->lock);
    v->all->turn++;
    pthread_cond_broadcast(&v->r->moved);
    pthread_mutex_unlock(&v->r->lock);
}

static int finish_batch(struct verify *v, struct recv_batch *b, struct vf_error *err)
{
    struct receiver *r = v->r;
    struct vf_run range = b->range;
    const struct vf_node *segs;
    size_t n;
    int good;

    if (r->leftover >= 0 && clear_between(r->part, range, (struct vf_run *)(void *)b->written.data,
                                          b->written.len / sizeof(struct vf_run), err) < 0)
        return -1;
    good = read_back(v, b, err);
    if (good < 0 || take_turn(v, b->id, err) < 0 || (!good && repair(v, b, err) < 0))
        return -1;
    segs = vf_scanned_nodes(&v->own, &n);
    if (vf_build_add(v->all->build, segs, n, vf_scanned_md5s(&v->own), err) < 0 ||
        vf_receiver_done(r, b, err) < 0)
        return -1;
    pass_turn(v);
    start_writeback(r, range);
    return 0;
}

/* The receiver's own count of the new image against its residents. */
static int count(struct receiver *r, const struct vf_map_info *info, struct vf_error *err)
{
    struct vf_shared shared = {0, 0};
    uint64_t data = info->blocks - info->zero_blocks;
    uint64_t distinct = info->distinct_blocks - (info->zero_blocks ? 1 : 0);

    if (r->dest->ops->count(r->dest, &shared, err) < 0)
        return -1;
    r->result.shared_blocks = shared.blocks;
    r->result.literal_blocks = distinct - shared.distinct;
    r->result.duplicate_blocks = data - shared.blocks - r->result.literal_blocks;
    return 0;
}

/* All batches are done: the root, the final name, the report. */
static int finish_all(struct verify_all *all, struct vf_error *err)
{
    struct receiver *r = all->r;
    struct vf_map_sink *sink = r->sink;
    struct vf_map_info info;
    struct vf_msg m = {.type = VF_MSG_RESULT};

    if (r->range_end != r->blocks)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "the source ended before the image did");
    if (vf_build_finish(all->build, &info, err) < 0)
        return -1;
    if (memcmp(info.root, r->end_root, VF_SHA_LEN) != 0)
        return vf_error_set(err, VF_ERR_MISMATCH, 0, "the assembled image has another root digest");
    r->sink = NULL; /* handed over */
    if (r->dest->ops->publish(r->dest, sink, &info, err) < 0 || count(r, &info, err) < 0)
        return -1;
    r->result.verified = true;
    memcpy(r->result.root, info.root, VF_SHA_LEN);
    m.result = r->result;
    pthread_mutex_lock(&r->lock);
    r->ended = true; /* from here on the source may hang up */
    pthread_cond_broadcast(&r->moved);
    pthread_cond_broadcast(&r->fed);
    pthread_mutex_unlock(&r->lock);
    return r->st->ops->send(r->st, &m, err);
}

/* The next batch, once all of it is in the file; NULL as for wait_batch. */
static struct recv_batch *take_batch(struct verify *v)
{
    uint32_t id;

    pthread_mutex_lock(&v->r->lock);
    id = v->all->next++;
    pthread_mutex_unlock(&v->r->lock);
    return wait_batch(v->r, id, 1);
}

/* A thread that verifies, until there are no more batches. */
static void *run(void *arg)
{
    struct verify_all *all = arg;
    struct verify v = {.all = all, .r = all->r, .own = {.workers = 1}};
    struct vf_error err = VF_ERROR_INIT;
    struct recv_batch *b;
    int rc = -1;

    pthread_setname_np(pthread_self(), "vf-verify");
    v.sha = vf_sha_new(&err);
    if (v.sha)
        for (rc = 0; rc == 0 && (b = take_batch(&v));)
            rc = finish_batch(&v, b, &err);
    vf_sha_free(v.sha);
    vf_scanned_free(&v.own);
    if (rc < 0)
        vf_receiver_fail(all->r, &err);
    return NULL;
}

/* This thread is one of those that verify, and ends the migration when all of them are through. */
void *vf_receiver_verify(void *arg)
{
    struct receiver *r = arg;
    struct vf_error err = VF_ERROR_INIT;
    struct verify_all all = {.r = r};
    pthread_t thread[VERIFY_THREADS - 1];
    unsigned started = 0;
    int rc = -1;

    all.build = vf_build_new(r->size, r->sink, NULL, NULL, &err);
    if (all.build) {
        while (started + 1 < VERIFY_THREADS &&
               pthread_create(&thread[started], NULL, run, &all) == 0)
            started++; /* fewer are only slower */
        run(&all);
        for (unsigned i = 0; i < started; i++)
            pthread_join(thread[i], NULL);
        rc = vf_receiver_failed(r) ? 0 : finish_all(&all, &err);
    }
    vf_build_free(all.build);
    if (rc < 0)
        vf_receiver_fail(r, &err);
    return NULL;
}
