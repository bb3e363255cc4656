/* cmd/peer.c - reaches a node. */
#include "cmd/peer.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/report.h"
#include "cmd/stopper.h"
#include "core/clock.h"
#include "core/thread.h"
#include "transport/session.h"

#define LOOK_MS  100
#define WHY_MS   2000 /* time for the far end to end, so that it can be asked why */
#define SAID_MS  1000 /* for the last words of one that speaks something else */
#define CLOSE_MS 5000
#define HURRY_MS 1500 /* the same for a user who wants to leave */

/* Where an sshd has too many logins: how long to ask again, and the pauses between. */
#define TURN_MS           10000
#define TURN_PAUSE_MS     200
#define TURN_PAUSE_MAX_MS 1600

/* Whether to give up connecting: the user's wish, or (may be NULL) that of a session. */
struct asked {
    const volatile int *stop;
    bool (*stopped)(void *arg);
    void *arg;
};

static bool stopped(void *arg)
{
    const struct asked *a = arg;

    return *a->stop != 0 || (a->stopped && a->stopped(a->arg));
}

/* Until when to ask again where an sshd hung up before its greeting, and the pause before that. */
struct turn {
    int64_t until_ms, pause_ms;
};

static struct turn turn_of(const struct vf_reach *reach)
{
    int64_t ms = (int64_t)reach->connect_timeout * 1000;

    return (struct turn){vf_clock_ms() + (ms && ms < TURN_MS ? ms : TURN_MS), TURN_PAUSE_MS};
}

/* After VF_ERR_BUSY from connecting: pauses, true: to be tried again.  Those who were turned away
 * together come back apart.  False: for too long now, as *err says then. */
static bool wait_turn(struct turn *t, struct asked *asked, struct vf_error *err)
{
    int64_t now = vf_clock_ms();
    int64_t end = now + t->pause_ms / 2 + (int64_t)(vf_clock_ns() / 1000) % t->pause_ms;

    if (now >= t->until_ms) {
        struct vf_error why = *err;

        (void)vf_error_set(err, VF_ERR_UNREACHABLE, 0,
                           "%.130s, also when asked again: too many log in there at a time "
                           "(MaxStartups of its sshd), or it does not want this host",
                           why.msg); /* false says it */
        return false;
    }
    if (t->pause_ms < TURN_PAUSE_MAX_MS)
        t->pause_ms *= 2;
    while (vf_clock_ms() < end && !stopped(asked))
        vf_thread_nap(LOOK_MS);
    return true;
}

/* look: the far end is only asked, and makes no store. */
static struct vf_conn *reach_it(const struct vf_target *target, const struct vf_reach *reach,
                                bool look, struct asked *asked, struct vf_error *err)
{
    static const char *const look_args[] = {"--look", NULL};
    struct vf_conn_opts opts = {.serve_args = look ? look_args : NULL,
                                .identity = reach->identity,
                                .known_hosts = reach->known_hosts,
                                .remote_program = reach->remote_program,
                                .ssh_command = reach->ssh_command,
                                .connect_timeout_ms = (int)reach->connect_timeout * 1000,
                                .stopped = stopped,
                                .stopped_arg = asked};
    struct turn turn = turn_of(reach);
    struct vf_error why = VF_ERROR_INIT;
    struct vf_conn *c;

    do
        c = vf_connect(target, &opts, &why);
    while (!c && why.code == VF_ERR_BUSY && wait_turn(&turn, asked, &why));
    if (!c)
        (void)vf_error_pass(err, &why); /* the NULL says it */
    return c;
}

/* Waits for the far end's first word, so that one that says nothing can be left at any time. */
static int await_word(void *ctx, struct vf_error *err)
{
    const struct vf_peer *p = ctx;
    struct pollfd fd = {p->conn->rfd, POLLIN, 0};

    for (unsigned ms = 0; ms < VF_WATCHDOG_MS; ms += LOOK_MS) {
        if (*p->cli->stop)
            return vf_error_set(err, VF_ERR_CANCELLED, 0, "interrupted");
        if (poll(&fd, 1, LOOK_MS) != 0 && fd.revents)
            return 0;
    }
    return vf_error_set(err, VF_ERR_TIMEOUT, 0, "the far end says nothing");
}

/* Connects and greets.  *away, at -1: the ssh program was turned away. */
static int greet(struct vf_peer *p, struct vf_session_opts *session, struct asked *asked,
                 bool *away, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;

    *away = false;
    p->conn = reach_it(p->target, p->reach,
                       session->purpose == VF_FOR_COUNT || session->purpose == VF_FOR_SUMMARY,
                       asked, err);
    if (!p->conn)
        return -1;
    vf_say_more(p->cli, "connecting to %s (%s)%s%s", vf_conn_peer(p->conn),
                vf_conn_backend(p->conn), *vf_conn_backend_reason(p->conn) ? ": " : "",
                vf_conn_backend_reason(p->conn));
    session->await_ctx = p;
    p->stream = vf_session_source(p->conn->rfd, p->conn->wfd, session, &p->welcome, &why);
    if (p->stream)
        p->stopper = vf_stopper_start(p->cli->stop, p->stream, &why);
    if (p->stopper)
        return 0;
    *away = why.code != VF_ERR_BUSY; /* that would be the far end's word */
    vf_peer_why(p, &why);
    *away = *away && why.code == VF_ERR_BUSY;
    vf_peer_close(p, &why);
    return vf_error_pass(err, &why);
}

