/* cmd/cmd_migrate.c - `migrate`: moves the content of an image to another node. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/dest.h"
#include "cmd/group.h"
#include "cmd/marker.h"
#include "cmd/origin.h"
#include "cmd/progress.h"
#include "cmd/ratefile.h"
#include "cmd/report.h"
#include "cmd/similar/aside.h"
#include "cmd/similar/plan.h"
#include "cmd/soft_sink.h"
#include "cmd/storedir.h"
#include "cmd/vm/vm.h"
#include "core/checked.h"
#include "core/clock.h"
#include "core/engine/budget.h"
#include "core/fdio.h"
#include "formats/writer.h"
#include "transport/session.h"

struct migrate_opts {
    struct vf_origin_opts origin;
    struct vf_reach reach;
    struct vf_vm_opts vm;
    const char *to, *as, *to_format, *group, *compress, *streams, *limit_file;
    struct vf_opt_list nodes;
    uint64_t limit_rate; /* bytes per second, 0: none */
    uint64_t memory;     /* bytes, 0: as the settings say */
    uint64_t deadline;   /* seconds, 0: default */
    bool dry_run, replace;
};

#define FIELD(f) offsetof(struct migrate_opts, f)
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
    VF_ORIGIN_OPTS(struct migrate_opts, origin),
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
    VF_REACH_OPTS(struct migrate_opts, reach),
    VF_VM_OPTS(struct migrate_opts, vm),
    {NULL, 0, VF_OPT_FLAG, 0, NULL, NULL, 0, 0, NULL},
};
#undef FIELD

static const struct vf_opt_rule migrate_rules[] = {
    {"status", true, "vm|qmp|connect|" VF_REACH_NAMES},
    {"abort", true, "vm|qmp|connect|group|" VF_REACH_NAMES},
    {"vm", false, "as|format"},
    {"qmp", false, "connect"},
    {"offline", false, "rounds|max-downtime|auto-converge|postcopy"},
    {NULL, false, NULL},
};

struct migrate {
    struct vf_cli *cli;
    const struct migrate_opts *opts;
    struct vf_storedir *store;
    struct vf_index *index;
    struct vf_origin image;
    char *name;         /* at the destination */
    const char *format; /* at the destination */
    const char *group;
    int level;
    unsigned streams;      /* 0: auto */
    struct vf_plan plan;   /* with --to auto and --dry-run */
    struct vf_aside aside; /* the map of a dry run */
    const char *label;     /* of the node that it goes to */
    const struct vf_target *target;
    struct vf_target named; /* without --to auto */
    double start;
    /* results */
    struct vf_send_result result;
    struct vf_stream_stats wire;
    double seconds;
};

/* ---- what is asked for ---- */

static int parse_level(struct migrate *m, struct vf_error *err)
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
static int check_vm_opts(const struct migrate_opts *o, struct vf_error *err)
{
    const struct vf_opt *given =
        o->vm.vm ? NULL
                 : vf_opts_given(migrate_table, o, offsetof(struct migrate_opts, vm), sizeof o->vm);

    return given ? vf_error_set(err, VF_ERR_USAGE, 0, "--%s goes with --vm only", given->name) : 0;
}

