/* transport/ssh_libssh2.c - from a target to a running channel, and its thread. */
#include "transport/ssh_libssh2.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "core/thread.h"
#include "transport/conn_ops.h"
#include "transport/hostkey.h"
#include "transport/ssh_auth.h"
#include "transport/ssh_client.h"
#include "transport/ssh_link.h"
#include "transport/ssh_pump.h"
#include "transport/tcp.h"

#define RECV_WINDOW (16u << 20) /* what the far end may send ahead: measured, libraries' best */
#define KEEPALIVE_S 30
#define GOODBYE_MS  1000 /* most that taking leave may cost */

struct ssh_conn {
    struct vf_conn_base base; /* first */
    pthread_t thread;
    struct vf_pump pump; /* belongs to the thread, except stop and wake */
};

/* ---- the thread ---- */

static const struct {
    const char *name;
    int number;
} signals[] = {{"ABRT", 6},  {"ALRM", 14}, {"FPE", 8},   {"HUP", 1},   {"ILL", 4},
               {"INT", 2},   {"KILL", 9},  {"PIPE", 13}, {"QUIT", 3},  {"SEGV", 11},
               {"TERM", 15}, {"USR1", 10}, {"USR2", 12}, {"XCPU", 24}, {"SYS", 31}};

/* 128 + signal when the far end was killed, else its exit status. */
static int exit_status(LIBSSH2_CHANNEL *channel, LIBSSH2_SESSION *session)
{
    char *name = NULL;
    int status = libssh2_channel_get_exit_status(channel);

    if (libssh2_channel_get_exit_signal(channel, &name, NULL, NULL, NULL, NULL, NULL) == 0 &&
        name) {
        status = 128;
        for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
            if (strcmp(signals[i].name, name) == 0)
                status = 128 + signals[i].number;
        libssh2_free(session, name);
    }
    return status;
}

/* Says goodbye, within GOODBYE_MS; whether it arrives does not matter. */
static void take_leave(struct vf_link *l, LIBSSH2_CHANNEL *channel)
{
    struct vf_wait wait = vf_wait_in(GOODBYE_MS, NULL, NULL);
    int rc;

    l->budget = VF_LINK_NO_LIMIT;
    VF_LINK_CALL(rc, libssh2_channel_close(channel), l, "close", &wait, NULL);
    if (rc == 0)
        VF_LINK_CALL(rc, libssh2_session_disconnect(l->session, "done"), l, "close", &wait, NULL);
    (void)vf_link_flush(l); /* a courtesy */
}

static void *ssh_main(void *arg)
{
    struct ssh_conn *c = arg;
    struct vf_pump *p = &c->pump;
    struct vf_error why = VF_ERROR_INIT;
    int status = 0, rc = vf_pump_run(p, &why);

    if (rc == 0) {
        status = exit_status(p->channel, p->link->session);
        take_leave(p->link, p->channel);
    }
    vf_link_free(p->link); /* the channel too */
    p->link = NULL;
    vf_conn_base_end(&c->base, status, rc < 0 ? &why : NULL);
    return NULL;
}

static void ssh_cut(struct vf_conn *conn)
{
    struct ssh_conn *c = (struct ssh_conn *)conn;
    uint64_t one = 1;

    atomic_store(&c->pump.stop, true);
    (void)!write(c->pump.wake, &one, sizeof one); /* an eventfd takes it, or is set already */
}

static void ssh_destroy(struct vf_conn *conn)
{
    struct ssh_conn *c = (struct ssh_conn *)conn;

    (void)pthread_join(c->thread, NULL);
    vf_close_fd(&c->pump.wake);
    vf_conn_base_destroy(&c->base);
    free(c);
}

static const struct vf_conn_ops ssh_ops = {
    .name = "libssh2", .cut = ssh_cut, .destroy = ssh_destroy};

/* A pipe whose end ours is non-blocking; *ret_user is the caller's. */
static int make_pipe(bool user_reads, int *ret_ours, int *ret_user, struct vf_error *err)
{
    int fds[2], ours;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return vf_error_sys(err, errno, "make a pipe");
    ours = user_reads ? fds[1] : fds[0];
    if (!user_reads) /* what travels in bulk goes this way */
        vf_pipe_widen(ours);
    (void)fcntl(ours, F_SETFL, O_NONBLOCK); /* cannot fail on a pipe of ours */
    *ret_ours = ours;
    *ret_user = user_reads ? fds[0] : fds[1];
    return 0;
}

/* Takes link (not on failure) and gives the connection its thread. */
static struct vf_conn *start_thread(const struct vf_target *target, const struct vf_conn_opts *opts,
                                    struct vf_link *link, LIBSSH2_CHANNEL *channel,
                                    struct vf_error *err)
{
    struct ssh_conn *c = vf_calloc(1, sizeof *c, err);

