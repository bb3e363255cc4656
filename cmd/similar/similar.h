/* cmd/similar/similar.h - the reports of `similar`: the same facts as JSON, as a table, as a page.
 *
 * The JSON object is made first; table and page only show what it says.
 *
 * Thread rules: belongs to the main thread. */
#ifndef VF_CMD_SIMILAR_SIMILAR_H
#define VF_CMD_SIMILAR_SIMILAR_H

#include <stdio.h>

#include <jansson.h>

#include "cmd/similar/survey.h"

/* The contract's object and what this program adds (cmd/man/vmferry-similar.1).  Returns owned,
 * NULL when memory is out. */
json_t *vf_similar_json(const struct vf_survey *s, const char *path, bool estimate);

/* How each node did, for the report of `migrate --to auto`: an array.  NULL when memory is out. */
json_t *vf_similar_ranking(const struct vf_survey *s);

/* The table for people, of what vf_similar_json gave. */
int vf_similar_print(const json_t *report, FILE *out, struct vf_error *err) VF_MUST_CHECK;

/* The nodes that could not be asked, and why; nothing when there are none. */
void vf_similar_print_bad(const json_t *report, FILE *out);

/* One page with all of it in it, which needs nothing else.  0, or -1 (VF_ERR_NOMEM, VF_ERR_IO). */
int vf_similar_page(const json_t *report, FILE *out, struct vf_error *err) VF_MUST_CHECK;

/* ---- all images with one another (--all) ---- */

struct vf_similar_all {
    const struct vf_candidates *nodes; /* that were asked, with full summaries where they told */
    const char *group;
};
/* The matrix of similarities.  Returns owned; NULL with *err set (VF_ERR_RANGE: too many images).
 */
json_t *vf_similar_all_json(const struct vf_similar_all *a, struct vf_error *err);
int vf_similar_all_print(const json_t *report, FILE *out, struct vf_error *err) VF_MUST_CHECK;
int vf_similar_all_page(const json_t *report, FILE *out, struct vf_error *err) VF_MUST_CHECK;

#endif
