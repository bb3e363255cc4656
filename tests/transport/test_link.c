/* Bytes over a pair of descriptors: rate limit, counters, what is left after a failure. */
#include "transport/link.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fdio.h"
#include "core/ratelimit.h"
#include "tests/lib/check.h"

/* A link that writes to w[1]; what it writes is read from w[0]. */
static void open_link(struct vf_link *l, int w[2], unsigned watchdog_ms, struct vf_ratelimit *rate)
{
    struct vf_error err;

    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    CHECK(pipe2(w, O_CLOEXEC) == 0);
    CHECK_OK(vf_link_open(l, w[0], w[1], watchdog_ms, rate, &err), &err);
}

static void close_link(struct vf_link *l, int w[2])
{
    vf_link_close(l);
    vf_close_fd(&w[0]);
    vf_close_fd(&w[1]);
}

static int put(struct vf_link *l, void *bytes, size_t len, struct vf_error *err)
{
    struct iovec iov = {bytes, len};

    return vf_link_write(l, &iov, 1, 0, err);
}

TEST(there_and_back)
{
    uint8_t a[5000], b[5000];
    struct iovec iov[3] = {{a, 10}, {a + 10, 0}, {a + 10, sizeof a - 10}};
    struct vf_error err;
    struct vf_link l;
    size_t at = 0;
    int w[2];

    vf_test_random(1, a, sizeof a);
    open_link(&l, w, 1000, NULL);
    CHECK_OK(vf_link_write(&l, iov, 3, 0, &err), &err);
    CHECK(iov[0].iov_len == 0 && iov[2].iov_len == 0);
    while (at < sizeof b) {
        long n = vf_link_read(&l, b + at, 999 < sizeof b - at ? 999 : sizeof b - at, 0, &err);

        CHECK(n > 0);
        at += (size_t)n;
    }
    CHECK_MEM(a, b, sizeof a);
    CHECK_EQ_U64(l.sent, sizeof a);
    CHECK_EQ_U64(l.received, sizeof a);
    close_link(&l, w);
}

TEST(read_limits)
{
    struct vf_error err;
    struct vf_link l;
    uint8_t byte;
    int w[2];

    open_link(&l, w, 100, NULL);
    CHECK_FAIL(vf_link_read(&l, &byte, 1, 0, &err), &err, VF_ERR_TIMEOUT);
    CHECK_FAIL(vf_link_read(&l, &byte, 1, 10, &err), &err, VF_ERR_TIMEOUT);
    vf_close_fd(&w[1]);
    CHECK(vf_link_read(&l, &byte, 1, 0, &err) == 0);
    vf_link_cancel(&l);
    CHECK_FAIL(vf_link_read(&l, &byte, 1, 0, &err), &err, VF_ERR_CANCELLED);
    close_link(&l, w);
}

/* The vector says what did not go. */
TEST(rest_of_a_write)
{
    static uint8_t a[400000], b[400000];
    struct iovec iov[2] = {{a, 300000}, {a + 300000, 100000}};
    struct vf_error err;
    struct vf_link l;
    size_t gone;
    int w[2];

    vf_test_random(2, a, sizeof a);
    open_link(&l, w, 100, NULL);
    CHECK_FAIL(vf_link_write(&l, iov, 2, 0, &err), &err, VF_ERR_TIMEOUT);
    gone = (size_t)l.sent;
    CHECK(gone > 0 && gone < 300000);
    CHECK_EQ_U64(iov[0].iov_len, 300000 - gone);
    CHECK(iov[0].iov_base == a + gone);
    CHECK_EQ_U64(iov[1].iov_len, 100000);
    for (size_t at = 0; at < gone;) {
        long n = vf_link_read(&l, b + at, gone - at, 0, &err);

        CHECK(n > 0);
        at += (size_t)n;
    }
    CHECK_MEM(a, b, gone);
    /* In a hurry there is a time for all of it, cancelled or not. */
    vf_link_cancel(&l);
    CHECK_FAIL(vf_link_write(&l, iov, 2, 0, &err), &err, VF_ERR_CANCELLED);
    CHECK_FAIL(vf_link_write(&l, iov, 2, 50, &err), &err, VF_ERR_TIMEOUT);
    close_link(&l, w);
}

TEST(broken)
{
    uint8_t byte = 1;
    struct vf_error err;
    struct vf_link l;
    int w[2];

    open_link(&l, w, 1000, NULL);
    vf_close_fd(&w[0]);
    CHECK_FAIL(put(&l, &byte, 1, &err), &err, VF_ERR_UNREACHABLE);
    CHECK_FAIL(vf_link_read(&l, &byte, 1, 0, &err), &err, VF_ERR_UNREACHABLE);
    close_link(&l, w);
    CHECK(vf_link_open(&l, -1, -1, 1000, NULL, &err) == -1);
}

