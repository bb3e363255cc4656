/* cmd/similar/candidates.c - counts an image at nodes. */
#include "cmd/similar/candidates.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/progress.h"
#include "cmd/report.h"
#include "core/checked.h"

/* Counts at the same time: each holds some 20 MB of digests, and two or three fill a link. */
#define COUNT_PARALLEL 8u

static int add(struct vf_candidates *c, const char *label, const struct vf_inventory *nodes,
               struct vf_error *err)
{
    struct vf_candidate *more = reallocarray(c->node, c->n + 1, sizeof *more), *new;

    if (!more)
        return vf_error_nomem(err);
    c->node = more;
    new = &more[c->n];
    memset(new, 0, sizeof *new);
    new->label = vf_strdup(label, err);
    if (!new->label)
        return -1;
    if (vf_inventory_resolve(nodes, label, &new->target, err) < 0) {
        free(new->label);
        return -1;
    }
    c->n++;
    return 0;
}

int vf_candidates_find(const struct vf_storedir *store, const struct vf_opt_list *named,
                       bool own_store, struct vf_candidates *ret, struct vf_error *err)
{
    struct vf_candidates c = {NULL, 0};
    struct vf_inventory nodes = {NULL, 0};
    int rc = vf_inventory_load(store->path, &nodes, err);

    for (size_t i = 0; i < named->n && rc == 0; i++)
        rc = add(&c, named->item[i], &nodes, err);
    for (size_t i = 0; i < nodes.n && !named->n && rc == 0; i++)
        rc = add(&c, nodes.entry[i].name, &nodes, err);
    if (rc == 0 && own_store && !named->n) {
        rc = add(&c, store->path, &nodes, err);
        if (rc == 0)
            c.node[c.n - 1].own = true;
    }
    vf_inventory_free(&nodes);
    if (rc == 0)
        *ret = c;
    else
        vf_candidates_free(&c);
    return rc;
}

int vf_candidates_to_choose(const struct vf_storedir *store, const struct vf_opt_list *named,
                            struct vf_candidates *ret, struct vf_error *err)
{
    if (vf_candidates_find(store, named, false, ret, err) < 0)
        return -1;
    if (ret->n)
        return 0;
    return vf_error_set(
        err, VF_ERR_USAGE, 0,
        "--to auto has no nodes to choose from: give --node, or `vmferry node add`");
}

static void free_one(struct vf_candidate *node)
{
    struct vf_msg m = {.type = VF_MSG_COUNTS, .counts = node->counts};

    free(node->label);
    free(node->dir);
    free(node->reason);
    vf_summary_free(&node->summary);
    vf_target_free(&node->target);
    vf_msg_free(&m);
    memset(node, 0, sizeof *node);
}

void vf_candidates_free(struct vf_candidates *c)
{
    for (size_t i = 0; i < c->n; i++)
        free_one(&c->node[i]);
    free(c->node);
    *c = (struct vf_candidates){NULL, 0};
}

/* What the jobs of a count share; all of it is read only for them. */
struct counting {
    const struct vf_count *count;
    struct vf_candidate *const *node;
    size_t n;
};

static int count_over(const struct counting *c, struct vf_peer *peer, struct vf_candidate *node,
                      struct vf_error *err)
{
    const struct vf_count *count = c->count;
    struct vf_progress *progress = c->n == 1 ? vf_progress_new(peer->cli, count->title) : NULL;
    struct vf_send_opts opts = {.name = count->name ? count->name : "image",
                                .format = count->format ? count->format : "raw",
                                .replace = count->replace || !count->name,
                                .count_only = true,
                                .progress = progress ? vf_progress_tick : NULL,
                                .progress_ctx = progress,
                                .stop = peer->cli->stop};
    struct vf_send_result result = {0};
    int rc;

    vf_progress_over(progress, peer->stream);
    rc = vf_send(peer->stream, &peer->welcome, count->image, count->map, NULL, &opts, &result, err);
    vf_progress_end(progress);
    if (rc < 0) {
        vf_peer_why(peer, err);
        return -1;
    }
    node->counts = result.counts;
    memset(&result.counts, 0, sizeof result.counts); /* handed over */
    node->counted = true;
    vf_send_result_free(&result);
    return 0;
}

static int count_one(void *ctx, size_t i, struct vf_ask_job *job, struct vf_error *err)
{
    const struct counting *c = ctx;
    struct vf_candidate *node = c->node[i];
    struct vf_error why = VF_ERROR_INIT;
    struct vf_peer peer = {0};
    int rc = vf_peer_open(vf_ask_cli(job), &node->target, c->count->reach, VF_FOR_COUNT,
                          c->count->group, NULL, &peer, &why);

    if (rc == 0) {
        vf_ask_met(job);
        node->reached = true;
        node->free_bytes = peer.welcome.free_bytes;
        node->writable = peer.welcome.writable;
        free(node->dir);
        node->dir = peer.welcome.dir;
        peer.welcome.dir = NULL; /* handed over */
        rc = count_over(c, &peer, node, &why);
        vf_peer_close(&peer, rc == 0 ? NULL : &why);
    }
    if (rc == 0)
        return 0;
    if (vf_ask_failed(job, &why, err) < 0)
        return -1;
    if (why.code == VF_ERR_CHANGED) /* the image did, and is the same for all */
        return vf_error_pass(err, &why);
    node->why = why;
    return 0;
}

int vf_candidates_count(const struct vf_count *count, struct vf_candidate *const *node, size_t n,
                        struct vf_error *err)
{
    struct counting c = {count, node, n};
    struct vf_ask ask = {.cli = count->cli,
                         .n = n,
                         .parallel = COUNT_PARALLEL,
                         .deadline = count->deadline,
                         .fn = count_one,
                         .ctx = &c};

    if (vf_ask_all(&ask, err) < 0)
        return -1;
    for (size_t i = 0; i < n && n > 1; i++)
        if (!node[i]->counted)
            vf_say(count->cli, "%s: %s", node[i]->label, node[i]->why.msg);
    return 0;
}
