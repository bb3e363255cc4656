/* test_carry.c - bytes over a line that breaks; and the process that holds a connection. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hypervisor/carry.h"
#include "hypervisor/hold.h"
#include "tests/lib/check.h"

#define TOTAL (24u << 20) /* three times what is kept */

static void pair(int fd[2]) { CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0); }

/* The two ends, what talks to them, and the line between them. */
struct ends {
    struct vf_carry *c[2];
    int user[2]; /* the other ends of their sockets */
    uint64_t sent[2], got[2];
    bool closed[2], over[2];
};

static void ends_open(struct ends *e)
{
    struct vf_error err = VF_ERROR_INIT;

    memset(e, 0, sizeof *e);
    for (int i = 0; i < 2; i++) {
        int fd[2];

        pair(fd);
        e->c[i] = vf_carry_new(&err);
        CHECK(e->c[i] != NULL);
        vf_carry_socket(e->c[i], fd[0]);
        e->user[i] = fd[1];
    }
}

static void ends_close(struct ends *e)
{
    for (int i = 0; i < 2; i++) {
        vf_carry_free(e->c[i]);
        if (e->user[i] >= 0)
            close(e->user[i]);
    }
}

/* Byte n of what end i sends. */
static uint8_t content(int i, uint64_t n)
{
    return (uint8_t)((n * 2654435761u) >> 13 ^ (n >> 9)) ^ (uint8_t)(i * 77);
}

static void new_line(struct ends *e)
{
    int fd[2];

    pair(fd);
    vf_carry_line(e->c[0], fd[0]);
    vf_carry_line(e->c[1], fd[1]);
}

/* User i sends some, and checks what has come. */
static void use(struct ends *e, int i, uint64_t total)
{
    uint8_t buf[40000];
    ssize_t n;

    if (e->user[i] < 0)
        return;
    for (size_t k = 0; k < sizeof buf; k++)
        buf[k] = content(i, e->sent[i] + k);
    if (e->sent[i] < total) {
        size_t len = total - e->sent[i] < sizeof buf ? (size_t)(total - e->sent[i]) : sizeof buf;

        n = send(e->user[i], buf, len, MSG_NOSIGNAL);
        if (n > 0)
            e->sent[i] += (uint64_t)n;
    } else if (!e->closed[i]) {
        CHECK(shutdown(e->user[i], SHUT_WR) == 0);
        e->closed[i] = true;
    }
    while ((n = recv(e->user[i], buf, sizeof buf, 0)) > 0) {
        for (ssize_t k = 0; k < n; k++)
            CHECK(buf[k] == content(1 - i, e->got[i] + (uint64_t)k));
        e->got[i] += (uint64_t)n;
    }
    if (n == 0)
        e->over[i] = true;
}

static void step(struct ends *e)
{
    bool moved;

    vf_carry_step(e->c[0], 0, NULL, 0, &moved);
    vf_carry_step(e->c[1], 0, NULL, 0, &moved);
}

/* Lines that end after random numbers of steps: no byte is lost, doubled or changed. */
TEST(breaks)
{
    struct ends e;
    unsigned lines = 0;

    srandom(7);
    ends_open(&e);
    for (unsigned n = 0; n < 2000000 && !(vf_carry_done(e.c[0]) && vf_carry_done(e.c[1])); n++) {
        if (!vf_carry_has_line(e.c[0]) || random() % 7 == 0) {
            new_line(&e);
            lines++;
        }
        step(&e);
        use(&e, 0, TOTAL);
        use(&e, 1, TOTAL / 3);
    }
    CHECK(lines > 20);
    CHECK(e.over[0] && e.over[1]);
    CHECK_EQ_U64(e.got[1], TOTAL);
    CHECK_EQ_U64(e.got[0], TOTAL / 3);
    ends_close(&e);
}

/* Without a line only a little is taken; the end of a socket passes on when there is one. */
TEST(waits)
{
    struct ends e;

    ends_open(&e);
    for (unsigned n = 0; n < 2000; n++) {
        step(&e);
        use(&e, 0, TOTAL);
    }
    CHECK(e.sent[0] >= VF_CARRY_PIECE && e.sent[0] < 1u << 20); /* with what the socket holds */
    CHECK(!vf_carry_ended(e.c[0]));
    close(e.user[0]); /* QEMU is gone, with bytes that nobody has read */
    e.user[0] = -1;
    for (unsigned n = 0; n < 5; n++)
        step(&e);
    CHECK(vf_carry_ended(e.c[0])); /* without a line, too */
    new_line(&e);
    for (unsigned n = 0; n < 20000 && !e.over[1]; n++) {
        step(&e);
        use(&e, 1, 5);
    }
    CHECK(vf_carry_ended(e.c[0]));
    CHECK(e.over[1]);
    CHECK_EQ_U64(e.got[1], e.sent[0]);
    for (unsigned n = 0; n < 200; n++)
        step(&e);
    CHECK(vf_carry_done(e.c[0]) && vf_carry_done(e.c[1]));
    ends_close(&e);
}

