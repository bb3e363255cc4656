/* cmd/member.c - members of JSON objects. */
#include "cmd/member.h"

const char *vf_member_text(const json_t *obj, const char *key)
{
    const char *s = json_string_value(json_object_get(obj, key));

    return s ? s : "";
}

uint64_t vf_member_number(const json_t *obj, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(obj, key));

    return n > 0 ? (uint64_t)n : 0;
}
