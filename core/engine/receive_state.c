/* The receiver's half: what its threads share, how it fails, and its open batches. */
#include <stdlib.h>
#include <string.h>

#include "core/engine/receive_impl.h"

/* Is it any use to tell the peer? */
static bool worth_telling(const struct vf_error *err)
{
    return err->code != VF_ERR_UNREACHABLE && err->code != VF_ERR_TIMEOUT;
}

void vf_receiver_fail(struct receiver *r, const struct vf_error *err)
{
    bool first;

    pthread_mutex_lock(&r->lock);
    first = !r->failed && !r->ended;
    if (first) {
        r->failed = true;
        r->err = *err;
    }
    pthread_cond_broadcast(&r->moved);
    pthread_cond_broadcast(&r->fed);
    pthread_mutex_unlock(&r->lock);
    if (first && worth_telling(err))
        vf_stream_fail(r->st, err);
    r->st->ops->cancel(r->st);
}

bool vf_receiver_failed(struct receiver *r)
{
    bool failed;

    pthread_mutex_lock(&r->lock);
    failed = r->failed;
    pthread_mutex_unlock(&r->lock);
    return failed;
}

struct recv_batch *vf_receiver_batch(struct receiver *r, uint32_t id, struct vf_error *err)
{
    struct recv_batch *b = &r->batch[id % VF_BATCHES_OPEN];

    if (b->open && b->id == id && !b->judged)
        return b;
    (void)vf_error_set(err, VF_ERR_PROTOCOL, 0, "batch %u is not open", id); /* the NULL says it */
    return NULL;
}

void vf_receiver_clear(struct receiver *r, struct recv_batch *b)
{
    size_t items = (b->segs.len / sizeof(struct recv_seg)) +
                   (b->written.len / sizeof(struct vf_run)) +
                   (b->copies.len / sizeof(struct recv_copy));
    size_t open = atomic_load(&r->open_items);

    atomic_fetch_sub(&r->open_items, items < open ? items : open);
    vf_buf_free(&b->segs);
    vf_buf_free(&b->written);
    vf_buf_free(&b->copies);
    free(b->strong.run);
    free(b->strong.sha);
    memset(b, 0, sizeof *b);
}

int vf_receiver_done(struct receiver *r, struct recv_batch *b, struct vf_error *err)
{
    const struct vf_msg m = {.type = VF_MSG_DONE, .done.batch = b->id};

    pthread_mutex_lock(&r->lock);
    vf_receiver_clear(r, b);
    r->done++;
    pthread_mutex_unlock(&r->lock);
    return r->st->ops->send(r->st, &m, err);
}

int vf_receiver_note(struct receiver *r, size_t n, struct vf_error *err)
{
    if (atomic_fetch_add(&r->open_items, n) + n > RECV_OPEN_NODES * 4)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "the source has too much open at once");
    return 0;
}
