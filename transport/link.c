/* transport/link.c - non-blocking bytes with poll(2). */
#include "transport/link.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fdio.h"
#include "core/ratelimit.h"

#define PARTS     4u   /* of an iovec at a time */
#define PIECE_MIN 256u /* bytes paid for at a time under a rate limit */
#define PIECE_MAX 65536u
#define LOOK_MS   250 /* how often a wait for the limit sees whether it has changed */

/* Sets O_NONBLOCK; *ret_flags are the flags before. */
static int make_nonblocking(int fd, int *ret_flags, struct vf_error *err)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0))
        return vf_error_sys(err, errno, "prepare descriptor %d", fd);
    *ret_flags = flags;
    return 0;
}

/* Descriptors may be shared with other programs, which expect them to block. */
static void restore(int fd, int flags)
{
    if (!(flags & O_NONBLOCK))
        (void)fcntl(fd, F_SETFL, flags); /* best effort: the session is over */
}

int vf_link_open(struct vf_link *l, int rfd, int wfd, unsigned watchdog_ms,
                 struct vf_ratelimit *rate, struct vf_error *err)
{
    struct stat st;

    memset(l, 0, sizeof *l);
    l->rfd = rfd;
    l->wfd = wfd;
    l->watchdog_ms = watchdog_ms;
    l->rate = rate;
    l->nudge_fd = -1;
    l->piece = 1024;
    l->wsock = fstat(wfd, &st) == 0 && S_ISSOCK(st.st_mode);
    atomic_store(&l->sent_ms, vf_clock_ms());
    atomic_store(&l->received_ms, vf_clock_ms());
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->wake_fd < 0)
        return vf_error_sys(err, errno, "make an event descriptor");
    if (make_nonblocking(rfd, &l->rflags, err) < 0) {
        vf_close_fd(&l->wake_fd);
        return -1;
    }
    if (make_nonblocking(wfd, &l->wflags, err) < 0) {
        restore(rfd, l->rflags);
        vf_close_fd(&l->wake_fd);
        return -1;
    }
    return 0;
}

void vf_link_close(struct vf_link *l)
{
    /* The other way round than they were set: the two may be one. */
    restore(l->wfd, l->wflags);
    restore(l->rfd, l->rflags);
    vf_close_fd(&l->wake_fd);
}

void vf_link_cancel(struct vf_link *l)
{
    uint64_t one = 1;

    atomic_store(&l->cancelled, true);
    /* It fails only when the counter is full; then the descriptor is readable anyway. */
    if (write(l->wake_fd, &one, sizeof one) < 0)
        return;
}

static int cancelled(struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_CANCELLED, 0, "cancelled");
}

/* Waits until fd is ready, wake or nudge is readable, or ms have passed; each may be -1.  True:
 * only nudge was. */
static bool wait_for(int fd, short events, int wake, int nudge, int64_t ms)
{
    struct pollfd p[3] = {{fd, events, 0}, {wake, POLLIN, 0}, {nudge, POLLIN, 0}};

    /* What else happened is seen by trying again. */
    return poll(p, 3,
                ms < 0           ? 0
                : ms > INT32_MAX ? INT32_MAX
                                 : (int)ms) > 0 &&
           p[2].revents && !p[0].revents;
}

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

/* Ways in which a peer's end of a pipe or a socket goes away. */
static bool gone(int sys) { return sys == EPIPE || sys == ECONNRESET || sys == ENOTCONN; }

long vf_link_read(struct vf_link *l, void *buf, size_t len, int64_t limit_ms, struct vf_error *err)
{
    int64_t start = vf_clock_ms();

    for (;;) {
        int64_t now, end;
        ssize_t n;
        int sys;

        if (atomic_load(&l->cancelled))
            return cancelled(err);
        n = read(l->rfd, buf, len);
        sys = n < 0 ? errno : 0;
        now = vf_clock_ms();
        if (n >= 0) {
            if (n > 0)
                atomic_store(&l->received_ms, now);
            atomic_fetch_add(&l->received, (uint64_t)n);
            return (long)n;
        }
        if (sys == EINTR)
            continue;
        if (gone(sys))
            return 0;
        if (sys != EAGAIN)
            return vf_error_set(err, VF_ERR_UNREACHABLE, sys, "the connection failed");
        /* Time counts from the call: what came before it had to wait for us. */
        end = limit_ms ? start + limit_ms
                       : later(start, atomic_load(&l->received_ms)) + l->watchdog_ms;
        if (now >= end)
            return vf_error_set(err, VF_ERR_TIMEOUT, 0,
                                "nothing was heard from the far end for %" PRId64 " ms",
                                now - start);
        if (wait_for(l->rfd, POLLIN, l->wake_fd, l->nudge_fd, end - now))
            return VF_LINK_NUDGED;
    }
}

