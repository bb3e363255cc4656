/* cmd/similar/survey.h - asks nodes how much of an image they hold, and ranks them.
 *
 * All nodes are asked for summaries at the same time; these rank.  The best are then counted
 * exactly.
 *
 * Thread rules: belongs to the main thread. */
#ifndef VF_CMD_SIMILAR_SURVEY_H
#define VF_CMD_SIMILAR_SURVEY_H

#include "cmd/similar/candidates.h"
#include "cmd/similar/places.h"

#define VF_SURVEY_EXACT 4u /* nodes that are counted exactly, by default */

struct vf_survey {
    /* What is asked; borrowed. */
    const struct vf_count *count;
    int store_fd;              /* for cached summaries; -1: none */
    enum vf_summary_size size; /* FULL: the images of nodes are looked at, too */
    size_t exact;              /* count so many of the best exactly; 0: none */
    bool contenders_only;      /* of these, only those that could be the best */
    double rate;               /* bytes per second of the link; 0: not known */
    struct vf_candidates *nodes;
    /* Another image's nodes, the same ones in the same order, which were asked for the same group:
     * what they told of themselves is taken from there, and they are not asked.  NULL: none.  Must
     * outlive this survey. */
    const struct vf_candidates *told;
    /* What is known then; released by vf_survey_free. */
    struct vf_map_info info;
    struct vf_sketch sketch;     /* of the image */
    struct vf_places places;     /* the same with places */
    struct vf_candidate **place; /* nodes->n, the best first; those that cannot take it last */
    size_t can;                  /* of them, so many can take the image */
};

/* Fills in what nodes say of themselves, their likeness, prediction and place.  A node that cannot
 * be asked is not an error.  0, or -1 for what ends all. */
int vf_survey_run(struct vf_survey *s, struct vf_error *err) VF_MUST_CHECK;
void vf_survey_free(struct vf_survey *s); /* not what is borrowed */

/* After a run: counts exactly at these nodes of it, and ranks again. */
int vf_survey_count(struct vf_survey *s, struct vf_candidate *const *node, size_t n,
                    struct vf_error *err) VF_MUST_CHECK;

/* Asks all for full summaries, of no image in particular. */
struct vf_survey_tell {
    const struct vf_reach *reach;
    const char *group;
    int store_fd;    /* as above */
    double deadline; /* seconds */
};
int vf_survey_tell(const struct vf_cli *cli, const struct vf_survey_tell *opts,
                   struct vf_candidates *nodes, struct vf_error *err) VF_MUST_CHECK;

/* The first that can take the image; NULL when none can. */
const struct vf_candidate *vf_survey_best(const struct vf_survey *s);

/* Why the ranking puts a node that told behind those that can take the image: in the node's words
 * where there are some.  Borrowed. */
const char *vf_survey_reason(const struct vf_candidate *n);

/* The same as an error, also of nodes that could not be asked. */
void vf_survey_why(const struct vf_candidate *n, struct vf_error *ret);

/* What an exact count says, in the words of an estimate. */
void vf_likeness_exact(const struct vf_shared *shared, bool has_zero, uint64_t distinct,
                       struct vf_likeness *ret);

#endif
