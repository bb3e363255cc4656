/* transport/choose.c - comparing what `ssh -G` says with and without the configuration. */
#include "transport/choose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/proc.h"
#include "transport/words.h"

/* A configuration may run programs (Match exec) or resolve names. */
#define SSH_G_TIMEOUT_MS 10000

/* Settings that libssh2 would not follow.  Lists of algorithms are left out: both clients refuse
 * weak ones, and distributions set them for everybody. */
static const struct {
    const char *name;
    bool identity, known_hosts; /* does not matter when the caller names these himself */
} settings[] = {
    {"hostname", false, false},
    {"port", false, false},
    {"user", false, false},
    {"proxyjump", false, false},
    {"proxycommand", false, false},
    {"proxyusefdpass", false, false},
    {"hostkeyalias", false, false},
    {"identityfile", true, false},
    {"identitiesonly", true, false},
    {"identityagent", true, false},
    {"certificatefile", false, false},
    {"pkcs11provider", true, false},
    {"securitykeyprovider", true, false},
    {"userknownhostsfile", false, true},
    {"globalknownhostsfile", false, true},
    {"knownhostscommand", false, false},
    {"revokedhostkeys", false, false},
    {"addressfamily", false, false},
    {"bindaddress", false, false},
    {"bindinterface", false, false},
};

/* The value of the next line for name at or after p, its length in *len; NULL: there is none. Moves
 * *p behind it. */
static const char *next_value(const char **p, const char *name, size_t *len)
{
    size_t name_len = strlen(name);

    while (**p) {
        const char *line = *p;
        size_t n = strcspn(line, "\n");

        *p = line + n + (line[n] == '\n');
        if (n > name_len && strncmp(line, name, name_len) == 0 && line[name_len] == ' ') {
            *len = n - name_len - 1;
            return line + name_len + 1;
        }
    }
    return NULL;
}

/* Do both outputs have the same values for name, in the same order? */
static bool same_values(const char *a, const char *b, const char *name)
{
    for (;;) {
        size_t a_len = 0, b_len = 0;
        const char *va = next_value(&a, name, &a_len), *vb = next_value(&b, name, &b_len);

        if (!va || !vb)
            return va == vb;
        if (a_len != b_len || memcmp(va, vb, a_len) != 0)
            return false;
    }
}

const char *vf_choose_compare(const char *with, const char *without, bool own_identity,
                              bool own_known_hosts)
{
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if ((settings[i].identity && own_identity) || (settings[i].known_hosts && own_known_hosts))
            continue;
        if (!same_values(with, without, settings[i].name))
            return settings[i].name;
    }
    return NULL;
}

/* The output of `ssh [-F config] -G ...`, owned; NULL with *err. */
static char *ask(const struct vf_target *t, const char *config, const struct vf_wait *wait,
                 struct vf_error *err)
{
    struct vf_words w = VF_WORDS_INIT;
    int left = vf_wait_left(wait);
    char *out = NULL;

    if (vf_words_add(&w, "ssh", err) < 0)
        goto out;
    if (config && (vf_words_add(&w, "-F", err) < 0 || vf_words_add(&w, config, err) < 0))
        goto out;
    if (t->user && (vf_words_add(&w, "-l", err) < 0 || vf_words_add(&w, t->user, err) < 0))
        goto out;
    if (t->port && vf_words_addf(&w, err, "-p%u", t->port) < 0)
        goto out;
    if (vf_words_add(&w, "-G", err) < 0 || vf_words_add(&w, "--", err) < 0 ||
        vf_words_add(&w, t->host, err) < 0)
        goto out;
    if (vf_proc_run(vf_words_argv(&w), &out, left < SSH_G_TIMEOUT_MS ? left : SSH_G_TIMEOUT_MS,
                    err) < 0)
        out = NULL;
out:
    vf_words_free(&w);
    return out;
}

int vf_choose_by_config(const struct vf_target *target, const struct vf_conn_opts *opts,
                        const struct vf_wait *wait, char reason[VF_CHOOSE_REASON_MAX],
                        struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;
    char *with = ask(target, opts->ssh_config, wait, &why), *without = NULL;
    const char *differs;
    int rc = 0;

    if (with)
        without = ask(target, "none", wait, &why);
    if (!with && opts->ssh_config && why.code != VF_ERR_NOTFOUND) {
        rc = vf_error_set(err, why.code == VF_ERR_IO ? VF_ERR_USAGE : why.code, 0,
                          "ssh configuration: %s", why.msg);
    } else if (why.code == VF_ERR_NOMEM) {
        rc = vf_error_nomem(err);
    } else if (with && without) {
        differs =
            vf_choose_compare(with, without, opts->identity != NULL, opts->known_hosts != NULL);
        if (differs)
            (void)snprintf(reason, VF_CHOOSE_REASON_MAX, "the ssh configuration sets %s for %s",
                           differs, target->host); /* a long host name is cut */
    }
    if (rc == 0)
        rc = vf_wait_check(wait, "ask the ssh configuration", err);
    free(with);
    free(without);
    return rc;
}
