/* cmd/member.h - members of JSON objects that may not be there, or be of another kind.
 *
 * Thread rules: those of the object. */
#ifndef VF_CMD_MEMBER_H
#define VF_CMD_MEMBER_H

#include <stdint.h>

#include <jansson.h>

/* "" when it is not there or no text.  Borrowed. */
const char *vf_member_text(const json_t *obj, const char *key);

/* 0 when it is not there, no whole number or negative. */
uint64_t vf_member_number(const json_t *obj, const char *key);

#endif
