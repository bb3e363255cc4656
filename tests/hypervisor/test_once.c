#include "hypervisor/once.h"

#include <string.h>

#include "tests/lib/check.h"

TEST(only_old_ones_without_kvm)
{
    CHECK(vf_once_only(false, 7));
    CHECK(vf_once_only(false, 8));
    CHECK(!vf_once_only(false, 9));
    CHECK(!vf_once_only(false, 10));
    CHECK(!vf_once_only(true, 7));
}

TEST(shortly_before_the_end)
{
    CHECK(!vf_once_near_end(1000, 0, 0, 0));        /* nothing is known yet */
    CHECK(!vf_once_near_end(3500, 10000, 1, 0));    /* 0.35 s */
    CHECK(vf_once_near_end(2000, 10000, 1, 0));     /* 0.2 s */
    CHECK(vf_once_near_end(3500, 10000, 1, 20000)); /* it is quicker now */
    CHECK(!vf_once_near_end(3500, 10000, 1, 1000)); /* a short stall means nothing */
    CHECK(vf_once_near_end(0, 10000, 1, 0));
}

TEST(says_what_helps)
{
    struct vf_error err = VF_ERROR_INIT;

    CHECK_FAIL(vf_once_refuse(&err), &err, VF_ERR_BUSY);
    CHECK(strstr(err.msg, "try it again") != NULL); /* the text is not cut off */
}

TESTS(only_old_ones_without_kvm, shortly_before_the_end, says_what_helps)
