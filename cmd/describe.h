/* cmd/describe.h - a record of the index as people and programs read it.
 *
 * Thread rules: none. */
#ifndef VF_CMD_DESCRIBE_H
#define VF_CMD_DESCRIBE_H

#include <jansson.h>

#include "index/index.h"

/* The fields that the contract promises for `index ls --json`; owned, NULL when memory is out. */
json_t *vf_describe_json(struct vf_index *index, const struct vf_image_record *rec);

/* "fresh", "changed", "partial", "moving", "device"; static. */
const char *vf_describe_state(struct vf_index *index, const struct vf_image_record *rec);

#endif
