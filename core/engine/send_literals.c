/* The source's half: the thread that reads what is missing, and finds duplicates and quotes. */
#include <string.h>

#include "core/checked.h"
#include "core/clock.h"
#include "core/engine/send_impl.h"
#include "core/engine/send_note.h"
#include "core/hash/digest.h"
#include "core/hash/md5_lanes.h"
#include "core/map/tree.h"

/* What the thread works with. */
struct piece {
    struct sender *s;
    struct vf_repeats *repeats;
    struct vf_quoter *quoter; /* NULL: nothing is quoted */
    enum vf_simd way;
    bool repair;           /* of what the batch brought already */
    struct send_record *r; /* being filled; NULL: none */
    uint32_t batch;
    uint64_t base;              /* first block of its range */
    uint8_t (*md5)[VF_MD5_LEN]; /* VF_PIECE_BLOCKS, as read */
    struct vf_notes notes;
    uint64_t cpu_ns; /* of this thread, when the last record was handed over */
};

/* Are there quotes?  The quoter learns how much time there is for them. */
static bool quoting(const struct piece *p)
{
    bool hurry;

    if (!p->quoter)
        return false;
    pthread_mutex_lock(&p->s->lock);
    hurry = p->s->hurry;
    pthread_mutex_unlock(&p->s->lock);
    vf_quoter_hurry(p->quoter, hurry);
    return true;
}

/* Finds what the record's literals quote, and takes it out of its data. */
static int quote(struct piece *p, struct vf_error *err)
{
    struct send_record *r = p->r;
    const struct vf_quote *q;
    uint64_t at = 0;
    size_t n, len = 0;
    bool look = quoting(p) && !p->repair;

    for (size_t i = 0; look && i < r->nruns; i++) {
        const struct vf_run *run = &r->runs[i].run;

        if (r->runs[i].back)
            continue;
        if (vf_quoter_find(p->quoter, r->runs[0].run.first, run->first, (size_t)run->n,
                           r->data + at, at, &r->quotes, err) < 0)
            return -1;
        at += run->n * VF_BLOCK;
    }
    q = (const void *)r->quotes.data;
    n = r->quotes.len / sizeof *q;
    at = 0;
    for (size_t i = 0; i <= n; i++) {
        uint64_t end = i < n ? q[i].at : r->nblocks * VF_BLOCK;

        if (len != at)
            memmove(r->data + len, r->data + at, (size_t)(end - at));
        len += (size_t)(end - at);
        at = i < n ? q[i].at + q[i].len : end;
    }
    p->s->ret->quoted_bytes += r->nblocks * VF_BLOCK - len;
    r->len = len;
    return 0;
}

/* Hands the record over that is being filled. */
static int flush_piece(struct piece *p, struct vf_error *err)
{
    uint64_t now;

    if (!p->r || p->r->nruns == 0)
        return 0;
    if (quote(p, err) < 0)
        return -1;
    p->r->what = SEND_RUNS;
    p->r->batch = p->batch;
    p->r->base = p->base;
    now = vf_clock_cpu_ns();
    p->r->prepare_ns = now - p->cpu_ns;
    p->cpu_ns = now;
    vf_notes_passed(&p->notes, p->r->nblocks);
    vf_sender_submit(p->s, p->r);
    p->r = NULL;
    return 0;
}

/* Hands over a record that brings no blocks. */
static int submit(struct piece *p, enum send_what what, uint32_t batch, const uint8_t *sha,
                  struct vf_error *err)
{
    struct send_record *r = p->r ? p->r : vf_sender_record(p->s, err);

    p->r = NULL;
    if (!r)
        return -1;
    r->what = what;
    r->batch = batch;
    if (sha)
        memcpy(r->sha, sha, sizeof r->sha);
    vf_sender_submit(p->s, r);
    return 0;
}

/* One block for the record: extends the last run or begins a new one.  There is room for it. */
static void add_block(struct piece *p, uint64_t block, uint64_t back)
{
    struct send_record *rec = p->r;
    struct vf_lit_run *r = rec->nruns ? &rec->runs[rec->nruns - 1] : NULL;

    if (r && r->back == back && r->run.first + r->run.n == block)
        r->run.n++;
    else
        rec->runs[rec->nruns++] = (struct vf_lit_run){{block, 1}, back};
}

/* Reads n blocks from `first` on, and makes sure that they are what was indexed. */
static int read_blocks(struct piece *p, uint64_t first, size_t n, const uint8_t (*md5)[VF_MD5_LEN],
                       uint8_t *to, struct vf_error *err)
{
    if (vf_image_read_blocks(p->s->image, to, first, n, err) < 0)
        return -1;
    vf_md5_blocks(p->way, to, n, p->md5);
    if (md5 && memcmp(p->md5, md5, n * VF_MD5_LEN) != 0)
        return vf_error_set(err, VF_ERR_CHANGED, 0,
                            "the image changed while it was sent (near byte %llu); run it again",
                            (unsigned long long)(first * VF_BLOCK));
    return 0;
}

