/* The source's half: what was packed waits here for the link. */
#include "core/engine/send_out.h"

#include <stdlib.h>
#include <string.h>

#include "core/checked.h"

void vf_send_out_init(struct vf_send_out *o, struct vf_stream *st, unsigned most)
{
    memset(o, 0, sizeof *o);
    o->st = st;
    o->most = most;
    o->room = VF_SEND_OUT_WEAK;
    (void)pthread_mutex_init(&o->lock, NULL); /* these do not fail on Linux */
    (void)pthread_cond_init(&o->moved, NULL);
}

void vf_send_out_free(struct vf_send_out *o)
{
    for (; o->n; o->n--, o->at = (o->at + 1) % VF_SEND_OUT)
        free(o->piece[o->at].bytes);
    while (o->nspare)
        free(o->spare[--o->nspare]);
    pthread_cond_destroy(&o->moved);
    pthread_mutex_destroy(&o->lock);
}

/* ---- the packer's side ---- */

/* Waits until there is room; *ret_spare is a buffer, or NULL when there is none. */
static int wait_room(struct vf_send_out *o, uint8_t **ret_spare, struct vf_error *err)
{
    bool stopped;

    pthread_mutex_lock(&o->lock);
    while (!o->stopped && o->n >= o->room)
        pthread_cond_wait(&o->moved, &o->lock);
    stopped = o->stopped;
    *ret_spare = o->nspare ? o->spare[--o->nspare] : NULL;
    pthread_mutex_unlock(&o->lock);
    if (!stopped)
        return 0;
    free(*ret_spare);
    return vf_error_set(err, VF_ERR_CANCELLED, 0, "given up");
}

int vf_send_out_take(void *out, uint8_t **buffer, size_t len, struct vf_error *err)
{
    struct vf_send_out *o = out;
    uint8_t *spare;

    if (wait_room(o, &spare, err) < 0)
        return -1;
    if (!spare && !(spare = vf_calloc(VF_PACK_OUT, 1, err)))
        return -1;
    pthread_mutex_lock(&o->lock);
    o->piece[(o->at + o->n++) % VF_SEND_OUT] = (struct vf_send_piece){*buffer, len};
    pthread_cond_broadcast(&o->moved);
    pthread_mutex_unlock(&o->lock);
    *buffer = spare;
    return 0;
}

struct vf_stock vf_send_out_stock(void *out)
{
    struct vf_send_out *o = out;
    struct vf_stock ret;

    pthread_mutex_lock(&o->lock);
    ret = (struct vf_stock){o->n, o->room, o->sent};
    pthread_mutex_unlock(&o->lock);
    return ret;
}

void vf_send_out_room(struct vf_send_out *o, bool strong)
{
    pthread_mutex_lock(&o->lock);
    o->room = strong ? o->most : VF_SEND_OUT_WEAK;
    pthread_mutex_unlock(&o->lock);
}

/* Sets over or stopped, and wakes both sides. */
static void say(struct vf_send_out *o, bool *what)
{
    pthread_mutex_lock(&o->lock);
    *what = true;
    pthread_cond_broadcast(&o->moved);
    pthread_mutex_unlock(&o->lock);
}

void vf_send_out_end(struct vf_send_out *o) { say(o, &o->over); }

void vf_send_out_stop(struct vf_send_out *o) { say(o, &o->stopped); }

/* ---- the link's side ---- */

/* The next piece, which stays where it is; NULL: there are no more. */
static const struct vf_send_piece *next(struct vf_send_out *o)
{
    const struct vf_send_piece *p = NULL;

    pthread_mutex_lock(&o->lock);
    while (!o->stopped && !o->over && !o->n)
        pthread_cond_wait(&o->moved, &o->lock);
    if (!o->stopped && o->n)
        p = &o->piece[o->at];
    pthread_mutex_unlock(&o->lock);
    return p;
}

static void gone(struct vf_send_out *o, const struct vf_send_piece *p)
{
    pthread_mutex_lock(&o->lock);
    o->spare[o->nspare++] = p->bytes;
    o->sent += p->len;
    o->at = (o->at + 1) % VF_SEND_OUT;
    o->n--;
    pthread_cond_broadcast(&o->moved);
    pthread_mutex_unlock(&o->lock);
}

int vf_send_out_run(struct vf_send_out *o, struct vf_error *err)
{
    const struct vf_send_piece *p;

    while ((p = next(o))) {
        struct vf_msg m = {.type = VF_MSG_DATA, .data = {p->len, p->bytes}};

        if (o->st->ops->send(o->st, &m, err) < 0)
            return -1;
        gone(o, p);
    }
    return 0;
}
