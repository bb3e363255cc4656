/* transport/wait.c - deadlines. */
#include "transport/wait.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>

#include "core/clock.h"

#define STOP_SLICE_MS 100 /* how often the stop question is asked */

struct vf_wait vf_wait_in(int timeout_ms, bool (*stopped)(void *), void *arg)
{
    return (struct vf_wait){vf_clock_ms() + timeout_ms, stopped, arg};
}

int vf_wait_left(const struct vf_wait *w)
{
    int64_t left = w->deadline_ms - vf_clock_ms();

    return left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

int vf_wait_check(const struct vf_wait *w, const char *what, struct vf_error *err)
{
    if (w->stopped && w->stopped(w->arg))
        return vf_error_set(err, VF_ERR_CANCELLED, 0, "%s: interrupted", what);
    if (vf_wait_left(w) == 0)
        return vf_error_set(err, VF_ERR_TIMEOUT, 0, "%s: no answer in time", what);
    return 0;
}

int vf_wait_fd(const struct vf_wait *w, int fd, short events, const char *what,
               struct vf_error *err)
{
    for (;;) {
        struct pollfd p = {fd, events, 0};
        int left = vf_wait_left(w), n;

        n = poll(&p, 1, w->stopped && left > STOP_SLICE_MS ? STOP_SLICE_MS : left);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return vf_error_sys(err, errno, "%s: wait", what);
        if (vf_wait_check(w, what, err) < 0)
            return -1;
    }
}
