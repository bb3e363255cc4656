/* The source's half: the thread that packs and compresses what the literals thread has prepared,
 * one record after the other. */
#include <string.h>

#include "core/checked.h"
#include "core/engine/send_impl.h"

/* ---- records between the two threads ---- */

void vf_send_record_free(struct send_record *r)
{
    if (!r)
        return;
    vf_buf_free(&r->quotes);
    free(r->data);
    free(r);
}

static struct send_record *new_record(struct vf_error *err)
{
    struct send_record *r = vf_calloc(1, sizeof *r, err);

    if (!r)
        return NULL;
    r->data = vf_calloc(VF_PIECE_BLOCKS, VF_BLOCK, err);
    if (!r->data) {
        free(r);
        return NULL;
    }
    return r;
}

struct send_record *vf_sender_record(struct sender *s, struct vf_error *err)
{
    struct send_record *r = NULL;
    bool more = false, failed;

    pthread_mutex_lock(&s->lock);
    while (!s->failed && !s->nidle && !(more = s->nrecords < SEND_RECORDS))
        vf_sender_wait(s, &s->handed);
    failed = s->failed;
    if (!failed && s->nidle)
        r = s->idle[--s->nidle];
    else if (!failed)
        s->nrecords++;
    pthread_mutex_unlock(&s->lock);
    if (failed) {
        (void)vf_error_set(err, VF_ERR_CANCELLED, 0, "given up"); /* the NULL says it */
        return NULL;
    }
    if (!r)
        r = new_record(err);
    if (r) {
        r->nruns = r->nblocks = r->len = 0;
        vf_buf_clear(&r->quotes);
    }
    return r;
}

bool vf_sender_record_there(struct sender *s)
{
    bool there;

    pthread_mutex_lock(&s->lock);
    there = s->failed || s->nidle || s->nrecords < SEND_RECORDS;
    pthread_mutex_unlock(&s->lock);
    return there;
}

void vf_sender_submit(struct sender *s, struct send_record *r)
{
    pthread_mutex_lock(&s->lock);
    s->record[(s->record_at + s->record_n++) % SEND_RECORDS] = r;
    pthread_cond_signal(&s->handed);
    pthread_mutex_unlock(&s->lock);
}

/* The next record; NULL: the migration has failed. */
static struct send_record *next(struct sender *s)
{
    struct send_record *r = NULL;

    pthread_mutex_lock(&s->lock);
    while (!s->failed && !s->record_n)
        vf_sender_wait(s, &s->handed);
    if (!s->failed) {
        r = s->record[s->record_at];
        s->record_at = (s->record_at + 1) % SEND_RECORDS;
        s->record_n--;
    }
    pthread_mutex_unlock(&s->lock);
    return r;
}

/* ---- packing ---- */

static int pack_runs(struct sender *s, struct vf_packer *p, const struct send_record *r,
                     struct vf_error *err)
{
    struct vf_pack_runs record = {.batch = r->batch,
                                  .n = r->nruns,
                                  .runs = r->runs,
                                  .nquotes = r->quotes.len / sizeof(struct vf_quote),
                                  .quotes = (const void *)r->quotes.data,
                                  .data = r->data,
                                  .len = r->len,
                                  .prepare_ns = r->prepare_ns};

    if (vf_packer_runs(p, r->base, &record, err) < 0)
        return -1;
    pthread_mutex_lock(&s->lock);
    s->ret->literal_sent += r->nblocks;
    s->slot[r->batch % VF_BATCHES_OPEN].literals += r->nblocks;
    s->now.literal_blocks += r->nblocks;
    s->hurry = vf_packer_hurries(p) && !s->budget.rich;
    pthread_mutex_unlock(&s->lock);
    vf_send_out_room(&s->out, vf_packer_strong(p));
    vf_sender_progress(s, false);
    return 0;
}

/* Once the seal is on its way, DONE may come and the slot be emptied. */
static int pack_seal(struct sender *s, struct vf_packer *p, const struct send_record *r,
                     struct vf_error *err)
{
    pthread_mutex_lock(&s->lock);
    s->slot[r->batch % VF_BATCHES_OPEN].sealed = true;
    pthread_mutex_unlock(&s->lock);
    return vf_packer_seal(p, r->batch, r->sha, err);
}

/* 1: that was the last one, 0: go on, -1. */
static int pack(struct sender *s, struct vf_packer *p, const struct send_record *r,
                struct vf_error *err)
{
    switch (r->what) {
    case SEND_RUNS:
        return pack_runs(s, p, r, err);
    case SEND_SEAL:
        return pack_seal(s, p, r, err);
    case SEND_FLUSH:
        return vf_packer_flush(p, err);
    case SEND_NO_MORE:
        break;
    }
    return 1;
}

void *vf_sender_pack(void *arg)
{
    struct sender *s = arg;
    struct vf_error err = VF_ERROR_INIT;
    const struct vf_budget *have = &s->budget;
    int level = s->opts->level < have->level_most ? s->opts->level : have->level_most;
    struct vf_pack_opts opts = {.level = level < 0 ? VF_LEVEL_AUTO : level,
                                .most = have->level_most,
                                .window_log = have->window_log,
                                .rich = have->rich,
                                .stock = vf_send_out_stock};
    struct vf_packer *p = vf_packer_new(&opts, vf_send_out_take, &s->out, &err);
    struct send_record *r;
    int rc = p ? 0 : -1;

    pthread_setname_np(pthread_self(), "vf-pack");
    while (rc == 0 && (r = next(s))) {
        rc = pack(s, p, r, &err);
        pthread_mutex_lock(&s->lock);
        s->idle[s->nidle++] = r;
        pthread_cond_signal(&s->handed);
        pthread_mutex_unlock(&s->lock);
    }
    vf_packer_free(p);
    if (rc < 0)
        vf_sender_fail(s, &err);
    vf_send_out_end(&s->out);
    return NULL;
}
