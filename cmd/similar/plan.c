/* cmd/similar/plan.c - chooses the node that a migration costs least. */
#include "cmd/similar/plan.h"

#include "cmd/cmd.h"
#include "cmd/report.h"
#include "cmd/similar/similar.h"

/* Nobody takes it: what the first in the ranking says. */
static int nobody(const struct vf_plan *p, struct vf_error *err)
{
    const struct vf_candidate *n = p->survey.place[0];

    vf_survey_why(n, err);
    if (n->told)
        (void)vf_error_prefix(err, "far end"); /* -1 below */
    return p->nodes.n > 1 ? vf_error_prefix(err, "no node can take it: %s", n->label) : -1;
}

int vf_plan_make(const struct vf_plan_opts *opts, struct vf_plan *ret, struct vf_error *err)
{
    if (vf_candidates_to_choose(opts->store, opts->named, &ret->nodes, err) < 0)
        return -1;
    ret->count = opts->count;
    ret->survey = (struct vf_survey){.count = &ret->count,
                                     .store_fd = opts->store->fd,
                                     .size = VF_SUMMARY_BRIEF,
                                     .exact = VF_SURVEY_EXACT,
                                     .contenders_only = !opts->count_best,
                                     .rate = opts->rate,
                                     .nodes = &ret->nodes};
    if (vf_survey_run(&ret->survey, err) < 0)
        return -1;
    ret->made = true;
    ret->best = vf_survey_best(&ret->survey);
    return ret->best ? 0 : nobody(ret, err);
}

void vf_plan_free(struct vf_plan *p)
{
    vf_survey_free(&p->survey);
    vf_candidates_free(&p->nodes);
}

bool vf_plan_put(const struct vf_plan *p, json_t *report)
{
    const struct vf_prediction *f;
    json_t *ranking;

    if (!p->made || !p->best)
        return true;
    f = &p->best->prediction;
    ranking = vf_similar_ranking(&p->survey);
    return json_object_set_new(report, "ranking", ranking) == 0 &&
           json_object_set_new(report, "predicted_wire_bytes",
                               json_integer((json_int_t)f->wire.value)) == 0 &&
           json_object_set_new(report, "predicted_literal_blocks",
                               json_integer((json_int_t)p->best->likeness.literals.value)) == 0 &&
           json_object_set_new(report, "predicted_seconds",
                               f->seconds < 0 ? json_null() : json_real(f->seconds)) == 0;
}

static int add_node(const struct vf_plan *p, struct vf_table *t, const struct vf_candidate *n,
                    struct vf_error *err)
{
    const char *mark = n->exact ? "" : "~";
    char literals[VF_BYTES_TEXT] = "", wire[VF_BYTES_TEXT] = "", space[VF_BYTES_TEXT] = "";
    bool can = n->place < p->survey.can;

    vf_bytes_text(n->likeness.literals.value * VF_BLOCK, literals);
    vf_bytes_text(n->prediction.wire.value, wire);
    vf_bytes_text(n->free_bytes, space);
    if (vf_table_add(t, err, "%zu", n->place + 1) < 0 || vf_table_add(t, err, "%s", n->label) < 0 ||
        vf_table_add(t, err, "%s%s", n->told ? mark : "", n->told ? literals : "-") < 0 ||
        vf_table_add(t, err, "%s%s", n->told ? "about " : "", n->told ? wire : "-") < 0 ||
        vf_table_add(t, err, "%s", n->reached ? space : "-") < 0)
        return -1;
    return vf_table_add(t, err, "%s", can ? "" : n->told ? vf_survey_reason(n) : n->why.msg);
}

int vf_plan_print(const struct vf_plan *p, struct vf_error *err)
{
    static const char *const head[] = {"", "NODE", "MISSING", "ON THE WIRE", "FREE", ""};
    struct vf_table *t = vf_table_new("rlrrrl", err);
    int rc = t ? 0 : -1;

    for (size_t i = 0; i < sizeof head / sizeof *head && rc == 0; i++)
        rc = vf_table_add(t, err, "%s", head[i]);
    for (size_t i = 0; i < p->nodes.n && rc == 0; i++)
        rc = add_node(p, t, p->survey.place[i], err);
    if (rc == 0)
        vf_table_print(t, stdout);
    vf_table_free(t);
    return rc;
}
