/* index/pagequeue.c - writing pages while others are made. */
#include "index/pagequeue.h"

#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/thread.h"

#define STACK (256u << 10)

struct page {
    struct vf_key key;
    struct vf_buf value;
};

/* The pages of one transaction. */
struct load {
    struct page *page; /* from n on: empty ones, whose memory is used again */
    size_t n, cap, bytes;
};

struct vf_pagequeue {
    struct vf_index *ix;
    struct load load[2];
    unsigned filling; /* which of them; the other one is the thread's while busy */
    bool second;      /* a transaction has been written already */
    bool runs;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t moved;
    bool busy, stop, failed;
    struct vf_error err;
};

struct vf_pagequeue *vf_pagequeue_new(struct vf_index *ix, struct vf_error *err)
{
    struct vf_pagequeue *q = vf_calloc(1, sizeof *q, err);

    if (!q)
        return NULL;
    q->ix = ix;
    (void)pthread_mutex_init(&q->lock, NULL); /* these do not fail on Linux */
    (void)pthread_cond_init(&q->moved, NULL);
    return q;
}

static int put_load(struct vf_txn *t, void *ctx, struct vf_error *err)
{
    const struct load *l = ctx;

    for (size_t i = 0; i < l->n; i++) {
        const struct vf_buf *v = &l->page[i].value;

        if (vf_txn_put(t, vf_key_bytes(&l->page[i].key), (struct vf_bytes){v->data, v->len}, err) <
            0)
            return -1;
    }
    return 0;
}

static int write_load(struct vf_pagequeue *q, struct load *l, struct vf_error *err)
{
    if (l->n && vf_store_write(&q->ix->store, put_load, l, err) < 0)
        return -1;
    for (size_t i = 0; i < l->n; i++)
        vf_buf_clear(&l->page[i].value);
    l->n = l->bytes = 0;
    return 0;
}

static void *write_loads(void *arg)
{
    struct vf_pagequeue *q = arg;

    pthread_mutex_lock(&q->lock);
    while (!q->stop) {
        struct load *l = &q->load[!q->filling];
        struct vf_error err = VF_ERROR_INIT;
        int rc;

        if (!q->busy) {
            pthread_cond_wait(&q->moved, &q->lock);
            continue;
        }
        pthread_mutex_unlock(&q->lock);
        rc = write_load(q, l, &err);
        pthread_mutex_lock(&q->lock);
        q->busy = false;
        if (rc < 0) {
            q->failed = true;
            q->err = err;
        }
        pthread_cond_broadcast(&q->moved);
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

/* Waits until the thread has written what it was given. */
static int wait_written(struct vf_pagequeue *q, struct vf_error *err)
{
    bool failed;

    pthread_mutex_lock(&q->lock);
    while (q->busy)
        pthread_cond_wait(&q->moved, &q->lock);
    failed = q->failed;
    pthread_mutex_unlock(&q->lock);
    return failed ? vf_error_pass(err, &q->err) : 0;
}

/* Writes what is there, or gives it to the thread.  Without a thread it only takes longer. */
static int hand_over(struct vf_pagequeue *q, struct vf_error *err)
{
    if (!q->runs && q->second)
        q->runs = vf_thread_start_small(&q->thread, "vf-index", STACK, write_loads, q, NULL) == 0;
    q->second = true;
    if (!q->runs)
        return write_load(q, &q->load[q->filling], err);
    if (wait_written(q, err) < 0)
        return -1;
    pthread_mutex_lock(&q->lock);
    q->filling = !q->filling;
    q->busy = true;
    pthread_cond_broadcast(&q->moved);
    pthread_mutex_unlock(&q->lock);
    return 0;
}

int vf_pagequeue_put(struct vf_pagequeue *q, const struct vf_key *key, struct vf_buf *value,
                     struct vf_error *err)
{
    struct load *l = &q->load[q->filling];
    struct vf_buf spare;
    struct page *p;

    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;

        p = reallocarray(l->page, cap, sizeof *p);
        if (!p) {
            vf_buf_free(value);
            return vf_error_nomem(err);
        }
        memset(p + l->cap, 0, (cap - l->cap) * sizeof *p);
        l->page = p;
        l->cap = cap;
    }
    p = &l->page[l->n++];
    spare = p->value;
    *p = (struct page){*key, *value};
    l->bytes += value->len;
    *value = spare;
    return l->bytes >= q->ix->limits.write_bytes ? hand_over(q, err) : 0;
}

int vf_pagequeue_finish(struct vf_pagequeue *q, struct vf_error *err)
{
    if (wait_written(q, err) < 0)
        return -1;
    return write_load(q, &q->load[q->filling], err);
}

void vf_pagequeue_free(struct vf_pagequeue *q)
{
    if (!q)
        return;
    if (q->runs) {
        pthread_mutex_lock(&q->lock);
        while (q->busy) /* what has begun ends */
            pthread_cond_wait(&q->moved, &q->lock);
        q->stop = true;
        pthread_cond_broadcast(&q->moved);
        pthread_mutex_unlock(&q->lock);
        (void)pthread_join(q->thread, NULL); /* cannot fail: it runs, and is nobody else's */
    }
    for (unsigned k = 0; k < 2; k++) {
        for (size_t i = 0; i < q->load[k].cap; i++)
            vf_buf_free(&q->load[k].page[i].value);
        free(q->load[k].page);
    }
    pthread_cond_destroy(&q->moved);
    pthread_mutex_destroy(&q->lock);
    free(q);
}