struct drain {
    int fd;
    uint64_t bytes;
};

static void *drain(void *arg)
{
    struct drain *d = arg;
    uint8_t b[65536];
    ssize_t n;

    while ((n = read(d->fd, b, sizeof b)) > 0)
        d->bytes += (uint64_t)n;
    return NULL;
}

/* A second's worth of bytes takes about a second: never much less. */
TEST(rate_limit)
{
    static uint8_t a[300000];
    struct vf_error err;
    struct vf_ratelimit *rate = vf_ratelimit_new(300000, &err);
    struct drain d = {0};
    struct vf_link l;
    int64_t start;
    pthread_t t;
    int w[2], other[2];

    CHECK_OK(rate, &err);
    CHECK(pipe2(w, O_CLOEXEC) == 0 && pipe2(other, O_CLOEXEC) == 0);
    CHECK_OK(vf_link_open(&l, other[0], w[1], 5000, rate, &err), &err);
    d.fd = w[0];
    CHECK(pthread_create(&t, NULL, drain, &d) == 0);
    start = vf_clock_ms();
    CHECK_OK(put(&l, a, sizeof a, &err), &err);
    CHECK(vf_clock_ms() - start >= 600);
    vf_link_close(&l);
    vf_close_fd(&w[1]);
    CHECK(pthread_join(t, NULL) == 0);
    CHECK_EQ_U64(d.bytes, sizeof a);
    CHECK_EQ_U64(l.sent, sizeof a);
    vf_close_fd(&w[0]);
    vf_close_fd(&other[0]);
    vf_close_fd(&other[1]);
    vf_ratelimit_free(rate);
}

struct writer {
    struct vf_link *l;
    struct vf_error err;
    int rc;
};

static void *write_slowly(void *arg)
{
    static uint8_t a[100000];
    struct writer *w = arg;

    w->rc = put(w->l, a, sizeof a, &w->err);
    return NULL;
}

/* At ten bytes a second this would take three hours: a cancel does not wait for the limit, nor is
 * the limit taken for a stalled peer. */
TEST(cancel_under_a_limit)
{
    struct vf_error err;
    struct vf_ratelimit *rate = vf_ratelimit_new(10, &err);
    struct vf_link l;
    struct writer wr = {.l = &l};
    uint8_t byte;
    pthread_t t;
    int w[2];

    CHECK_OK(rate, &err);
    open_link(&l, w, 200, rate);
    CHECK(pthread_create(&t, NULL, write_slowly, &wr) == 0);
    CHECK(vf_link_read(&l, &byte, 1, 0, &err) == 1); /* it has begun */
    vf_link_cancel(&l);
    CHECK(pthread_join(t, NULL) == 0);
    CHECK(wr.rc == -1 && wr.err.code == VF_ERR_CANCELLED);
    close_link(&l, w);
    vf_ratelimit_free(rate);
}

/* One that waits at such a rate goes on at the new one. */
TEST(a_new_limit_counts_at_once)
{
    struct vf_error err;
    struct vf_ratelimit *rate = vf_ratelimit_new(10, &err);
    struct drain d = {0};
    struct vf_link l;
    struct writer wr = {.l = &l};
    int64_t start;
    pthread_t t, reader;
    int w[2], other[2];

    CHECK_OK(rate, &err);
    CHECK(pipe2(w, O_CLOEXEC) == 0 && pipe2(other, O_CLOEXEC) == 0);
    CHECK_OK(vf_link_open(&l, other[0], w[1], 5000, rate, &err), &err);
    d.fd = w[0];
    CHECK(pthread_create(&reader, NULL, drain, &d) == 0);
    CHECK(pthread_create(&t, NULL, write_slowly, &wr) == 0);
    while (!atomic_load(&l.sent)) /* it has begun */
        (void)usleep(1000);
    start = vf_clock_ms();
    vf_ratelimit_set(rate, 10000000);
    CHECK(pthread_join(t, NULL) == 0);
    CHECK(wr.rc == 0 && vf_clock_ms() - start < 3000);
    vf_link_close(&l);
    vf_close_fd(&w[1]);
    CHECK(pthread_join(reader, NULL) == 0);
    CHECK_EQ_U64(d.bytes, 100000);
    vf_close_fd(&w[0]);
    vf_close_fd(&other[0]);
    vf_close_fd(&other[1]);
    vf_ratelimit_free(rate);
}

TESTS(there_and_back, read_limits, rest_of_a_write, broken, rate_limit, cancel_under_a_limit,
      a_new_limit_counts_at_once)
