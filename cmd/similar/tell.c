/* cmd/similar/tell.c - summaries over the protocol, with a cache at one end and deltas at the
 * other. */
#include "cmd/similar/tell.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/dest.h"
#include "cmd/peer.h"
#include "core/checked.h"
#include "core/hash/digest.h"
#include "core/similar/delta.h"

void vf_told_free(struct vf_told *t)
{
    vf_buf_free(&t->summary);
    free(t->why);
    memset(t, 0, sizeof *t);
}

/* ---- the one who asks ---- */

/* What stands for the node and the question in the cache. */
static char *cache_key(const struct vf_tell_opts *o, struct vf_error *err)
{
    char *node = vf_target_text(o->target, err);
    char *key = node ? vf_strf(err, "%s\n%s\n%d", node, o->group, (int)o->size) : NULL;

    free(node);
    return key;
}

/* What the node told before, if that is known and good; nothing is lost without it. */
static void load_old(const struct vf_tell_opts *o, const char *key, struct vf_buf *ret,
                     struct vf_msg_ask *ask)
{
    struct vf_summary_head head;
    struct vf_buf sig = VF_BUF_INIT;

    if (o->store_fd < 0 || vf_summary_cache_load(o->store_fd, key, ret, NULL) != 1)
        return;
    if (vf_summary_head(ret->data, ret->len, &head, NULL) < 0 || head.size != o->size ||
        vf_delta_signature(ret->data, ret->len, &sig, NULL) < 0 || sig.len > VF_MAX_SIGNATURE) {
        vf_buf_free(&sig);
        vf_buf_free(ret);
        return;
    }
    ask->flags |= VF_ASK_KNOWN;
    ask->generation = head.generation;
    ask->signature = sig.data; /* handed over */
    ask->signature_len = sig.len;
}

static int fill_offer(const struct vf_msg_offer *offer, struct vf_msg_ask *ask,
                      struct vf_error *err)
{
    if (!offer)
        return 0;
    ask->flags |= VF_ASK_OFFER;
    if (offer->flags & VF_OFFER_REPLACE)
        ask->flags |= VF_ASK_REPLACE;
    if (offer->flags & VF_OFFER_ROOT) {
        ask->flags |= VF_ASK_ROOT;
        memcpy(ask->root, offer->root, VF_SHA_LEN);
    }
    ask->size = offer->size;
    ask->data_blocks = offer->data_blocks;
    ask->name = vf_strdup(offer->name, err);
    ask->format = vf_strdup(offer->format, err);
    return ask->name && ask->format ? 0 : -1;
}

static int recv_type(struct vf_stream *st, enum vf_msg_type type, struct vf_msg *ret,
                     struct vf_error *err)
{
    if (st->ops->recv(st, ret, err) < 0)
        return -1;
    if (ret->type == type)
        return 0;
    vf_msg_free(ret);
    return vf_error_set(err, VF_ERR_PROTOCOL, 0, "the far end sent message %d out of turn",
                        (int)ret->type);
}

/* The order of messages guarantees that PARTs never exceed len. */
static int recv_parts(struct vf_stream *st, uint64_t len, struct vf_buf *ret, struct vf_error *err)
{
    struct vf_msg m;
    int rc = 0;

    while (rc == 0 && ret->len < len) {
        if (recv_type(st, VF_MSG_PART, &m, err) < 0)
            return -1;
        rc = vf_buf_add(ret, m.part.bytes, m.part.len, err);
        vf_msg_free(&m);
    }
    return rc;
}

static int sha_of(const struct vf_buf *b, uint8_t ret[VF_SHA_LEN], struct vf_error *err)
{
    struct vf_sha *s = vf_sha_new(err);
    int rc = s ? vf_sha_of(s, b->data, b->len, ret, err) : -1;

    vf_sha_free(s);
    return rc;
}

