/* service/control.c - the Unix socket of the service, and asking there. */
#include "service/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/checked.h"
#include "core/fdio.h"
#include "core/unixsock.h"
#include "service/clock.h"

#define LINE_MAX_LEN 1024u
#define CLIENT_MS    5000 /* that a client may take */
#define ANSWER_MAX   (256u << 20)
#define UNKNOWN      "unknown question\n"

struct client {
    int fd; /* -1: free place */
    int64_t since_ms;
    char line[LINE_MAX_LEN];
    size_t got;
    struct vf_buf answer;
    size_t sent;
    bool answering;
};

struct vf_control {
    int dirfd, fd;
    char *name;
    struct client client[VF_CONTROL_CLIENTS];
};

struct vf_control *vf_control_listen(int dirfd, const char *name, struct vf_error *err)
{
    struct vf_control *c = vf_calloc(1, sizeof *c, err);
    struct vf_error why;

    if (!c)
        return NULL;
    c->fd = -1;
    for (size_t i = 0; i < VF_CONTROL_CLIENTS; i++)
        c->client[i].fd = -1;
    c->name = vf_strdup(name, err);
    c->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
    if (!c->name || c->dirfd < 0)
        goto failed;
    c->fd = vf_unixsock_listen(c->dirfd, name, SOCK_STREAM | SOCK_NONBLOCK, 16, &why);
    if (c->fd >= 0)
        return c;
    (void)vf_error_sys(err, why.sys, "listen on the socket '%s'", name); /* the NULL says it */
failed:
    vf_control_free(c);
    return NULL;
}

static void hang_up(struct client *cl)
{
    vf_close_fd(&cl->fd);
    vf_buf_free(&cl->answer);
    cl->got = cl->sent = 0;
    cl->answering = false;
}

void vf_control_free(struct vf_control *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < VF_CONTROL_CLIENTS; i++)
        hang_up(&c->client[i]);
    if (c->fd >= 0)
        (void)unlinkat(c->dirfd, c->name, 0); /* litter at worst */
    vf_close_fd(&c->fd);
    vf_close_fd(&c->dirfd);
    free(c->name);
    free(c);
}

size_t vf_control_polls(const struct vf_control *c, struct pollfd *ret)
{
    size_t n = 0;

    ret[n++] = (struct pollfd){c->fd, POLLIN, 0};
    for (size_t i = 0; i < VF_CONTROL_CLIENTS; i++)
        if (c->client[i].fd >= 0)
            ret[n++] =
                (struct pollfd){c->client[i].fd, c->client[i].answering ? POLLOUT : POLLIN, 0};
    return n;
}

/* ---- answering ---- */

static int add_http(struct vf_buf *b, bool known, const char *type, size_t len)
{
    char *head = vf_strf(NULL,
                         "HTTP/1.0 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                         "Connection: close\r\n\r\n",
                         known ? "200 OK" : "404 Not Found", type, len);
    int rc = head ? vf_buf_add(b, head, strlen(head), NULL) : -1;

    free(head);
    return rc;
}

static void answer(struct client *cl, vf_control_fn *fn, void *ctx)
{
    bool http = strncmp(cl->line, "GET /", 5) == 0;
    char *question = http ? cl->line + 5 : cl->line, *text;
    const char *type = "text/plain; charset=utf-8";

    question[strcspn(question, http ? " \r\n" : "\r\n")] = '\0';
    text = fn(ctx, question, &type);
    if (http && add_http(&cl->answer, text != NULL, type, strlen(text ? text : UNKNOWN)) < 0)
        vf_buf_clear(&cl->answer);
    else if (vf_buf_add(&cl->answer, text ? text : UNKNOWN, strlen(text ? text : UNKNOWN), NULL) <
             0)
        vf_buf_clear(&cl->answer); /* an empty answer is one, too */
    free(text);
    cl->answering = true;
}

/* The end of the question: of its line, or of the header in HTTP. */
static bool is_complete(const struct client *cl)
{
    if (strncmp(cl->line, "GET /", 5) == 0)
        return strstr(cl->line, "\r\n\r\n") || strstr(cl->line, "\n\n");
    return strchr(cl->line, '\n');
}

