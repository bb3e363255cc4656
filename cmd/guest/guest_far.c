/* cmd/guest/guest_far.c - the conversation and the tunnels. */
#include "cmd/guest/guest_far.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/guest/ahead.h"
#include "cmd/guest/guest_talk.h"
#include "cmd/guest/tunnel.h"
#include "cmd/member.h"
#include "cmd/report.h"
#include "core/checked.h"
#include "core/fdio.h"
#include "core/thread.h"
#include "core/unixsock.h"

#define TUNNELS_MAX 300u
#define LOOK_MS     100
#define BACKLOG     16
#define AHEAD_MAX   6u /* an sshd refuses more logins at a time by chance (MaxStartups) */
#define AHEAD_MS    20 /* between them, so that they are in order for those who look */

/* Somebody who has connected to our socket. */
struct visit {
    struct visit *next;
    struct tunnel *t;
    int fd;
    struct vf_peer peer; /* open: there is one */
    bool open, done;     /* under the tunnel's lock, as fd */
    pthread_t thread;
};

struct tunnel {
    struct vf_guest_far *far;
    char *name, *path; /* of the far socket; of ours */
    char *token;       /* as it was when this was made: the next conversation is told it anew */
    const struct vf_far_look *look;
    int listener;
    struct vf_peer spare; /* the connection that stands ready for the first visitor */
    bool has_spare, has_thread;
    pthread_t thread;
    atomic_bool ending;
    atomic_int failed; /* 1: err is set */
    struct vf_error err;
    struct vf_stream_stats past; /* of connections that have ended */
    struct visit *visits;
    pthread_mutex_t lock; /* of visits, past, err and has_spare */
};

struct vf_guest_far {
    struct vf_far half; /* first */
    struct vf_guest_far_opts opts;
    struct vf_peer peer;
    char *far_run_dir, *token;
    struct tunnel *tunnel[TUNNELS_MAX];
    size_t ntunnels;
    struct vf_ahead *ahead[AHEAD_MAX];
    size_t nahead, taken; /* of them */
    struct vf_stream_stats past;
};

static void add_stats(struct vf_stream_stats *sum, struct vf_peer *p)
{
    struct vf_stream_stats s;

    if (!p->stream)
        return;
    p->stream->ops->stats(p->stream, &s);
    sum->sent += s.sent;
    sum->received += s.received;
    sum->sent_data += s.sent_data;
}

/* ---- tunnels ---- */

static int connect_tunnel(const struct tunnel *t, struct vf_peer *ret, struct vf_error *err)
{
    const struct vf_guest_far *f = t->far;

    return vf_peer_open(f->opts.cli, f->opts.target, f->opts.reach, VF_FOR_TUNNEL, f->opts.group,
                        f->opts.limit, ret, err);
}

static void note_failure(struct tunnel *t, const struct vf_error *err)
{
    pthread_mutex_lock(&t->lock);
    if (!atomic_load(&t->failed) && !atomic_load(&t->ending)) {
        t->err = *err;
        (void)vf_error_prefix(&t->err, "tunnel for %s", t->name); /* noted, not returned */
        atomic_store(&t->failed, 1);
    }
    pthread_mutex_unlock(&t->lock);
}

/* The visitor's own connection: the one that stands ready, or a new one. */
static int open_visit(struct visit *v, struct vf_error *err)
{
    struct tunnel *t = v->t;
    struct vf_peer peer;
    bool have;

    pthread_mutex_lock(&t->lock);
    have = t->has_spare;
    if (have)
        v->peer = t->spare;
    v->open = have;
    t->has_spare = false;
    pthread_mutex_unlock(&t->lock);
    if (have)
        return 0;
    if (connect_tunnel(t, &peer, err) < 0)
        return -1;
    pthread_mutex_lock(&t->lock);
    v->peer = peer;
    v->open = true;
    if (atomic_load(&t->ending))
        v->peer.stream->ops->cancel(v->peer.stream);
    pthread_mutex_unlock(&t->lock);
    return 0;
}

/* Only now the far end looks for its socket: it may not have been there before. */
static int name_socket(struct visit *v, struct vf_error *err)
{
    const struct vf_guest_far *f = v->t->far;
    bool refused;
    json_t *with = json_pack("{s:s, s:s, s:s}", "name", f->opts.name, "token", v->t->token,
                             "socket", v->t->name);
    int rc = with ? vf_talk_ask(v->peer.stream, "tunnel", with, NULL, &refused, err)
                  : vf_error_nomem(err);

    json_decref(with);
    return rc;
}

static void *serve_visit(void *arg)
{
    struct visit *v = arg;
    struct vf_error err = VF_ERROR_INIT;
    int rc = open_visit(v, &err);

    if (rc == 0)
        rc = name_socket(v, &err);
    if (rc == 0)
        rc = vf_tunnel_pump(v->peer.stream, v->fd, v->t->look, &err);
    if (rc < 0)
        note_failure(v->t, &err);
    pthread_mutex_lock(&v->t->lock);
    vf_close_fd(&v->fd);
    if (v->open) {
        add_stats(&v->t->past, &v->peer);
        v->open = false;
        pthread_mutex_unlock(&v->t->lock);
        vf_peer_close(&v->peer, rc < 0 ? &err : NULL);
        pthread_mutex_lock(&v->t->lock);
    }
    v->done = true;
    pthread_mutex_unlock(&v->t->lock);
    return NULL;
}

