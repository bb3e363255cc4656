/* The receiver's half: the threads that write into the part: literals from the link, copies from
 * resident images. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/engine/receive_impl.h"
#include "core/pages.h"

#define COPY_LEN  (1u << 20)
#define OPEN_MAX_ 16u /* resident images open at once */

/* Extents are shared from so many bytes on, at multiples of a page.  Shorter ones would cost more
 * time than a copy, and tear the file into pieces (bench/BENCHMARKING.md). */
#define SHARE_MIN   (128u << 10)
#define SHARE_ALIGN UINT64_C(4096)

/* ---- literals ---- */

/* Writes blocks; the padding of the last block of an odd-sized image is left off. */
static int write_blocks(struct receiver *r, uint64_t first, size_t n, const uint8_t *data,
                        struct vf_error *err)
{
    uint64_t off = first * VF_BLOCK;
    size_t len = n * VF_BLOCK;

    if (off + len > r->size)
        len = (size_t)(r->size - off);
    return vf_image_write(r->part, data, len, off, err);
}

/* What the decode thread works with. */
struct decode {
    struct receiver *r;
    uint32_t safe;  /* batches before it have all their copies */
    uint64_t below; /* as do the blocks before this one */
    uint8_t *buf;   /* VF_SEG_MAX blocks */
    struct vf_pages *pages;
    uint64_t record; /* first block of the record that is coming: all before it is in place */
};

/* Waits until what is copied from resident images into blocks before `end` is there.  `end` is not
 * beyond batch, whose copies, and those of all before it, have been ordered. */
static int wait_copies(struct decode *d, uint32_t batch, uint64_t end, struct vf_error *err)
{
    struct receiver *r = d->r;
    bool ok;

    if (end <= d->below)
        return 0;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        d->safe = d->safe > r->done ? d->safe : r->done;
        while (d->safe <= batch && d->safe < r->announced &&
               r->batch[d->safe % VF_BATCHES_OPEN].copying == 0)
            d->safe++;
        d->below =
            d->safe < r->announced ? r->batch[d->safe % VF_BATCHES_OPEN].range.first : r->range_end;
        ok = end <= d->below;
        if (ok || r->failed)
            break;
        pthread_cond_wait(&r->moved, &r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return ok ? 0 : vf_error_set(err, VF_ERR_CANCELLED, 0, "given up");
}

static bool on_base(void *ctx, uint32_t batch, uint64_t *ret_first)
{
    const struct decode *d = ctx;
    struct recv_batch *b;

    pthread_mutex_lock(&d->r->lock);
    b = vf_receiver_batch(d->r, batch, NULL);
    if (b)
        *ret_first = b->range.first;
    pthread_mutex_unlock(&d->r->lock);
    return b != NULL;
}

static int on_runs(void *ctx, uint32_t batch, const struct vf_lit_run *runs, size_t n,
                   struct vf_error *err)
{
    struct decode *d = ctx;
    struct receiver *r = d->r;
    struct recv_batch *b;
    int rc = 0;

    if (vf_receiver_note(r, n, err) < 0)
        return -1;
    if (runs[0].run.first < d->record) /* a repair: what was settled changes */
        vf_pages_drop(d->pages);
    d->record = runs[0].run.first;
    pthread_mutex_lock(&r->lock);
    b = vf_receiver_batch(r, batch, err);
    if (!b)
        rc = -1;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct vf_run *run = &runs[i].run;

        if (run->first < b->range.first || run->first - b->range.first > b->range.n ||
            run->n > b->range.n - (run->first - b->range.first))
            rc = vf_error_set(err, VF_ERR_PROTOCOL, 0, "literals outside batch %u", batch);
        else if (vf_buf_add(&b->written, run, sizeof *run, err) < 0)
            rc = -1;
    }
    pthread_mutex_unlock(&r->lock);
    return rc;
}

static int on_blocks(void *ctx, uint32_t batch, uint64_t first, size_t n, const uint8_t *data,
                     struct vf_error *err)
{
    (void)batch;
    return write_blocks(((struct decode *)ctx)->r, first, n, data, err);
}

/* Blocks that equal earlier ones of this image. */
static int on_again(void *ctx, uint32_t batch, struct vf_run run, uint64_t back,
                    struct vf_error *err)
{
    struct decode *d = ctx;
    struct vf_image *part = d->r->part;

