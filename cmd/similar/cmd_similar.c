/* cmd/similar/cmd_similar.c - `similar`: how much of an image each node holds. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/group.h"
#include "cmd/origin.h"
#include "cmd/report.h"
#include "cmd/similar/aside.h"
#include "cmd/similar/similar.h"
#include "cmd/storedir.h"
#include "core/fdio.h"

struct similar_opts {
    struct vf_origin_opts origin;
    struct vf_reach reach;
    struct vf_opt_list nodes;
    const char *group, *html;
    uint64_t rate;     /* bytes per second, 0: unknown */
    uint64_t deadline; /* seconds */
    uint64_t exact;    /* nodes, 0: default */
    bool estimate, all;
};

static const struct vf_opt similar_table[] = {
    {"node", 0, VF_OPT_LIST, offsetof(struct similar_opts, nodes), "NODE", "ask this node", 0, 0,
     NULL},
    {"estimate", 0, VF_OPT_FLAG, offsetof(struct similar_opts, estimate), NULL,
     "estimate only, from samples; says how far it may be off", 0, 0, NULL},
    {"exact", 0, VF_OPT_NUMBER, offsetof(struct similar_opts, exact), "N",
     "count exactly at the N best nodes (4)", 1, 4096, NULL},
    {"all", 0, VF_OPT_FLAG, offsetof(struct similar_opts, all), NULL,
     "compare all images of the nodes with one another", 0, 0, NULL},
    {"html", 0, VF_OPT_TEXT, offsetof(struct similar_opts, html), "FILE",
     "write the report as a page, too", 0, 0, NULL},
    {"deadline", 0, VF_OPT_NUMBER, offsetof(struct similar_opts, deadline), "SECONDS",
     "do without a node that has not answered by then (10)", 1, 3600, NULL},
    {"rate", 0, VF_OPT_SIZE, offsetof(struct similar_opts, rate), "BYTES",
     "of the link, per second, for the estimate of time", 1, UINT64_C(1) << 50, NULL},
    {"group", 0, VF_OPT_TEXT, offsetof(struct similar_opts, group), "GROUP",
     "compare within this sharing group", 0, 0, NULL},
    VF_ORIGIN_OPTS(struct similar_opts, origin),
    VF_REACH_OPTS(struct similar_opts, reach),
    {NULL, 0, VF_OPT_FLAG, 0, NULL, NULL, 0, 0, NULL},
};

static const struct similar_opts similar_defaults = {.deadline = VF_ASK_DEADLINE};

static const struct vf_opt_rule similar_rules[] = {
    {"all", false, "estimate|exact|rate|format|allow-backing"},
    {"estimate", false, "exact"},
    {NULL, false, NULL},
};

struct similar {
    struct vf_cli *cli;
    const struct similar_opts *opts;
    struct vf_storedir *store;
    struct vf_index *index;
    struct vf_origin image;
    struct vf_candidates nodes;
};

/* At least one node must have told something. */
static int check_told(const struct similar *s, struct vf_error *err)
{
    for (size_t i = 0; i < s->nodes.n; i++)
        if (s->nodes.node[i].told)
            return 0;
    (void)vf_error_pass(err, &s->nodes.node[0].why); /* the -1 below says it */
    return s->nodes.n > 1
               ? vf_error_prefix(err, "no node could be asked: %s", s->nodes.node[0].label)
               : -1;
}

/* ---- the page ---- */

typedef int page_fn(const json_t *report, FILE *out, struct vf_error *err);

static int write_page(const struct similar *s, const json_t *report, page_fn *page,
                      struct vf_error *err)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    int rc;

    if (!out)
        return vf_error_nomem(err);
    rc = page(report, out, err);
    if (fclose(out) != 0 && rc == 0)
        rc = vf_error_nomem(err);
    if (rc == 0)
        rc = vf_replace_file(AT_FDCWD, s->opts->html, text, len, 0644, err);
    if (rc == 0)
        vf_say_more(s->cli, "%s: %zu bytes", s->opts->html, len);
    free(text);
    return rc;
}

/* All forms of a report; takes it. */
static int give(struct similar *s, json_t *report, page_fn *print, page_fn *page,
                struct vf_error *err)
{
    if (report && s->opts->html && write_page(s, report, page, err) < 0) {
        json_decref(report);
        return -1;
    }
    if (vf_report_set(s->cli, report, err) < 0)
        return -1;
    return s->cli->json ? 0 : print(report, stdout, err);
}

/* ---- one image ---- */