int vf_peer_offer(const struct vf_cli *cli, const struct vf_target *target,
                  const struct vf_reach *reach, enum vf_purpose purpose, const char *group,
                  const struct vf_msg_offer *offer, struct vf_ratelimit *limit, struct vf_peer *ret,
                  struct vf_error *err)
{
    struct vf_session_opts session = {.ratelimit = limit,
                                      .purpose = purpose,
                                      .program = "vmferry " VF_VERSION,
                                      .group = group,
                                      .offer = offer,
                                      .await = await_word};
    struct asked asked = {cli->stop, NULL, NULL};
    struct turn turn = turn_of(reach);
    struct vf_error why = VF_ERROR_INIT;
    struct vf_peer p;
    bool away;
    int rc;

    do {
        p = (struct vf_peer){.cli = cli, .target = target, .reach = reach};
        rc = greet(&p, &session, &asked, &away, &why);
    } while (rc < 0 && away && wait_turn(&turn, &asked, &why));
    if (rc < 0)
        return vf_error_pass(err, &why);
    vf_say_more(cli, "%s: %s, store images in %s", p.welcome.node, p.welcome.program,
                p.welcome.dir);
    *ret = p;
    return 0;
}

int vf_peer_open(const struct vf_cli *cli, const struct vf_target *target,
                 const struct vf_reach *reach, enum vf_purpose purpose, const char *group,
                 struct vf_ratelimit *limit, struct vf_peer *ret, struct vf_error *err)
{
    return vf_peer_offer(cli, target, reach, purpose, group, NULL, limit, ret, err);
}

/* ---- further connections: called from threads of the session ---- */

static int open_link(void *ctx, bool (*session_stopped)(void *arg), void *arg, int *ret_rfd,
                     int *ret_wfd, void **ret_conn, struct vf_error *err)
{
    const struct vf_peer *p = ctx;
    struct asked asked = {p->cli->stop, session_stopped, arg};
    struct vf_conn *conn = reach_it(p->target, p->reach, false, &asked, err);

    if (!conn)
        return -1;
    *ret_rfd = conn->rfd;
    *ret_wfd = conn->wfd;
    *ret_conn = conn;
    return 0;
}

static void close_link(void *ctx, void *conn)
{
    (void)ctx;
    vf_conn_abort(conn);
}

static void say_link(void *ctx, const char *text)
{
    const struct vf_peer *p = ctx;

    vf_say_more(p->cli, "%s", text);
}

void vf_peer_spread(struct vf_peer *p, unsigned streams)
{
    struct vf_links_opts opts = {
        .links = streams, .ctx = p, .open = open_link, .close = close_link, .say = say_link};
    struct vf_error err;

    if (p->target->kind == VF_TARGET_LOCAL)
        return;
    if (vf_session_spread(p->stream, &p->welcome, &opts, &err) < 0)
        vf_say_more(p->cli, "one connection only: %s", err.msg);
}

/* The last line of what it has said: errors are one line. */
static const char *last_line(const char *text)
{
    const char *nl = strrchr(text, '\n');

    return nl ? nl + 1 : text;
}

void vf_peer_why(struct vf_peer *p, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;
    char *said;

    if (!p->conn)
        return;
    if (err->code == VF_ERR_UNREACHABLE) {
        (void)vf_conn_why(p->conn, WHY_MS, &why); /* always -1: it explains */
        if (why.code != VF_ERR_TIMEOUT && why.code != VF_ERR_NONE)
            (void)vf_error_pass(err, &why); /* it is the caller's failure, told better */
    } else if (err->code == VF_ERR_PROTOCOL) {
        /* One that is no vmferry usually ends, and what it says last may still be on its way. */
        (void)vf_conn_why(p->conn, SAID_MS, &why);
        said = vf_conn_diagnosis(p->conn);
        if (said && *said)
            (void)vf_error_set(err, err->code, 0, "%.150s (it says: %.70s)", err->msg,
                               last_line(said)); /* the caller fails anyway */
        free(said);
    }
}

/* How long the far end may take to end, 0: it is not asked. */
static int patience(const struct vf_error *outcome)
{
    if (!outcome)
        return CLOSE_MS;
    switch (outcome->code) {
    case VF_ERR_UNREACHABLE:
    case VF_ERR_TIMEOUT:
    case VF_ERR_PROTOCOL:
    case VF_ERR_AUTH:
        return 0;
    case VF_ERR_CANCELLED:
        return HURRY_MS;
    default:
        return CLOSE_MS;
    }
}

static void close_within(struct vf_peer *p, int ms)
{
    vf_stopper_end(p->stopper);
    if (p->stream)
        p->stream->ops->close(p->stream);
    vf_welcome_free(&p->welcome);
    if (ms)
        (void)vf_conn_close(p->conn, ms, NULL, NULL); /* all that matters has been answered */
    else
        vf_conn_abort(p->conn);
    memset(p, 0, sizeof *p);
}

void vf_peer_close(struct vf_peer *p, const struct vf_error *outcome)
{
    close_within(p, p->cli && *p->cli->stop == VF_STOP_NOW ? 0 : patience(outcome));
}

void vf_peer_leave(struct vf_peer *p)
{
    bool wait = p->target && (p->target->kind == VF_TARGET_LOCAL || p->reach->ssh_command);

    close_within(p, wait ? CLOSE_MS : 0);
}