static void take(struct client *cl, vf_control_fn *fn, void *ctx)
{
    ssize_t n = read(cl->fd, cl->line + cl->got, LINE_MAX_LEN - 1 - cl->got);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        hang_up(cl);
        return;
    }
    cl->got += (size_t)n;
    cl->line[cl->got] = '\0';
    if (is_complete(cl))
        answer(cl, fn, ctx);
    else if (cl->got == LINE_MAX_LEN - 1)
        hang_up(cl);
}

static void give(struct client *cl)
{
    while (cl->sent < cl->answer.len) {
        ssize_t n = send(cl->fd, cl->answer.data + cl->sent, cl->answer.len - cl->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            break;
        cl->sent += (size_t)n;
    }
    hang_up(cl);
}

static void welcome(struct vf_control *c)
{
    int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int64_t now = vf_boot_ms();
    struct client *at = NULL;

    for (size_t i = 0; i < VF_CONTROL_CLIENTS && fd >= 0; i++) {
        struct client *cl = &c->client[i];

        if (cl->fd >= 0 && now - cl->since_ms > CLIENT_MS)
            hang_up(cl);
        if (cl->fd < 0 && !at)
            at = cl;
    }
    if (at) {
        at->fd = fd;
        at->since_ms = now;
    } else {
        vf_close_fd(&fd);
    }
}

void vf_control_serve(struct vf_control *c, const struct pollfd *polls, size_t n, vf_control_fn *fn,
                      void *ctx)
{
    for (size_t k = 1; k < n; k++) {
        for (size_t i = 0; i < VF_CONTROL_CLIENTS && polls[k].revents; i++) {
            struct client *cl = &c->client[i];

            if (cl->fd != polls[k].fd)
                continue;
            if (!cl->answering)
                take(cl, fn, ctx);
            if (cl->fd >= 0 && cl->answering)
                give(cl);
            break;
        }
    }
    if (n && polls[0].revents)
        welcome(c);
}

/* ---- asking ---- */

static int ask_at(int dirfd, const char *name, struct vf_error *err)
{
    struct vf_error why;
    int fd = vf_unixsock_connect(dirfd, name, SOCK_STREAM, &why);

    if (fd >= 0)
        return fd;
    if (why.sys == ENOENT || why.sys == ECONNREFUSED)
        return vf_error_set(err, VF_ERR_NOTFOUND, 0, "the service does not run");
    return vf_error_sys(err, why.sys, "reach the service");
}

static int read_answer(int fd, struct vf_buf *b, int timeout_ms, struct vf_error *err)
{
    int64_t end = vf_boot_ms() + timeout_ms;

    for (;;) {
        int64_t left = end - vf_boot_ms();
        struct pollfd p = {fd, POLLIN, 0};
        long n;

        if (left <= 0 || poll(&p, 1, (int)left) == 0)
            return vf_error_set(err, VF_ERR_TIMEOUT, 0, "the service does not answer");
        if (vf_buf_reserve(b, 65536, err) < 0)
            return -1;
        n = vf_read_some(fd, b->data + b->len, 65536, err);
        if (n <= 0)
            return (int)n;
        b->len += (size_t)n;
        if (b->len > ANSWER_MAX)
            return vf_error_set(err, VF_ERR_RANGE, 0, "the service's answer is too long");
    }
}

char *vf_control_ask(int dirfd, const char *name, const char *question, int timeout_ms,
                     struct vf_error *err)
{
    struct vf_buf b = VF_BUF_INIT;
    int fd = ask_at(dirfd, name, err);

    if (fd < 0)
        return NULL;
    if (vf_write_full(fd, question, strlen(question), err) < 0 ||
        vf_write_full(fd, "\n", 1, err) < 0 || read_answer(fd, &b, timeout_ms, err) < 0 ||
        vf_buf_u8(&b, 0, err) < 0)
        goto failed;
    if (strcmp((char *)b.data, UNKNOWN) == 0) {
        (void)vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "the service does not know '%s'", question);
        goto failed;
    }
    vf_close_fd(&fd);
    return (char *)b.data;
failed:
    vf_close_fd(&fd);
    vf_buf_free(&b);
    return NULL;
}
