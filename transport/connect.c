/* transport/connect.c - choosing a back end, and what all of them have in common. */
#include "transport/connect.h"

#include <errno.h>
#include <libssh2.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/clock.h"
#include "core/fdio.h"
#include "core/thread.h"
#include "transport/choose.h"
#include "transport/conn_ops.h"
#include "transport/local.h"
#include "transport/ssh_client.h"
#include "transport/ssh_libssh2.h"

int vf_transport_init(struct vf_error *err)
{
    /* Without this OpenSSL takes itself apart when main returns, under connections that still run;
     * a program that gives up in the middle would crash instead of telling why. */
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL) != 1 || libssh2_init(0) != 0)
        return vf_error_set(err, VF_ERR_IO, 0, "libssh2 cannot be initialised");
    (void)signal(SIGPIPE, SIG_IGN); /* cannot fail for this signal */
    return 0;
}

void vf_transport_exit(void) { libssh2_exit(); }

/* ---- in common ---- */

int vf_conn_base_init(struct vf_conn_base *b, const struct vf_conn_ops *ops,
                      const struct vf_target *target, const char *program, struct vf_error *err)
{
    b->conn = (struct vf_conn){-1, -1, ops};
    b->peer = vf_target_peer(target, err);
    b->program = vf_strdup(program, err);
    b->reason = NULL;
    if (!b->peer || !b->program) {
        free(b->peer);
        free(b->program);
        return -1;
    }
    b->end = (struct vf_conn_end){.done = false};
    vf_diag_init(&b->diag);
    (void)pthread_mutex_init(&b->lock, NULL); /* these do not fail on Linux */
    (void)pthread_cond_init(&b->ended, NULL);
    return 0;
}

void vf_conn_base_destroy(struct vf_conn_base *b)
{
    vf_close_fd(&b->conn.rfd);
    vf_close_fd(&b->conn.wfd);
    free(b->peer);
    free(b->program);
    free(b->reason);
    vf_diag_destroy(&b->diag);
    (void)pthread_cond_destroy(&b->ended);
    (void)pthread_mutex_destroy(&b->lock);
}

void vf_conn_base_end(struct vf_conn_base *b, int status, const struct vf_error *why)
{
    (void)pthread_mutex_lock(&b->lock);
    b->end.done = true;
    b->end.status = status;
    b->end.lost = why != NULL;
    if (why)
        b->end.why = *why;
    (void)pthread_cond_broadcast(&b->ended);
    (void)pthread_mutex_unlock(&b->lock);
}

/* Waits for the end until the deadline; *ret is what is known then. */
static void wait_end(struct vf_conn_base *b, int64_t deadline_ms, struct vf_conn_end *ret)
{
    (void)pthread_mutex_lock(&b->lock);
    while (!b->end.done && vf_thread_wait_until(&b->ended, &b->lock, deadline_ms))
        ;
    *ret = b->end;
    (void)pthread_mutex_unlock(&b->lock);
}

/* ---- making ---- */

/* Reads the ssh configuration and decides; *ret is owned. */
static struct vf_conn *connect_ssh(const struct vf_target *target, const struct vf_conn_opts *opts,
                                   const struct vf_wait *wait, struct vf_error *err)
{
    struct vf_conn *c = NULL;
    char reason[VF_CHOOSE_REASON_MAX] = "";

    if (opts->ssh_command)
        return vf_ssh_client_connect(target, opts, NULL, err);
    if (vf_choose_by_config(target, opts, wait, reason, err) < 0)
        return NULL;
    if (!reason[0] && vf_libssh2_connect(target, opts, wait, &c, reason, err) < 0)
        return NULL;
    if (c)
        return c;
    if (vf_wait_check(wait, "connect", err) < 0)
        return NULL;
    return vf_ssh_client_connect(target, opts, reason, err);
}

struct vf_conn *vf_connect(const struct vf_target *target, const struct vf_conn_opts *opts,
                           struct vf_error *err)
{
    int timeout_ms = opts->connect_timeout_ms ? opts->connect_timeout_ms : VF_CONNECT_TIMEOUT_MS;
    struct vf_wait wait = vf_wait_in(timeout_ms, opts->stopped, opts->stopped_arg);

    if (target->kind == VF_TARGET_LOCAL)
        return vf_local_connect(target, opts, err);
    return connect_ssh(target, opts, &wait, err);
}