/* The summary out of what came and what was there. */
static int put_together(const struct vf_msg_summary *m, struct vf_buf *old, struct vf_buf *came,
                        struct vf_told *ret, struct vf_error *err)
{
    uint8_t sha[VF_SHA_LEN];
    struct vf_buf none = VF_BUF_INIT;

    if (m->answer == VF_ANSWER_SAME) {
        ret->summary = *old;
        *old = none; /* handed over */
        return 0;
    }
    if (m->answer == VF_ANSWER_DELTA)
        return vf_delta_apply(old->data, old->len, came->data, came->len, VF_MAX_SUMMARY, m->sha,
                              &ret->summary, err);
    ret->summary = *came;
    *came = none; /* handed over */
    if (sha_of(&ret->summary, sha, err) < 0)
        return -1;
    if (memcmp(sha, m->sha, sizeof sha) != 0)
        return vf_error_set(err, VF_ERR_MISMATCH, 0, "the far end's summary did not verify");
    return 0;
}

static int converse(struct vf_stream *st, const struct vf_msg *ask, struct vf_buf *old,
                    struct vf_told *ret, struct vf_error *err)
{
    struct vf_buf came = VF_BUF_INIT;
    struct vf_msg m;
    int rc;

    if (st->ops->send(st, ask, err) < 0 || recv_type(st, VF_MSG_SUMMARY, &m, err) < 0)
        return -1;
    if (m.summary.answer != VF_ANSWER_WHOLE && !(ask->ask.flags & VF_ASK_KNOWN))
        rc = vf_error_set(err, VF_ERR_PROTOCOL, 0, "the far end tells news of nothing");
    else
        rc = recv_parts(st, m.summary.len, &came, err);
    if (rc == 0)
        rc = put_together(&m.summary, old, &came, ret, err);
    if (rc == 0) {
        ret->answer = (enum vf_answer)m.summary.answer;
        ret->bytes = m.summary.len + ask->ask.signature_len;
        ret->taken =
            m.summary.taken < VF_ERR_COUNT_ ? (enum vf_err)m.summary.taken : VF_ERR_PROTOCOL;
        ret->why = m.summary.why;
        m.summary.why = NULL; /* handed over */
    }
    vf_buf_free(&came);
    vf_msg_free(&m);
    return rc;
}

int vf_tell_ask(struct vf_peer *peer, const struct vf_tell_opts *opts, struct vf_told *ret,
                struct vf_error *err)
{
    struct vf_msg m = {.type = VF_MSG_ASK, .ask = {.detail = (uint8_t)opts->size}};
    struct vf_told told = {.summary = VF_BUF_INIT};
    struct vf_buf old = VF_BUF_INIT;
    char *key = cache_key(opts, err);
    int rc = -1;

    if (!key || fill_offer(opts->offer, &m.ask, err) < 0)
        goto out;
    load_old(opts, key, &old, &m.ask);
    if (converse(peer->stream, &m, &old, &told, err) < 0)
        goto out;
    rc = 0;
    if (opts->store_fd >= 0 && told.answer != VF_ANSWER_SAME &&
        vf_summary_cache_save(opts->store_fd, key, told.summary.data, told.summary.len, NULL) < 0)
        rc = vf_summary_head(told.summary.data, told.summary.len,
                             &(struct vf_summary_head){{0}, 0, 0}, err); /* else: no room for it */
    if (rc == 0) {
        *ret = told;
        memset(&told, 0, sizeof told);
    }
out:
    vf_told_free(&told);
    vf_buf_free(&old);
    vf_msg_free(&m);
    free(key);
    return rc;
}

/* ---- the node ---- */

