/* cmd/migrate/migrate_prepare.c - what goes where: store, node, image, name and plan. */
#include <inttypes.h>
#include <string.h>

#include "cmd/dest.h"
#include "cmd/inventory.h"
#include "cmd/migrate/migrate_impl.h"
#include "cmd/progress.h"
#include "cmd/report.h"
#include "core/checked.h"
#include "formats/writer.h"

/* ---- what was asked for ---- */

uint64_t vf_migrate_memory(const struct vf_migrate *m)
{
    return m->opts->memory ? m->opts->memory : m->store->set.memory;
}

double vf_migrate_deadline(const struct vf_migrate *m)
{
    return m->opts->deadline ? (double)m->opts->deadline : VF_ASK_DEADLINE;
}

/* ---- store and node ---- */

int vf_migrate_open(struct vf_migrate *m, struct vf_error *err)
{
    m->store = vf_storedir_open(m->cli, err);
    m->index = m->store ? vf_storedir_index(m->store, err) : NULL;
    return m->index ? 0 : -1;
}

int vf_migrate_resolve(struct vf_migrate *m, struct vf_error *err)
{
    struct vf_inventory nodes = {NULL, 0};
    int rc = vf_inventory_load(m->store->path, &nodes, err);

    m->label = m->opts->to;
    if (rc == 0)
        rc = vf_inventory_resolve(&nodes, m->label, &m->named, err);
    vf_inventory_free(&nodes);
    m->target = &m->named;
    return rc;
}

/* ---- the name ---- */

/* Does a file of that format end in that suffix by custom? */
static bool is_suffix_of(const char *suffix, const char *format)
{
    return strcmp(suffix, format) == 0 ||
           (strcmp(format, "raw") == 0 && strcmp(suffix, "img") == 0);
}

/* A name that says another format than the file will have is taken, as it was given on purpose; but
 * who reads it later, here or elsewhere, may be led astray. */
static void check_suffix(const struct vf_migrate *m)
{
    const char *dot = strrchr(m->name, '.');
    static const char *const formats[] = {"raw", "qcow2"};

    for (size_t i = 0; dot && i < sizeof formats / sizeof *formats; i++)
        if (strcmp(dot + 1, formats[i]) == 0 && strcmp(m->format, formats[i]) != 0)
            vf_say(m->cli, "'%s' will be a %s image: --to-format %s makes it what its name says",
                   m->name, m->format, formats[i]);
}

/* The name at the destination: --as, else the image's own, whose suffix follows the format. */
static int choose_name(struct vf_migrate *m, const char *operand, struct vf_error *err)
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
    check_suffix(m);
    return 0;
}

/* ---- planning: --dry-run and --to auto ---- */

/* Comparing needs a map.  It is kept, so that the migration that follows need not read again; a dry
 * run keeps nothing. */
static int ensure_map(struct vf_migrate *m, struct vf_error *err)
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
static int plan(struct vf_migrate *m, struct vf_error *err)
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
                                   .deadline = vf_migrate_deadline(m)};
    if (vf_plan_make(&opts, &m->plan, err) < 0)
        return -1;
    if (!m->label)
        vf_say(m->cli, "%s needs the fewest: %" PRIu64 " blocks", m->plan.best->label,
               m->plan.best->likeness.literals.value);
    m->label = m->plan.best->label;
    m->target = &m->plan.best->target;
    return 0;
}

/* ---- all of it ---- */

int vf_migrate_prepare(struct vf_migrate *m, const char *operand, struct vf_error *err)
{
    if (vf_migrate_open(m, err) < 0)
        return -1;
    if (strcmp(m->opts->to, "auto") != 0 && vf_migrate_resolve(m, err) < 0)
        return -1;
    if (vf_origin_open(m->index, operand, &m->opts->origin, &m->image, err) < 0 ||
        choose_name(m, operand, err) < 0)
        return -1;
    m->group = m->opts->group ? m->opts->group : m->image.rec.group;
    return m->label && !m->opts->dry_run ? 0 : plan(m, err);
}