static void put(int fd, char what, uint64_t n)
{
    uint8_t h[9] = {(uint8_t)what};

    for (unsigned i = 0; i < 8; i++)
        h[1 + i] = (uint8_t)(n >> (56 - 8 * i));
    CHECK(send(fd, h, sizeof h, MSG_NOSIGNAL) == (ssize_t)sizeof h);
}

/* A line that says what cannot be is closed. */
TEST(nonsense)
{
    static const struct {
        char what[2];
        uint64_t n[2];
    } said[] = {{"A", {0, 0}},        {"H", {1, 0}},  {"HA", {0, 1}},
                {"HD", {0, 1 << 20}}, {"HD", {0, 0}}, {"HE", {0, 9}},
                {"HH", {0, 0}},       {"HX", {0, 0}}, {"H", {UINT64_MAX, 0}}};
    struct ends e;
    bool moved;

    ends_open(&e);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        int fd[2];

        pair(fd);
        vf_carry_line(e.c[0], fd[0]);
        for (int k = 0; k < 2 && said[i].what[k]; k++)
            put(fd[1], said[i].what[k], said[i].n[k]);
        CHECK(vf_carry_has_line(e.c[0]));
        for (int k = 0; k < 5; k++)
            vf_carry_step(e.c[0], 0, NULL, 0, &moved);
        CHECK(!vf_carry_has_line(e.c[0]));
        close(fd[1]);
    }
    ends_close(&e);
}

static int socket_at(const char *path, bool listens)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    CHECK(fd >= 0 && strlen(path) < sizeof sa.sun_path);
    memcpy(sa.sun_path, path, strlen(path) + 1);
    if (listens)
        CHECK(bind(fd, (const struct sockaddr *)&sa, sizeof sa) == 0 && listen(fd, 1) == 0);
    else
        CHECK(connect(fd, (const struct sockaddr *)&sa, sizeof sa) == 0);
    return fd;
}

static void comes(int fd, const char *text)
{
    char buf[64] = "";
    struct pollfd p = {fd, POLLIN, 0};

    CHECK(poll(&p, 1, 10000) == 1);
    CHECK(recv(fd, buf, sizeof buf - 1, 0) >= 0);
    CHECK_STR(buf, text);
}