/* ---- asking ---- */

const char *vf_conn_backend(const struct vf_conn *c) { return c->ops->name; }

const char *vf_conn_backend_reason(const struct vf_conn *c)
{
    const struct vf_conn_base *b = (const struct vf_conn_base *)c;

    return b->reason ? b->reason : "";
}

const char *vf_conn_peer(const struct vf_conn *c) { return ((const struct vf_conn_base *)c)->peer; }

char *vf_conn_diagnosis(struct vf_conn *c) { return vf_diag_text(&vf_conn_base(c)->diag, NULL); }

/* ---- ending ---- */

void vf_conn_end_writing(struct vf_conn *c) { vf_close_fd(&c->wfd); }

/* The texts that fit every back end. */
static void explain_status(struct vf_conn_base *b, int status, const char *text,
                           struct vf_error *err)
{
    const char *last = vf_diag_last_line(text);

    if (status == 127)
        (void)vf_error_set(err, VF_ERR_UNREACHABLE, 0,
                           "'%s' is not installed on %s or not in its PATH there; name it with "
                           "--remote-program",
                           b->program, b->peer);
    else if (status == 126)
        (void)vf_error_set(err, VF_ERR_UNREACHABLE, 0, "'%s' cannot be executed on %s%s%s",
                           b->program, b->peer, *last ? ": " : "", last);
    else
        (void)vf_error_set(err, VF_ERR_UNREACHABLE, 0,
                           "the far end at %s ended early with status %d%s%s", b->peer, status,
                           *last ? ": " : "", last);
}

/* Did the connection or its client fail (rather than the program end by itself)?  Then *err. */
static bool failed(struct vf_conn *c, const struct vf_conn_end *end, const char *text,
                   struct vf_error *err)
{
    if (end->lost)
        (void)vf_error_set(err, end->why.code, 0, "%s", end->why.msg);
    return end->lost || (c->ops->client_failed && c->ops->client_failed(c, end->status, text, err));
}

int vf_conn_why(struct vf_conn *c, int timeout_ms, struct vf_error *err)
{
    struct vf_conn_base *b = vf_conn_base(c);
    struct vf_conn_end end;
    char *text;

    wait_end(b, vf_clock_ms() + timeout_ms, &end);
    if (!end.done)
        return vf_error_set(err, VF_ERR_TIMEOUT, 0, "%s stopped talking but is still running",
                            b->peer);
    text = vf_diag_text(&b->diag, NULL);
    if (!failed(c, &end, text ? text : "", err))
        explain_status(b, end.status, text ? text : "", err);
    free(text);
    return -1;
}

/* Reads and forgets until the end of rfd or the deadline. */
static void drain(struct vf_conn *c, int64_t deadline_ms)
{
    char scrap[65536];

    while (c->rfd >= 0) {
        struct pollfd p = {c->rfd, POLLIN, 0};
        int64_t left = deadline_ms - vf_clock_ms();
        ssize_t n;

        if (left <= 0)
            return;
        if (poll(&p, 1, left > 1000 ? 1000 : (int)left) <= 0)
            continue; /* nothing yet, or a signal: the deadline decides */
        n = read(c->rfd, scrap, sizeof scrap);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
            vf_close_fd(&c->rfd);
    }
}

int vf_conn_close(struct vf_conn *c, int timeout_ms, int *ret_exit_status, struct vf_error *err)
{
    int64_t deadline = vf_clock_ms() + timeout_ms;
    struct vf_conn_end end;
    char *text;
    int rc = -1;

    if (!c)
        return 0;
    vf_conn_end_writing(c);
    drain(c, deadline);
    wait_end(vf_conn_base(c), deadline, &end);
    text = vf_conn_diagnosis(c);
    if (!end.done) {
        (void)vf_error_set(err, VF_ERR_TIMEOUT, 0, "%s did not end in time",
                           vf_conn_base(c)->peer); /* rc is -1 */
    } else if (!failed(c, &end, text ? text : "", err)) {
        if (ret_exit_status)
            *ret_exit_status = end.status;
        rc = 0;
    }
    free(text);
    vf_conn_abort(c);
    return rc;
}

void vf_conn_abort(struct vf_conn *c)
{
    if (!c)
        return;
    c->ops->cut(c);
    c->ops->destroy(c);
}
