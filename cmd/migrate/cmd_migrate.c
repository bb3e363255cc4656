/* cmd/migrate/cmd_migrate.c - `migrate`: its options, and whether an image or a guest moves. */
#include <stdlib.h>
#include <string.h>

#include "cmd/dest.h"
#include "cmd/group.h"
#include "cmd/marker.h"
#include "cmd/migrate/migrate_impl.h"
#include "cmd/ratefile.h"
#include "core/checked.h"
#include "core/clock.h"
#include "core/engine/budget.h"
#include "transport/session.h"

#define FIELD(f) offsetof(struct vf_migrate_opts, f)
static const struct vf_opt migrate_table[] = {
    {"to", 0, VF_OPT_TEXT, FIELD(to), "NODE",
     "where to; 'auto' chooses the node that needs the least", 0, 0, NULL},
    {"node", 0, VF_OPT_LIST, FIELD(nodes), "NODE", "with --to auto: consider this node", 0, 0,
     NULL},
    {"deadline", 0, VF_OPT_NUMBER, FIELD(deadline), "SECONDS",
     "with --to auto or --dry-run: do without a node that has not answered by then (10)", 1, 3600,
     NULL},
    {"as", 0, VF_OPT_TEXT, FIELD(as), "NAME", "its name there", 0, 0, NULL},
    {"replace", 0, VF_OPT_FLAG, FIELD(replace), NULL, "replace an image of that name", 0, 0, NULL},
    {"dry-run", 0, VF_OPT_FLAG, FIELD(dry_run), NULL, "only say what would be sent", 0, 0, NULL},
    VF_ORIGIN_OPTS(struct vf_migrate_opts, origin),
    {"to-format", 0, VF_OPT_TEXT, FIELD(to_format), "FORMAT",
     "raw or qcow2; default: as the source", 0, 0, "raw|qcow2"},
    {"group", 0, VF_OPT_TEXT, FIELD(group), "GROUP", "share blocks within this group only", 0, 0,
     NULL},
    {"compress", 0, VF_OPT_TEXT, FIELD(compress), "LEVEL", "auto, none, or 1 to 19", 0, 0, NULL},
    {"limit-rate", 0, VF_OPT_SIZE, FIELD(limit_rate), "BYTES", "send at most so much per second",
     VF_RATE_MIN, VF_RATE_MAX, NULL},
    {"limit-rate-file", 0, VF_OPT_TEXT, FIELD(limit_file), "FILE",
     "the same, read from a file, also while it runs", 0, 0, NULL},
    {"memory", 0, VF_OPT_SIZE, FIELD(memory), "BYTES", "memory of this side at most, from 128Mi on",
     VF_MEMORY_LEAST, VF_MEMORY_MOST, NULL},
    {"streams", 0, VF_OPT_TEXT, FIELD(streams), "N", "connections at most; auto, or 1 to 64", 0, 0,
     NULL},
    VF_REACH_OPTS(struct vf_migrate_opts, reach),
    VF_VM_OPTS(struct vf_migrate_opts, vm),
    {NULL, 0, VF_OPT_FLAG, 0, NULL, NULL, 0, 0, NULL},
};
#undef FIELD

static const struct vf_opt_rule migrate_rules[] = {
    {"status", true, "vm|qmp|connect|" VF_REACH_NAMES},
    {"abort", true, "vm|qmp|connect|group|" VF_REACH_NAMES},
    {"vm", false, "as|format"},
    {"qmp", false, "connect|offline"},
    {"offline", false, "rounds|max-downtime|auto-converge|postcopy"},
    {NULL, false, NULL},
};

/* ---- what is asked for ---- */

static int parse_level(struct vf_migrate *m, struct vf_error *err)
{
    const char *text = m->opts->compress;
    uint64_t level;

    m->level = -1;
    if (!text || strcmp(text, "auto") == 0)
        return 0;
    m->level = 0;
    if (strcmp(text, "none") == 0)
        return 0;
    if (vf_parse_u64(text, "--compress", 1, 19, &level, NULL) < 0)
        return vf_error_set(err, VF_ERR_USAGE, 0,
                            "--compress must be auto, none or a number from 1 to 19, not '%s'",
                            text);
    m->level = (int)level;
    return 0;
}

/* Without --vm its options are refused, not ignored: --abort would send the image. */
static int check_vm_opts(const struct vf_migrate_opts *o, struct vf_error *err)
{
    const struct vf_opt *given =
        o->vm.vm
            ? NULL
            : vf_opts_given(migrate_table, o, offsetof(struct vf_migrate_opts, vm), sizeof o->vm);

    return given ? vf_error_set(err, VF_ERR_USAGE, 0, "--%s goes with --vm only", given->name) : 0;
}

static int take_opts(struct vf_migrate *m, struct vf_error *err)
{
    const struct vf_migrate_opts *o = m->opts;
    uint64_t streams = 0;
    bool chosen = o->to && strcmp(o->to, "auto") == 0;

    if (check_vm_opts(o, err) < 0 || vf_opts_check(migrate_table, migrate_rules, o, err) < 0)
        return -1;
    if (!o->to && !o->vm.status && !o->vm.abort)
        return vf_error_set(err, VF_ERR_USAGE, 0, "--to NODE is missing");
    if (o->nodes.n && !chosen)
        return vf_error_set(err, VF_ERR_USAGE, 0, "--node goes with --to auto only");
    if (o->deadline && !chosen && !o->dry_run)
        return vf_error_set(err, VF_ERR_USAGE, 0,
                            "--deadline goes with --to auto or --dry-run only");
    if (o->streams && strcmp(o->streams, "auto") != 0 &&
        vf_parse_u64(o->streams, "--streams", 1, VF_LINKS_MAX, &streams, err) < 0)
        return -1;
    m->streams = (unsigned)streams;
    if (o->as && vf_dest_name_check(o->as, err) < 0)
        return -1;
    if (o->group && vf_group_check(o->group, err) < 0)
        return -1;
    return parse_level(m, err);
}

