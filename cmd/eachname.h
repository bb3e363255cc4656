/* cmd/eachname.h - operands of one command, of which some may fail.
 *
 * Thread rules: main thread. */
#ifndef VF_CMD_EACHNAME_H
#define VF_CMD_EACHNAME_H

#include <jansson.h>

#include "core/error.h"

/* What is done with one of them. */
typedef int vf_name_fn(void *ctx, const char *name, struct vf_error *err);

/* Calls fn for all names (a NULL ends them), whatever is wrong with some; only what the others
 * would fail of as well, an interruption or a lack of memory or space, ends it.  Each failure is
 * appended to failed: an object with the name as the member `key`, and `error`.  0, or -1 with the
 * last failure; those before it were said. */
int vf_each_name(char *const names[], vf_name_fn *fn, void *ctx, const char *key, json_t *failed,
                 struct vf_error *err) VF_MUST_CHECK;

#endif
