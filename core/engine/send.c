/* The source's half of a migration: its threads and the order of a conversation. */
#include <string.h>

#include "core/checked.h"
#include "core/engine/send_impl.h"
#include "core/thread.h"

static int send_end(struct sender *s, struct vf_error *err)
{
    struct vf_msg m = {.type = VF_MSG_END};

    m.end.batches = s->announced;
    m.end.zero_blocks = s->info.zero_blocks;
    memcpy(m.end.root, s->info.root, VF_SHA_LEN);
    return s->st->ops->send(s->st, &m, err);
}

/* All of the map has been given to the sink: what is left of its work is done while literals still
 * travel. */
static int complete_map(struct sender *s, struct vf_map_info *info, struct vf_error *err)
{
    if (!s->sink)
        return 0;
    if (s->sink->ops->complete(s->sink, info, err) < 0)
        return -1;
    pthread_mutex_lock(&s->lock);
    s->info.distinct_blocks = info->distinct_blocks;
    s->mapped = true;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

static void *walk(void *arg)
{
    struct sender *s = arg;
    struct vf_error err = VF_ERROR_INIT;
    struct vf_map_info info;

    pthread_setname_np(pthread_self(), "vf-walk");
    if (vf_source_run(s->image, s->map, s->sink, s->opts->workers, vf_sender_announce, s,
                      s->opts->stop, &info, &err) < 0) {
        vf_sender_fail(s, &err);
        return NULL;
    }
    pthread_mutex_lock(&s->lock);
    s->info = info;
    s->source_ended = true;
    pthread_cond_broadcast(&s->moved);
    pthread_mutex_unlock(&s->lock);
    /* The sooner the receiver knows what it has to arrive at, the less is left to say at the end.
     */
    if ((!s->opts->count_only && send_end(s, &err) < 0) || complete_map(s, &info, &err) < 0)
        vf_sender_fail(s, &err);
    return NULL;
}

/* Waits until all batches are done, then ends a count. */
static void *end_count(void *arg)
{
    struct sender *s = arg;
    struct vf_error err = VF_ERROR_INIT;
    bool go;

    pthread_setname_np(pthread_self(), "vf-count");
    pthread_mutex_lock(&s->lock);
    while (!s->failed && !vf_sender_stopped(s) && !(s->source_ended && s->done == s->announced))
        vf_sender_wait(s, &s->moved);
    go = !s->failed && !vf_sender_stopped(s);
    pthread_mutex_unlock(&s->lock);
    if (!go)
        (void)vf_error_set(&err, VF_ERR_CANCELLED, 0, "interrupted"); /* unless another was first */
    if (!go || send_end(s, &err) < 0)
        vf_sender_fail(s, &err);
    return NULL;
}

/* How many blocks may hold data, as far as the image can tell without being read: what the receiver
 * must have room for. */
static int data_bound(struct vf_image *image, uint64_t *ret, struct vf_error *err)
{
    uint64_t blocks = vf_blocks_of(image->size);
    struct vf_extent e;

    *ret = 0;
    for (uint64_t off = 0; off < image->size; off = e.off + e.len) {
        if (vf_image_next_extent(image, off, &e, err) < 0)
            return -1;
        if (!e.zero)
            *ret += vf_blocks_of(e.off % VF_BLOCK + e.len);
    }
    *ret = *ret < blocks ? *ret : blocks; /* a block may lie in two extents */
    return 0;
}

int vf_send_offer(struct vf_image *image, struct vf_map *map, const struct vf_send_opts *opts,
                  struct vf_msg_offer *ret, struct vf_error *err)
{
    struct vf_msg_offer o = {.size = image->size,
                             .cluster_size = opts->cluster_size,
                             .flags = opts->replace ? VF_OFFER_REPLACE : 0,
                             .name = vf_strdup(opts->name, err),
                             .format = vf_strdup(opts->format, err)};
    struct vf_map_info info;
    int rc = o.name && o.format ? 0 : -1;

    if (rc == 0 && !map)
        rc = data_bound(image, &o.data_blocks, err);
    if (rc == 0 && map && (rc = map->ops->info(map, &info, err)) == 0) {
        o.data_blocks = info.blocks - info.zero_blocks;
        o.flags |= VF_OFFER_ROOT;
        memcpy(o.root, info.root, VF_SHA_LEN);
    }
    if (rc < 0)
        vf_send_offer_free(&o);
    else
        *ret = o;
    return rc;
}

void vf_send_offer_free(struct vf_msg_offer *offer)
{
    struct vf_msg m = {.type = VF_MSG_OFFER, .offer = *offer};

    vf_msg_free(&m);
    *offer = m.offer;
}

static int offer(struct sender *s, struct vf_error *err)
{
    struct vf_msg m = {.type = VF_MSG_OFFER};
    int rc;

    if (vf_send_offer(s->image, s->map, s->opts, &m.offer, err) < 0)
        return -1;
    s->now.data_blocks = m.offer.data_blocks;
    rc = s->st->ops->send(s->st, &m, err);
    vf_msg_free(&m);
    return rc;
}

/* Sends the offer, if that was not done before, and waits for the answer. */
static int be_accepted(struct sender *s, struct vf_error *err)
{
    struct vf_msg answer;
    int rc = 0;

    if ((!s->opts->offered && offer(s, err) < 0) || s->st->ops->recv(s->st, &answer, err) < 0)
        return -1;
    if (answer.type == VF_MSG_ACCEPT) {
        s->walk = !answer.accept.empty;
        s->quotes = answer.accept.quotes;
    } else
        rc = vf_error_set(err, VF_ERR_PROTOCOL, 0, "the far end answered an offer with message %d",
                          (int)answer.type);
    vf_msg_free(&answer);
    return rc;
}

/* Handles one message.  1: that was the last one, 0: go on, -1. */
static int handle(struct sender *s, struct vf_msg *m, struct vf_error *err)
{
    switch (m->type) {
    case VF_MSG_HAVE:
        return vf_sender_have(s, &m->have, err);
    case VF_MSG_DONE:
        return vf_sender_done(s, m->done.batch, err);
    case VF_MSG_RECHECK:
        return vf_sender_recheck(s, m->recheck.batch, err);
    case VF_MSG_REPAIR:
        return vf_sender_repair(s, &m->repair, err);
    case VF_MSG_COUNTS:
        if (!s->opts->count_only)
            break;
        s->ret->counts = m->counts;
        memset(&m->counts, 0, sizeof m->counts); /* handed over */
        return 1;
    case VF_MSG_RESULT:
        if (s->opts->count_only || !s->source_ended)
            break;
        s->ret->peer = m->result;
        memset(&m->result, 0, sizeof m->result); /* handed over */
        return 1;
    default:
        break;
    }
    return vf_error_set(err, VF_ERR_PROTOCOL, 0, "the far end sent message %d out of turn",
                        (int)m->type);
}

/* The next received message, to be freed by the caller; NULL when the conversation has failed. */
static struct vf_msg *next_message(struct sender *s)
{
    struct vf_msg *m = NULL;

    pthread_mutex_lock(&s->lock);
    while (!s->failed && s->inbox_n == 0)
        pthread_cond_wait(&s->arrived, &s->lock);
    if (!s->failed) {
        m = s->inbox[s->inbox_at];
        s->inbox_at = (s->inbox_at + 1) % SEND_INBOX;
        s->inbox_n--;
    }
    pthread_mutex_unlock(&s->lock);
    return m;
}

/* Handles answers, which may mean to send: a thread of its own, so that receiving never waits for
 * sending.  Were they one, two sides whose buffers are full of each other's messages would wait for
 * ever. */
static void *answers(void *arg)
{
    struct sender *s = arg;
    struct vf_error err = VF_ERROR_INIT;
    struct vf_msg *m;
    int rc = 0;

    pthread_setname_np(pthread_self(), "vf-answers");
    while (rc == 0 && (m = next_message(s))) {
        rc = handle(s, m, &err);
        vf_msg_free(m);
        free(m);
        vf_sender_progress(s, false);
    }
    if (rc < 0)
        vf_sender_fail(s, &err);
    return NULL;
}

static void *send_out(void *arg)
{
    struct sender *s = arg;
    struct vf_error err = VF_ERROR_INIT;

    pthread_setname_np(pthread_self(), "vf-out");
    if (vf_send_out_run(&s->out, &err) < 0)
        vf_sender_fail(s, &err);
    return NULL;
}

/* Receives until the last message has come. */
static void receive(struct sender *s)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_msg *m;
    bool last = false, ok = true;

    while (ok && !last) {
        m = vf_calloc(1, sizeof *m, &err);
        if (!m || s->st->ops->recv(s->st, m, &err) < 0) {
            free(m);
            break;
        }
        last = m->type == VF_MSG_RESULT || m->type == VF_MSG_COUNTS;
        pthread_mutex_lock(&s->lock);
        ok = s->inbox_n < SEND_INBOX;
        if (ok)
            s->inbox[(s->inbox_at + s->inbox_n++) % SEND_INBOX] = m;
        pthread_cond_signal(&s->arrived);
        pthread_mutex_unlock(&s->lock);
        if (!ok) {
            (void)vf_error_set(&err, VF_ERR_PROTOCOL, 0,
                               "the far end sends more than was asked"); /* below */
            vf_msg_free(m);
            free(m);
        }
    }
    if (!last)
        vf_sender_fail(s, &err);
}