/* Would the image be taken?  Says so in *m. */
static void judge(struct vf_dest *dest, const struct vf_msg_ask *ask, struct vf_msg_summary *m)
{
    struct vf_error why = VF_ERROR_INIT;
    struct vf_msg_offer offer = {.size = ask->size,
                                 .data_blocks = ask->data_blocks,
                                 .flags = ask->flags & VF_ASK_REPLACE ? VF_OFFER_REPLACE : 0,
                                 .name = ask->name,
                                 .format = ask->format};

    if (ask->flags & VF_ASK_ROOT) {
        offer.flags |= VF_OFFER_ROOT;
        memcpy(offer.root, ask->root, VF_SHA_LEN);
    }
    if (!(ask->flags & VF_ASK_OFFER) || vf_dest_would_take(dest, &offer, &why) == 0)
        return;
    m->taken = (uint8_t)why.code;
    m->why = vf_strdup(why.msg, NULL);
    for (char *p = m->why; p && *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
}

/* The shorter of the news and the whole. */
static int choose_answer(const struct vf_msg_ask *ask, const struct vf_buf *whole,
                         struct vf_buf *delta, struct vf_msg_summary *m, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;

    m->answer = VF_ANSWER_WHOLE;
    m->len = whole->len;
    if (!(ask->flags & VF_ASK_KNOWN) || !whole->len)
        return 0;
    if (vf_delta_make(ask->signature, ask->signature_len, whole->data, whole->len, whole->len - 1,
                      delta, &why) == 0 &&
        delta->len) {
        m->answer = VF_ANSWER_DELTA;
        m->len = delta->len;
        return 0;
    }
    if (why.code == VF_ERR_NONE || why.code == VF_ERR_RANGE)
        return 0;
    return vf_error_pass(err, &why);
}

static int send_parts(struct vf_stream *st, const struct vf_buf *b, struct vf_error *err)
{
    for (size_t at = 0; at < b->len;) {
        size_t n = b->len - at < VF_MAX_DATA ? b->len - at : VF_MAX_DATA;
        struct vf_msg m = {.type = VF_MSG_PART, .part = {n, b->data + at}};

        if (st->ops->send(st, &m, err) < 0)
            return -1;
        at += n;
    }
    return 0;
}

static int answer(struct vf_stream *st, struct vf_index *index, struct vf_dest *dest,
                  const struct vf_msg_ask *ask, const char *group, struct vf_error *err)
{
    enum vf_summary_size size = (enum vf_summary_size)ask->detail;
    struct vf_msg m = {.type = VF_MSG_SUMMARY};
    struct vf_buf whole = VF_BUF_INIT, delta = VF_BUF_INIT;
    struct vf_summary_head head;
    uint64_t now;
    int rc = -1;

    judge(dest, ask, &m.summary);
    if (ask->flags & VF_ASK_KNOWN) {
        if (vf_index_summary_generation(index, size, &group, 1, NULL, &now, err) < 0)
            goto out;
        if (now == ask->generation) {
            m.summary.generation = now;
            rc = st->ops->send(st, &m, err);
            goto out;
        }
    }
    if (vf_index_summary(index, size, &group, 1, NULL, &whole, err) < 0 ||
        vf_summary_head(whole.data, whole.len, &head, err) < 0 ||
        sha_of(&whole, m.summary.sha, err) < 0 ||
        choose_answer(ask, &whole, &delta, &m.summary, err) < 0)
        goto out;
    m.summary.generation = head.generation;
    rc = st->ops->send(st, &m, err);
    if (rc == 0)
        rc = send_parts(st, m.summary.answer == VF_ANSWER_DELTA ? &delta : &whole, err);
out:
    vf_buf_free(&delta);
    vf_buf_free(&whole);
    vf_msg_free(&m);
    return rc;
}

int vf_tell_answer(struct vf_stream *st, struct vf_index *index, struct vf_dest *dest,
                   const char *group, struct vf_error *err)
{
    struct vf_msg m;
    int rc = recv_type(st, VF_MSG_ASK, &m, err);

    if (rc == 0) {
        rc = answer(st, index, dest, &m.ask, group, err);
        vf_msg_free(&m);
    }
    if (rc < 0)
        vf_stream_fail(st, err);
    return rc;
}
