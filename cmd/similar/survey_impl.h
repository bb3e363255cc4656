/* cmd/similar/survey_impl.h - what the two files of a survey share; nobody else includes it. */
#ifndef VF_CMD_SIMILAR_SURVEY_IMPL_H
#define VF_CMD_SIMILAR_SURVEY_IMPL_H

#include "cmd/similar/survey.h"

/* survey_tell.c: fills in what the nodes say of themselves and the likeness that their summaries
 * show.  A node that cannot be asked is not an error. */
int vf_survey_ask(struct vf_survey *s, struct vf_error *err) VF_MUST_CHECK;

#endif
