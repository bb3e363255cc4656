/* transport/ssh_auth.c - which keys to offer, in which order. */
#include "transport/ssh_auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/checked.h"
#include "transport/keytext.h"

#define MAX_TRIES 5u /* sshd hangs up after six failures, and "none" may count as one */

struct login {
    struct vf_link *link;
    const char *user;
    const struct vf_wait *wait;
    bool ok;
    unsigned tries;        /* keys offered */
    bool left_over;        /* there are keys that only the ssh program can offer */
    const char *left_kind; /* what kind, for the reason */
    struct vf_error hint;  /* why a key could not be offered; for the final message */
    /* The key that the caller names; else the agent's keys that were offered, so that the same key
     * from a file is not offered again. */
    const struct vf_key_file *only;
    struct {
        uint8_t *blob;
        size_t len;
    } offered[MAX_TRIES];
};

static void remember(struct login *lg, const uint8_t *blob, size_t len)
{
    unsigned i = lg->tries++;

    if (i < MAX_TRIES && blob) {
        lg->offered[i].blob = malloc(len);
        if (lg->offered[i].blob) { /* without it the key may be offered twice: no harm */
            memcpy(lg->offered[i].blob, blob, len);
            lg->offered[i].len = len;
        }
    }
}

static bool was_offered(const struct login *lg, const uint8_t *blob, size_t len)
{
    for (unsigned i = 0; i < MAX_TRIES; i++)
        if (lg->offered[i].blob && blob && lg->offered[i].len == len &&
            memcmp(lg->offered[i].blob, blob, len) == 0)
            return true;
    return false;
}

static void set_left_over(struct login *lg, enum vf_key_kind kind)
{
    lg->left_over = true;
    lg->left_kind = vf_key_kind_name(kind);
}

/* What an offer of a key came to.  0 (lg->ok tells), or -1 when the connection is lost. */
static int judge(struct login *lg, int rc, const char *what, struct vf_error *err)
{
    if (rc < 0 && rc != VF_LINK_GAVE_UP && vf_link_broken(lg->link))
        rc = LIBSSH2_ERROR_SOCKET_DISCONNECT;
    switch (rc) {
    case 0:
        lg->ok = true;
        return 0;
    case VF_LINK_GAVE_UP:
        return -1;
    case LIBSSH2_ERROR_SOCKET_SEND:
    case LIBSSH2_ERROR_SOCKET_RECV:
    case LIBSSH2_ERROR_SOCKET_DISCONNECT:
    case LIBSSH2_ERROR_SOCKET_TIMEOUT:
    case LIBSSH2_ERROR_ALLOC:
        return vf_link_error(lg->link, rc, VF_ERR_UNREACHABLE, what, err);
    case LIBSSH2_ERROR_AUTHENTICATION_FAILED:
    case LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED:
        return 0; /* the server does not take this key */
    default:
        (void)vf_link_error(lg->link, rc, VF_ERR_AUTH, what, &lg->hint); /* try the next */
        return 0;
    }
}

/* ---- agent ---- */

static int try_agent_key(struct login *lg, LIBSSH2_AGENT *agent,
                         struct libssh2_agent_publickey *key, struct vf_error *err)
{
    const char *name = "";
    size_t name_len = 0;
    enum vf_key_kind kind;
    int rc;

    (void)vf_key_blob_type(key->blob, key->blob_len, &name, &name_len); /* OTHER then */
    kind = vf_key_kind_of(name, name_len);
    if (lg->only && (!lg->only->blob || lg->only->blob_len != key->blob_len ||
                     memcmp(lg->only->blob, key->blob, key->blob_len) != 0))
        return 0;
    if (!vf_key_usable(kind)) {
        set_left_over(lg, kind);
        return 0;
    }
    if (lg->tries == MAX_TRIES)
        return 0;
    remember(lg, key->blob, key->blob_len);
    VF_LINK_CALL(rc, libssh2_agent_userauth(agent, lg->user, key), lg->link, "log in", lg->wait,
                 err);
    return judge(lg, rc, "log in with the key agent", err);
}

/* No agent, or one that does not answer, is no failure. */
static int try_agent(struct login *lg, struct vf_error *err)
{
    LIBSSH2_AGENT *agent = getenv("SSH_AUTH_SOCK") ? libssh2_agent_init(lg->link->session) : NULL;
    struct libssh2_agent_publickey *key = NULL, *prev = NULL;
    int rc = 0;

    if (!agent)
        return 0;
    if (libssh2_agent_connect(agent) == 0) {
        if (libssh2_agent_list_identities(agent) == 0)
            while (rc == 0 && !lg->ok && libssh2_agent_get_identity(agent, &key, prev) == 0) {
                rc = try_agent_key(lg, agent, key, err);
                prev = key;
            }
        (void)libssh2_agent_disconnect(agent); /* closes a socket: nothing to be done about it */
    }
    libssh2_agent_free(agent);
    return rc;
}

/* ---- files ---- */

static int try_file(struct login *lg, const char *path, const struct vf_key_file *k,
                    struct vf_error *err)
{
    char *what;
    int rc;

    if (k->encrypted) {
        (void)vf_error_set(&lg->hint, VF_ERR_AUTH, 0,
                           "'%s' needs a passphrase; add it to ssh-agent", path);
        return 0;
    }
    if (lg->tries == MAX_TRIES || was_offered(lg, k->blob, k->blob_len))
        return 0;
    remember(lg, k->blob, k->blob_len);
    what = vf_strf(err, "log in with '%s'", path);
    if (!what)
        return -1;
    VF_LINK_CALL(rc,
                 libssh2_userauth_publickey_fromfile_ex(lg->link->session, lg->user,
                                                        (unsigned)strlen(lg->user), NULL, path, ""),
                 lg->link, "log in", lg->wait, err);
    rc = judge(lg, rc, what, err);
    free(what);
    return rc;
}

