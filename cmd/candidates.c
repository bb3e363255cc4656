/* cmd/candidates.c - counts an image at nodes. */
#include "cmd/candidates.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/progress.h"
#include "cmd/report.h"
#include "core/checked.h"

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
    int rc = vf_inventory_load(store->fd, &nodes, err);

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

void vf_candidate_free(struct vf_candidate *node)
{
    struct vf_msg m = {.type = VF_MSG_COUNTS, .counts = node->counts};

    free(node->label);
    free(node->dir);
    vf_target_free(&node->target);
    vf_msg_free(&m);
    memset(node, 0, sizeof *node);
}

void vf_candidates_free(struct vf_candidates *c)
{
    for (size_t i = 0; i < c->n; i++)
        vf_candidate_free(&c->node[i]);
    free(c->node);
    *c = (struct vf_candidates){NULL, 0};
}

/* Is this the node's failure, or the end of everything? */
static bool ends_all(const struct vf_error *why)
{
    return why->code == VF_ERR_CANCELLED || why->code == VF_ERR_CHANGED ||
           why->code == VF_ERR_NOMEM;
}

static int count_over(const struct vf_count *count, struct vf_peer *peer, struct vf_candidate *node,
                      struct vf_map_info *ret_info, struct vf_error *err)
{
    struct vf_progress *progress = vf_progress_new(count->cli, count->title);
    struct vf_send_opts opts = {.name = count->name ? count->name : "image",
                                .format = count->format ? count->format : "raw",
                                .replace = count->replace || !count->name,
                                .count_only = true,
                                .progress = progress ? vf_progress_tick : NULL,
                                .progress_ctx = progress,
                                .stop = count->cli->stop};
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
    node->probes = result.probes_sent;
    node->counted = true;
    *ret_info = result.info;
    /* A node without images has nothing to compare with, and does not count. */
    if (!node->counts.n)
        node->counts.distinct = result.info.distinct_blocks - (result.info.zero_blocks > 0);
    vf_send_result_free(&result);
    return 0;
}

int vf_candidate_count(const struct vf_count *count, struct vf_candidate *node,
                       struct vf_map_info *ret_info, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;
    struct vf_peer peer = {0};
    int rc = vf_peer_open(count->cli, &node->target, count->reach, VF_FOR_COUNT, count->group, NULL,
                          &peer, &why);

    if (rc == 0) {
        node->free_bytes = peer.welcome.free_bytes;
        node->writable = peer.welcome.writable;
        free(node->dir);
        node->dir = peer.welcome.dir;
        peer.welcome.dir = NULL; /* handed over */
        rc = count_over(count, &peer, node, ret_info, &why);
        vf_peer_close(&peer, rc == 0 ? NULL : &why);
    }
    if (rc == 0)
        return 0;
    if (ends_all(&why))
        return vf_error_set(err, why.code, 0, "%s", why.msg);
    node->why = why;
    return 0;
}

struct vf_measures vf_measures_of(const struct vf_map_info *image, const struct vf_shared *shared,
                                  bool has_zero)
{
    bool zero = has_zero && image->zero_blocks;

    return (struct vf_measures){shared->blocks + (zero ? image->zero_blocks : 0),
                                shared->distinct + zero};
}

uint64_t vf_literals_of(const struct vf_msg_counts *counts)
{
    return counts->distinct > counts->all.distinct ? counts->distinct - counts->all.distinct : 0;
}

const struct vf_candidate *vf_candidates_best(const struct vf_candidates *c)
{
    const struct vf_candidate *best = NULL;

    for (size_t i = 0; i < c->n; i++) {
        const struct vf_candidate *x = &c->node[i];

        if (!x->counted || !x->writable)
            continue;
        if (!best || (best->own && !x->own) ||
            (best->own == x->own && vf_literals_of(&x->counts) < vf_literals_of(&best->counts)))
            best = x;
    }
    return best;
}
