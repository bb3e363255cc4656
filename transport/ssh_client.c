/* transport/ssh_client.c - building the command line of ssh, and reading what it complains about.
 */
#include "transport/ssh_client.h"

#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "transport/child.h"
#include "transport/words.h"

/* ---- errors ---- */

/* What ssh says, in English always: it does not translate.  The most telling first: a refused host
 * key is followed by a general line. */
static const struct {
    const char *text;
    enum vf_err code;
} complaints[] = {
    {"REMOTE HOST IDENTIFICATION HAS CHANGED", VF_ERR_AUTH},
    {"REVOKED HOST KEY DETECTED", VF_ERR_AUTH},
    {"host key is known for", VF_ERR_AUTH},
    {"Host key verification failed", VF_ERR_AUTH},
    {"Permission denied (", VF_ERR_AUTH},
    {"Too many authentication failures", VF_ERR_AUTH},
    {"No supported authentication methods", VF_ERR_AUTH},
    {"UNPROTECTED PRIVATE KEY FILE", VF_ERR_AUTH},
    {"no matching host key type found", VF_ERR_UNREACHABLE},
    {"Connection refused", VF_ERR_UNREACHABLE},
    {"Could not resolve hostname", VF_ERR_UNREACHABLE},
    {"timed out", VF_ERR_TIMEOUT},
    {"not responding", VF_ERR_TIMEOUT},
    {"kex_exchange_identification", VF_ERR_BUSY}, /* hung up before its greeting */
};

/* The line of text that at points into, without signs that only frame it. */
static void copy_line(const char *text, const char *at, char *ret, size_t size)
{
    const char *start = at, *end = at + strcspn(at, "\n");
    size_t len;

    while (start > text && start[-1] != '\n')
        start--;
    while (start < end && strchr("@* ", *start))
        start++;
    while (end > start && strchr("@* \r", end[-1]))
        end--;
    len = (size_t)(end - start) < size - 1 ? (size_t)(end - start) : size - 1;
    memcpy(ret, start, len);
    ret[len] = 0;
}

void vf_ssh_client_explain(const char *diagnosis, const char *peer, const char *reason,
                           struct vf_error *err)
{
    enum vf_err code = VF_ERR_UNREACHABLE;
    const char *at = vf_diag_last_line(diagnosis);
    char line[160];

    for (size_t i = 0; i < sizeof complaints / sizeof complaints[0]; i++) {
        const char *found = strstr(diagnosis, complaints[i].text);

        if (found) {
            at = found;
            code = complaints[i].code;
            break;
        }
    }
    copy_line(diagnosis, at, line, sizeof line);
    (void)vf_error_set(err, code, 0, "%s: ssh%s%s%s says: %s", peer,
                       reason && *reason ? " (used because " : "", reason && *reason ? reason : "",
                       reason && *reason ? ")" : "",
                       line[0] ? line : "nothing"); /* the caller knows that it failed */
}

static bool ssh_failed(struct vf_conn *c, int status, const char *diagnosis, struct vf_error *err)
{
    if (status != 255)
        return false;
    vf_ssh_client_explain(diagnosis, vf_conn_peer(c), vf_conn_backend_reason(c), err);
    return true;
}

static const struct vf_conn_ops ssh_ops = {
    .name = "ssh", .cut = vf_child_cut, .destroy = vf_child_destroy, .client_failed = ssh_failed};

/* ---- the command line ---- */

/* -oNAME="PATH": ssh splits the value at blanks, and expands %-signs and ${...} in it. */
static int add_path(struct vf_words *w, const char *name, const char *path, struct vf_error *err)
{
    size_t len = strlen(path), n = 0;
    char *quoted;
    int rc;

    if (strchr(path, '"') || strchr(path, '\\') || strstr(path, "${"))
        return vf_error_set(err, VF_ERR_USAGE, 0, "the ssh program cannot take '%s' as a file name",
                            path);
    quoted = vf_calloc(2 * len + 1, 1, err);
    if (!quoted)
        return -1;
    for (const char *p = path; *p; p++) {
        quoted[n++] = *p;
        if (*p == '%')
            quoted[n++] = '%';
    }
    rc = vf_words_addf(w, err, "-o%s=\"%s\"", name, quoted);
    free(quoted);
    return rc;
}

/* Options that hold for every use.  ssh takes the first value that it meets, so what the caller's
 * own command says goes before. */
