/* cmd/cmd_similar.c - `similar`: how much of an image each node holds. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/aside.h"
#include "cmd/candidates.h"
#include "cmd/cmd.h"
#include "cmd/estimate.h"
#include "cmd/origin.h"
#include "cmd/report.h"
#include "cmd/storedir.h"

struct similar_opts {
    struct vf_origin_opts origin;
    struct vf_reach reach;
    struct vf_opt_list nodes;
    const char *group;
    uint64_t rate; /* bytes per second, 0: unknown */
};

static const struct vf_opt similar_table[] = {
    {"node", 0, VF_OPT_LIST, offsetof(struct similar_opts, nodes), "NODE", "ask this node", 0, 0,
     NULL},
    {"rate", 0, VF_OPT_SIZE, offsetof(struct similar_opts, rate), "BYTES",
     "of the link, per second, for the estimate of time", 1, UINT64_C(1) << 50, NULL},
    {"group", 0, VF_OPT_TEXT, offsetof(struct similar_opts, group), "GROUP",
     "compare within this sharing group", 0, 0, NULL},
    VF_ORIGIN_OPTS(struct similar_opts, origin),
    VF_REACH_OPTS(struct similar_opts, reach),
    {NULL, 0, VF_OPT_FLAG, 0, NULL, NULL, 0, 0, NULL},
};

struct similar {
    struct vf_cli *cli;
    const struct similar_opts *opts;
    struct vf_origin image;
    struct vf_map_info info;
    struct vf_candidates nodes;
    double ratio;
};

/* ---- the report for programs ---- */

static int put_measures(json_t *o, const struct vf_map_info *info, struct vf_measures m)
{
    return json_object_set_new(o, "shared_blocks", json_integer((json_int_t)m.shared)) ||
           json_object_set_new(o, "shared_distinct_blocks",
                               json_integer((json_int_t)m.shared_distinct)) ||
           json_object_set_new(o, "similarity", json_real(vf_share(m.shared, info->blocks))) ||
           json_object_set_new(o, "similarity_distinct",
                               json_real(vf_share(m.shared_distinct, info->blocks)));
}

static json_t *images_json(const struct similar *s, const struct vf_msg_counts *c)
{
    json_t *list = json_array();

    for (size_t i = 0; i < c->n && list; i++) {
        const struct vf_msg_count_image *im = &c->image[i];
        json_t *o = json_object();

        if (!o || json_object_set_new(o, "image", vf_json_text(im->name)) ||
            put_measures(o, &s->info, vf_measures_of(&s->info, &im->shared, im->has_zero)) ||
            json_object_set_new(o, "fresh", json_boolean(im->fresh)) ||
            json_array_append(list, o)) {
            json_decref(list);
            list = NULL;
        }
        json_decref(o);
    }
    return list;
}

static uint64_t wire_of(const struct similar *s, const struct vf_candidate *n)
{
    return vf_estimate_wire(&s->info, vf_literals_of(&n->counts), n->probes, s->ratio);
}