/* The usual files, as far as they are there. */
static int try_defaults(struct login *lg, const char *home, struct vf_error *err)
{
    static const char *const names[] = {"id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk",
                                        "id_ecdsa_sk"};
    int rc = 0;

    for (size_t i = 0; i < sizeof names / sizeof names[0] && rc == 0 && !lg->ok; i++) {
        char *path = vf_strf(err, "%s/.ssh/%s", home, names[i]);
        struct vf_error why = VF_ERROR_INIT;
        struct vf_key_file k;

        if (!path)
            return -1;
        if (vf_key_file_look(path, &k, &why) < 0) {
            if (why.code != VF_ERR_NOTFOUND)
                lg->hint = why; /* the next file may do */
        } else {
            if (k.has_cert || (!vf_key_usable(k.kind) && k.kind != VF_KEY_OTHER))
                set_left_over(lg, k.has_cert ? VF_KEY_CERT : k.kind);
            if (k.kind == VF_KEY_OTHER || vf_key_usable(k.kind))
                rc = try_file(lg, path, &k, err);
            vf_key_file_free(&k);
        }
        free(path);
    }
    return rc;
}

/* ---- all together ---- */

int vf_ssh_auth_check_identity(const struct vf_conn_opts *opts, char reason[VF_CHOOSE_REASON_MAX],
                               struct vf_error *err)
{
    struct vf_key_file k;

    if (!opts->identity)
        return 0;
    if (vf_key_file_look(opts->identity, &k, err) < 0)
        return -1;
    if (k.has_cert)
        (void)snprintf(reason, VF_CHOOSE_REASON_MAX, "the identity has a certificate");
    else if (!vf_key_usable(k.kind) && k.kind != VF_KEY_OTHER)
        (void)snprintf(reason, VF_CHOOSE_REASON_MAX, "the identity is of the kind %s",
                       vf_key_kind_name(k.kind));
    vf_key_file_free(&k);
    return 0;
}

static int try_all(struct login *lg, const char *home, const struct vf_conn_opts *opts,
                   struct vf_error *err)
{
    struct vf_key_file k;
    int rc;

    if (!opts->identity) {
        rc = try_agent(lg, err);
        return rc < 0 || lg->ok ? rc : try_defaults(lg, home, err);
    }
    if (vf_key_file_look(opts->identity, &k, err) < 0)
        return -1;
    lg->only = &k;
    rc = k.blob ? try_agent(lg, err) : 0;
    if (rc == 0 && !lg->ok)
        rc = try_file(lg, opts->identity, &k, err);
    lg->only = NULL;
    vf_key_file_free(&k);
    return rc;
}

/* Asks what the server accepts (this is a login without proof, which it may even take): *ret
 * borrows from the session. */
static int ask_methods(struct login *lg, const char **ret, struct vf_error *err)
{
    LIBSSH2_SESSION *s = lg->link->session;

    *ret = NULL;
    while (!*ret) {
        int rc;

        *ret = libssh2_userauth_list(s, lg->user, (unsigned)strlen(lg->user));
        if (*ret)
            break;
        if (libssh2_userauth_authenticated(s)) {
            lg->ok = true;
            return 0;
        }
        rc = libssh2_session_last_errno(s);
        if (rc != LIBSSH2_ERROR_EAGAIN)
            return vf_link_error(lg->link, rc, VF_ERR_AUTH, "log in", err);
        if (vf_link_wait(lg->link, "log in", lg->wait, err) < 0)
            return -1;
    }
    return 0;
}

static int refuse(const struct login *lg, const char *methods, struct vf_error *err)
{
    const char *hint = lg->hint.msg;

    if (!strstr(methods, "publickey"))
        return vf_error_set(err, VF_ERR_AUTH, 0,
                            "%s does not let %s log in with a key (it offers: %.60s)",
                            lg->link->peer, lg->user, methods);
    if (lg->tries == 0)
        return vf_error_set(err, VF_ERR_AUTH, 0, "no key to log in as %s at %s%s%s", lg->user,
                            lg->link->peer, *hint ? ": " : "; give one with --identity", hint);
    return vf_error_set(err, VF_ERR_AUTH, 0, "%s does not accept %s for %s%s%s", lg->link->peer,
                        lg->tries == 1 ? "the key" : "any of the keys", lg->user, *hint ? ": " : "",
                        hint);
}

int vf_ssh_auth(struct vf_link *l, const char *user, const char *home,
                const struct vf_conn_opts *opts, const struct vf_wait *wait,
                char reason[VF_CHOOSE_REASON_MAX], struct vf_error *err)
{
    struct login lg = {.link = l, .user = user, .wait = wait, .hint = VF_ERROR_INIT};
    const char *list = NULL;
    char methods[128] = "";
    int rc;

    l->wait = wait;
    rc = ask_methods(&lg, &list, err);
    if (rc == 0 && !lg.ok) {
        (void)snprintf(methods, sizeof methods, "%s", list); /* the session reuses its memory */
        if (strstr(methods, "publickey"))
            rc = try_all(&lg, home, opts, err);
    }
    l->wait = NULL;
    for (unsigned i = 0; i < MAX_TRIES; i++)
        free(lg.offered[i].blob);
    if (rc < 0 || lg.ok)
        return rc;
    if (lg.left_over && strstr(methods, "publickey")) {
        (void)snprintf(reason, VF_CHOOSE_REASON_MAX,
                       "the keys that libssh2 can use were not accepted, and there is one of the "
                       "kind %s",
                       lg.left_kind);
        return 0;
    }
    return refuse(&lg, methods, err);
}
