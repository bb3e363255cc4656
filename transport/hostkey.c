/* transport/hostkey.c - reading known_hosts files, and the policy. */
#include "transport/hostkey.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "transport/keytext.h"

#define SHA1_LEN 20u

enum marker { PLAIN, REVOKED, AUTHORITY };

/* A line that concerns the host. */
struct entry {
    enum marker marker;
    bool exact; /* matches the name that counts first; else the host without its port */
    enum vf_key_kind kind;
    uint8_t *blob;
    size_t blob_len;
    char *file;
    unsigned line;
};

struct vf_hostkeys {
    char *host;  /* lower case */
    char *name;  /* what stands in the files: host, or [host]:port */
    char *first; /* first file named */
    unsigned port;
    size_t n;
    struct entry entries[VF_HOSTKEYS_LINES_MAX];
};

struct vf_hostkeys *vf_hostkeys_new(const char *host, unsigned port, struct vf_error *err)
{
    struct vf_hostkeys *h = vf_calloc(1, sizeof *h, err);

    if (!h)
        return NULL;
    h->port = port ? port : 22;
    h->host = vf_strdup(host, err);
    if (!h->host)
        goto fail;
    for (char *p = h->host; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    h->name = h->port == 22 ? vf_strdup(h->host, err) : vf_strf(err, "[%s]:%u", h->host, h->port);
    if (!h->name)
        goto fail;
    return h;
fail:
    vf_hostkeys_free(h);
    return NULL;
}

void vf_hostkeys_free(struct vf_hostkeys *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->n; i++) {
        free(h->entries[i].blob);
        free(h->entries[i].file);
    }
    free(h->host);
    free(h->name);
    free(h->first);
    free(h);
}

/* ---- names ---- */

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

/* Does the pattern [p, end) with '*' and '?' match all of s?  Backtracks to the last '*' only, so a
 * hostile pattern costs no more than the product of the lengths. */
static bool glob(const char *p, const char *end, const char *s)
{
    const char *star = NULL, *again = NULL;

    while (*s) {
        if (p < end && *p == '*') {
            star = p++;
            again = s;
        } else if (p < end && (*p == '?' || lower(*p) == *s)) {
            p++;
            s++;
        } else if (star) {
            p = star + 1;
            s = ++again;
        } else {
            return false;
        }
    }
    while (p < end && *p == '*')
        p++;
    return p == end;
}

/* "|1|salt|digest": HMAC-SHA1 of the name, keyed with the salt. */
static bool hashed_match(const char *p, const char *end, const char *name)
{
    const char *salt = p + 3, *bar = p + 3 <= end ? memchr(salt, '|', (size_t)(end - salt)) : NULL;
    uint8_t key[64], want[64], sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    long key_len, want_len;

    if (!bar || memcmp(p, "|1|", 3) != 0 || bar - salt > 64 || end - bar - 1 > 64)
        return false;
    key_len = vf_base64_decode(salt, (size_t)(bar - salt), key);
    want_len = vf_base64_decode(bar + 1, (size_t)(end - bar - 1), want);
    if (key_len != SHA1_LEN || want_len != SHA1_LEN ||
        !HMAC(EVP_sha1(), key, (int)key_len, (const unsigned char *)name, strlen(name), sum, &n))
        return false;
    return n == SHA1_LEN && memcmp(sum, want, SHA1_LEN) == 0;
}

/* Does the names field [p, end) of a line mean this name?  One match with '!' outweighs all. */
static bool names_match(const char *p, const char *end, const char *name)
{
    bool found = false;

    if (p < end && *p == '|')
        return hashed_match(p, end, name);
    while (p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p)), *stop = comma ? comma : end;
        bool deny = *p == '!';

        if (stop > p + deny && glob(p + deny, stop, name)) {
            if (deny)
                return false;
            found = true;
        }
        p = comma ? comma + 1 : end;
    }
    return found;
}

/* ---- lines ---- */

/* The next field of a line: [*ret, return value); moves *p behind it. */
static const char *field(const char **p, const char *end, const char **ret)
{
    const char *q = *p;

    while (q < end && (*q == ' ' || *q == '\t'))
        q++;
    *ret = q;
    while (q < end && *q != ' ' && *q != '\t')
        q++;
    *p = q;
    return q;
}