/* n blocks that the receiver has: later blocks may equal or quote them. */
static int note_run(struct piece *p, uint64_t first, size_t n, const uint8_t (*md5)[VF_MD5_LEN],
                    struct vf_error *err)
{
    vf_repeats_add(p->repeats, md5, first, n);
    if (!quoting(p) || !vf_quoter_wants(p->quoter, n))
        return 0;
    return vf_notes_add(&p->notes, first, n, err);
}

/* A record to be filled.  While the packer has them all, there is time to note things. */
static int take_record(struct piece *p, struct vf_error *err)
{
    while (p->notes.n && !vf_sender_record_there(p->s))
        if (vf_notes_some(&p->notes, err) < 0)
            return -1;
    p->r = vf_sender_record(p->s, err);
    return p->r ? 0 : -1;
}

/* n blocks (at most VF_PIECE_BLOCKS) have to travel; md5: theirs, or NULL in a repair, where
 * nothing is taken for a duplicate. */
static int add_run(struct piece *p, uint64_t first, size_t n, const uint8_t (*md5)[VF_MD5_LEN],
                   struct vf_error *err)
{
    uint8_t *read, *at;

    if (p->r && (p->r->nblocks + n > VF_PIECE_BLOCKS || p->r->nruns + n > VF_RUNS_MAX) &&
        flush_piece(p, err) < 0)
        return -1;
    if (!p->r && take_record(p, err) < 0)
        return -1;
    at = read = p->r->data + p->r->nblocks * VF_BLOCK; /* behind what the record holds */
    if (read_blocks(p, first, n, md5, read, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++, read += VF_BLOCK) {
        uint64_t seen;

        if (md5)
            vf_repeats_ahead(p->repeats, md5, i, n);
        if (md5 && vf_repeats_seen(p->repeats, p->md5[i], first + i, &seen)) {
            p->s->ret->self_copied++;
            add_block(p, first + i, first + i - seen);
            continue;
        }
        add_block(p, first + i, 0);
        if (at != read) /* literals close up over repeats */
            memcpy(at, read, VF_BLOCK);
        at += VF_BLOCK;
        p->r->nblocks++;
    }
    return 0;
}

/* Does anything here need the digests of the batch? */
static bool digests_wanted(const struct piece *p, const struct send_slot *slot)
{
    return slot->b->ndata &&
           (!vf_repeats_full(p->repeats) || p->quoter || memchr(slot->need, 1, slot->b->ndata));
}

/* A data block of a batch: its number among them, its segment, its place in that. */
struct data_block {
    size_t at, seg, in;
};

/* How many blocks from this one on lie side by side in the image and all have to travel, or all
 * need not; at most VF_SEG_MAX.  *d is then the one behind them.  Segments are short, and reading a
 * few of them at a time is cheaper. */
static size_t take_alike(const struct send_slot *slot, struct data_block *d)
{
    const struct vf_batch *b = slot->b;
    uint8_t need = slot->need[d->at];
    uint64_t next = b->segs[d->seg].first + d->in;
    size_t n = 0;

    while (n < VF_SEG_MAX && d->seg < b->nsegs && b->segs[d->seg].first + d->in == next &&
           slot->need[d->at] == need) {
        n++;
        next++;
        d->at++;
        if (++d->in == b->segs[d->seg].span) {
            d->seg++;
            d->in = 0;
        }
    }
    return n;
}

/* All blocks of the batch that have to travel; those that do not are remembered. */
static int send_needed(struct piece *p, struct send_slot *slot, struct vf_error *err)
{
    struct vf_batch *b = slot->b;
    struct data_block d = {0, 0, 0};
    bool wanted = digests_wanted(p, slot);

    if (wanted && vf_batch_load(b, p->s->map, err) < 0)
        return -1;
    while (wanted && d.seg < b->nsegs) {
        const uint8_t(*md5)[VF_MD5_LEN] = (const uint8_t(*)[VF_MD5_LEN])b->md5 + d.at;
        uint64_t first = b->segs[d.seg].first + d.in;
        uint8_t need = slot->need[d.at];
        size_t n = take_alike(slot, &d);

        if ((need ? add_run(p, first, n, md5, err) : note_run(p, first, n, md5, err)) < 0)
            return -1;
    }
    free(b->md5); /* not needed any more while the batch waits for its DONE */
    b->md5 = NULL;
    free(slot->need);
    slot->need = NULL;
    return 0;
}

static int send_repairs(struct piece *p, struct send_slot *slot, struct vf_error *err)
{
    for (size_t i = 0; i < slot->nrepairs; i++) {
        struct vf_run r = slot->repairs[i];

        while (r.n) {
            size_t n = r.n < VF_SEG_MAX ? (size_t)r.n : VF_SEG_MAX;

            if (add_run(p, r.first, n, NULL, err) < 0)
                return -1;
            r.first += n;
            r.n -= n;
        }
    }
    return 0;
}

/* Sends one queued batch (or its repairs) and seals it.  Once the seal is handed over the slot may
 * be emptied by the thread that receives DONE, so it is not touched any more. */
static int send_batch(struct piece *p, struct vf_sha *sha, struct send_slot *slot,
                      struct vf_error *err)
{
    struct vf_batch *b = slot->b;
    uint8_t digest[VF_SHA_LEN];
    uint32_t id = b->id;

