/* cmd/similar/survey_tell.c - asks nodes for summaries, and what they say of themselves. */
#include "cmd/similar/survey_impl.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/report.h"
#include "cmd/similar/tell.h"
#include "core/checked.h"
#include "core/similar/rank.h"

/* A summary may be long and the link slow: so many seconds more once a node has begun to answer. */
#define TELLING 60.0

static enum vf_rank_why why_silent(const struct vf_error *why)
{
    if (why->code == VF_ERR_DENIED && strstr(why->msg, "sharing group"))
        return VF_RANK_GROUP;
    if (why->code == VF_ERR_PROTOCOL && strstr(why->msg, "version"))
        return VF_RANK_VERSION;
    return VF_RANK_SILENT;
}

static enum vf_rank_why why_not(enum vf_err taken)
{
    switch (taken) {
    case VF_ERR_NONE:
        return VF_RANK_CAN;
    case VF_ERR_EXISTS:
        return VF_RANK_EXISTS;
    case VF_ERR_SPACE:
        return VF_RANK_SPACE;
    case VF_ERR_UNSUPPORTED:
    case VF_ERR_FORMAT:
        return VF_RANK_FORMAT;
    default:
        return VF_RANK_RIGHTS;
    }
}

/* What a node says of itself in WELCOME. */
static void take_welcome(struct vf_candidate *node, struct vf_msg_welcome *w)
{
    node->reached = true;
    node->free_bytes = w->free_bytes;
    node->writable = w->writable;
    node->resident = w->resident_images > 0;
    free(node->dir);
    node->dir = w->dir;
    w->dir = NULL; /* handed over */
}

/* What the jobs share; read only for them, but for each its node. */
struct telling {
    const struct vf_reach *reach;
    const char *group;
    int store_fd;
    double deadline;
    enum vf_summary_size size;
    const struct vf_msg_offer *offer; /* an image that is to come, or NULL */
    const struct vf_sketch *sketch;   /* of the image that is compared, or NULL */
    const uint8_t *root;
    struct vf_candidates *nodes;
};

/* The summary in the node's own fields. */
static int take_summary(const struct telling *t, struct vf_candidate *node, struct vf_told *told,
                        struct vf_error *err)
{
    if (vf_summary_parse(told->summary.data, told->summary.len, &node->summary, err) < 0)
        return -1;
    node->held = vf_summary_group(&node->summary, t->group);
    if (!node->held ||
        (t->sketch && vf_summary_compare(told->summary.data, told->summary.len, t->group, t->sketch,
                                         t->root, &node->likeness, err) != VF_SUMMARY_COMPARED))
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "its summary lacks the group that was asked");
    node->told = true;
    node->told_bytes = told->bytes;
    node->told_how = told->answer;
    node->why_not = why_not(told->taken);
    node->reason = told->why && *told->why ? told->why : NULL;
    if (node->reason)
        told->why = NULL; /* handed over */
    if (node->why_not == VF_RANK_CAN && !node->writable)
        node->why_not = VF_RANK_RIGHTS;
    return 0;
}

static int tell_over(const struct telling *t, struct vf_peer *peer, struct vf_candidate *node,
                     struct vf_error *err)
{
    struct vf_tell_opts opts = {.store_fd = t->store_fd,
                                .target = &node->target,
                                .group = t->group,
                                .size = t->size,
                                .offer = t->offer};
    struct vf_told told;
    int rc;

    take_welcome(node, &peer->welcome);
    if (vf_tell_ask(peer, &opts, &told, err) < 0) {
        vf_peer_why(peer, err);
        return -1;
    }
    rc = take_summary(t, node, &told, err);
    vf_told_free(&told);
    return rc;
}

