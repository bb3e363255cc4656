/* cmd/similar/survey.c - ranks nodes by their summaries, and the best by counts. */
#include "cmd/similar/survey.h"

#include <stdlib.h>

#include "cmd/cmd.h"
#include "cmd/similar/survey_impl.h"
#include "core/checked.h"
#include "core/similar/predict.h"
#include "core/similar/rank.h"
#include "index/index.h"

void vf_likeness_exact(const struct vf_shared *shared, bool has_zero, uint64_t distinct,
                       struct vf_likeness *ret)
{
    uint64_t left = distinct > shared->distinct ? distinct - shared->distinct : 0;

    *ret = (struct vf_likeness){
        .shared = {shared->blocks, shared->blocks, shared->blocks},
        .shared_distinct = {shared->distinct, shared->distinct, shared->distinct},
        .literals = {left, left, left},
        .has_zero = has_zero,
    };
}

/* ---- ranking ---- */

/* What a higher level leaves: data that hardly compresses gains nothing from it. */
static double at_level(double ratio, double left)
{
    const double soft = ratio > 0.5 ? 2 * (1 - ratio) : 1;

    return ratio < 1 ? ratio * (1 - (1 - left) * soft) : ratio;
}

/* What slow links leave of the bytes, as the packer has time for more: bytes per second, and the
 * part that is left (bench/BENCHMARKING.md, "Predictions"). */
static double left_at(double rate)
{
    static const struct {
        double rate, left;
    } step[] = {{2.5e6, 0.92}, {13e6, 0.96}};

    for (size_t i = 0; rate > 0 && i < sizeof step / sizeof step[0]; i++)
        if (rate < step[i].rate)
            return step[i].left;
    return 1;
}

/* How well what each node lacks compresses. */
static int set_ratios(struct vf_survey *s, struct vf_error *err)
{
    const struct vf_count *c = s->count;
    struct vf_pieces pieces;

    if (vf_pieces_read(c->image, c->map, &s->sketch, c->cli->stop, &pieces, err) < 0)
        return -1;
    for (size_t i = 0; i < s->nodes->n; i++) {
        struct vf_candidate *node = &s->nodes->node[i];

        if (node->held)
            node->ratio = at_level(vf_pieces_ratio(&pieces, &node->held->held), left_at(s->rate));
    }
    vf_pieces_free(&pieces);
    return 0;
}

/* This store is a place to move to only where there is no other. */
static bool others_can(const struct vf_survey *s)
{
    for (size_t i = 0; i < s->nodes->n; i++)
        if (!s->nodes->node[i].own && s->nodes->node[i].told &&
            s->nodes->node[i].why_not == VF_RANK_CAN)
            return true;
    return false;
}

static int rank(struct vf_survey *s, struct vf_error *err)
{
    struct vf_wire_model model = {.info = s->info, .ratio = 1, .rate_bps = s->rate};
    struct vf_rank_node *r = vf_calloc(s->nodes->n, sizeof *r, err);
    bool others = others_can(s);

    if (!r)
        return -1;
    for (size_t i = 0; i < s->nodes->n; i++) {
        struct vf_candidate *node = &s->nodes->node[i];

        r[i] = (struct vf_rank_node){.label = node->label,
                                     .why = node->why_not,
                                     .free_bytes = node->free_bytes,
                                     .resident = node->resident,
                                     .exact = node->exact,
                                     .likeness = node->likeness,
                                     .ratio = node->ratio,
                                     .ctx = node};
        if (node->own && others && node->why_not == VF_RANK_CAN)
            r[i].why = VF_RANK_OWN;
    }
    s->can = vf_rank(&model, r, s->nodes->n);
    for (size_t i = 0; i < s->nodes->n; i++) {
        struct vf_candidate *node = r[i].ctx;

        node->verdict = r[i].why;
        node->prediction = r[i].prediction;
        node->place = i;
        s->place[i] = node;
    }
    free(r);
    return 0;
}

/* ---- counting the best ---- */

/* Nodes worth an exact count, the best first; returns how many were put into *ret. */
static size_t choose_exact(const struct vf_survey *s, struct vf_candidate **ret)
{
    size_t n = 0, most = s->exact;

    if (s->contenders_only) {
        uint64_t reach = s->can ? s->place[0]->prediction.wire.high : 0;

        for (size_t i = 0; i < s->can && n < most; i++)
            if (s->place[i]->prediction.wire.low <= reach)
                ret[n++] = s->place[i];
        return n > 1 ? n : 0; /* there is nothing to decide */
    }
    for (size_t i = 0; i < s->nodes->n && n < most; i++)
        if (s->place[i]->told)
            ret[n++] = s->place[i];
    return n;
}

static void take_counts(struct vf_survey *s, struct vf_candidate *node)
{
    if (!node->counted) { /* it answered a moment ago */
        node->told = false;
        node->why_not = VF_RANK_SILENT;
        return;
    }
    node->exact = true;
    vf_likeness_exact(&node->counts.all, node->counts.has_zero,
                      s->info.distinct_blocks - (s->info.zero_blocks > 0), &node->likeness);
}

int vf_survey_count(struct vf_survey *s, struct vf_candidate *const *node, size_t n,
                    struct vf_error *err)
{
    if (!n)
        return 0;
    if (vf_candidates_count(s->count, node, n, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        take_counts(s, node[i]);
    return rank(s, err);
}

static int count_best(struct vf_survey *s, struct vf_error *err)
{
    struct vf_candidate **best = vf_calloc(s->nodes->n, sizeof(struct vf_candidate *), err);
    int rc = best ? vf_survey_count(s, best, choose_exact(s, best), err) : -1;

    free(best);
    return rc;
}

int vf_survey_run(struct vf_survey *s, struct vf_error *err)
{
    struct vf_map *map = s->count->map;

    s->place = vf_calloc(s->nodes->n, sizeof(struct vf_candidate *), err);
    if (!s->place || map->ops->info(map, &s->info, err) < 0 ||
        vf_index_sketch(map, &s->sketch, err) < 0 ||
        vf_places_take(map, s->sketch.scale, s->count->cli->stop, &s->places, err) < 0 ||
        vf_survey_ask(s, err) < 0)
        return -1;
    if (set_ratios(s, err) < 0 || rank(s, err) < 0)
        return -1;
    return count_best(s, err);
}

void vf_survey_free(struct vf_survey *s)
{
    vf_sketch_free(&s->sketch);
    vf_places_free(&s->places);
    free(s->place);
    s->place = NULL;
}

const struct vf_candidate *vf_survey_best(const struct vf_survey *s)
{
    return s->can ? s->place[0] : NULL;
}

const char *vf_survey_reason(const struct vf_candidate *n)
{
    return n->verdict == n->why_not && n->reason ? n->reason : vf_rank_phrase(n->verdict);
}

static enum vf_err code_of(enum vf_rank_why why)
{
    switch (why) {
    case VF_RANK_SPACE:
        return VF_ERR_SPACE;
    case VF_RANK_EXISTS:
        return VF_ERR_EXISTS;
    case VF_RANK_FORMAT:
        return VF_ERR_UNSUPPORTED;
    case VF_RANK_SILENT:
    case VF_RANK_VERSION:
        return VF_ERR_UNREACHABLE;
    default:
        return VF_ERR_DENIED;
    }
}

void vf_survey_why(const struct vf_candidate *n, struct vf_error *ret)
{
    if (n->why.code != VF_ERR_NONE)
        *ret = n->why;
    else
        (void)vf_error_set(ret, code_of(n->verdict), 0, "%s",
                           vf_survey_reason(n)); /* noted, not returned */
}
