/* The receiver's half of a migration: its threads and its messages. */
#include <string.h>

#include "core/checked.h"
#include "core/engine/receive_impl.h"
#include "core/thread.h"

/* A piece of the literal stream: into the decoder's buffer, when there is room. */
static int take_data(struct receiver *r, const struct vf_msg_data *m, struct vf_error *err)
{
    int rc;

    pthread_mutex_lock(&r->lock);
    while (!r->failed && r->data[0].len > RECV_DATA_BYTES)
        pthread_cond_wait(&r->fed, &r->lock);
    if (r->data[0].len == 0) /* else it knows already */
        pthread_cond_signal(&r->fed);
    rc = r->failed ? vf_error_set(err, VF_ERR_CANCELLED, 0, "given up")
                   : vf_buf_add(&r->data[0], m->bytes, m->len, err);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

/* The answer to our RECHECK goes to the verify thread, which waits for it. */
static int take_segments(struct receiver *r, struct vf_msg_segments *m, struct vf_error *err)
{
    struct recv_batch *b;
    int rc = -1;

    pthread_mutex_lock(&r->lock);
    b = vf_receiver_batch(r, m->batch, err);
    if (b && b->strong.run)
        (void)vf_error_set(err, VF_ERR_PROTOCOL, 0, "segments that were not asked for"); /* rc */
    else if (b) {
        free(b->strong.sha);
        b->strong = *m;
        pthread_cond_broadcast(&r->moved);
        rc = 0;
    }
    pthread_mutex_unlock(&r->lock);
    if (rc < 0)
        return -1;
    m->run = NULL; /* kept */
    m->sha = NULL;
    m->n = 0;
    return 0;
}

/* All batches have been announced: what a migration has to arrive at. */
static int take_end(struct receiver *r, const struct vf_msg_end *m, struct vf_error *err)
{
    bool ok;

    pthread_mutex_lock(&r->lock);
    ok = !r->end_seen && m->batches == r->announced;
    if (ok) {
        r->end_seen = true;
        memcpy(r->end_root, m->root, VF_SHA_LEN);
        pthread_cond_broadcast(&r->moved);
    }
    pthread_mutex_unlock(&r->lock);
    return ok ? 0 : vf_error_set(err, VF_ERR_PROTOCOL, 0, "the end does not fit the batches");
}

/* What the source asks about a batch, which nobody finishes until it is answered. */
static int walk(struct receiver *r, const struct vf_msg *m, struct vf_error *err)
{
    bool nodes = m->type == VF_MSG_NODES;
    struct recv_batch *b;
    int rc;

    pthread_mutex_lock(&r->lock);
    b = vf_receiver_batch(r, nodes ? m->nodes.batch : m->probes.batch, err);
    if (b)
        b->walking = true;
    pthread_mutex_unlock(&r->lock);
    if (!b)
        return -1;
    if (nodes)
        rc = vf_receiver_nodes(r, b, &m->nodes, err);
    else if (r->purpose == VF_FOR_COUNT)
        rc = vf_receiver_count_probes(r, b, &m->probes, err);
    else
        rc = vf_receiver_probes(r, b, &m->probes, err);
    pthread_mutex_lock(&r->lock);
    b->walking = false; /* where it was only counted, it is over already */
    pthread_cond_broadcast(&r->moved);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

/* One message.  1: a count has been answered, 0: go on, -1. */
static int handle(struct receiver *r, struct vf_msg *m, struct vf_error *err)
{
    bool count = r->purpose == VF_FOR_COUNT;

    switch (m->type) {
    case VF_MSG_BATCH:
        return vf_receiver_announced(r, &m->batch, err);
    case VF_MSG_NODES:
    case VF_MSG_PROBES:
        return walk(r, m, err);
    case VF_MSG_DATA:
        if (count)
            break;
        return take_data(r, &m->data, err);
    case VF_MSG_SEGMENTS:
        if (count)
            break;
        return take_segments(r, &m->segments, err);
    case VF_MSG_END:
        if (!count)
            return take_end(r, &m->end, err);
        return vf_receiver_counts(r, err) < 0 ? -1 : 1;
    default:
        break;
    }
    return vf_error_set(err, VF_ERR_PROTOCOL, 0, "the source sent message %d out of turn",
                        (int)m->type);
}

/* Receives until the end.  After the RESULT was sent, the source's hanging up is the expected end.
 */
static void receive(struct receiver *r)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_msg m;
    int rc = 0;

    while (rc == 0) {
        rc = r->st->ops->recv(r->st, &m, &err);
        if (rc == 0) {
            rc = handle(r, &m, &err);
            vf_msg_free(&m);
        }
    }
    if (rc < 0)
        vf_receiver_fail(r, &err); /* does nothing once r->ended is set */
}

static int run_threads(struct receiver *r, struct vf_error *err)
{
    void *(*const body[])(void *) = {vf_receiver_decode, vf_receiver_copy, vf_receiver_verify};
    struct vf_error why = VF_ERROR_INIT;
    pthread_t thread[3];
    unsigned n = 0;

    if (r->purpose == VF_FOR_MIGRATE)
        while (n < 3 && vf_thread_start(&thread[n], body[n], r, &why) == 0)
            n++;
    if (r->purpose == VF_FOR_MIGRATE && n < 3)
        vf_receiver_fail(r, &why);
    else
        receive(r);
    for (unsigned i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    if (!r->failed)
        return 0;
    return vf_error_pass(err, &r->err);
}

/* Takes the offer and answers it. */
static int accept_offer(struct receiver *r, struct vf_error *err)
{
    struct vf_msg offer, answer = {.type = VF_MSG_ACCEPT};
    bool count = r->purpose == VF_FOR_COUNT;
    int rc = -1;

    if (r->st->ops->recv(r->st, &offer, err) < 0)
        return -1;
    if (offer.type != VF_MSG_OFFER) {
        (void)vf_error_set(err, VF_ERR_PROTOCOL, 0, "expected an offer"); /* rc is -1 */
        goto out;
    }
    if (r->dest->ops->open(r->dest, &offer.offer, count, &r->part, &r->res, &r->sink, &r->leftover,
                           &answer.accept, err) < 0)
        goto out;
    r->size = offer.offer.size;
    r->blocks = vf_blocks_of(r->size);
    r->nimages = r->res ? r->res->ops->count(r->res) : 0;
    answer.accept.empty = r->nimages == 0;
    answer.accept.quotes = r->part != NULL;
    r->donor = vf_calloc(r->nimages, sizeof *r->donor, err);
    if (r->donor)
        rc = r->st->ops->send(r->st, &answer, err);
out:
    vf_msg_free(&offer);
    vf_msg_free(&answer);
    return rc;
}

static int start_count(struct receiver *r, struct vf_error *err)
{
    if (r->purpose != VF_FOR_COUNT)
        return 0;
    r->prints = vf_numbers_new(UINT64_C(64) << 20, r->dest->ops->tmpdir(r->dest), err);
    return r->prints ? 0 : -1;
}

int vf_receive(struct vf_stream *st, enum vf_purpose purpose, unsigned window_log,
               struct vf_dest *dest, struct vf_error *err)
{
    struct receiver *r = vf_calloc(1, sizeof *r, err);
    struct vf_error e = VF_ERROR_INIT;
    int rc = -1;

    if (!r)
        return -1;
    r->st = st;
    r->purpose = purpose;
    r->window_log = window_log;
    r->dest = dest;
    r->leftover = -1;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->moved, NULL);
    pthread_cond_init(&r->fed, NULL);
    if (accept_offer(r, &e) < 0 || start_count(r, &e) < 0)
        vf_receiver_fail(r, &e);
    else
        rc = run_threads(r, &e);
    if (rc < 0)
        (void)vf_error_pass(err, &e); /* rc says it */
    if (r->sink)
        r->sink->ops->abort(r->sink);
    for (size_t i = 0; i < VF_BATCHES_OPEN; i++)
        vf_receiver_clear(r, &r->batch[i]);
    vf_buf_free(&r->data[0]);
    vf_buf_free(&r->data[1]);
    vf_numbers_free(r->prints);
    free(r->donor);
    pthread_cond_destroy(&r->fed);
    pthread_cond_destroy(&r->moved);
    pthread_mutex_destroy(&r->lock);
    free(r);
    return rc;
}
