/* index/tap.c - fingerprints on their way from the thread that finds them to one that compares
 * them. */
#include "index/tap.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"

#define ROOM 16384u /* fingerprints in each of two buffers */

struct vf_index_tap {
    struct vf_print *filling; /* the sink's alone */
    size_t filled;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t moved;
    struct vf_print *full; /* [at..n) wait to be taken */
    size_t at, n;
    bool ended, all, left;
};

struct vf_index_tap *vf_tap_new(struct vf_error *err)
{
    struct vf_index_tap *w = vf_calloc(1, sizeof *w, err);

    if (!w)
        return NULL;
    (void)pthread_mutex_init(&w->lock, NULL); /* these do not fail on Linux */
    (void)pthread_cond_init(&w->moved, NULL);
    w->filling = vf_calloc(ROOM, sizeof *w->filling, err);
    w->full = vf_calloc(ROOM, sizeof *w->full, err);
    if (w->filling && w->full)
        return w;
    vf_index_tap_free(w);
    return NULL;
}

void vf_index_tap_free(struct vf_index_tap *w)
{
    if (!w)
        return;
    free(w->filling);
    free(w->full);
    pthread_cond_destroy(&w->moved);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

/* ---- the sink's side ---- */

/* Gives what is filled to the other side, once that has taken what it was given before. */
static void hand_over(struct vf_index_tap *w)
{
    struct vf_print *full;

    pthread_mutex_lock(&w->lock);
    while (w->at < w->n && !w->left)
        pthread_cond_wait(&w->moved, &w->lock);
    full = w->full;
    w->full = w->filling;
    w->at = 0;
    w->n = w->filled;
    pthread_cond_broadcast(&w->moved);
    pthread_mutex_unlock(&w->lock);
    w->filling = full;
    w->filled = 0;
}

void vf_tap_put(struct vf_index_tap *w, const struct vf_lists_prints *p)
{
    for (size_t i = 0; i < p->n; i++) {
        const uint32_t count = p->count[i] < UINT32_MAX ? (uint32_t)p->count[i] : UINT32_MAX;

        w->filling[w->filled++] = (struct vf_print){p->fp[i], count};
        if (w->filled == ROOM)
            hand_over(w);
    }
}

void vf_tap_end(struct vf_index_tap *w, bool all)
{
    if (all && w->filled)
        hand_over(w);
    pthread_mutex_lock(&w->lock);
    if (!w->ended) {
        w->ended = true;
        w->all = all;
    }
    pthread_cond_broadcast(&w->moved);
    pthread_mutex_unlock(&w->lock);
}

/* ---- the other side ---- */

long vf_index_tap_next(void *tap, struct vf_print *ret, size_t max, struct vf_error *err)
{
    struct vf_index_tap *w = tap;
    bool failed;
    size_t n;

    pthread_mutex_lock(&w->lock);
    while (w->at == w->n && !w->ended)
        pthread_cond_wait(&w->moved, &w->lock);
    failed = w->ended && !w->all;
    n = w->n - w->at < max ? w->n - w->at : max;
    if (n)
        memcpy(ret, w->full + w->at, n * sizeof *ret);
    w->at += n;
    if (w->at == w->n)
        pthread_cond_broadcast(&w->moved);
    pthread_mutex_unlock(&w->lock);
    if (failed)
        return vf_error_set(err, VF_ERR_CANCELLED, 0, "the new map could not be completed");
    return (long)n;
}

void vf_index_tap_leave(struct vf_index_tap *w)
{
    pthread_mutex_lock(&w->lock);
    w->left = true;
    pthread_cond_broadcast(&w->moved);
    pthread_mutex_unlock(&w->lock);
}