    if (wait_copies(d, batch, run.first, err) < 0)
        return -1;
    for (uint64_t at = 0, n; at < run.n; at += n) {
        uint64_t to = run.first + at, left = run.n - at, len;

        n = left < VF_SEG_MAX ? left : VF_SEG_MAX;
        n = n < back ? n : back; /* a run may repeat itself */
        len = n * VF_BLOCK;
        if (to * VF_BLOCK + len > part->size)
            len = part->size - to * VF_BLOCK;
        if (vf_image_read(part, d->buf, (size_t)len, (to - back) * VF_BLOCK, err) < 0 ||
            vf_image_write(part, d->buf, (size_t)len, to * VF_BLOCK, err) < 0)
            return -1;
    }
    return 0;
}

static int on_quoted(void *ctx, uint32_t batch, uint64_t from, uint8_t *to, size_t len,
                     struct vf_error *err)
{
    struct decode *d = ctx;
    uint64_t settled;

    if (wait_copies(d, batch, vf_blocks_of(from + len), err) < 0)
        return -1;
    settled = d->record < d->below ? d->record : d->below;
    return vf_pages_read(d->pages, to, len, from, settled * VF_BLOCK, err);
}

static int on_seal(void *ctx, uint32_t batch, const uint8_t sha[VF_SHA_LEN], struct vf_error *err)
{
    struct receiver *r = ((struct decode *)ctx)->r;
    struct recv_batch *b;

    pthread_mutex_lock(&r->lock);
    b = vf_receiver_batch(r, batch, err);
    if (b) {
        memcpy(b->sha, sha, VF_SHA_LEN);
        b->seals++;
        pthread_cond_broadcast(&r->moved);
    }
    pthread_mutex_unlock(&r->lock);
    return b ? 0 : -1;
}

/* Waits for bytes of the literal stream and takes them all.  false: the migration is over. */
static bool next_data(struct receiver *r)
{
    struct vf_buf b = r->data[1];
    bool more;

    pthread_mutex_lock(&r->lock);
    while (!r->failed && !r->ended && r->data[0].len == 0)
        pthread_cond_wait(&r->fed, &r->lock);
    more = !r->failed && !r->ended;
    if (r->data[0].len > RECV_DATA_BYTES)
        pthread_cond_signal(&r->fed);
    vf_buf_clear(&b);
    r->data[1] = r->data[0];
    r->data[0] = b;
    pthread_mutex_unlock(&r->lock);
    return more;
}

void *vf_receiver_decode(void *arg)
{
    static const struct vf_unpack_ops ops = {on_base,  on_runs,   on_blocks,
                                             on_again, on_quoted, on_seal};
    struct receiver *r = arg;
    struct vf_error err = VF_ERROR_INIT;
    struct decode d = {
        .r = r, .buf = vf_calloc(VF_SEG_MAX, VF_BLOCK, &err), .pages = vf_pages_new(r->part, &err)};
    struct vf_unpacker *u =
        d.buf && d.pages ? vf_unpacker_new(r->window_log, &ops, &d, &err) : NULL;
    int rc = u ? 0 : -1;

    pthread_setname_np(pthread_self(), "vf-decode");
    while (rc == 0 && next_data(r))
        rc = vf_unpacker_feed(u, r->data[1].data, r->data[1].len, &err);
    vf_unpacker_free(u);
    vf_pages_free(d.pages);
    free(d.buf);
    if (rc < 0)
        vf_receiver_fail(r, &err);
    return NULL;
}

/* ---- copies ---- */

/* Resident images that are open, in slots by image number. */
struct donors {
    struct receiver *r;
    struct {
        struct vf_image *image;
        uint32_t number;
    } slot[OPEN_MAX_];
    uint8_t *buf;
};

/* The donor's content; NULL when it cannot be had, which costs bytes and is no failure. */
static struct vf_image *donor(struct donors *d, uint32_t number)
{
    size_t i = number % OPEN_MAX_;
    struct vf_error ignored;

    if ((int64_t)number == d->r->leftover)
        return d->r->part;
    if (d->slot[i].image && d->slot[i].number == number)
        return d->slot[i].image;
    vf_image_close(d->slot[i].image);
    d->slot[i].number = number;
    d->slot[i].image = d->r->res->ops->open(d->r->res, number, &ignored);
    return d->slot[i].image;
}

/* Copies in the kernel where both are plain files: with shared extents (reflinks) where the file
 * system has them, which it has for whole pages only.  So what leads to a page's beginning, where
 * both can be at one, goes by itself.  Bytes done; the rest is for the slow way. */