static int add_fixed(struct vf_words *w, struct vf_error *err)
{
    static const char *const fixed[] = {
        "-T",
        "-oBatchMode=yes",             /* never ask anybody anything */
        "-oStrictHostKeyChecking=yes", /* nor learn host keys by itself */
        "-oUpdateHostKeys=no",
        "-oClearAllForwardings=yes",
        "-oForwardAgent=no",
        "-oForwardX11=no",
        "-oPermitLocalCommand=no",
        "-oRemoteCommand=none",
        "-oControlMaster=no", /* a connection of its own: several must not share one, */
        "-oControlPath=none", /* and ending this one must end it */
        "-oCompression=no",   /* the stream is compressed already */
        "-oServerAliveInterval=15",
        "-oServerAliveCountMax=4", /* together VF_TCP_DEAD_MS */
        "-oLogLevel=ERROR",
    };

    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (vf_words_add(w, fixed[i], err) < 0)
            return -1;
    return 0;
}

static int add_client(struct vf_words *w, const struct vf_conn_opts *opts, struct vf_error *err)
{
    if (!opts->ssh_command)
        return vf_words_add(w, "ssh", err);
    if (vf_words_split(w, opts->ssh_command, err) < 0)
        return -1;
    return w->n ? 0 : vf_error_set(err, VF_ERR_USAGE, 0, "the ssh command is empty");
}

static int add_options(struct vf_words *w, const struct vf_target *t,
                       const struct vf_conn_opts *opts, struct vf_error *err)
{
    int timeout_ms = opts->connect_timeout_ms ? opts->connect_timeout_ms : VF_CONNECT_TIMEOUT_MS;

    if (opts->ssh_config &&
        (vf_words_add(w, "-F", err) < 0 || vf_words_add(w, opts->ssh_config, err) < 0))
        return -1;
    if (add_fixed(w, err) < 0 ||
        vf_words_addf(w, err, "-oConnectTimeout=%d", timeout_ms / 1000 + 1) < 0)
        return -1;
    if (opts->identity && (add_path(w, "IdentityFile", opts->identity, err) < 0 ||
                           vf_words_add(w, "-oIdentitiesOnly=yes", err) < 0))
        return -1;
    if (opts->known_hosts && (add_path(w, "UserKnownHostsFile", opts->known_hosts, err) < 0 ||
                              vf_words_add(w, "-oGlobalKnownHostsFile=none", err) < 0))
        return -1;
    if (t->port && vf_words_addf(w, err, "-p%u", t->port) < 0)
        return -1;
    if (t->user && (vf_words_add(w, "-l", err) < 0 || vf_words_add(w, t->user, err) < 0))
        return -1;
    return 0;
}

/* The command for the shell at the far end, as one word. */
static int add_remote(struct vf_words *w, const struct vf_target *t,
                      const struct vf_conn_opts *opts, struct vf_error *err)
{
    char *command = vf_ssh_remote_command(t, opts, err);
    int rc = command ? vf_words_add(w, command, err) : -1;

    free(command);
    return rc;
}

char *vf_ssh_remote_command(const struct vf_target *target, const struct vf_conn_opts *opts,
                            struct vf_error *err)
{
    const char *program = opts->remote_program ? opts->remote_program : VF_REMOTE_PROGRAM;
    struct vf_words w = VF_WORDS_INIT;
    char *command = NULL;

    if (vf_words_serve(&w, program, target->store, opts->serve_args, err) == 0)
        command = vf_words_shell(&w, err);
    vf_words_free(&w);
    return command;
}

struct vf_conn *vf_ssh_client_connect(const struct vf_target *target,
                                      const struct vf_conn_opts *opts, const char *reason,
                                      struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;
    struct vf_words w = VF_WORDS_INIT;
    struct vf_conn *c = NULL;

    if (add_client(&w, opts, err) < 0 || add_options(&w, target, opts, err) < 0 ||
        vf_words_add(&w, "--", err) < 0 || vf_words_add(&w, target->host, err) < 0 ||
        add_remote(&w, target, opts, err) < 0)
        goto out;
    c = vf_child_connect(&ssh_ops, target,
                         opts->remote_program ? opts->remote_program : VF_REMOTE_PROGRAM, reason,
                         vf_words_argv(&w), &why);
    if (!c && why.code == VF_ERR_NOTFOUND && reason)
        (void)vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                           "the ssh program is needed but not installed: %s", reason);
    else if (!c)
        (void)vf_error_pass(err, &why); /* the NULL says it */
out:
    vf_words_free(&w);
    return c;
}
