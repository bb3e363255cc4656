/* cmd/cmd_node.c - the inventory: `node add`, `ls`, `rm`, `check`. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/eachname.h"
#include "cmd/inventory.h"
#include "cmd/peer.h"
#include "cmd/report.h"
#include "cmd/storedir.h"
#include "core/checked.h"
#include "core/clock.h"

struct none {
    char unused;
};

/* ---- node add ---- */

static int run_add(struct vf_cli *cli, const void *opts, char *const args[], struct vf_error *err)
{
    struct vf_storedir *store = vf_storedir_open(cli, err);
    struct vf_inventory nodes = {NULL, 0};
    const struct vf_node_entry *e;
    int rc = -1;

    (void)opts;
    if (!store || vf_inventory_lock(store->fd, err) < 0 ||
        vf_inventory_load(store->path, &nodes, err) < 0 ||
        vf_inventory_add(&nodes, args[0], args[1], err) < 0 ||
        vf_inventory_save(store->path, &nodes, err) < 0)
        goto out;
    e = vf_inventory_find(&nodes, args[0]);
    rc = vf_report_set(cli, json_pack("{s:s, s:s}", "name", e->name, "node", e->node), err);
out:
    vf_inventory_free(&nodes);
    vf_storedir_close(store);
    return rc;
}

const struct vf_cmd vf_cmd_node_add = {
    .name = "node add",
    .args = "NAME NODE",
    .summary = "give a node a name",
    .about =
        "Adds a node to this store's inventory.  NODE is ssh://[user@]host[:port][/store], or\n"
        "the absolute path of a store on this machine.  Nothing is contacted.",
    .examples = "  vmferry node add paris ssh://vm@paris.example.org\n"
                "  vmferry node add lab ssh://root@10.0.0.7:2222/srv/vmferry\n"
                "  vmferry node add disk2 /mnt/disk2/vmferry\n",
    .opts_size = sizeof(struct none),
    .min_args = 2,
    .max_args = 2,
    .run = run_add,
};

/* ---- node ls ---- */

static int run_ls(struct vf_cli *cli, const void *opts, char *const args[], struct vf_error *err)
{
    struct vf_storedir *store = vf_storedir_open(cli, err);
    struct vf_inventory nodes = {NULL, 0};
    struct vf_table *t = vf_table_new("ll", err);
    json_t *list = json_array();
    int rc = -1;

    (void)opts;
    (void)args;
    if (!store || !t || vf_inventory_load(store->path, &nodes, err) < 0 ||
        vf_table_add(t, err, "NAME") < 0 || vf_table_add(t, err, "NODE") < 0)
        goto out;
    for (size_t i = 0; i < nodes.n; i++) {
        const struct vf_node_entry *e = &nodes.entry[i];

        if (vf_table_add(t, err, "%s", e->name) < 0 || vf_table_add(t, err, "%s", e->node) < 0)
            goto out;
        if (json_array_append_new(list, json_pack("{s:s, s:s}", "name", e->name, "node", e->node)) <
            0) {
            (void)vf_error_nomem(err);
            goto out;
        }
    }
    rc = vf_report_set(cli, json_pack("{s:O}", "nodes", list), err);
    if (rc == 0 && !cli->json)
        vf_table_print(t, stdout);
out:
    json_decref(list);
    vf_table_free(t);
    vf_inventory_free(&nodes);
    vf_storedir_close(store);
    return rc;
}

const struct vf_cmd vf_cmd_node_ls = {
    .name = "node ls",
    .args = "",
    .summary = "list the nodes",
    .about = "Lists the nodes of this store's inventory.",
    .examples = "  vmferry node ls\n"
                "  vmferry node ls --json | jq -r '.nodes[].name'\n",
    .opts_size = sizeof(struct none),
    .run = run_ls,
};

/* ---- node rm ---- */

struct removing {
    struct vf_inventory nodes;
    json_t *list;
};

static int remove_one(void *ctx, const char *name, struct vf_error *err)
{
    struct removing *r = ctx;

    if (vf_inventory_remove(&r->nodes, name, err) < 0)
        return -1;
    return json_array_append_new(r->list, vf_json_text(name)) < 0 ? vf_error_nomem(err) : 0;
}