    if (!c)
        return NULL;
    if (vf_conn_base_init(&c->base, &ssh_ops, target,
                          opts->remote_program ? opts->remote_program : VF_REMOTE_PROGRAM,
                          err) < 0) {
        free(c);
        return NULL;
    }
    c->pump.link = link;
    c->pump.channel = channel;
    c->pump.diag = &c->base.diag;
    c->pump.from_user = c->pump.to_user = -1;
    c->pump.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->pump.wake < 0) {
        (void)vf_error_sys(err, errno, "make an eventfd"); /* the NULL says it */
        goto fail;
    }
    if (make_pipe(true, &c->pump.to_user, &c->base.conn.rfd, err) < 0 ||
        make_pipe(false, &c->pump.from_user, &c->base.conn.wfd, err) < 0)
        goto fail;
    link->peer = c->base.peer; /* the old one goes with vf_libssh2_connect */
    if (vf_thread_start(&c->thread, ssh_main, c, err) < 0)
        goto fail;
    return &c->base.conn;
fail:
    link->peer = "";
    vf_close_fd(&c->pump.wake);
    vf_close_fd(&c->pump.from_user);
    vf_close_fd(&c->pump.to_user);
    vf_conn_base_destroy(&c->base);
    free(c);
    return NULL;
}

/* ---- connecting ---- */

/* What the steps of one connection share. */
struct setup {
    const struct vf_target *target;
    const struct vf_conn_opts *opts;
    const struct vf_wait *wait;
    char *peer, *home, *user; /* owned */
    struct vf_hostkeys *known;
    char *reason; /* the caller's buffer; filled: use the ssh program */
};

/* The user's name and home from the password database, as ssh takes them. */
static int find_user(struct setup *s, struct vf_error *err)
{
    char buf[4096];
    struct passwd pw, *found = NULL;

    if (s->opts->home && s->target->user) {
        s->home = vf_strdup(s->opts->home, err);
        s->user = vf_strdup(s->target->user, err);
        return s->home && s->user ? 0 : -1;
    }
    if (getpwuid_r(geteuid(), &pw, buf, sizeof buf, &found) != 0 || !found)
        return vf_error_set(err, VF_ERR_NOTFOUND, 0, "user %ld is not in the password database",
                            (long)geteuid());
    s->home = vf_strdup(s->opts->home ? s->opts->home : pw.pw_dir, err);
    s->user = vf_strdup(s->target->user ? s->target->user : pw.pw_name, err);
    return s->home && s->user ? 0 : -1;
}

static int load_known(struct setup *s, struct vf_error *err)
{
    const char *why;

    s->known = vf_hostkeys_new(s->target->host, s->target->port, err);
    if (!s->known)
        return -1;
    if (s->opts->known_hosts ? vf_hostkeys_add_file(s->known, s->opts->known_hosts, err) < 0
                             : vf_hostkeys_add_defaults(s->known, s->home, err) < 0)
        return -1;
    why = vf_hostkeys_needs_client(s->known);
    if (why)
        (void)snprintf(s->reason, VF_CHOOSE_REASON_MAX, "%s", why);
    return 0;
}

/* What may be negotiated.  libssh2 knows no AEAD ciphers; what is left out here is weak. */
static int set_methods(struct vf_link *l, const struct vf_hostkeys *known, struct vf_error *err)
{
    char hostkeys[128];
    const struct {
        int what;
        const char *list;
    } prefs[] = {
        {LIBSSH2_METHOD_KEX,
         "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,"
         "ecdh-sha2-nistp521,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,"
         "diffie-hellman-group14-sha256,diffie-hellman-group-exchange-sha256"},
        {LIBSSH2_METHOD_HOSTKEY, hostkeys},
        {LIBSSH2_METHOD_CRYPT_CS, "aes128-ctr,aes256-ctr,aes192-ctr"},
        {LIBSSH2_METHOD_CRYPT_SC, "aes128-ctr,aes256-ctr,aes192-ctr"},
        {LIBSSH2_METHOD_MAC_CS, "hmac-sha2-256,hmac-sha2-512"},
        {LIBSSH2_METHOD_MAC_SC, "hmac-sha2-256,hmac-sha2-512"},
        {LIBSSH2_METHOD_COMP_CS, "none"},
        {LIBSSH2_METHOD_COMP_SC, "none"},
    };

    vf_hostkeys_methods(known, hostkeys, sizeof hostkeys);
    for (size_t i = 0; i < sizeof prefs / sizeof prefs[0]; i++) {
        int rc = libssh2_session_method_pref(l->session, prefs[i].what, prefs[i].list);

        if (rc < 0)
            return vf_link_error(l, rc, VF_ERR_UNSUPPORTED, "choose algorithms", err);
    }
    return 0;
}

/* Did it hang up before its greeting?  An sshd does so with logins beyond MaxStartups, and with
 * hosts that it does not want. */
