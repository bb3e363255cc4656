/* core/queue.c - a bounded queue of pointers. */
#include "core/queue.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/checked.h"

struct item {
    void *p;
    size_t bytes;
};

struct vf_queue {
    pthread_mutex_t lock;
    pthread_cond_t more, room; /* signalled for each item put in, taken out; to all at the end */
    size_t max_items, max_bytes;
    size_t n, bytes; /* now in it */
    size_t first;    /* of the ring */
    bool closed, cancelled;
    struct item ring[]; /* max_items */
};

struct vf_queue *vf_queue_new(size_t max_items, size_t max_bytes, struct vf_error *err)
{
    struct vf_queue *q = NULL;
    size_t size;

    assert(max_items && max_bytes);
    if (!vf_mul_ok(max_items, sizeof q->ring[0], &size) || !vf_add_ok(size, sizeof *q, &size)) {
        (void)vf_error_nomem(err); /* the NULL says it */
        return NULL;
    }
    q = vf_calloc(1, size, err);
    if (!q)
        return NULL;
    q->max_items = max_items;
    q->max_bytes = max_bytes;
    (void)pthread_mutex_init(&q->lock, NULL); /* none of these can fail on Linux */
    (void)pthread_cond_init(&q->more, NULL);
    (void)pthread_cond_init(&q->room, NULL);
    return q;
}

void vf_queue_free(struct vf_queue *q, void (*drop)(void *item))
{
    if (!q)
        return;
    for (; q->n && drop; q->n--) {
        drop(q->ring[q->first].p);
        q->first = (q->first + 1) % q->max_items;
    }
    (void)pthread_cond_destroy(&q->room);
    (void)pthread_cond_destroy(&q->more);
    (void)pthread_mutex_destroy(&q->lock);
    free(q);
}

/* Does an item of that many bytes fit now?  Written without a sum, which could overflow. */
static bool fits(const struct vf_queue *q, size_t bytes)
{
    if (q->n == 0)
        return true;
    return q->n < q->max_items && q->bytes <= q->max_bytes && bytes <= q->max_bytes - q->bytes;
}

bool vf_queue_push(struct vf_queue *q, void *item, size_t bytes)
{
    bool ok;

    (void)pthread_mutex_lock(&q->lock);
    while (!q->cancelled && !q->closed && !fits(q, bytes))
        (void)pthread_cond_wait(&q->room, &q->lock);
    ok = !q->cancelled && !q->closed;
    if (ok) {
        q->ring[(q->first + q->n++) % q->max_items] = (struct item){item, bytes};
        q->bytes += bytes;
        (void)pthread_cond_signal(&q->more);
    }
    (void)pthread_mutex_unlock(&q->lock);
    return ok;
}

enum vf_popped vf_queue_pop(struct vf_queue *q, void **ret)
{
    enum vf_popped got = VF_POP_ITEM;

    (void)pthread_mutex_lock(&q->lock);
    while (!q->cancelled && !q->closed && q->n == 0)
        (void)pthread_cond_wait(&q->more, &q->lock);
    if (q->cancelled) {
        got = VF_POP_CANCELLED;
    } else if (q->n == 0) {
        got = VF_POP_END;
    } else {
        *ret = q->ring[q->first].p;
        q->bytes -= q->ring[q->first].bytes;
        q->first = (q->first + 1) % q->max_items;
        q->n--;
        /* To all: the one that would be woken may need more room than there is now, while another
         * one's item fits. */
        (void)pthread_cond_broadcast(&q->room);
    }
    (void)pthread_mutex_unlock(&q->lock);
    return got;
}

static void end(struct vf_queue *q, bool *how)
{
    (void)pthread_mutex_lock(&q->lock);
    *how = true;
    (void)pthread_cond_broadcast(&q->more);
    (void)pthread_cond_broadcast(&q->room);
    (void)pthread_mutex_unlock(&q->lock);
}

void vf_queue_close(struct vf_queue *q) { end(q, &q->closed); }
void vf_queue_cancel(struct vf_queue *q) { end(q, &q->cancelled); }