static int run_rm(struct vf_cli *cli, const void *opts, char *const args[], struct vf_error *err)
{
    struct vf_storedir *store = vf_storedir_open(cli, err);
    struct removing r = {.list = json_array()};
    struct vf_error why = VF_ERROR_INIT;
    json_t *failed = json_array();
    int rc = -1;

    (void)opts;
    if (!store || vf_inventory_lock(store->fd, err) < 0 ||
        vf_inventory_load(store->path, &r.nodes, err) < 0 ||
        vf_report_set(cli, json_pack("{s:O, s:O}", "removed", r.list, "failed", failed), err) < 0)
        goto out;
    rc = vf_each_name(args, remove_one, &r, "name", failed, &why);
    if (json_array_size(r.list) > 0 && vf_inventory_save(store->path, &r.nodes, err) < 0) {
        (void)json_array_clear(r.list); /* cannot fail: it is an array */
        rc = -1;
    } else if (rc < 0) {
        (void)vf_error_pass(err, &why); /* rc says it */
    }
out:
    json_decref(r.list);
    json_decref(failed);
    vf_inventory_free(&r.nodes);
    vf_storedir_close(store);
    return rc;
}

const struct vf_cmd vf_cmd_node_rm = {
    .name = "node rm",
    .args = "NAME...",
    .summary = "forget nodes",
    .about = "Removes nodes from this store's inventory.  The nodes themselves are not touched.\n"
             "Names that are not known are said, and the others removed all the same.",
    .examples = "  vmferry node rm paris\n",
    .opts_size = sizeof(struct none),
    .min_args = 1,
    .max_args = SIZE_MAX,
    .run = run_rm,
};

/* ---- node check ---- */

struct check_opts {
    struct vf_reach reach;
    const char *group;
};

static const struct vf_opt check_table[] = {
    VF_REACH_OPTS(struct check_opts, reach),
    {"group", 0, VF_OPT_TEXT, offsetof(struct check_opts, group), "GROUP",
     "ask for this sharing group", 0, 0, NULL},
    {NULL, 0, VF_OPT_FLAG, 0, NULL, NULL, 0, 0, NULL},
};

struct check {
    struct vf_cli *cli;
    const struct check_opts *opts;
    struct vf_table *table;
    json_t *list;
    struct vf_error first; /* the first node that could not be used; NONE: all can */
};

static int add_good(struct check *c, const char *name, const char *node, const struct vf_peer *p,
                    double seconds, struct vf_error *err)
{
    const struct vf_msg_welcome *w = &p->welcome;
    char free_text[VF_BYTES_TEXT];
    json_t *o = json_pack(
        "{s:o, s:o, s:b, s:o, s:i, s:o, s:o, s:o, s:I, s:b, s:I, s:I, s:f, s:s}", "name",
        name ? json_string(name) : json_null(), "node", vf_json_text(node), "ok", 1, "version",
        vf_json_text(w->program), "protocol", (int)w->version, "host", vf_json_text(w->node),
        "group", vf_json_text(w->group), "images_dir", vf_json_text(w->dir), "free_bytes",
        (json_int_t)w->free_bytes, "writable", (int)w->writable, "resident_images",
        (json_int_t)w->resident_images, "resident_blocks", (json_int_t)w->resident_blocks,
        "seconds", seconds, "transport", vf_conn_backend(p->conn));

    if (json_array_append_new(c->list, o) < 0)
        return vf_error_nomem(err);
    vf_bytes_text(w->free_bytes, free_text);
    if (vf_table_add(c->table, err, "%s", name ? name : node) < 0 ||
        vf_table_add(c->table, err, "%s", w->writable ? "ok" : "read only") < 0 ||
        vf_table_add(c->table, err, "%s", w->program) < 0 ||
        vf_table_add(c->table, err, "%s", free_text) < 0 ||
        vf_table_add(c->table, err, "%" PRIu64, w->resident_images) < 0 ||
        vf_table_add(c->table, err, "%s", w->dir) < 0)
        return -1;
    return 0;
}

static int add_bad(struct check *c, const char *name, const char *node, const struct vf_error *why,
                   struct vf_error *err)
{
    json_t *o = json_pack("{s:o, s:o, s:b}", "name", name ? json_string(name) : json_null(), "node",
                          vf_json_text(node), "ok", 0);