/* Was it the connection that failed, or the far end's process, and not the image or the copy? */
static bool lost(const struct sender *s)
{
    return s->failed && (s->err.code == VF_ERR_UNREACHABLE || s->err.code == VF_ERR_TIMEOUT);
}

static int run_threads(struct sender *s, struct vf_error *err)
{
    void *(*const body[])(void *) = {walk, answers,
                                     s->opts->count_only ? end_count : vf_sender_literals,
                                     vf_sender_pack, send_out};
    unsigned n = 0, all = s->opts->count_only ? 3 : 5;
    struct vf_error why = VF_ERROR_INIT;
    pthread_t thread[5];

    while (n < all && vf_thread_start(&thread[n], body[n], s, &why) == 0)
        n++;
    if (n < all)
        vf_sender_fail(s, &why);
    else
        receive(s);
    for (unsigned i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    for (; s->inbox_n; s->inbox_n--, s->inbox_at = (s->inbox_at + 1) % SEND_INBOX) {
        vf_msg_free(s->inbox[s->inbox_at]);
        free(s->inbox[s->inbox_at]);
    }
    while (s->nidle)
        vf_send_record_free(s->idle[--s->nidle]);
    for (; s->record_n; s->record_n--, s->record_at = (s->record_at + 1) % SEND_RECORDS)
        vf_send_record_free(s->record[s->record_at]);
    s->ret->literal_stream_bytes = s->out.sent;
    if (!s->failed)
        return 0;
    if (!lost(s))
        vf_stream_fail(s->st, &s->err); /* so that the receiver can say why it ended */
    return vf_error_pass(err, &s->err);
}

/* The receiver said that its copy is good: it must have the root that we have. */
static int check_result(struct sender *s, struct vf_error *err)
{
    const struct vf_msg_result *r = &s->ret->peer;

    if (!s->opts->count_only && (!r->verified || memcmp(r->root, s->info.root, VF_SHA_LEN) != 0))
        return vf_error_set(err, VF_ERR_MISMATCH, 0, "the copy of '%s' did not verify",
                            s->opts->name);
    return 0;
}

/* The conversation after WELCOME; s->sink is still to be committed or aborted. */
static int converse(struct sender *s, struct vf_error *err)
{
    if (be_accepted(s, err) < 0)
        return -1;
    if (s->opts->offered)
        s->now.data_blocks = s->opts->data_blocks;
    s->now.blocks = s->blocks;
    s->now.phase = "sending";
    if (run_threads(s, err) < 0 || check_result(s, err) < 0)
        return -1;
    s->now.phase = "done";
    vf_sender_progress(s, true);
    return 0;
}

int vf_send(struct vf_stream *st, const struct vf_msg_welcome *welcome, struct vf_image *image,
            struct vf_map *map, struct vf_map_sink *sink, const struct vf_send_opts *opts,
            struct vf_send_result *ret, struct vf_error *err)
{
    struct sender *s = vf_calloc(1, sizeof *s, err);
    struct vf_send_opts o = *opts;
    int rc = -1;

    memset(ret, 0, sizeof *ret);
    if (s) {
        s->budget = vf_budget_source(o.memory);
        if (s->budget.window_log > welcome->window_log)
            s->budget.window_log = welcome->window_log;
        s->st = st;
        s->image = image;
        s->map = map;
        s->sink = sink;
        s->opts = &o;
        s->ret = ret;
        s->blocks = vf_blocks_of(image->size);
        pthread_mutex_init(&s->lock, NULL);
        pthread_cond_init(&s->moved, NULL);
        pthread_cond_init(&s->arrived, NULL);
        pthread_cond_init(&s->handed, NULL);
        vf_send_out_init(&s->out, st, s->budget.pieces);
        rc = converse(s, err);
        for (size_t i = 0; i < VF_BATCHES_OPEN; i++)
            vf_send_slot_clear(&s->slot[i]);
        vf_send_out_free(&s->out);
        pthread_cond_destroy(&s->handed);
        pthread_cond_destroy(&s->arrived);
        pthread_cond_destroy(&s->moved);
        pthread_mutex_destroy(&s->lock);
    }
    if (rc == 0)
        ret->info = s->info;
    if (sink && rc == 0)
        rc = sink->ops->commit(sink, &ret->info, err);
    else if (sink && s && s->mapped && lost(s))
        (void)sink->ops->commit(sink, &s->info, NULL); /* the next try need not read for it */
    else if (sink)
        sink->ops->abort(sink);
    free(s);
    vf_send_ahead_free(o.ahead);
    if (rc < 0)
        vf_send_result_free(ret);
    return rc;
}

void vf_send_result_free(struct vf_send_result *r)
{
    struct vf_msg m = {.type = VF_MSG_RESULT, .result = r->peer};
    struct vf_msg c = {.type = VF_MSG_COUNTS, .counts = r->counts};

    vf_msg_free(&m);
    vf_msg_free(&c);
    memset(r, 0, sizeof *r);
}
