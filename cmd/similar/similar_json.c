/* cmd/similar/similar_json.c - what a survey found, as JSON. */
#include <string.h>

#include "cmd/report.h"
#include "cmd/similar/similar.h"

/* Adds a value that is owned by o then; remembers that memory was out. */
static void put(json_t *o, bool *ok, const char *key, json_t *value)
{
    if (!value || json_object_set_new(o, key, value))
        *ok = false;
}

static json_t *number(uint64_t v)
{
    return json_integer((json_int_t)(v > INT64_MAX ? INT64_MAX : v));
}

static json_t *range(struct vf_bounded b)
{
    return json_pack("[o, o]", number(b.low), number(b.high));
}

/* Four measures of the contract. */
static void put_measures(json_t *o, bool *ok, const struct vf_map_info *info,
                         const struct vf_likeness *l)
{
    struct vf_bounded with = vf_likeness_blocks(l, info->zero_blocks),
                      distinct = vf_likeness_distinct(l, info->zero_blocks);

    put(o, ok, "shared_blocks", number(with.value));
    put(o, ok, "shared_distinct_blocks", number(distinct.value));
    put(o, ok, "similarity", json_real(vf_share(with.value, info->blocks)));
    put(o, ok, "similarity_distinct", json_real(vf_share(distinct.value, info->blocks)));
}

/* Their bounds, where they are estimates. */
static json_t *bounds(const struct vf_map_info *info, const struct vf_likeness *l)
{
    return json_pack("{s:o, s:o}", "shared_blocks", range(vf_likeness_blocks(l, info->zero_blocks)),
                     "shared_distinct_blocks", range(vf_likeness_distinct(l, info->zero_blocks)));
}