static void welcome(struct tunnel *t, int fd)
{
    struct vf_error err = VF_ERROR_INIT;
    struct visit *v = vf_calloc(1, sizeof *v, &err);
    int rc = -1;

    if (v) {
        v->t = t;
        v->fd = fd;
        rc = vf_thread_start(&v->thread, serve_visit, v, &err);
    }
    if (rc < 0) {
        note_failure(t, &err);
        vf_close_fd(&fd);
        free(v);
        return;
    }
    pthread_mutex_lock(&t->lock);
    v->next = t->visits;
    t->visits = v;
    pthread_mutex_unlock(&t->lock);
}

/* All visitors of our socket; each is served by a thread of its own. */
static void *serve_tunnel(void *arg)
{
    struct tunnel *t = arg;
    struct pollfd p = {t->listener, POLLIN, 0};

    while (!atomic_load(&t->ending)) {
        int fd;

        if (poll(&p, 1, LOOK_MS) <= 0)
            continue;
        fd = accept4(t->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            welcome(t, fd);
    }
    return NULL;
}

static void end_visits(struct tunnel *t)
{
    struct visit *v;

    pthread_mutex_lock(&t->lock);
    for (v = t->visits; v; v = v->next) {
        if (v->open)
            v->peer.stream->ops->cancel(v->peer.stream);
        if (v->fd >= 0) /* one direction may be over, and the other wait for the visitor */
            (void)shutdown(v->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&t->lock);
    while (t->visits) { /* nobody adds any more */
        v = t->visits;
        t->visits = v->next;
        (void)pthread_join(v->thread, NULL); /* cannot fail: it runs, and is nobody else's */
        free(v);
    }
}

static void end_tunnel(struct tunnel *t)
{
    struct vf_error cut = VF_ERROR_INIT;

    if (!t)
        return;
    atomic_store(&t->ending, true);
    if (t->has_thread)
        (void)pthread_join(t->thread, NULL); /* cannot fail: it runs, and is nobody else's */
    end_visits(t);
    cut.code = VF_ERR_UNREACHABLE; /* nothing is waited for */
    if (t->has_spare) {
        add_stats(&t->past, &t->spare);
        vf_peer_close(&t->spare, &cut);
    }
    vf_close_fd(&t->listener);
    if (t->path)
        (void)unlink(t->path); /* litter at worst */
    t->far->past.sent += t->past.sent;
    t->far->past.received += t->past.received;
    t->far->past.sent_data += t->past.sent_data;
    pthread_mutex_destroy(&t->lock);
    free(t->token);
    free(t->path);
    free(t->name);
    free(t);
}

void vf_guest_far_ahead(struct vf_guest_far *f, size_t n)
{
    const struct vf_guest_far_opts *o = &f->opts;

    for (size_t i = 0; i < n && f->nahead < AHEAD_MAX; i++) {
        struct vf_ahead *a =
            vf_ahead_start(o->cli, o->target, o->reach, VF_FOR_TUNNEL, o->group, o->limit);

        if (!a)
            return;
        f->ahead[f->nahead++] = a;
        vf_thread_nap(AHEAD_MS);
    }
}

/* The first connection of a tunnel: one that was opened ahead, or a new one. */
static int first_connection(const struct tunnel *t, struct vf_peer *ret, struct vf_error *err)
{
    struct vf_guest_far *f = t->far;
    struct vf_error why;

    while (f->taken < f->nahead)
        if (vf_ahead_take(f->ahead[f->taken++], ret, &why) == 0)
            return 0;
    return connect_tunnel(t, ret, err);
}

static int op_tunnel(struct vf_far *half, const char *name, const char *local_path,
                     const struct vf_far_look *look, struct vf_error *err)
{
    struct vf_guest_far *f = (struct vf_guest_far *)half;
    struct tunnel *t;

    if (f->ntunnels == TUNNELS_MAX)
        return vf_error_set(err, VF_ERR_RANGE, 0, "too many tunnels");
    t = vf_calloc(1, sizeof *t, err);
    if (!t)
        return -1;
    t->far = f;
    t->look = look;
    t->listener = -1;
    (void)pthread_mutex_init(&t->lock, NULL); /* a default one cannot fail on Linux */
    t->name = vf_strdup(name, err);
    t->path = vf_strdup(local_path, err);
    t->token = vf_strdup(f->token ? f->token : "", err);
    if (!t->name || !t->path || !t->token || first_connection(t, &t->spare, err) < 0)
        goto failed;
    t->has_spare = true;
    t->listener = vf_unixsock_listen(AT_FDCWD, local_path, SOCK_STREAM, BACKLOG, err);
    if (t->listener < 0)
        goto failed;
    if (vf_thread_start(&t->thread, serve_tunnel, t, err) < 0)
        goto failed;
    t->has_thread = true;
    f->tunnel[f->ntunnels++] = t;
    return 0;
failed:
    end_tunnel(t);
    return -1;
}

static int op_broken(struct vf_far *half, struct vf_error *err)
{
    struct vf_guest_far *f = (struct vf_guest_far *)half;

    for (size_t i = 0; i < f->ntunnels; i++) {
        if (atomic_load(&f->tunnel[i]->failed)) {
            (void)vf_error_pass(err, &f->tunnel[i]->err); /* 1 says it */
            return 1;
        }
    }
    return 0;
}

void vf_guest_far_end_tunnels(struct vf_guest_far *f)
{
    while (f->ntunnels > 0)
        end_tunnel(f->tunnel[--f->ntunnels]);
    while (f->nahead > 0)
        vf_ahead_end(f->ahead[--f->nahead]);
    f->taken = 0;
}

static void op_end_tunnels(struct vf_far *half)
{
    vf_guest_far_end_tunnels((struct vf_guest_far *)half);
}

/* ---- questions ---- */

static int op_ask(struct vf_far *half, const char *question, json_t *args, json_t **ret_answer,
                  struct vf_error *err)
{
    struct vf_guest_far *f = (struct vf_guest_far *)half;
    int rc;

    half->refused = false;
    if (!f->peer.stream)
        return vf_error_set(err, VF_ERR_UNREACHABLE, 0, "there is no connection to the far end");
    rc = vf_talk_ask(f->peer.stream, question, args, ret_answer, &half->refused, err);
    if (rc < 0 && !half->refused)
        vf_peer_why(&f->peer, err);
    return rc;
}

struct vf_far *vf_guest_far_half(struct vf_guest_far *f) { return &f->half; }

static int connect_it(struct vf_guest_far *f, struct vf_error *err)
{
    const struct vf_guest_far_opts *o = &f->opts;

    return vf_peer_open(o->cli, o->target, o->reach, VF_FOR_GUEST, o->group, o->limit, &f->peer,
                        err);
}

struct vf_guest_far *vf_guest_far_open(const struct vf_guest_far_opts *opts, struct vf_error *err)
{
    struct vf_guest_far *f = vf_calloc(1, sizeof *f, err);

    if (!f)
        return NULL;
    f->opts = *opts;
    f->half.ask = op_ask;
    f->half.tunnel = op_tunnel;
    f->half.broken = op_broken;
    f->half.end_tunnels = op_end_tunnels;
    f->half.run_dir = opts->run_dir;
    if (connect_it(f, err) == 0)
        return f;
    vf_guest_far_close(f, err);
    return NULL;
}

/* What "check" and "attach" are answered. */
static int take_answer(struct vf_guest_far *f, const json_t *answer, struct vf_error *err)
{
    free(f->far_run_dir);
    free(f->token);
    f->far_run_dir = vf_strdup(vf_member_text(answer, "run_dir"), err);
    f->token = vf_strdup(vf_member_text(answer, "token"), err);
    f->half.far_run_dir = f->far_run_dir;
    return f->far_run_dir && f->token ? 0 : -1;
}

int vf_guest_far_check(struct vf_guest_far *f, json_t *args, struct vf_error *err)
{
    json_t *answer = NULL;
    int rc;

    if (op_ask(&f->half, "check", args, &answer, err) < 0)
        return -1;
    rc = take_answer(f, answer, err);
    json_decref(answer);
    return rc;
}

int vf_guest_far_again(struct vf_guest_far *f, const char *kind, struct vf_error *err)
{
    struct vf_error lost = {.code = VF_ERR_UNREACHABLE};
    json_t *with, *answer = NULL;
    int rc;

    if (f->peer.stream)
        add_stats(&f->past, &f->peer);
    vf_peer_close(&f->peer, &lost);
    if (connect_it(f, err) < 0)
        return -1;
    with = json_pack("{s:s, s:s}", "name", f->opts.name, "kind", kind);
    rc = with ? op_ask(&f->half, "attach", with, &answer, err) : vf_error_nomem(err);
    if (rc == 0)
        rc = take_answer(f, answer, err);
    json_decref(answer);
    json_decref(with);
    return rc;
}

void vf_guest_far_stats(struct vf_guest_far *f, struct vf_stream_stats *ret)
{
    *ret = f->past;
    add_stats(ret, &f->peer);
    for (size_t i = 0; i < f->ntunnels; i++) {
        struct tunnel *t = f->tunnel[i];

        pthread_mutex_lock(&t->lock);
        ret->sent += t->past.sent;
        ret->received += t->past.received;
        for (struct visit *v = t->visits; v; v = v->next)
            if (v->open)
                add_stats(ret, &v->peer);
        pthread_mutex_unlock(&t->lock);
    }
}

void vf_guest_far_close(struct vf_guest_far *f, const struct vf_error *outcome)
{
    if (!f)
        return;
    vf_guest_far_end_tunnels(f);
    if (f->peer.stream)
        vf_peer_close(&f->peer, outcome);
    free(f->far_run_dir);
    free(f->token);
    free(f);
}