    o = vf_report_error(o, why);
    if (json_array_append_new(c->list, o) < 0)
        return vf_error_nomem(err);
    if (c->first.code == VF_ERR_NONE) {
        c->first = *why;
        (void)vf_error_prefix(&c->first, "%s", name ? name : node);
    }
    if (vf_table_add(c->table, err, "%s", name ? name : node) < 0 ||
        vf_table_add(c->table, err, "%s", vf_err_name(why->code)) < 0)
        return -1;
    for (int i = 0; i < 3; i++)
        if (vf_table_add(c->table, err, "-") < 0)
            return -1;
    return vf_table_add(c->table, err, "%s", why->msg);
}

/* -1 only for what ends the whole check. */
static int check_one(struct check *c, const char *name, const char *node, struct vf_error *err)
{
    struct vf_target target = VF_TARGET_INIT;
    struct vf_error why = VF_ERROR_INIT;
    struct vf_peer peer = {0};
    double start = vf_clock_now();
    int rc = vf_target_parse(node, &target, &why);

    if (rc == 0)
        rc = vf_peer_open(c->cli, &target, &c->opts->reach, VF_FOR_CHECK,
                          c->opts->group ? c->opts->group : "", NULL, &peer, &why);
    vf_target_free(&target);
    if (rc < 0)
        return why.code == VF_ERR_CANCELLED ? vf_error_pass(err, &why)
                                            : add_bad(c, name, node, &why, err);
    rc = add_good(c, name, node, &peer, vf_clock_now() - start, err);
    vf_peer_close(&peer, NULL);
    return rc;
}

static int check_nodes(struct check *c, const struct vf_inventory *nodes, char *const args[],
                       struct vf_error *err)
{
    static const char *const head[] = {"NODE", "STATE", "VERSION", "FREE", "IMAGES", "DIRECTORY"};

    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        if (vf_table_add(c->table, err, "%s", head[i]) < 0)
            return -1;
    for (size_t i = 0; i < nodes->n && !args[0]; i++)
        if (check_one(c, nodes->entry[i].name, nodes->entry[i].node, err) < 0)
            return -1;
    for (size_t i = 0; args[i]; i++) {
        const struct vf_node_entry *e = vf_inventory_find(nodes, args[i]);
        struct vf_target target = VF_TARGET_INIT;

        if (!e && vf_inventory_resolve(nodes, args[i], &target, err) < 0)
            return -1;
        vf_target_free(&target);
        if (check_one(c, e ? e->name : NULL, e ? e->node : args[i], err) < 0)
            return -1;
    }
    return 0;
}

static int run_check(struct vf_cli *cli, const void *opts, char *const args[], struct vf_error *err)
{
    struct check c = {.cli = cli, .opts = opts, .first = VF_ERROR_INIT};
    struct vf_storedir *store = vf_storedir_open(cli, err);
    struct vf_inventory nodes = {NULL, 0};
    int rc = -1;

    c.table = vf_table_new("lllrrl", err);
    c.list = json_array();
    if (!store || !c.table || vf_inventory_load(store->path, &nodes, err) < 0 ||
        vf_report_set(cli, json_pack("{s:O}", "nodes", c.list), err) < 0)
        goto out;
    rc = check_nodes(&c, &nodes, args, err);
    if (rc == 0 && !cli->json)
        vf_table_print(c.table, stdout);
    if (rc == 0 && c.first.code != VF_ERR_NONE)
        rc = vf_error_pass(err, &c.first);
out:
    json_decref(c.list);
    vf_table_free(c.table);
    vf_inventory_free(&nodes);
    vf_storedir_close(store);
    return rc;
}

const struct vf_cmd vf_cmd_node_check = {
    .name = "node check",
    .args = "[NODE...]",
    .summary = "test reachability, version, space and rights",
    .about = "Connects to the nodes named, or to all of the inventory, and shows what they say of\n"
             "themselves.  Fails if one of them cannot be used.",
    .examples = "  vmferry node check\n"
                "  vmferry node check --json paris | jq '.nodes[0].free_bytes'\n",
    .opts = check_table,
    .opts_size = sizeof(struct check_opts),
    .max_args = SIZE_MAX,
    .run = run_check,
};
