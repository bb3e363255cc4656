/* transport/join.c - descriptors from process to process. */
#include "transport/join.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "core/stream.h"
#include "core/unixsock.h"

#define RUN      "run"
#define BACKLOG  64
#define GREET_MS 5000 /* that a visitor may take to hand over */

struct vf_join {
    int dir, sock, wake;
    char token[VF_TOKEN_LEN + 1];
};

static bool is_token(const char *name)
{
    return strlen(name) == VF_TOKEN_LEN && strspn(name, "0123456789abcdef") == VF_TOKEN_LEN;
}

/* The directory of the sockets, which nobody else may look into. */
static int open_run(int store_fd, bool make, struct vf_error *err)
{
    struct stat st;
    int fd;

    if (make && mkdirat(store_fd, RUN, 0700) < 0 && errno != EEXIST)
        return vf_error_sys(err, errno, "directory '%s' of the store", RUN);
    fd = openat(store_fd, RUN, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return vf_error_sys(err, errno, "directory '%s' of the store", RUN);
    if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 077)) {
        vf_close_fd(&fd);
        return vf_error_set(err, VF_ERR_DENIED, 0,
                            "directory '%s' of the store is open to other users", RUN);
    }
    return fd;
}

static int connect_to(int dir, const char *name, struct vf_error *err)
{
    struct vf_error why;
    int fd = vf_unixsock_connect(dir, name, SOCK_SEQPACKET, &why);

    if (fd >= 0)
        return fd;
    if (why.sys == ENOENT || why.sys == ECONNREFUSED)
        return vf_error_set(err, VF_ERR_NOTFOUND, why.sys == ECONNREFUSED ? ECONNREFUSED : 0,
                            "there is no migration that takes this connection");
    return vf_error_sys(err, why.sys, "reach the migration");
}

/* Removes the sockets of processes that died.  Under the lock of the directory: a socket between
 * bind and listen looks dead too. */
static void sweep(int dir)
{
    int copy = fcntl(dir, F_DUPFD_CLOEXEC, 3);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *e;

    if (!d) {
        vf_close_fd(&copy);
        return; /* what is left over is in nobody's way */
    }
    while ((e = readdir(d)) != NULL) {
        struct vf_error err = VF_ERROR_INIT;
        int fd = is_token(e->d_name) ? connect_to(dir, e->d_name, &err) : -1;

        if (fd < 0 && err.sys == ECONNREFUSED)
            (void)unlinkat(dir, e->d_name, 0); /* as above */
        vf_close_fd(&fd);
    }
    (void)closedir(d);
}

static int make_token(char ret[VF_TOKEN_LEN + 1], struct vf_error *err)
{
    uint8_t raw[VF_TOKEN_LEN / 2];

    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
        return vf_error_sys(err, errno, "random numbers");
    for (size_t i = 0; i < sizeof raw; i++)
        (void)snprintf(ret + 2 * i, 3, "%02x", raw[i]); /* fits */
    return 0;
}

static int start_listening(struct vf_join *j, struct vf_error *err)
{
    struct vf_error why;

    j->sock = vf_unixsock_listen(j->dir, j->token, SOCK_SEQPACKET | SOCK_NONBLOCK, BACKLOG, &why);
    return j->sock < 0 ? vf_error_sys(err, why.sys, "listen for further connections") : 0;
}

struct vf_join *vf_join_listen(int store_fd, struct vf_error *err)
{
    struct vf_join *j = vf_calloc(1, sizeof *j, err);
    int rc = -1;

    if (!j)
        return NULL;
    j->sock = -1;
    j->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    j->dir = open_run(store_fd, true, err);
    if (j->wake < 0)
        (void)vf_error_sys(err, errno, "make an event descriptor"); /* rc says it */
    else if (j->dir >= 0 && make_token(j->token, err) == 0) {
        (void)flock(j->dir, LOCK_EX); /* without it a socket that begins could be swept away */
        sweep(j->dir);
        rc = start_listening(j, err);
        (void)flock(j->dir, LOCK_UN);
    }
    if (rc < 0) {
        vf_join_close(j);
        return NULL;
    }
    return j;
}

