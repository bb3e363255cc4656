/* cmd/similar/plan.h - where a migration should go, and what it will take: --to auto, --dry-run.
 *
 * Thread rules: belongs to the main thread. */
#ifndef VF_CMD_SIMILAR_PLAN_H
#define VF_CMD_SIMILAR_PLAN_H

#include <jansson.h>

#include "cmd/similar/survey.h"

struct vf_plan {
    struct vf_candidates nodes;
    struct vf_count count;
    struct vf_survey survey;
    bool made;
    const struct vf_candidate *best; /* in nodes */
};

struct vf_plan_opts {
    const struct vf_storedir *store;
    const struct vf_opt_list *named; /* nodes to ask; none: the inventory */
    struct vf_count count;           /* copied; what it points to is borrowed until the end */
    double rate;                     /* bytes per second; 0: not known */
    bool count_best;                 /* exactly, even where the choice is clear without that */
};

/* Asks the nodes and chooses.  -1: none of them can take the image, and why the first in the
 * ranking cannot; VF_ERR_USAGE when there is none to ask.  *ret is to be released by vf_plan_free
 * in any case; zeroed before.  It must stay where it is. */
int vf_plan_make(const struct vf_plan_opts *opts, struct vf_plan *ret,
                 struct vf_error *err) VF_MUST_CHECK;
void vf_plan_free(struct vf_plan *p);

/* Adds predicted_wire_bytes, predicted_literal_blocks, predicted_seconds and ranking to a report; a
 * plan that was not made adds nothing.  false when memory is out. */
bool vf_plan_put(const struct vf_plan *p, json_t *report);

/* The ranking as a table, to standard output. */
int vf_plan_print(const struct vf_plan *p, struct vf_error *err) VF_MUST_CHECK;

#endif
