/* Deadlines and giving up. */
#include "transport/wait.h"

#include <poll.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fdio.h"
#include "tests/lib/check.h"

TEST(left)
{
    struct vf_wait w = vf_wait_in(60000, NULL, NULL), past = vf_wait_in(-5, NULL, NULL);

    CHECK(vf_wait_left(&w) > 50000 && vf_wait_left(&w) <= 60000);
    CHECK_EQ_I64(vf_wait_left(&past), 0);
}

TEST(descriptor)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_wait w = vf_wait_in(200, NULL, NULL);
    int64_t before = vf_clock_ms();
    int p[2];

    CHECK(pipe(p) == 0);
    CHECK_OK(vf_wait_fd(&w, p[1], POLLOUT, "write", &err), &err);
    CHECK_FAIL(vf_wait_fd(&w, p[0], POLLIN, "read", &err), &err, VF_ERR_TIMEOUT);
    CHECK_STR(err.msg, "read: no answer in time");
    CHECK(vf_clock_ms() - before >= 200);
    CHECK(write(p[1], "x", 1) == 1);
    CHECK_OK(vf_wait_fd(&w, p[0], POLLIN, "read", &err), &err); /* ready counts, even if late */
    vf_close_fd(&p[0]);
    vf_close_fd(&p[1]);
}

static bool third_time(void *arg) { return ++*(int *)arg == 3; }

TEST(stop)
{
    struct vf_error err = VF_ERROR_INIT;
    int calls = 0, p[2];
    struct vf_wait w = vf_wait_in(60000, third_time, &calls);

    CHECK(pipe(p) == 0);
    CHECK_FAIL(vf_wait_fd(&w, p[0], POLLIN, "read", &err), &err, VF_ERR_CANCELLED);
    CHECK_EQ_I64(calls, 3);
    vf_close_fd(&p[0]);
    vf_close_fd(&p[1]);
}

TESTS(left, descriptor, stop)