static bool turned_away(const struct vf_link *l)
{
    const char *greeting = libssh2_session_banner_get(l->session);

    return vf_link_broken(l) && (!greeting || strncmp(greeting, "SSH-", 4) != 0);
}

/* Key exchange, host key, login. */
static int greet(struct setup *s, struct vf_link *l, struct vf_error *err)
{
    const char *blob;
    size_t len = 0;
    int rc, type;

    if (set_methods(l, s->known, err) < 0)
        return -1;
    VF_LINK_CALL(rc, libssh2_session_handshake(l->session, l->sock), l, "key exchange", s->wait,
                 err);
    if (!vf_link_broken(l) && (rc == LIBSSH2_ERROR_KEX_FAILURE || rc == LIBSSH2_ERROR_METHOD_NONE ||
                               rc == LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE)) {
        (void)snprintf(s->reason, VF_CHOOSE_REASON_MAX,
                       "libssh2 and the server have no algorithms in common");
        return 0;
    }
    if (rc < 0 && turned_away(l))
        return vf_error_set(err, VF_ERR_BUSY, 0, "%s: hung up before its greeting", s->peer);
    if (rc < 0)
        return vf_link_error(l, vf_link_broken(l) ? LIBSSH2_ERROR_SOCKET_DISCONNECT : rc,
                             VF_ERR_UNREACHABLE, "key exchange", err);
    blob = libssh2_session_hostkey(l->session, &len, &type);
    if (!blob)
        return vf_error_set(err, VF_ERR_AUTH, 0, "%s: no host key", s->peer);
    if (vf_hostkeys_check(s->known, (const uint8_t *)blob, len, err) < 0)
        return -1;
    return vf_ssh_auth(l, s->user, s->home, s->opts, s->wait, s->reason, err);
}

/* The channel with the far end's program on it. */
static int start_program(struct setup *s, struct vf_link *l, LIBSSH2_CHANNEL **ret,
                         struct vf_error *err)
{
    char *command = vf_ssh_remote_command(s->target, s->opts, err);
    LIBSSH2_CHANNEL *ch;
    int rc = -1;

    if (!command)
        return -1;
    while (!(ch = libssh2_channel_open_ex(l->session, "session", 7, RECV_WINDOW,
                                          LIBSSH2_CHANNEL_PACKET_DEFAULT, NULL, 0))) {
        rc = libssh2_session_last_errno(l->session);
        if (rc == LIBSSH2_ERROR_EAGAIN && vf_link_wait(l, "open a channel", s->wait, err) == 0)
            continue;
        rc = vf_link_error(l, rc == LIBSSH2_ERROR_EAGAIN ? VF_LINK_GAVE_UP : rc, VF_ERR_UNREACHABLE,
                           "open a channel", err);
        goto out;
    }
    VF_LINK_CALL(rc,
                 libssh2_channel_process_startup(ch, "exec", 4, command, (unsigned)strlen(command)),
                 l, "start the far end", s->wait, err);
    if (rc < 0) {
        rc = vf_link_error(l, rc, VF_ERR_UNREACHABLE, "start the far end", err);
        goto out;
    }
    libssh2_keepalive_config(l->session, 0, KEEPALIVE_S);
    *ret = ch;
out:
    free(command);
    return rc;
}

static int connect_link(struct setup *s, struct vf_conn **ret, struct vf_error *err)
{
    int sock = vf_tcp_connect(s->target->host, s->target->port ? s->target->port : 22, s->peer,
                              s->wait, err);
    LIBSSH2_CHANNEL *channel = NULL;
    struct vf_link *l;
    int rc = -1;

    if (sock < 0)
        return -1;
    l = vf_link_new(sock, s->peer, err);
    if (!l) {
        vf_close_fd(&sock);
        return -1;
    }
    if (greet(s, l, err) < 0)
        goto out;
    if (s->reason[0]) {
        rc = 0;
        goto out;
    }
    if (start_program(s, l, &channel, err) < 0)
        goto out;
    *ret = start_thread(s->target, s->opts, l, channel, err);
    if (*ret) {
        l = NULL;
        rc = 0;
    }
out:
    vf_link_free(l);
    return rc;
}

int vf_libssh2_connect(const struct vf_target *target, const struct vf_conn_opts *opts,
                       const struct vf_wait *wait, struct vf_conn **ret,
                       char reason[VF_CHOOSE_REASON_MAX], struct vf_error *err)
{
    struct setup s = {.target = target, .opts = opts, .wait = wait, .reason = reason};
    int rc = -1;

    s.peer = vf_target_peer(target, err);
    if (!s.peer || find_user(&s, err) < 0 || load_known(&s, err) < 0)
        goto out;
    if (!reason[0] && vf_ssh_auth_check_identity(opts, reason, err) < 0)
        goto out;
    rc = reason[0] ? 0 : connect_link(&s, ret, err);
out:
    free(s.peer);
    free(s.home);
    free(s.user);
    vf_hostkeys_free(s.known);
    return rc;
}