static int survey(struct similar *s, struct vf_map *map, const char *group, struct vf_error *err)
{
    size_t exact = s->opts->estimate ? 0
                   : s->opts->exact  ? (size_t)s->opts->exact
                                     : VF_SURVEY_EXACT;
    struct vf_count count = {.cli = s->cli,
                             .reach = &s->opts->reach,
                             .group = group,
                             .title = s->image.path,
                             .image = s->image.image,
                             .map = map,
                             .deadline = (double)s->opts->deadline};
    struct vf_survey survey = {.count = &count,
                               .store_fd = s->store->fd,
                               .size = VF_SUMMARY_FULL,
                               .exact = exact,
                               .rate = (double)s->opts->rate,
                               .nodes = &s->nodes};
    int rc = vf_survey_run(&survey, err);

    if (rc == 0)
        rc = check_told(s, err);
    if (rc == 0)
        rc = give(s, vf_similar_json(&survey, s->image.path, s->opts->estimate), vf_similar_print,
                  vf_similar_page, err);
    vf_survey_free(&survey);
    return rc;
}

/* Everything is counted from a map: the stored one, or one that is made for this and not kept. */
static int one_image(struct similar *s, const char *path, struct vf_error *err)
{
    struct vf_aside aside = {0};
    int rc = -1;

    if (vf_origin_open(s->index, path, &s->opts->origin, &s->image, err) < 0)
        return -1;
    if (s->image.map || vf_aside_open(s->cli, s->store, &s->image, &aside, err) == 0)
        rc = survey(s, s->image.map ? s->image.map : aside.map,
                    s->opts->group ? s->opts->group : s->image.rec.group, err);
    vf_aside_close(&aside);
    return rc;
}

/* ---- all with one another ---- */

static int all_images(struct similar *s, struct vf_error *err)
{
    struct vf_similar_all all = {&s->nodes, s->opts->group ? s->opts->group : ""};
    struct vf_survey_tell tell = {&s->opts->reach, all.group, s->store->fd,
                                  (double)s->opts->deadline};
    json_t *report;

    if (vf_survey_tell(s->cli, &tell, &s->nodes, err) < 0 || check_told(s, err) < 0)
        return -1;
    report = vf_similar_all_json(&all, err);
    return report ? give(s, report, vf_similar_all_print, vf_similar_all_page, err) : -1;
}

static int run_similar(struct vf_cli *cli, const void *opts, char *const args[],
                       struct vf_error *err)
{
    struct similar s = {.cli = cli, .opts = opts};
    int rc = -1;

    if (s.opts->all == (args[0] != NULL))
        return vf_error_set(err, VF_ERR_USAGE, 0,
                            s.opts->all ? "similar: --all goes without an image"
                                        : "similar: IMAGE is missing, or --all");
    if (vf_opts_check(similar_table, similar_rules, s.opts, err) < 0)
        return vf_error_prefix(err, "similar");
    s.store = vf_storedir_open(cli, err);
    s.index = s.store ? vf_storedir_index(s.store, err) : NULL;
    if (s.index && (!s.opts->group || vf_group_check(s.opts->group, err) == 0) &&
        vf_candidates_find(s.store, &s.opts->nodes, true, &s.nodes, err) == 0)
        rc = s.opts->all ? all_images(&s, err) : one_image(&s, args[0], err);
    vf_candidates_free(&s.nodes);
    vf_origin_close(&s.image);
    vf_index_close(s.index);
    vf_storedir_close(s.store);
    return rc;
}

const struct vf_cmd vf_cmd_similar = {
    .name = "similar",
    .args = "IMAGE | --all",
    .summary = "how much of an image each node holds",
    .about =
        "Asks all nodes at the same time how many blocks of the image occur in their images, and\n"
        "what a migration would send.  Samples rank the nodes, the best are counted exactly.\n"
        "Changes nothing anywhere.  Without --node, asks all nodes of the inventory and this\n"
        "store.",
    .examples = "  vmferry similar web1.qcow2\n"
                "  vmferry similar web1.qcow2 --node paris --rate 12M\n"
                "  vmferry similar web1.qcow2 --estimate --html web1.html\n"
                "  vmferry similar web1.qcow2 --exact 10 --deadline 5\n"
                "  vmferry similar --all\n"
                "  vmferry similar web1.qcow2 --json | jq -r .choice\n",
    .opts = similar_table,
    .defaults = &similar_defaults,
    .opts_size = sizeof(struct similar_opts),
    .min_args = 0,
    .max_args = 1,
    .run = run_similar,
};
