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

TEST(knows_a_goodbye)
{
    uint8_t b[64] = {0x25, 0x60, 0x95, 0x13, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8};

    CHECK(vf_iothread_goodbye(b, 28));
    CHECK(!vf_iothread_goodbye(b, 27));
    CHECK(!vf_iothread_goodbye(b, 32));
    CHECK(!vf_iothread_goodbye(b, 0));
    b[7] = 1; /* a write */
    CHECK(!vf_iothread_goodbye(b, 28));
    b[7] = 2;
    b[6] = 1;
    CHECK(!vf_iothread_goodbye(b, 28));
    b[6] = 0;
    b[0] = 0x24;
    CHECK(!vf_iothread_goodbye(b, 28));
    memcpy(b, (const uint8_t[]){0x21, 0xe4, 0x1c, 0x71}, 4);
    CHECK(vf_iothread_goodbye(b, 32));
    CHECK(!vf_iothread_goodbye(b, 28));
}

TESTS(only_old_ones, says_what_it_is, knows_a_goodbye)
