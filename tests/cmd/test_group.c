#include "cmd/group.h"

#include <string.h>

#include "tests/lib/check.h"

TEST(group_names)
{
    struct vf_error err = VF_ERROR_INIT;
    char longest[VF_GROUP_MAX + 2];

    memset(longest, 'g', sizeof longest);
    longest[VF_GROUP_MAX] = '\0';
    CHECK_OK(vf_group_check("", &err), &err);
    CHECK_OK(vf_group_check("Tenant_7.a-b", &err), &err);
    CHECK_OK(vf_group_check(longest, &err), &err);
    longest[VF_GROUP_MAX] = 'g';
    longest[VF_GROUP_MAX + 1] = '\0';
    CHECK_FAIL(vf_group_check(longest, &err), &err, VF_ERR_USAGE);
    CHECK_FAIL(vf_group_check("a b", &err), &err, VF_ERR_USAGE);
    CHECK_FAIL(vf_group_check("a/b", &err), &err, VF_ERR_USAGE);
}

TESTS(group_names)