void vf_join_close(struct vf_join *j)
{
    if (!j)
        return;
    if (j->sock >= 0)
        (void)unlinkat(j->dir, j->token, 0); /* else the next sweep does it */
    vf_close_fd(&j->sock);
    vf_close_fd(&j->dir);
    vf_close_fd(&j->wake);
    free(j);
}

const char *vf_join_token(const struct vf_join *j) { return j->token; }

void vf_joined_close(struct vf_joined *c)
{
    vf_close_fd(&c->rfd);
    vf_close_fd(&c->wfd);
    vf_close_fd(&c->peer);
}

void vf_join_wake(struct vf_join *j)
{
    uint64_t one = 1;

    /* It fails only when the counter is full; then the descriptor is readable anyway. */
    if (write(j->wake, &one, sizeof one) < 0)
        return;
}

/* 1: fd is readable, 0: time is up, -1: woken. */
static int wait_readable(const struct vf_join *j, int fd, int ms)
{
    struct pollfd p[2] = {{fd, POLLIN, 0}, {j->wake, POLLIN, 0}};
    int n;

    do
        n = poll(p, 2, ms);
    while (n < 0 && errno == EINTR);
    return p[1].revents ? -1 : n > 0;
}

/* Takes number and descriptors. */
static int take(int sock, struct vf_joined *ret, struct vf_error *err)
{
    uint8_t number = 0;
    int fd[2] = {-1, -1};
    size_t n = 0;

    if (vf_unixsock_take(sock, &number, fd, 2, &n, NULL) == 0 && n == 2) {
        *ret = (struct vf_joined){number, fd[0], fd[1], sock};
        return 0;
    }
    vf_close_fd(&fd[0]);
    return vf_error_set(err, VF_ERR_PROTOCOL, 0, "a visitor handed over nothing of use");
}

int vf_join_accept(struct vf_join *j, struct vf_joined *ret, struct vf_error *err)
{
    struct ucred who;
    socklen_t len = sizeof who;
    int rc = -1, sock, ready;

    if (wait_readable(j, j->sock, -1) < 0)
        return vf_error_set(err, VF_ERR_CANCELLED, 0, "cancelled");
    sock = accept4(j->sock, NULL, NULL, SOCK_CLOEXEC);
    if (sock < 0)
        return vf_error_sys(err, errno, "accept a visitor");
    ready = wait_readable(j, sock, GREET_MS);
    if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || who.uid != geteuid())
        (void)vf_error_set(err, VF_ERR_DENIED, 0, "a visitor of another user"); /* rc says it */
    else if (ready <= 0)
        (void)vf_error_set(err, ready < 0 ? VF_ERR_CANCELLED : VF_ERR_TIMEOUT, 0,
                           "a visitor handed over nothing"); /* rc says it */
    else
        rc = take(sock, ret, err);
    if (rc < 0)
        vf_close_fd(&sock);
    return rc;
}

int vf_join_connect(int store_fd, const char *token, struct vf_error *err)
{
    int dir, fd;

    if (!is_token(token)) /* it becomes a file name */
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "malformed token");
    dir = open_run(store_fd, false, err);
    if (dir < 0)
        return vf_error_set(err, VF_ERR_NOTFOUND, 0,
                            "there is no migration that takes this connection");
    fd = connect_to(dir, token, err);
    vf_close_fd(&dir);
    return fd;
}

int vf_join_hand_over(int sock, uint8_t number, int rfd, int wfd, const volatile int *stop,
                      struct vf_error *err)
{
    const int fd[2] = {rfd, wfd};
    struct pollfd p = {sock, POLLIN, 0};

    if (vf_unixsock_give(sock, number, fd, 2, err) < 0)
        return -1;
    /* Nothing is ever said on it: what makes it readable is its end. */
    while (!(stop && *stop) && poll(&p, 1, stop ? 500 : -1) <= 0)
        ;
    return 0;
}
