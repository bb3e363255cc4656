/* TCP: refusal, silence, names that do not exist, giving up. */
#include "transport/tcp.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fdio.h"
#include "tests/lib/check.h"

/* A socket bound to a free loopback port; it listens with that backlog (below 0: not at all). */
static int bound(int backlog, unsigned *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0);
    CHECK(backlog < 0 || listen(fd, backlog) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

TEST(connects)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_wait wait = vf_wait_in(10000, NULL, NULL);
    unsigned port;
    int on = 0, server = bound(5, &port), fd = vf_tcp_connect("127.0.0.1", port, "p", &wait, &err);
    socklen_t len = sizeof on;

    CHECK_GE0(fd, &err);
    CHECK(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len) == 0 && on == 1);
    vf_close_fd(&fd);
    fd = vf_tcp_connect("localhost", port, "p", &wait, &err);
    CHECK_GE0(fd, &err);
    vf_close_fd(&fd);
    vf_close_fd(&server);
}

TEST(refused)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_wait wait = vf_wait_in(10000, NULL, NULL);
    unsigned port;
    int fd = bound(-1, &port);

    CHECK_FAIL(vf_tcp_connect("127.0.0.1", port, "[h]:1", &wait, &err), &err, VF_ERR_UNREACHABLE);
    CHECK_HAS(err.msg, "connect to [h]:1: Connection refused");
    vf_close_fd(&fd);
}

/* A listener whose queue is full drops what comes: silence until the deadline. */
TEST(silence)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_wait wait = vf_wait_in(10000, NULL, NULL);
    unsigned port;
    int server = bound(0, &port), fds[8], n = 0;
    int64_t before;

    do {
        wait = vf_wait_in(300, NULL, NULL);
        before = vf_clock_ms();
        fds[n] = vf_tcp_connect("127.0.0.1", port, "h", &wait, &err);
    } while (fds[n] >= 0 && ++n < 8);
    CHECK(n < 8);
    CHECK_EQ_U64(err.code, VF_ERR_TIMEOUT);
    CHECK_HAS(err.msg, "connect to h");
    CHECK(vf_clock_ms() - before < 5000);
    while (n--)
        vf_close_fd(&fds[n]);
    vf_close_fd(&server);
}

TEST(no_such_name)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_wait wait = vf_wait_in(5000, NULL, NULL);

    /* The resolver says no, or (without a network) nothing at all. */
    CHECK(vf_tcp_connect("no-such-host.invalid", 22, "no-such-host.invalid", &wait, &err) == -1);
    CHECK(err.code == VF_ERR_UNREACHABLE || err.code == VF_ERR_TIMEOUT);
    CHECK_HAS(err.msg, "resolve the name of no-such-host.invalid");
}

static bool stop_now(void *arg)
{
    int *calls = arg;

    return ++*calls > 2;
}

TEST(giving_up)
{
    struct vf_error err = VF_ERROR_INIT;
    int calls = 0, fds[8], n = 0;
    struct vf_wait first = vf_wait_in(200, NULL, NULL), wait = vf_wait_in(60000, stop_now, &calls);
    unsigned port;
    int server = bound(0, &port);

    while (n < 8 && (fds[n] = vf_tcp_connect("127.0.0.1", port, "h", &first, &err)) >= 0) {
        n++;
        first = vf_wait_in(200, NULL, NULL);
    }
    CHECK(n < 8);
    CHECK_FAIL(vf_tcp_connect("127.0.0.1", port, "h", &wait, &err), &err, VF_ERR_CANCELLED);
    while (n--)
        vf_close_fd(&fds[n]);
    vf_close_fd(&server);
}

TESTS(connects, refused, silence, no_such_name, giving_up)