    p->batch = id;
    p->base = b->range.first;
    p->repair = !slot->need;
    if ((slot->need ? send_needed(p, slot, err) : send_repairs(p, slot, err)) < 0 ||
        flush_piece(p, err) < 0 ||
        vf_batch_digest(sha, b->range, b->segs, b->nsegs, digest, err) < 0)
        return -1;
    return submit(p, SEND_SEAL, id, digest, err);
}

/* Something to send?  Repairs first: the receiver waits for them.  Else the next batch in order,
 * and only that: a content is then sent where it occurs first, and literals stay close to what they
 * resemble.  The lock is held. */
static bool take_work(struct sender *s, uint32_t *ret_batch)
{
    const struct send_slot *next = &s->slot[s->sent % VF_BATCHES_OPEN];

    if (s->repair_n) {
        *ret_batch = s->repair[s->repair_at];
        s->repair_at = (s->repair_at + 1) % VF_BATCHES_OPEN;
        s->repair_n--;
        return true;
    }
    if (s->sent < s->announced && next->b && next->b->id == s->sent && next->queued) {
        *ret_batch = s->sent++;
        return true;
    }
    return false;
}

/* Waits for work.  1: *ret_batch is to be sent, 0: all is done, -1: given up or interrupted. */
static int next_batch(struct piece *p, uint32_t *ret_batch, struct vf_error *err)
{
    struct sender *s = p->s;
    bool flushed = false, work = false, over = false;

    pthread_mutex_lock(&s->lock);
    while (!s->failed && !vf_sender_stopped(s) && !(work = take_work(s, ret_batch)) &&
           !(over = s->source_ended && s->done == s->announced)) {
        if (flushed && !p->notes.n) {
            vf_sender_wait(s, &s->moved);
            continue;
        }
        /* Nothing to do: let the receiver have what the compressor holds. */
        pthread_mutex_unlock(&s->lock);
        if ((flushed ? vf_notes_some(&p->notes, err) : submit(p, SEND_FLUSH, 0, NULL, err)) < 0)
            return -1;
        flushed = true;
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    if (work || over)
        return work;
    return vf_error_set(err, VF_ERR_CANCELLED, 0, "interrupted");
}

static int run(struct piece *p, struct vf_error *err)
{
    struct sender *s = p->s;
    struct vf_sha *sha = vf_sha_new(err);
    uint32_t batch = 0;
    int rc = sha ? 1 : -1;

    while (rc == 1 && (rc = next_batch(p, &batch, err)) == 1)
        if (send_batch(p, sha, &s->slot[batch % VF_BATCHES_OPEN], err) < 0)
            rc = -1;
    if (rc == 0)
        rc = submit(p, SEND_NO_MORE, 0, NULL, err);
    vf_sha_free(sha);
    return rc;
}

void *vf_sender_literals(void *arg)
{
    struct sender *s = arg;
    struct vf_error err = VF_ERROR_INIT;
    struct piece *p = vf_calloc(1, sizeof *p, &err);
    int rc = -1;

    pthread_setname_np(pthread_self(), "vf-literals");
    if (p) {
        p->s = s;
        p->way = vf_simd_best();
        p->md5 = vf_calloc(VF_PIECE_BLOCKS, VF_MD5_LEN, &err);
        if (p->md5 && vf_send_tables(s, &p->repeats, &p->quoter, &err) == 0 &&
            vf_notes_init(&p->notes, s->image, p->quoter, &err) == 0)
            rc = run(p, &err);
        vf_send_record_free(p->r);
        vf_quoter_free(p->quoter);
        vf_repeats_free(p->repeats);
        free(p->md5);
        vf_notes_free(&p->notes);
    }
    free(p);
    if (rc < 0)
        vf_sender_fail(s, &err);
    return NULL;
}
