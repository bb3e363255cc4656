#include "cmd/group.h"

#include <string.h>

int vf_group_check(const char *group, struct vf_error *err)
{
    size_t len = strlen(group);

    for (size_t i = 0; i < len; i++) {
        char c = group[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              strchr("._-", c)))
            return vf_error_set(err, VF_ERR_USAGE, 0,
                                "a group's name has letters, digits, '.', '_' and '-' only");
    }
    if (len > VF_GROUP_MAX)
        return vf_error_set(err, VF_ERR_USAGE, 0, "a group's name has at most %u bytes",
                            VF_GROUP_MAX);
    return 0;
}