/* Carries what one line brings to the other, until the first says to stop. */
static void join_lines(int a, int b, int *ret_moves)
{
    struct pollfd p[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
    char buf[4096];

    *ret_moves = 0;
    while (poll(p, 2, 700) > 0) {
        for (int i = 0; i < 2; i++) {
            ssize_t n = p[i].revents ? recv(p[i].fd, buf, sizeof buf, 0) : 0;

            if (p[i].revents && n <= 0)
                return;
            if (n > 0)
                CHECK(send(p[1 - i].fd, buf, (size_t)n, MSG_NOSIGNAL) == n);
            *ret_moves += n > 0;
        }
    }
}

/* Two holders, between somebody who connects and somebody who listens, over two lines. */
TEST(holders)
{
    char dir[] = "/tmp/vf-hold-XXXXXX", near[64], far[64], out[64], in[64], end[64], stop[64];
    struct vf_error err = VF_ERROR_INIT;
    int server, a, b, l, x, y, moves;

    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(near, sizeof near, "%s/near", dir);
    (void)snprintf(far, sizeof far, "%s/far", dir);
    (void)snprintf(out, sizeof out, "%s/out", dir);
    (void)snprintf(in, sizeof in, "%s/in", dir);
    (void)snprintf(end, sizeof end, "%s/end", dir);
    (void)snprintf(stop, sizeof stop, "%s/stop", dir);
    struct vf_hold_opts there = {.local = far, .line = in, .line_listen = true, .control = end};
    struct vf_hold_opts here = {.local = near, .local_listen = true, .line = out, .control = stop};

    CHECK_FAIL(vf_hold_start(&there, &err), &err, VF_ERR_NOTFOUND); /* nobody listens there */
    server = socket_at(far, true);
    CHECK_OK(vf_hold_start(&there, &err), &err);
    CHECK_OK(vf_hold_start(&here, &err), &err);
    a = socket_at(near, false);
    b = accept(server, NULL, NULL);
    CHECK(b >= 0);
    CHECK(send(a, "before any line", 15, 0) == 15);
    l = socket_at(out, true);
    x = accept(l, NULL, NULL);
    y = socket_at(in, false);
    join_lines(x, y, &moves);
    CHECK(moves > 1);
    comes(b, "before any line");
    close(x);
    close(y);
    CHECK(send(b, "between lines", 13, 0) == 13);
    x = accept(l, NULL, NULL);
    y = socket_at(in, false);
    join_lines(x, y, &moves);
    comes(a, "between lines");
    close(a);
    join_lines(x, y, &moves);
    comes(b, "");
    close(b);
    join_lines(x, y, &moves); /* they end */
    close(x);
    close(y);
    close(l);
    close(server);
    for (int n = 0; n < 50 && (access(end, F_OK) == 0 || access(stop, F_OK) == 0); n++)
        usleep(100000); /* the last that each does is to remove its files */
    CHECK(access(in, F_OK) != 0 && access(near, F_OK) != 0);
    CHECK(access(end, F_OK) != 0 && access(stop, F_OK) != 0);
    (void)unlink(far);
    (void)unlink(out);
    CHECK(rmdir(dir) == 0);
}

/* One that is told to end does, whatever it waits for; another takes its place, and its files. */
TEST(told_to_end)
{
    char dir[] = "/tmp/vf-hold-XXXXXX", local[64], line[64], end[64];
    struct vf_error err = VF_ERROR_INIT;
    int server, a, l, x;

    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(local, sizeof local, "%s/local", dir);
    (void)snprintf(line, sizeof line, "%s/line", dir);
    (void)snprintf(end, sizeof end, "%s/end", dir);
    struct vf_hold_opts waits = {
        .local = local, .local_listen = true, .line = line, .control = end};
    struct vf_hold_opts holds = {.local = local, .line = line, .line_listen = true, .control = end};

    CHECK(!vf_hold_there(end));
    CHECK_OK(vf_hold_end(end, &err), &err); /* there is none */
    CHECK_OK(vf_hold_start(&waits, &err), &err);
    CHECK_OK(vf_hold_end(end, &err), &err); /* nobody has connected */
    CHECK(access(local, F_OK) != 0 && access(end, F_OK) != 0);

    CHECK_OK(vf_hold_start(&waits, &err), &err);
    a = socket_at(local, false);
    l = socket_at(line, true);
    x = accept(l, NULL, NULL); /* it holds */
    CHECK(vf_hold_there(end));
    CHECK_OK(vf_hold_end(end, &err), &err);
    comes(a, "");
    CHECK(access(end, F_OK) != 0);
    close(a);
    close(x);
    close(l);
    CHECK(unlink(line) == 0);

    server = socket_at(local, true);
    CHECK_OK(vf_hold_start(&holds, &err), &err);
    a = accept(server, NULL, NULL);
    CHECK_OK(vf_hold_start(&holds, &err), &err); /* ends the first one */
    comes(a, "");
    close(a);
    a = accept(server, NULL, NULL);
    CHECK(access(end, F_OK) == 0);
    x = socket_at(line, false); /* the second one's */
    CHECK_OK(vf_hold_end(end, &err), &err);
    close(x);
    close(a);
    close(server);
    CHECK(access(line, F_OK) != 0);
    CHECK(unlink(local) == 0 && rmdir(dir) == 0);
}

/* It hands out what it keeps as often as it is asked, until what it holds the connection of has
 * ended. */
TEST(keeps)
{
    char dir[] = "/tmp/vf-hold-XXXXXX", local[64], line[64], end[64];
    struct vf_error err = VF_ERROR_INIT;
    int server, a, kept[2], got;

    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(local, sizeof local, "%s/local", dir);
    (void)snprintf(line, sizeof line, "%s/line", dir);
    (void)snprintf(end, sizeof end, "%s/end", dir);
    pair(kept);
    struct vf_hold_opts with = {
        .local = local, .line = line, .line_listen = true, .control = end, .keep = kept[0]};
    struct vf_hold_opts without = {
        .local = local, .line = line, .line_listen = true, .control = end};

    CHECK(vf_hold_kept(end) < 0); /* nobody is there */
    server = socket_at(local, true);
    CHECK_OK(vf_hold_start(&with, &err), &err);
    a = accept(server, NULL, NULL);
    close(kept[0]);
    for (int i = 0; i < 3; i++) {
        got = vf_hold_kept(end);
        CHECK(got >= 0 && (fcntl(got, F_GETFD) & FD_CLOEXEC));
        CHECK(send(got, "from here", 9, 0) == 9);
        comes(kept[1], "from here");
        close(got);
        CHECK(vf_hold_there(end)); /* a question is not the end */
    }
    close(a);
    comes(kept[1], ""); /* nobody has it any more */
    CHECK(vf_hold_kept(end) < 0);
    close(kept[1]);

    CHECK_OK(vf_hold_start(&without, &err), &err);
    a = accept(server, NULL, NULL);
    CHECK(vf_hold_kept(end) < 0 && vf_hold_there(end));
    CHECK_OK(vf_hold_end(end, &err), &err);
    close(a);
    close(server);
    CHECK(unlink(local) == 0 && rmdir(dir) == 0);
}

TESTS(breaks, waits, nonsense, holders, told_to_end, keeps)
