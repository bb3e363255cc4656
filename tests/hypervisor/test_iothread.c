#include "hypervisor/iothread.h"

#include <string.h>

#include "tests/lib/check.h"

TEST(only_old_ones)
{
    CHECK(vf_iothread_fault(0)); /* not known */
    CHECK(vf_iothread_fault(7));
    CHECK(vf_iothread_fault(8));
    CHECK(!vf_iothread_fault(9));
    CHECK(!vf_iothread_fault(10));
}

TEST(says_what_it_is)
{
    struct vf_error err = VF_ERROR_INIT;

    CHECK_FAIL(vf_iothread_refuse(&err), &err, VF_ERR_UNSUPPORTED);
    CHECK(strstr(err.msg, "while it runs") != NULL); /* the text is not cut off */
}

TESTS(only_old_ones, says_what_it_is)