static int take_opts(struct migrate *m, struct vf_error *err)
{
    const struct migrate_opts *o = m->opts;
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

static double deadline_of(const struct migrate_opts *o)
{
    return o->deadline ? (double)o->deadline : VF_ASK_DEADLINE;
}

/* With the prefix that a wrong option has, too. */
static int check_opts(struct migrate *m, struct vf_error *err)
{
    return take_opts(m, err) < 0 ? vf_error_prefix(err, "migrate") : 0;
}

/* Does a file of that format end in that suffix by custom? */
static bool is_suffix_of(const char *suffix, const char *format)
{
    return strcmp(suffix, format) == 0 ||
           (strcmp(format, "raw") == 0 && strcmp(suffix, "img") == 0);
}

/* The name at the destination: --as, else the image's own, whose suffix follows the format. */
static int choose_name(struct migrate *m, const char *operand, struct vf_error *err)
{
    const char *slash = strrchr(operand, '/'), *base = slash ? slash + 1 : operand,
               *dot = strrchr(base, '.'), *source = m->image.desc.format;

    m->format = m->opts->to_format ? m->opts->to_format : source;
    if (!vf_writer_can(m->format))
        return vf_error_set(err, VF_ERR_USAGE, 0,
                            "%s images can be read but not written: give --to-format raw or qcow2",
                            m->format);
    if (m->opts->as)
        m->name = vf_strdup(m->opts->as, err);
    else if (strcmp(source, m->format) != 0 && dot && is_suffix_of(dot + 1, source))
        m->name = vf_strf(err, "%.*s.%s", (int)(dot - base), base, m->format);
    else
        m->name = vf_strdup(base, err);
    if (!m->name)
        return -1;
    if (vf_dest_name_check(m->name, err) < 0)
        return vf_error_set(err, VF_ERR_USAGE, 0, "%s; give --as NAME", err->msg);
    return 0;
}

/* ---- planning: --dry-run and --to auto ---- */

/* Comparing needs a map.  It is kept, so that the migration that follows need not read again; a dry
 * run keeps nothing. */
static int ensure_map(struct migrate *m, struct vf_error *err)
{
    struct vf_progress *progress;
    struct vf_send_opts opts = {.stop = m->cli->stop};
    struct vf_map_sink *sink;
    int rc;

    if (m->image.map)
        return 0;
    if (m->opts->dry_run)
        return vf_aside_open(m->cli, m->store, &m->image, &m->aside, err);
    sink = vf_index_begin(m->index, &m->image.rec, err);
    if (!sink)
        return -1;
    progress = vf_progress_new(m->cli, m->image.path);
    opts.progress = progress ? vf_progress_tick : NULL;
    opts.progress_ctx = progress;
    rc = vf_index_image(m->image.image, sink, &opts, NULL, err);
    vf_progress_end(progress);
    if (rc < 0)
        return -1;
    m->image.map = vf_index_map(m->index, m->image.path, err);
    return m->image.map ? 0 : -1;
}

/* Asks the nodes in question, and takes the best of them. */
static int plan(struct migrate *m, struct vf_error *err)
{
    const char *to = m->opts->to;
    struct vf_opt_list one = {&to, 1};
    struct vf_plan_opts opts = {.store = m->store,
                                .named = m->label ? &one : &m->opts->nodes,
                                .rate = (double)m->opts->limit_rate,
                                .count_best = m->opts->dry_run};

    if (ensure_map(m, err) < 0)
        return -1;
    opts.count = (struct vf_count){.cli = m->cli,
                                   .reach = &m->opts->reach,
                                   .group = m->group,
                                   .title = m->image.path,
                                   .image = m->image.image,
                                   .map = m->image.map ? m->image.map : m->aside.map,
                                   .name = m->name,
                                   .format = m->format,
                                   .replace = m->opts->replace,
                                   .deadline = deadline_of(m->opts)};
    if (vf_plan_make(&opts, &m->plan, err) < 0)
        return -1;
    if (!m->label)
        vf_say(m->cli, "%s needs the fewest: %" PRIu64 " blocks", m->plan.best->label,
               m->plan.best->likeness.literals.value);
    m->label = m->plan.best->label;
    m->target = &m->plan.best->target;
    return 0;
}

/* ---- the report ---- */

static uint64_t extra_of(const struct vf_send_result *r)
{
    return r->literal_sent > r->peer.literal_blocks ? r->literal_sent - r->peer.literal_blocks : 0;
}

static json_t *report_json(const struct migrate *m)
{
    json_t *o;
    const struct vf_map_info *i = &m->result.info;
    const struct vf_msg_result *p = &m->result.peer;
    char digest[VF_DIGEST_TEXT];

    vf_digest_text(i->root, digest);
    o = json_pack("{s:o, s:o, s:o, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
                  "s:f, s:s, s:b, s:I, s:I, s:I, s:b}",
                  "image", vf_json_text(m->image.path), "node", vf_json_text(m->label), "path",
                  vf_json_text(p->path ? p->path : ""), "format", m->format, "group",
                  vf_json_text(m->group), "virtual_size", (json_int_t)i->size, "block_size",
                  (json_int_t)VF_BLOCK, "blocks", (json_int_t)i->blocks, "zero_blocks",
                  (json_int_t)i->zero_blocks, "shared_blocks", (json_int_t)p->shared_blocks,
                  "duplicate_blocks", (json_int_t)p->duplicate_blocks, "literal_blocks",
                  (json_int_t)p->literal_blocks, "extra_blocks", (json_int_t)extra_of(&m->result),
                  "wire_bytes_sent", (json_int_t)m->wire.sent, "wire_bytes_received",
                  (json_int_t)m->wire.received, "seconds", m->seconds, "digest", digest, "verified",
                  (int)p->verified, "copied_blocks", (json_int_t)p->copied_blocks,
                  "repaired_blocks", (json_int_t)p->repaired_blocks, "quoted_bytes",
                  (json_int_t)m->result.quoted_bytes, "dry_run", (int)m->opts->dry_run);
    if (o && !vf_plan_put(&m->plan, o)) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static void print_row(const char *what, uint64_t blocks, uint64_t all)
{
    char bytes[VF_BYTES_TEXT], share[VF_BYTES_TEXT];

    vf_bytes_text(blocks * VF_BLOCK, bytes);
    vf_share_text(blocks, all, share);
    printf("  %-10s %14" PRIu64 " blocks  %9s  %9s\n", what, blocks, bytes, share);
}

static void print_report(const struct migrate *m)
{
    const struct vf_map_info *i = &m->result.info;
    const struct vf_msg_result *p = &m->result.peer;
    char sent[VF_BYTES_TEXT], received[VF_BYTES_TEXT], took[VF_BYTES_TEXT], digest[VF_DIGEST_TEXT],
        predicted[VF_BYTES_TEXT] = "";

    vf_put_clean(stdout, m->image.path);
    fputs(m->opts->dry_run ? " -> (dry run) " : " -> ", stdout);
    vf_put_clean(stdout, m->label);
    fputs(": ", stdout);
    vf_put_clean(stdout, p->path ? p->path : m->name);
    fputc('\n', stdout);
    print_row("all", i->blocks, i->blocks);
    print_row("zero", i->zero_blocks, i->blocks);
    print_row("shared", p->shared_blocks, i->blocks);
    print_row("duplicate", p->duplicate_blocks, i->blocks);
    print_row("literal", p->literal_blocks, i->blocks);
    if (extra_of(&m->result))
        print_row("extra", extra_of(&m->result), i->blocks);
    vf_bytes_text(m->wire.sent, sent);
    vf_bytes_text(m->wire.received, received);
    vf_seconds_text(m->seconds, took);
    vf_digest_text(i->root, digest);
    if (m->plan.made)
        vf_bytes_text(m->plan.best->prediction.wire.value, predicted);
    if (m->opts->dry_run)
        printf("  would send about %s\n  digest %s\n", predicted, digest);
    else
        printf("  sent %s, received %s, in %s%s%s\n  verified %s\n", sent, received, took,
               m->plan.made ? "; predicted: " : "", predicted, digest);
}

static int report(struct migrate *m, struct vf_error *err)
{
    m->seconds = vf_clock_now() - m->start;
    if (vf_report_set(m->cli, report_json(m), err) < 0)
        return -1;
    if (m->cli->json || (m->cli->quiet && !m->opts->dry_run))
        return 0;
    print_report(m);
    if (!m->opts->dry_run || m->plan.nodes.n < 2)
        return 0;
    fputc('\n', stdout);
    return vf_plan_print(&m->plan, err);
}

/* ---- the work ---- */

/* What a migration would do, in the words of its report. */
static int dry_run(struct migrate *m, struct vf_error *err)
{
    const struct vf_map_info *info = &m->plan.survey.info;
    const struct vf_likeness *l = &m->plan.best->likeness;
    struct vf_msg_result *p = &m->result.peer;
    uint64_t data = info->blocks - info->zero_blocks, literals = l->literals.value,
             shared = l->shared.value;

    if (!m->plan.best->exact && shared <= data && literals > data - shared)
        literals = data - shared; /* an estimate may say a little too much */
    if (shared > data || literals > data - shared)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "the far end's counts do not add up");
    m->result.info = *info;
    p->shared_blocks = shared;
    p->literal_blocks = literals;
    p->duplicate_blocks = data - shared - literals;
    p->path = vf_strf(err, "%s/%s", m->plan.best->dir, m->name);
    m->wire.sent = m->plan.best->prediction.wire.value;
    return p->path ? report(m, err) : -1;
}

/* A machine that comes back finds what it left: the map of what is sent is kept, if that works. */
static struct vf_map_sink *keep_map(const struct migrate *m)
{
    struct vf_error why = VF_ERROR_INIT;
    struct vf_map_sink *sink;

    if (m->image.map)
        return NULL;
    sink = vf_index_begin(m->index, &m->image.rec, &why);
    if (sink)
        return vf_soft_sink_new(sink, m->cli);
    vf_say(m->cli, "the image's map is not kept: %s", why.msg);
    return NULL;
}

static uint64_t memory_of(const struct migrate *m)
{
    return m->opts->memory ? m->opts->memory : m->store->set.memory;
}

static struct vf_send_opts send_opts(const struct migrate *m)
{
    bool same = strcmp(m->format, m->image.desc.format) == 0;

    return (struct vf_send_opts){.name = m->name,
                                 .format = m->format,
                                 .cluster_size = same ? m->image.desc.cluster_size : 0,
                                 .replace = m->opts->replace,
                                 .offered = true,
                                 .level = m->level,
                                 .memory = memory_of(m),
                                 .stop = m->cli->stop};
}

static int send_over(struct migrate *m, struct vf_peer *peer, struct vf_send_ahead *ahead,
                     struct vf_error *err)
{
    struct vf_progress *progress = vf_progress_new(m->cli, m->image.path);
    struct vf_send_opts opts = send_opts(m);
    int rc;

    opts.progress = progress ? vf_progress_tick : NULL;
    opts.progress_ctx = progress;
    opts.ahead = ahead;
    vf_progress_over(progress, peer->stream);
    rc = vf_send(peer->stream, &peer->welcome, m->image.image, m->image.map, keep_map(m), &opts,
                 &m->result, err);
    vf_progress_end(progress);
    peer->stream->ops->stats(peer->stream, &m->wire);
    if (rc == 0 && (!m->result.peer.path || !*m->result.peer.path)) {
        free(m->result.peer.path);
        m->result.peer.path = vf_strf(err, "%s/%s", peer->welcome.dir, m->name);
        rc = m->result.peer.path ? 0 : -1;
    }
    return rc;
}

/* Connects, and offers the image. */
static int reach_out(struct migrate *m, struct vf_ratelimit *limit, struct vf_peer *ret,
                     struct vf_error *err)
{
    struct vf_send_opts opts = send_opts(m);
    struct vf_msg_offer offer;
    int rc;

    if (vf_send_offer(m->image.image, m->image.map, &opts, &offer, err) < 0)
        return -1;
    rc = vf_peer_offer(m->cli, m->target, &m->opts->reach, VF_FOR_MIGRATE, m->group, &offer, limit,
                       ret, err);
    vf_send_offer_free(&offer);
    return rc;
}

static int migrate(struct migrate *m, struct vf_error *err)
{
    struct vf_send_ahead *ahead = NULL;
    const char *file = m->opts->limit_file;
    struct vf_ratelimit *limit = NULL;
    struct vf_ratefile *follow = NULL;
    struct vf_peer peer = {0};
    int rc = -1;

    if (m->opts->limit_rate || file) {
        limit = vf_ratelimit_new(m->opts->limit_rate, err);
        if (!limit)
            return -1;
    }
    if (file && !(follow = vf_ratefile_start(m->cli, file, m->opts->limit_rate, limit, err)))
        goto out;
    ahead = vf_send_ahead(m->image.image, m->image.map, memory_of(m));
    if (reach_out(m, limit, &peer, err) < 0) {
        vf_send_ahead_free(ahead);
        goto out;
    }
    vf_peer_spread(&peer, m->streams);
    rc = send_over(m, &peer, ahead, err);
    if (rc == 0) {
        vf_peer_leave(&peer);
        rc = report(m, err);
    } else {
        vf_peer_why(&peer, err);
        vf_peer_close(&peer, err);
    }
out:
    vf_ratefile_end(follow);
    vf_ratelimit_free(limit);
    return rc;
}

static int prepare(struct migrate *m, const char *operand, struct vf_error *err)
{
    struct vf_inventory nodes = {NULL, 0};
    int rc;

    m->store = vf_storedir_open(m->cli, err);
    m->index = m->store ? vf_index_open(m->store->path, VF_INDEX_CREATE, err) : NULL;
    if (!m->index)
        return -1;
    if (strcmp(m->opts->to, "auto") != 0) {
        m->label = m->opts->to;
        rc = vf_inventory_load(m->store->fd, &nodes, err);
        if (rc == 0)
            rc = vf_inventory_resolve(&nodes, m->label, &m->named, err);
        vf_inventory_free(&nodes);
        if (rc < 0)
            return -1;
        m->target = &m->named;
    }
    if (vf_origin_open(m->index, operand, &m->opts->origin, &m->image, err) < 0 ||
        choose_name(m, operand, err) < 0)
        return -1;
    m->group = m->opts->group ? m->opts->group : m->image.rec.group;
    return m->label && !m->opts->dry_run ? 0 : plan(m, err);
}

/* ---- a guest with its disks ---- */

static int resolve_target(struct migrate *m, struct vf_error *err)
{
    struct vf_inventory nodes = {NULL, 0};
    int rc = vf_inventory_load(m->store->fd, &nodes, err);

    m->label = m->opts->to;
    if (rc == 0)
        rc = vf_inventory_resolve(&nodes, m->label, &m->named, err);
    vf_inventory_free(&nodes);
    m->target = &m->named;
    return rc;
}

static int migrate_vm(struct migrate *m, struct vf_error *err)
{
    const struct migrate_opts *o = m->opts;
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
                                .deadline = deadline_of(o),
                                .replace = o->replace,
                                .dry_run = o->dry_run};

    m->store = vf_storedir_open(m->cli, err);
    m->index = m->store ? vf_index_open(m->store->path, VF_INDEX_CREATE, err) : NULL;
    if (!m->index)
        return -1;
    req.memory = memory_of(m);
    req.store = m->store;
    req.index = m->index;
    if (o->vm.status || o->vm.abort)
        return o->vm.status ? vf_vm_status(&req, err) : vf_vm_abort(&req, err);
    if (strcmp(o->to, "auto") == 0) {
        req.choose = true;
        req.nodes = o->nodes;
        return vf_vm_migrate(&req, err);
    }
    if (resolve_target(m, err) < 0)
        return -1;
    req.target = m->target;
    req.label = m->label;
    req.nodes = (struct vf_opt_list){&m->label, 1};
    return vf_vm_migrate(&req, err);
}

static int run_migrate(struct vf_cli *cli, const void *opts, char *const args[],
                       struct vf_error *err)
{
    struct migrate m = {.cli = cli, .opts = opts, .named = VF_TARGET_INIT};
    struct vf_marker marker = VF_MARKER_INIT;
    int rc = -1;

    m.start = vf_clock_now();
    if (!m.opts->vm.vm != (args[0] != NULL))
        return vf_error_set(err, VF_ERR_USAGE, 0,
                            args[0] ? "migrate: give an IMAGE or --vm NAME, not both"
                                    : "migrate: what?  Give an IMAGE, or --vm NAME");
    if (m.opts->vm.vm) {
        rc = check_opts(&m, err) == 0 ? migrate_vm(&m, err) : -1;
    } else if (check_opts(&m, err) == 0 && prepare(&m, args[0], err) == 0) {
        if (!m.opts->dry_run)
            vf_marker_set(&marker, m.store->fd);
        rc = m.opts->dry_run ? dry_run(&m, err) : migrate(&m, err);
    }
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
    .opts_size = sizeof(struct migrate_opts),
    .min_args = 0,
    .max_args = 1,
    .run = run_migrate,
};