/* The key of a line: type name and base64 at p.  False when malformed. */
static bool read_key(const char *p, const char *end, struct entry *e)
{
    const char *type, *type_end = field(&p, end, &type), *b64, *b64_end = field(&p, end, &b64);
    const char *inner;
    size_t inner_len;
    long n;

    if (b64 == b64_end || (size_t)(b64_end - b64) > VF_KEY_BLOB_MAX / 3 * 4)
        return false;
    e->blob = malloc((size_t)(b64_end - b64) / 4 * 3 + 3);
    if (!e->blob)
        return false;
    n = vf_base64_decode(b64, (size_t)(b64_end - b64), e->blob);
    if (n <= 0 || !vf_key_blob_type(e->blob, (size_t)n, &inner, &inner_len) ||
        inner_len != (size_t)(type_end - type) || memcmp(inner, type, inner_len) != 0) {
        free(e->blob);
        e->blob = NULL;
        return false;
    }
    e->blob_len = (size_t)n;
    e->kind = vf_key_kind_of(inner, inner_len);
    return true;
}

/* The marker at the front of a line; moves *p behind it.  -1: one that nobody knows. */
static int marker_of(const char **p, const char *end)
{
    const char *word = *p, *stop;

    if (word == end || *word != '@')
        return PLAIN;
    stop = field(p, end, &word);
    if (stop - word == 8 && memcmp(word, "@revoked", 8) == 0)
        return REVOKED;
    if (stop - word == 15 && memcmp(word, "@cert-authority", 15) == 0)
        return AUTHORITY;
    return -1;
}

static int add_line(struct vf_hostkeys *h, const char *p, const char *end, const char *file,
                    unsigned line, struct vf_error *err)
{
    struct entry e = {.line = line};
    const char *names, *names_end;
    bool bare = false;
    int marker;

    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    if (p == end || *p == '#')
        return 0;
    marker = marker_of(&p, end);
    if (marker < 0)
        return 0;
    names_end = field(&p, end, &names);
    e.exact = names_match(names, names_end, h->name);
    if (h->port != 22)
        bare = names_match(names, names_end, h->host);
    if (!e.exact && !bare)
        return 0;
    e.marker = (enum marker)marker;
    if (!read_key(p, end, &e)) {
        if (marker != REVOKED)
            return 0;
        return vf_error_set(err, VF_ERR_AUTH, 0, "%s:%u revokes a key of %s that cannot be read",
                            file, line, h->name);
    }
    if (h->n == VF_HOSTKEYS_LINES_MAX) {
        free(e.blob);
        return vf_error_set(err, VF_ERR_RANGE, 0, "more than %u lines for %s in known_hosts files",
                            VF_HOSTKEYS_LINES_MAX, h->name);
    }
    e.file = vf_strdup(file, err);
    if (!e.file) {
        free(e.blob);
        return -1;
    }
    h->entries[h->n++] = e;
    return 0;
}

int vf_hostkeys_add_text(struct vf_hostkeys *h, const char *text, size_t len, const char *file,
                         struct vf_error *err)
{
    const char *p = text, *end = text + len;

    for (unsigned line = 1; p < end; line++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *stop = nl ? nl : end;
        const char *trim = stop;

        while (trim > p && (trim[-1] == '\r' || trim[-1] == ' ' || trim[-1] == '\t'))
            trim--;
        /* A zero byte would end names early in the functions below. */
        if (!memchr(p, 0, (size_t)(stop - p)) && add_line(h, p, trim, file, line, err) < 0)
            return -1;
        p = nl ? nl + 1 : end;
    }
    return 0;
}

int vf_hostkeys_add_file(struct vf_hostkeys *h, const char *path, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;
    size_t len = 0;
    char *text;
    int rc;

    if (!h->first) {
        h->first = vf_strdup(path, err);
        if (!h->first)
            return -1;
    }
    text = vf_read_small_file(AT_FDCWD, path, VF_HOSTKEYS_FILE_MAX, &len, &why);
    if (!text && why.code == VF_ERR_NOTFOUND)
        return 0;
    if (!text) /* there may be a @revoked line in it */
        return vf_error_set(err, why.code, 0, "known hosts: %s", why.msg);
    rc = vf_hostkeys_add_text(h, text, len, path, err);
    free(text);
    return rc;
}

int vf_hostkeys_add_defaults(struct vf_hostkeys *h, const char *home, struct vf_error *err)
{
    static const char *const of_user[] = {"known_hosts", "known_hosts2"};

    for (size_t i = 0; i < 2; i++) {
        char *path = vf_strf(err, "%s/.ssh/%s", home, of_user[i]);
        int rc = path ? vf_hostkeys_add_file(h, path, err) : -1;

        free(path);
        if (rc < 0)
            return -1;
    }
    if (vf_hostkeys_add_file(h, "/etc/ssh/ssh_known_hosts", err) < 0)
        return -1;
    return vf_hostkeys_add_file(h, "/etc/ssh/ssh_known_hosts2", err);
}

/* ---- policy ---- */