static json_t *image_json(const struct vf_survey *s, const char *name, const struct vf_likeness *l,
                          bool exact, bool fresh)
{
    json_t *o = json_object();
    bool ok = o != NULL;

    if (!ok)
        return NULL;
    put(o, &ok, "image", vf_json_text(name));
    put_measures(o, &ok, &s->info, l);
    put(o, &ok, "exact", json_boolean(exact));
    if (!exact)
        put(o, &ok, "bounds", bounds(&s->info, l));
    put(o, &ok, "fresh", json_boolean(fresh));
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

/* One image of a summary against the target. */
static json_t *summary_image(const struct vf_survey *s, const struct vf_summary_image *im)
{
    struct vf_sketch_set set = vf_sketch_as_set(&im->sketch);
    struct vf_likeness l;

    if (memcmp(im->root, s->info.root, VF_SHA_LEN) == 0)
        vf_likeness_same(&s->sketch, &l);
    else
        vf_sketch_compare(&s->sketch, &set, &l);
    return image_json(s, im->name, &l, false, im->fresh);
}

static json_t *images_json(const struct vf_survey *s, const struct vf_candidate *n)
{
    json_t *list = json_array();
    bool ok = list != NULL;

    for (size_t i = 0; n->exact && i < n->counts.n && ok; i++) {
        const struct vf_msg_count_image *im = &n->counts.image[i];
        struct vf_likeness l;

        vf_likeness_exact(&im->shared, im->has_zero, n->counts.distinct, &l);
        ok = json_array_append_new(list, image_json(s, im->name, &l, true, im->fresh)) == 0;
    }
    for (size_t i = 0; !n->exact && i < n->summary.images && ok; i++)
        if (n->summary.image[i].sketched)
            ok = json_array_append_new(list, summary_image(s, &n->summary.image[i])) == 0;
    if (ok)
        return list;
    json_decref(list);
    return NULL;
}

/* What would travel, and when it would be there. */
static void put_cost(json_t *o, bool *ok, const struct vf_map_info *info,
                     const struct vf_candidate *n)
{
    uint64_t data = info->blocks - info->zero_blocks, rest = n->likeness.shared.value;

    rest = data > rest ? data - rest : 0;
    put(o, ok, "literal_blocks", number(n->likeness.literals.value));
    put(o, ok, "duplicate_blocks",
        number(rest > n->likeness.literals.value ? rest - n->likeness.literals.value : 0));
    put(o, ok, "wire_bytes_estimate", number(n->prediction.wire.value));
    put(o, ok, "seconds_estimate",
        n->prediction.seconds < 0 ? json_null() : json_real(n->prediction.seconds));
    if (n->exact)
        return;
    put(o, ok, "bounds", bounds(info, &n->likeness));
    if (*ok) {
        json_t *b = json_object_get(o, "bounds");

        put(b, ok, "literal_blocks", range(n->likeness.literals));
        put(b, ok, "wire_bytes_estimate", range(n->prediction.wire));
    }
}

/* Whether a node can take the image, and why not. */
static void put_verdict(json_t *o, bool *ok, const struct vf_survey *s,
                        const struct vf_candidate *n)
{
    put(o, ok, "place", number(n->place + 1));
    put(o, ok, "eligible", json_boolean(n->place < s->can));
    if (n->place < s->can)
        return;
    put(o, ok, "reason", json_string(vf_rank_word(n->verdict)));
    put(o, ok, "reason_text", vf_json_text(vf_survey_reason(n)));
}

static json_t *node_json(const struct vf_survey *s, const struct vf_candidate *n, bool images)
{
    static const char *const how[] = {"same", "delta", "whole"};
    json_t *o = json_object();
    bool ok = o != NULL;

    if (!ok)
        return NULL;
    put(o, &ok, "node", vf_json_text(n->label));
    put_verdict(o, &ok, s, n);
    put(o, &ok, "exact", json_boolean(n->exact));
    put_measures(o, &ok, &s->info, &n->likeness);
    put_cost(o, &ok, &s->info, n);
    put(o, &ok, "writable", json_boolean(n->writable));
    put(o, &ok, "free_bytes", number(n->free_bytes));
    put(o, &ok, "summary", json_string(how[n->told_how]));
    put(o, &ok, "summary_bytes", number(n->told_bytes));
    if (images)
        put(o, &ok, "images", images_json(s, n));
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

static json_t *failed_json(const struct vf_candidate *n)
{
    json_t *o = json_object();
    bool ok = o != NULL;

    if (!ok)
        return NULL;
    put(o, &ok, "node", vf_json_text(n->label));
    put(o, &ok, "reason", json_string(vf_rank_word(n->why_not)));
    if (ok)
        return vf_report_error(o, &n->why);
    json_decref(o);
    return NULL;
}

/* The disk in parts: [zero, shared, duplicate, literal] of each, in thousandths. */
static json_t *strip_json(const struct vf_survey *s, const struct vf_candidate *n)
{
    struct vf_cell cell[VF_CELLS];
    json_t *cells = json_array();
    bool ok = cells != NULL;

    vf_places_cells(&s->places, &n->held->held, cell);
    for (uint32_t i = 0; i < s->places.cells && ok; i++)
        ok = json_array_append_new(cells,
                                   json_pack("[i, i, i, i]", (int)cell[i].zero, (int)cell[i].shared,
                                             (int)cell[i].duplicate, (int)cell[i].literal)) == 0;
    if (ok)
        return json_pack("{s:o, s:o, s:o, s:o}", "node", vf_json_text(n->label), "cell_blocks",
                         number(s->places.span), "samples", number(s->places.n), "cells", cells);
    json_decref(cells);
    return NULL;
}

/* The node whose view of the disk is shown: the choice, else the first that told. */
static const struct vf_candidate *shown(const struct vf_survey *s)
{
    for (size_t i = 0; i < s->nodes->n; i++)
        if (s->place[i]->told && s->place[i]->held)
            return s->place[i];
    return NULL;
}

static void put_nodes(json_t *o, bool *ok, const struct vf_survey *s)
{
    json_t *nodes = json_array(), *bad = json_array();

    for (size_t k = 0; k < s->nodes->n && *ok; k++) {
        const struct vf_candidate *n = &s->nodes->node[k];

        *ok = (n->told ? json_array_append_new(nodes, node_json(s, n, true))
                       : json_array_append_new(bad, failed_json(n))) == 0;
    }
    put(o, ok, "nodes", nodes);
    put(o, ok, "unreachable", bad);
}

json_t *vf_similar_json(const struct vf_survey *s, const char *path, bool estimate)
{
    const struct vf_map_info *i = &s->info;
    const struct vf_candidate *best = vf_survey_best(s), *strip = shown(s);
    uint64_t zero = i->zero_blocks > 0;
    json_t *o = json_object();
    bool ok = o != NULL;

    if (!ok)
        return NULL;
    put(o, &ok, "image", vf_json_text(path));
    put(o, &ok, "group", vf_json_text(s->count->group));
    put(o, &ok, "virtual_size", number(i->size));
    put(o, &ok, "block_size", number(VF_BLOCK));
    put(o, &ok, "blocks", number(i->blocks));
    put(o, &ok, "zero_blocks", number(i->zero_blocks));
    put(o, &ok, "distinct_blocks", number(i->distinct_blocks));
    put(o, &ok, "duplicate_blocks",
        number(i->blocks - i->zero_blocks - (i->distinct_blocks - zero)));
    put(o, &ok, "estimate", json_boolean(estimate));
    put(o, &ok, "rate", s->rate > 0 ? json_real(s->rate) : json_null());
    put_nodes(o, &ok, s);
    put(o, &ok, "choice", best ? vf_json_text(best->label) : json_null());
    put(o, &ok, "strip", strip ? strip_json(s, strip) : json_null());
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

json_t *vf_similar_ranking(const struct vf_survey *s)
{
    json_t *list = json_array();
    bool ok = list != NULL;

    for (size_t i = 0; i < s->nodes->n && ok; i++) {
        const struct vf_candidate *n = s->place[i];

        ok = json_array_append_new(list, n->told ? node_json(s, n, false) : failed_json(n)) == 0;
    }
    if (ok)
        return list;
    json_decref(list);
    return NULL;
}