/* With the prefix that a wrong option has, too. */
static int check_opts(struct vf_migrate *m, struct vf_error *err)
{
    return take_opts(m, err) < 0 ? vf_error_prefix(err, "migrate") : 0;
}

/* ---- a guest with its disks ---- */

static int migrate_vm(struct vf_migrate *m, struct vf_error *err)
{
    const struct vf_migrate_opts *o = m->opts;
    struct vf_vm_request req = {.cli = m->cli,
                                .opts = &o->vm,
                                .reach = &o->reach,
                                .origin = &o->origin,
                                .group = o->group,
                                .to_format = o->to_format,
                                .limit_rate = o->limit_rate,
                                .limit_file = o->limit_file,
                                .streams = m->streams,
                                .level = m->level,
                                .deadline = vf_migrate_deadline(m),
                                .replace = o->replace,
                                .dry_run = o->dry_run};

    if (vf_migrate_open(m, err) < 0)
        return -1;
    req.memory = vf_migrate_memory(m);
    req.store = m->store;
    req.index = m->index;
    if (o->vm.status || o->vm.abort)
        return o->vm.status ? vf_vm_status(&req, err) : vf_vm_abort(&req, err);
    if (strcmp(o->to, "auto") == 0) {
        req.choose = true;
        req.nodes = o->nodes;
        return vf_vm_migrate(&req, err);
    }
    if (vf_migrate_resolve(m, err) < 0)
        return -1;
    req.target = m->target;
    req.label = m->label;
    req.nodes = (struct vf_opt_list){&m->label, 1};
    return vf_vm_migrate(&req, err);
}

/* What can be done about an error: the far end speaks of the image that is there, and of what is an
 * option here; and who interrupts hears the same, wherever that was noticed. */
static int with_way_out(const struct vf_migrate *m, struct vf_error *err)
{
    struct vf_error why = *err;

    if (m->opts->vm.vm)
        return -1;
    if (why.code == VF_ERR_CANCELLED && *m->cli->stop && !m->opts->dry_run)
        return vf_error_set(err, why.code, 0,
                            "interrupted (the same command goes on with what has arrived)");
    if (why.code != VF_ERR_EXISTS || m->opts->replace)
        return -1;
    return vf_error_set(err, why.code, why.sys,
                        "%s (--as gives another name, --replace replaces it)", why.msg);
}

/* ---- the verb ---- */

static int run_migrate(struct vf_cli *cli, const void *opts, char *const args[],
                       struct vf_error *err)
{
    struct vf_migrate m = {.cli = cli, .opts = opts, .named = VF_TARGET_INIT};
    struct vf_marker marker = VF_MARKER_INIT;
    int rc = -1;

    m.start = vf_clock_now();
    if (!m.opts->vm.vm != (args[0] != NULL))
        return vf_error_set(err, VF_ERR_USAGE, 0,
                            args[0] ? "migrate: give an IMAGE or --vm NAME, not both"
                                    : "migrate: what?  Give an IMAGE, or --vm NAME");
    if (m.opts->vm.vm) {
        rc = check_opts(&m, err) == 0 ? migrate_vm(&m, err) : -1;
    } else if (check_opts(&m, err) == 0 && vf_migrate_prepare(&m, args[0], err) == 0) {
        if (!m.opts->dry_run)
            vf_marker_set(&marker, m.store->fd);
        rc = m.opts->dry_run ? vf_migrate_dry_run(&m, err) : vf_migrate_send(&m, err);
    }
    if (rc < 0)
        rc = with_way_out(&m, err);
    vf_marker_clear(&marker);
    vf_send_result_free(&m.result);
    vf_target_free(&m.named);
    vf_plan_free(&m.plan);
    vf_aside_close(&m.aside);
    vf_origin_close(&m.image);
    free(m.name);
    vf_index_close(m.index);
    vf_storedir_close(m.store);
    return rc;
}

const struct vf_cmd vf_cmd_migrate = {
    .name = "migrate",
    .args = "IMAGE --to NODE",
    .summary = "move an image's content to another node",
    .about = "Makes a copy of the image at another node, sending only the blocks that the images\n"
             "there do not hold, each distinct one once, and proves that it is the same.  The\n"
             "source stays as it is.  An interrupted migration is continued by the same command.",
    .examples =
        "  vmferry migrate web1.qcow2 --to paris\n"
        "  vmferry migrate /dev/vg0/db1 --format raw --to ssh://root@10.0.0.7 --as db1.qcow2 \\\n"
        "      --to-format qcow2 --limit-rate 10M\n"
        "  vmferry migrate web1.qcow2 --to auto --node paris --node lyon --dry-run\n",
    .opts = migrate_table,
    .opts_size = sizeof(struct vf_migrate_opts),
    .min_args = 0,
    .max_args = 1,
    .run = run_migrate,
};