/* Do lines for the exact name exist (then only these count)? */
static bool any_exact(const struct vf_hostkeys *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->entries[i].exact && h->entries[i].marker != REVOKED)
            return true;
    return false;
}

static bool is_revoked(const struct vf_hostkeys *h, const uint8_t *blob, size_t len,
                       const struct entry **ret)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct entry *e = &h->entries[i];

        if (e->marker == REVOKED && e->blob_len == len && memcmp(e->blob, blob, len) == 0) {
            *ret = e;
            return true;
        }
    }
    return false;
}

/* A line that can make a connection succeed: of the right name, and with a key not revoked. */
static bool counts(const struct vf_hostkeys *h, const struct entry *e)
{
    const struct entry *by;

    return e->marker != REVOKED && e->exact == any_exact(h) &&
           !is_revoked(h, e->blob, e->blob_len, &by);
}

const char *vf_hostkeys_needs_client(const struct vf_hostkeys *h)
{
    bool authority = false, other = false;

    for (size_t i = 0; i < h->n; i++) {
        const struct entry *e = &h->entries[i];

        if (!counts(h, e))
            continue;
        if (e->marker == AUTHORITY)
            authority = true;
        else if (vf_key_usable(e->kind))
            return NULL;
        else
            other = true;
    }
    if (authority)
        return "the host is known only by a certificate authority";
    return other ? "the host is known only by an RSA key or another kind that libssh2 cannot use"
                 : NULL;
}

void vf_hostkeys_methods(const struct vf_hostkeys *h, char *ret, size_t size)
{
    bool known[VF_KEY_ECDSA521 + 1] = {false};
    size_t at = 0;

    for (size_t i = 0; i < h->n; i++)
        if (counts(h, &h->entries[i]) && h->entries[i].marker == PLAIN &&
            vf_key_usable(h->entries[i].kind))
            known[h->entries[i].kind] = true;
    ret[0] = 0;
    for (int pass = 1; pass >= 0; pass--) {
        for (unsigned k = VF_KEY_ED25519; k <= VF_KEY_ECDSA521; k++) {
            const char *name = vf_key_method((enum vf_key_kind)k);
            size_t need = strlen(name) + 1;

            if (known[k] != (pass == 1) || at + need >= size)
                continue;
            if (at)
                ret[at++] = ',';
            memcpy(ret + at, name, need); /* with its zero */
            at += need - 1;
        }
    }
}

static int refuse_unknown(const struct vf_hostkeys *h, const char *kind, const char *print,
                          struct vf_error *err)
{
    char port[16] = "";

    if (h->port != 22)
        (void)snprintf(port, sizeof port, "-p %u ", h->port); /* it fits */
    return vf_error_set(err, VF_ERR_AUTH, 0,
                        "host key of %.80s is not known: %s %s; if that is the right one, add it: "
                        "ssh-keyscan %s%s >> %s",
                        h->name, kind, print, port, h->host,
                        h->first ? h->first : "~/.ssh/known_hosts");
}

int vf_hostkeys_check(const struct vf_hostkeys *h, const uint8_t *blob, size_t len,
                      struct vf_error *err)
{
    const struct entry *other = NULL, *same_kind = NULL, *by = NULL;
    const char *name = "";
    size_t name_len = 0;
    char print[VF_FINGERPRINT_MAX];
    enum vf_key_kind kind;

    (void)vf_key_blob_type(blob, len, &name, &name_len); /* without one it matches no line */
    kind = vf_key_kind_of(name, name_len);
    vf_key_fingerprint(blob, len, print);
    if (is_revoked(h, blob, len, &by))
        return vf_error_set(err, VF_ERR_AUTH, 0, "host key of %.80s is revoked by %s:%u: %s %s",
                            h->name, by->file, by->line, vf_key_kind_name(kind), print);
    for (size_t i = 0; i < h->n; i++) {
        const struct entry *e = &h->entries[i];

        if (!counts(h, e) || e->marker != PLAIN)
            continue;
        if (e->blob_len == len && memcmp(e->blob, blob, len) == 0)
            return 0;
        if (e->kind == kind)
            same_kind = e;
        other = e;
    }
    if (same_kind)
        other = same_kind;
    if (!other || !other->exact)
        return refuse_unknown(h, vf_key_kind_name(kind), print, err);
    return vf_error_set(
        err, VF_ERR_AUTH, 0,
        "host key of %.80s HAS CHANGED (or somebody is in between): it shows %s %s, but "
        "%s:%u holds another%s%s; nothing was sent",
        h->name, vf_key_kind_name(kind), print, other->file, other->line, same_kind ? "" : ", ",
        same_kind ? "" : vf_key_kind_name(other->kind));
}
