/* transport/tcp.c - name resolution with a deadline, connect with a deadline. */
#include "transport/tcp.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/clock.h"
#include "core/fdio.h"
#include "core/thread.h"

/* ---- names ---- */

/* getaddrinfo cannot be interrupted and has its own ideas of time, so a detached thread of its own
 * runs it.  The last of the two that lets go frees the struct: the one who asked may have given up
 * long before. */
struct lookup {
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t done;
    int users;
    bool ready;
    int rc; /* of getaddrinfo */
    struct addrinfo *list;
    char port[8];
    char host[]; /* const after start */
};

static void lookup_drop(struct lookup *l)
{
    int left;

    (void)pthread_mutex_lock(&l->lock);
    left = --l->users;
    (void)pthread_mutex_unlock(&l->lock);
    if (left)
        return;
    if (l->list)
        freeaddrinfo(l->list);
    (void)pthread_cond_destroy(&l->done);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

static int resolve(const char *host, const char *port, int flags, struct addrinfo **ret)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};

    return getaddrinfo(host, port, &hints, ret);
}

static void *lookup_main(void *arg)
{
    struct lookup *l = arg;
    struct addrinfo *list = NULL;
    int rc = resolve(l->host, l->port, AI_ADDRCONFIG, &list);

    (void)pthread_mutex_lock(&l->lock);
    l->rc = rc;
    l->list = rc ? NULL : list;
    l->ready = true;
    (void)pthread_cond_signal(&l->done);
    (void)pthread_mutex_unlock(&l->lock);
    lookup_drop(l);
    return NULL;
}

static struct lookup *lookup_start(const char *host, const char *port, struct vf_error *err)
{
    struct lookup *l = vf_calloc(1, sizeof *l + strlen(host) + 1, err);
    pthread_t thread;

    if (!l)
        return NULL;
    l->users = 2;
    memcpy(l->host, host, strlen(host)); /* its zero is there already */
    (void)snprintf(l->port, sizeof l->port, "%s", port);
    (void)pthread_mutex_init(&l->lock, NULL); /* these do not fail on Linux */
    (void)pthread_cond_init(&l->done, NULL);
    if (vf_thread_start(&thread, lookup_main, l, err) < 0) {
        l->users = 1;
        lookup_drop(l);
        return NULL;
    }
    (void)pthread_detach(thread);
    return l;
}

/* Waits for the end of the lookup.  0 with *ret owned (freeaddrinfo), or -1. */
static int lookup_wait(struct lookup *l, const char *what, const struct vf_wait *wait,
                       struct addrinfo **ret, struct vf_error *err)
{
    int rc = 0;

    (void)pthread_mutex_lock(&l->lock);
    while (!l->ready && rc == 0) {
        (void)vf_thread_wait(&l->done, &l->lock, 100); /* the stop question is asked so often */
        if (!l->ready)
            rc = vf_wait_check(wait, what, err);
    }
    if (rc == 0 && l->rc) {
        rc = vf_error_set(err, VF_ERR_UNREACHABLE, 0, "%s: %s", what, gai_strerror(l->rc));
    } else if (rc == 0) {
        *ret = l->list;
        l->list = NULL;
    }
    (void)pthread_mutex_unlock(&l->lock);
    return rc;
}

/* 0 with *ret owned (freeaddrinfo), or -1. */
static int find_addresses(const char *host, const char *port, const char *peer,
                          const struct vf_wait *wait, struct addrinfo **ret, struct vf_error *err)
{
    char *what;
    struct lookup *l;
    int rc = -1;

    if (resolve(host, port, AI_NUMERICHOST, ret) == 0)
        return 0;
    what = vf_strf(err, "resolve the name of %s", peer);
    if (!what)
        return -1;
    l = lookup_start(host, port, err);
    if (l) {
        rc = lookup_wait(l, what, wait, ret, err);
        lookup_drop(l);
    }
    free(what);
    return rc;
}

/* ---- connections ---- */

/* None of these can decide about a connection: failures are ignored. */
static void set_options(int fd)
{
    int on = 1, idle = 30, interval = 10, count = 3;
    unsigned dead = VF_TCP_DEAD_MS;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead, sizeof dead);
}

/* A connected socket, or -1 with *err set. */
static int connect_one(const struct addrinfo *a, const char *what, const struct vf_wait *wait,
                       struct vf_error *err)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), sys = 0;
    socklen_t len = sizeof sys;

    if (fd < 0)
        return vf_error_set(err, VF_ERR_UNREACHABLE, errno, "%s: make a socket", what);
    if (connect(fd, a->ai_addr, a->ai_addrlen) < 0 && errno != EINPROGRESS)
        sys = errno;
    else if (vf_wait_fd(wait, fd, POLLOUT, what, err) < 0)
        goto fail;
    else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &len) < 0)
        sys = errno;
    if (sys) {
        (void)vf_error_set(err, VF_ERR_UNREACHABLE, sys, "%s", what); /* the -1 says it */
        goto fail;
    }
    set_options(fd);
    return fd;
fail:
    vf_close_fd(&fd);
    return -1;
}

int vf_tcp_connect(const char *host, unsigned port, const char *peer, const struct vf_wait *wait,
                   struct vf_error *err)
{
    struct addrinfo *list = NULL;
    char port_text[8], *what = NULL;
    int fd = -1, left = 0;

    (void)snprintf(port_text, sizeof port_text, "%u", port); /* at most 65535 */
    what = vf_strf(err, "connect to %s", peer);
    if (!what || find_addresses(host, port_text, peer, wait, &list, err) < 0)
        goto out;
    for (struct addrinfo *a = list; a; a = a->ai_next)
        left++;
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next, left--) {
        /* A silent address must not eat the time of those behind it. */
        struct vf_wait share = *wait;

        share.deadline_ms = vf_clock_ms() + vf_wait_left(wait) / left;
        if (vf_wait_left(wait) == 0 || (wait->stopped && wait->stopped(wait->arg)))
            share.deadline_ms = 0;
        fd = connect_one(a, what, &share, err);
    }
out:
    if (list)
        freeaddrinfo(list);
    free(what);
    return fd;
}