static int tell_one(void *ctx, size_t i, struct vf_ask_job *job, struct vf_error *err)
{
    const struct telling *t = ctx;
    struct vf_candidate *node = &t->nodes->node[i];
    struct vf_error why = VF_ERROR_INIT;
    struct vf_peer peer = {0};
    int rc = vf_peer_open(vf_ask_cli(job), &node->target, t->reach, VF_FOR_SUMMARY, t->group, NULL,
                          &peer, &why);

    if (rc == 0) {
        vf_ask_more(job, TELLING);
        rc = tell_over(t, &peer, node, &why);
        vf_peer_close(&peer, rc == 0 ? NULL : &why);
    }
    if (rc == 0)
        return 0;
    if (vf_ask_failed(job, &why, err) < 0)
        return -1;
    node->why = why;
    node->why_not = why_silent(&why);
    return 0;
}

static int tell_all(const struct vf_cli *cli, struct telling *t, struct vf_error *err)
{
    struct vf_ask ask = {
        .cli = cli, .n = t->nodes->n, .deadline = t->deadline, .fn = tell_one, .ctx = t};

    if (vf_ask_all(&ask, err) < 0)
        return -1;
    for (size_t i = 0; i < t->nodes->n && t->nodes->n > 1; i++)
        if (!t->nodes->node[i].told)
            vf_say(cli, "%s: %s", t->nodes->node[i].label, t->nodes->node[i].why.msg);
    return 0;
}

int vf_survey_tell(const struct vf_cli *cli, const struct vf_survey_tell *opts,
                   struct vf_candidates *nodes, struct vf_error *err)
{
    struct telling t = {.reach = opts->reach,
                        .group = opts->group,
                        .store_fd = opts->store_fd,
                        .deadline = opts->deadline,
                        .size = VF_SUMMARY_FULL,
                        .nodes = nodes};

    return tell_all(cli, &t, err);
}

/* Asks all about the image of a survey. */
static int tell_of(struct vf_survey *s, struct vf_error *err)
{
    const struct vf_count *c = s->count;
    struct vf_msg_offer offer = {.size = c->image->size,
                                 .data_blocks = s->info.blocks - s->info.zero_blocks,
                                 .flags = VF_OFFER_ROOT | (c->replace ? VF_OFFER_REPLACE : 0)};
    struct telling t = {.reach = c->reach,
                        .group = c->group,
                        .store_fd = s->store_fd,
                        .deadline = c->deadline,
                        .size = s->size,
                        .sketch = &s->sketch,
                        .root = s->info.root,
                        .nodes = s->nodes};
    int rc = 0;

    memcpy(offer.root, s->info.root, VF_SHA_LEN);
    if (c->name) {
        offer.name = vf_strdup(c->name, err);
        offer.format = vf_strdup(c->format, err);
        t.offer = &offer;
        rc = offer.name && offer.format ? 0 : -1;
    }
    if (rc == 0)
        rc = tell_all(c->cli, &t, err);
    free(offer.name);
    free(offer.format);
    return rc;
}

/* What they said when another image was asked about. */
static int tell_again(struct vf_survey *s, struct vf_error *err)
{
    for (size_t i = 0; i < s->nodes->n; i++) {
        struct vf_candidate *node = &s->nodes->node[i];
        const struct vf_candidate *old = &s->told->node[i];

        node->why = old->why;
        node->why_not = old->why_not;
        node->reached = old->reached;
        node->free_bytes = old->free_bytes;
        node->writable = old->writable;
        node->resident = old->resident;
        node->told = old->told;
        node->held = old->held;
        free(node->dir);
        node->dir = old->dir ? vf_strdup(old->dir, err) : NULL;
        if (old->dir && !node->dir)
            return -1;
        if (!old->told)
            continue;
        if (vf_summary_same(&old->summary, s->count->group, s->info.root))
            vf_likeness_same(&s->sketch, &node->likeness);
        else
            vf_sketch_compare(&s->sketch, &old->held->held, &node->likeness);
    }
    return 0;
}

int vf_survey_ask(struct vf_survey *s, struct vf_error *err)
{
    return s->told ? tell_again(s, err) : tell_of(s, err);
}
