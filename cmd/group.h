/* cmd/group.h - names of sharing groups.
 *
 * Thread rules: pure functions. */
#ifndef VF_CMD_GROUP_H
#define VF_CMD_GROUP_H

#include "core/error.h"

#define VF_GROUP_MAX 64u /* bytes in a name */

/* A group's name: "" (the default group), or up to VF_GROUP_MAX letters, digits, '.', '_', '-'.
 * 0, or -1 (VF_ERR_USAGE). */
int vf_group_check(const char *group, struct vf_error *err) VF_MUST_CHECK;

#endif