/* One attempt to write at most max bytes; what writev(2) says. */
static ssize_t write_once(struct vf_link *l, const struct iovec *iov, size_t n, size_t max)
{
    struct iovec part[PARTS];
    size_t k = 0;

    for (size_t i = 0; i < n && k < PARTS && max; i++) {
        if (!iov[i].iov_len)
            continue;
        part[k] = iov[i];
        if (part[k].iov_len > max)
            part[k].iov_len = max;
        max -= part[k++].iov_len;
    }
    if (l->wsock) {
        struct msghdr m = {.msg_iov = part, .msg_iovlen = k};

        return sendmsg(l->wfd, &m, MSG_NOSIGNAL);
    }
    return writev(l->wfd, part, (int)k);
}

static size_t bytes_in(const struct iovec *iov, size_t n)
{
    size_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += iov[i].iov_len;
    return sum;
}

static void advance(struct iovec *iov, size_t n, size_t done)
{
    for (size_t i = 0; i < n && done; i++) {
        size_t k = iov[i].iov_len < done ? iov[i].iov_len : done;

        iov[i].iov_base = (char *)iov[i].iov_base + k;
        iov[i].iov_len -= k;
        done -= k;
    }
}

/* Lets time pass, unless woken; not longer than until the limit is another than at `changes`. */
static void wait_for_rate(struct vf_link *l, int64_t ms, unsigned changes)
{
    int64_t end = vf_clock_ms() + ms;

    while ((ms = end - vf_clock_ms()) > 0 && !atomic_load(&l->cancelled) &&
           vf_ratelimit_changes(l->rate) == changes)
        (void)wait_for(-1, 0, l->wake_fd, -1, ms < LOOK_MS ? ms : LOOK_MS); /* time passes */
}

/* Pays for up to want bytes; waits as long as the limit says, unless woken or in a hurry.  How many
 * were paid for.  The pieces are of a size that takes about 0.1 to 1 s at that rate, so that the
 * peer's watchdog sees life and little is paid for that never goes. */
static size_t pay(struct vf_link *l, size_t want, bool urgent)
{
    size_t n = want < l->piece ? want : l->piece;
    unsigned changes;
    int64_t ms;

    if (!l->rate)
        return want;
    changes = vf_ratelimit_changes(l->rate);
    ms = (int64_t)(vf_ratelimit_take(l->rate, n) / 1000000);
    if (ms > 1000 && l->piece > PIECE_MIN)
        l->piece /= 2;
    else if (ms < 100 && l->piece < PIECE_MAX)
        l->piece *= 2;
    if (ms && !urgent)
        wait_for_rate(l, ms, changes);
    return n;
}

/* When a write that last moved a byte at `moved` has to give up. */
static int64_t patience(struct vf_link *l, int64_t moved)
{
    int64_t heard = later(moved, atomic_load(&l->received_ms)) + l->watchdog_ms;
    int64_t most = moved + VF_LINK_PATIENCE * l->watchdog_ms;

    return heard < most ? heard : most;
}

int vf_link_write(struct vf_link *l, struct iovec *iov, size_t n, int64_t urgent_ms,
                  struct vf_error *err)
{
    int64_t moved = vf_clock_ms(), last = moved + urgent_ms, now, end;
    int wake = urgent_ms ? -1 : l->wake_fd;
    size_t left = bytes_in(iov, n), paid = 0;

    while (left) {
        ssize_t k;
        int sys;

        if (!urgent_ms && atomic_load(&l->cancelled))
            return cancelled(err);
        if (paid == 0) {
            paid = pay(l, left, urgent_ms != 0);
            moved = vf_clock_ms(); /* the limit stopped us, not the peer */
            continue;
        }
        k = write_once(l, iov, n, paid < left ? paid : left);
        sys = k < 0 ? errno : EAGAIN;
        now = vf_clock_ms();
        if (k > 0) {
            moved = now;
            advance(iov, n, (size_t)k);
            left -= (size_t)k;
            paid -= (size_t)k;
            atomic_fetch_add(&l->sent, (uint64_t)k);
            atomic_store(&l->sent_ms, now);
            continue;
        }
        if (sys == EINTR)
            continue;
        if (gone(sys))
            return vf_error_set(err, VF_ERR_UNREACHABLE, 0, "the far end closed the connection");
        if (sys != EAGAIN)
            return vf_error_set(err, VF_ERR_UNREACHABLE, sys, "the connection failed");
        end = urgent_ms ? last : patience(l, moved);
        if (now >= end)
            return vf_error_set(err, VF_ERR_TIMEOUT, 0,
                                "the far end has taken nothing for %" PRId64 " ms", now - moved);
        (void)wait_for(l->wfd, POLLOUT, wake, -1, end - now); /* seen by trying again */
    }
    return 0;
}