static json_t *node_json(const struct similar *s, const struct vf_candidate *n)
{
    json_t *o = json_pack("{s:o}", "node", vf_json_text(n->label));
    uint64_t wire = wire_of(s, n);

    if (!o ||
        put_measures(o, &s->info, vf_measures_of(&s->info, &n->counts.all, n->counts.has_zero)) ||
        json_object_set_new(o, "literal_blocks",
                            json_integer((json_int_t)vf_literals_of(&n->counts))) ||
        json_object_set_new(o, "wire_bytes_estimate", json_integer((json_int_t)wire)) ||
        json_object_set_new(o, "seconds_estimate",
                            s->opts->rate ? json_real((double)wire / (double)s->opts->rate)
                                          : json_null()) ||
        json_object_set_new(o, "writable", json_boolean(n->writable)) ||
        json_object_set_new(o, "free_bytes", json_integer((json_int_t)n->free_bytes)) ||
        json_object_set_new(o, "images", images_json(s, &n->counts))) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static json_t *failed_json(const struct vf_candidate *n)
{
    return vf_report_error(json_pack("{s:o}", "node", vf_json_text(n->label)), &n->why);
}

static json_t *report_json(const struct similar *s, const struct vf_candidate *best)
{
    const struct vf_map_info *i = &s->info;
    json_t *nodes = json_array(), *bad = json_array();
    json_t *o = json_pack("{s:o, s:I, s:i, s:I, s:I, s:I, s:O, s:O, s:o}", "image",
                          vf_json_text(s->image.path), "virtual_size", (json_int_t)i->size,
                          "block_size", (int)VF_BLOCK, "blocks", (json_int_t)i->blocks,
                          "zero_blocks", (json_int_t)i->zero_blocks, "distinct_blocks",
                          (json_int_t)i->distinct_blocks, "nodes", nodes, "unreachable", bad,
                          "choice", best ? vf_json_text(best->label) : json_null());
    int failed = !o;

    for (size_t k = 0; k < s->nodes.n && !failed; k++) {
        const struct vf_candidate *n = &s->nodes.node[k];

        failed = n->counted ? json_array_append_new(nodes, node_json(s, n))
                            : json_array_append_new(bad, failed_json(n));
    }
    json_decref(nodes);
    json_decref(bad);
    if (!failed)
        return o;
    json_decref(o);
    return NULL;
}

/* ---- the report for people ---- */

static int add_row(const struct similar *s, struct vf_table *t, const char *indent,
                   const char *name, struct vf_measures m, struct vf_error *err)
{
    char with[VF_BYTES_TEXT], distinct[VF_BYTES_TEXT];

    vf_share_text(m.shared, s->info.blocks, with);
    vf_share_text(m.shared_distinct, s->info.blocks, distinct);
    if (vf_table_add(t, err, "%s%s", indent, name) < 0 || vf_table_add(t, err, "%s", with) < 0 ||
        vf_table_add(t, err, "%s", distinct) < 0)
        return -1;
    return 0;
}

static int add_node(const struct similar *s, struct vf_table *t, const struct vf_candidate *n,
                    struct vf_error *err)
{
    char literals[VF_BYTES_TEXT], wire[VF_BYTES_TEXT], time[VF_BYTES_TEXT] = "-";
    uint64_t bytes = wire_of(s, n);

    vf_bytes_text(vf_literals_of(&n->counts) * VF_BLOCK, literals);
    vf_bytes_text(bytes, wire);
    if (s->opts->rate)
        vf_seconds_text((double)bytes / (double)s->opts->rate, time);
    if (add_row(s, t, "", n->label, vf_measures_of(&s->info, &n->counts.all, n->counts.has_zero),
                err) < 0 ||
        vf_table_add(t, err, "%s", literals) < 0 || vf_table_add(t, err, "about %s", wire) < 0 ||
        vf_table_add(t, err, "%s", time) < 0)
        return -1;
    for (size_t i = 0; i < n->counts.n; i++) {
        const struct vf_msg_count_image *im = &n->counts.image[i];

        if (add_row(s, t, "  ", im->name, vf_measures_of(&s->info, &im->shared, im->has_zero),
                    err) < 0 ||
            vf_table_add(t, err, "%s", im->fresh ? "" : "changed") < 0 ||
            vf_table_add(t, err, "%s", "") < 0 || vf_table_add(t, err, "%s", "") < 0)
            return -1;
    }
    return 0;
}

static int print_report(const struct similar *s, const struct vf_candidate *best,
                        struct vf_error *err)
{
    static const char *const head[] = {"NODE",    "SHARED",      "DISTINCT",
                                       "MISSING", "ON THE WIRE", "TIME"};
    struct vf_table *t = vf_table_new("lrrrrr", err);
    char size[VF_BYTES_TEXT], zero[VF_BYTES_TEXT];
    int rc = t ? 0 : -1;

    for (size_t i = 0; i < sizeof head / sizeof *head && rc == 0; i++)
        rc = vf_table_add(t, err, "%s", head[i]);
    for (size_t i = 0; i < s->nodes.n && rc == 0; i++)
        if (s->nodes.node[i].counted)
            rc = add_node(s, t, &s->nodes.node[i], err);
    if (rc == 0) {
        vf_bytes_text(s->info.size, size);
        vf_share_text(s->info.zero_blocks, s->info.blocks, zero);
        vf_put_clean(stdout, s->image.path);
        printf(": %s, %" PRIu64 " blocks, %s of them zero\n\n", size, s->info.blocks, zero);
        vf_table_print(t, stdout);
        if (best && !best->own && s->nodes.n > 1) {
            fputs("\nThe fewest blocks would travel to ", stdout);
            vf_put_clean(stdout, best->label);
            fputs(".\n", stdout);
        }
    }
    vf_table_free(t);
    return rc;
}

/* ---- the work ---- */

/* Everything is counted from a map: the stored one, or one that is made for this and not kept. */
static int count_all(struct similar *s, const struct vf_storedir *store, struct vf_error *err)
{
    struct vf_aside aside = {0};
    struct vf_count count = {.cli = s->cli,
                             .reach = &s->opts->reach,
                             .group = s->opts->group ? s->opts->group : s->image.rec.group,
                             .title = s->image.path,
                             .image = s->image.image,
                             .map = s->image.map};
    size_t reached = 0;
    int rc = 0;

    if (!count.map) {
        rc = vf_aside_open(s->cli, store, &s->image, &aside, err);
        count.map = aside.map;
    }
    for (size_t i = 0; i < s->nodes.n && rc == 0; i++) {
        rc = vf_candidate_count(&count, &s->nodes.node[i], &s->info, err);
        reached += s->nodes.node[i].counted;
        if (rc == 0 && !s->nodes.node[i].counted && s->nodes.n > 1)
            vf_say(s->cli, "%s: %s", s->nodes.node[i].label, s->nodes.node[i].why.msg);
    }
    vf_aside_close(&aside);
    if (rc < 0 || reached)
        return rc;
    *err = s->nodes.node[0].why;
    return s->nodes.n > 1
               ? vf_error_prefix(err, "no node could be asked: %s", s->nodes.node[0].label)
               : -1;
}

static int report(struct similar *s, struct vf_error *err)
{
    const struct vf_candidate *best = vf_candidates_best(&s->nodes);

    if (vf_report_set(s->cli, report_json(s, best), err) < 0)
        return -1;
    return s->cli->json ? 0 : print_report(s, best, err);
}

static int run_similar(struct vf_cli *cli, const void *opts, char *const args[],
                       struct vf_error *err)
{
    struct similar s = {.cli = cli, .opts = opts};
    struct vf_storedir *store = vf_storedir_open(cli, err);
    struct vf_index *index = store ? vf_index_open(store->path, VF_INDEX_CREATE, err) : NULL;
    int rc = -1;

    if (!index || (s.opts->group && vf_group_check(s.opts->group, err) < 0) ||
        vf_candidates_find(store, &s.opts->nodes, true, &s.nodes, err) < 0 ||
        vf_origin_open(index, args[0], &s.opts->origin, &s.image, err) < 0)
        goto out;
    if (vf_estimate_ratio(s.image.image, cli->stop, &s.ratio, err) < 0 ||
        count_all(&s, store, err) < 0)
        goto out;
    rc = report(&s, err);
out:
    vf_candidates_free(&s.nodes);
    vf_origin_close(&s.image);
    vf_index_close(index);
    vf_storedir_close(store);
    return rc;
}

const struct vf_cmd vf_cmd_similar = {
    .name = "similar",
    .args = "IMAGE",
    .summary = "how much of an image each node holds",
    .about =
        "Counts how many blocks of the image occur in the images of each node, and of each of\n"
        "these alone, and what a migration would send.  Changes nothing anywhere.  Without\n"
        "--node, asks all nodes of the inventory and this store.",
    .examples = "  vmferry similar web1.qcow2\n"
                "  vmferry similar web1.qcow2 --node paris --rate 12M\n"
                "  vmferry similar web1.qcow2 --json | jq -r .choice\n",
    .opts = similar_table,
    .opts_size = sizeof(struct similar_opts),
    .min_args = 1,
    .max_args = 1,
    .run = run_similar,
};