static uint64_t copy_in_kernel(int from_fd, int to_fd, uint64_t from, uint64_t to, uint64_t len)
{
    uint64_t at = 0, head = -from % SHARE_ALIGN;

    if (from_fd < 0 || to_fd < 0 || len < SHARE_MIN)
        return 0;
    if (-to % SHARE_ALIGN != head)
        head = 0;
    while (at < len) {
        off_t in = (off_t)(from + at), out = (off_t)(to + at);
        size_t want = (size_t)(at < head ? head - at : len - at);
        ssize_t n = copy_file_range(from_fd, &in, to_fd, &out, want, 0);

        if (n <= 0)
            break;
        at += (uint64_t)n;
    }
    return at;
}

/* One copy.  A donor that cannot be read leaves the range as it is: the batch's digest finds that
 * out. */
static int copy(struct donors *d, const struct recv_copy *c, struct vf_error *err)
{
    struct vf_image *from = donor(d, c->image), *part = d->r->part;
    uint64_t off = (uint64_t)c->from * VF_BLOCK, to = c->to * VF_BLOCK, len = c->n * VF_BLOCK, at;
    struct vf_error ignored;

    if (!from || c->from < 0 || off >= from->size || (from == part && off == to))
        return 0;
    if (len > from->size - off)
        len = from->size - off;
    if (len > part->size - to)
        len = part->size - to;
    at = from == part
             ? 0
             : copy_in_kernel(vf_image_plain_fd(from), vf_image_plain_fd(part), off, to, len);
    for (uint64_t n; at < len; at += n) {
        n = len - at < COPY_LEN ? len - at : COPY_LEN;
        if (vf_image_read(from, d->buf, (size_t)n, off + at, &ignored) < 0)
            return 0;
        if (vf_image_write(part, d->buf, (size_t)n, to + at, err) < 0)
            return -1;
    }
    return 0;
}

/* The first open batch that has copies to be made; NULL: none has.  The lock is held. */
static struct recv_batch *batch_to_copy(struct receiver *r)
{
    for (uint32_t id = r->done; id != r->announced; id++) {
        struct recv_batch *b = &r->batch[id % VF_BATCHES_OPEN];

        if (b->copying && b->copies_taken < b->copies.len)
            return b;
    }
    return NULL;
}

/* Takes the copies that wait in the first batch that has any: literals wait for those of the batch
 * that they belong to, and later batches may be known sooner.  NULL: the migration is over, or
 * *err. */
static struct recv_batch *next_copies(struct receiver *r, struct vf_buf *ret, struct vf_error *err)
{
    struct recv_batch *b = NULL;

    vf_buf_clear(ret);
    pthread_mutex_lock(&r->lock);
    while (!r->failed && !r->ended && !(b = batch_to_copy(r)))
        pthread_cond_wait(&r->moved, &r->lock);
    if (r->failed || r->ended)
        b = NULL;
    if (b &&
        vf_buf_add(ret, b->copies.data + b->copies_taken, b->copies.len - b->copies_taken, err) < 0)
        b = NULL;
    if (b)
        b->copies_taken = b->copies.len;
    pthread_mutex_unlock(&r->lock);
    return b;
}

/* The batch stays open: its last copy is counted when it is made. */
static int do_copies(struct donors *d, struct recv_batch *b, const struct vf_buf *copies,
                     struct vf_error *err)
{
    const struct recv_copy *c = (const void *)copies->data;
    struct receiver *r = d->r;

    for (size_t i = 0; i < copies->len / sizeof *c; i++) {
        if (copy(d, &c[i], err) < 0)
            return -1;
        pthread_mutex_lock(&r->lock);
        r->result.copied_blocks += c[i].n;
        r->donor[c[i].image].copied += c[i].n;
        if (--b->copying == 0)
            pthread_cond_broadcast(&r->moved);
        pthread_mutex_unlock(&r->lock);
    }
    return 0;
}

void *vf_receiver_copy(void *arg)
{
    struct receiver *r = arg;
    struct vf_error err = VF_ERROR_INIT;
    struct donors *d = vf_calloc(1, sizeof *d, &err);
    struct vf_buf copies = VF_BUF_INIT;
    struct recv_batch *b;
    int rc = -1;

    pthread_setname_np(pthread_self(), "vf-copy");
    if (d && (d->buf = vf_calloc(1, COPY_LEN, &err))) {
        d->r = r;
        rc = 0;
        while (rc == 0 && (b = next_copies(r, &copies, &err)))
            rc = do_copies(d, b, &copies, &err);
        rc = err.code == VF_ERR_NONE ? 0 : -1;
        for (size_t i = 0; i < OPEN_MAX_; i++)
            vf_image_close(d->slot[i].image);
        free(d->buf);
    }
    free(d);
    vf_buf_free(&copies);
    if (rc < 0)
        vf_receiver_fail(r, &err);
    return NULL;
}
