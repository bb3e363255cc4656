/* transport/target.c - parsing and printing of targets. */
#include "transport/target.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/checked.h"

#define SCHEME "ssh://"

static bool is_alnum(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_control(unsigned char c) { return c < 0x20 || c == 0x7f; }

/* May it stand in a user name, after decoding?  No blank, quote or other sign that a shell knows:
 * ssh configurations paste the user into shell commands (ProxyCommand %r). */
static bool is_user_char(unsigned char c)
{
    return is_alnum(c) || c >= 0x80 || strchr("._-+@", c) != NULL;
}

/* May it stand in a store's path as it is?  The rest has to be written as %XX. */
static bool is_path_char(unsigned char c)
{
    return is_alnum(c) || c >= 0x80 || strchr("/._-~!$&'()*+,;=:@", c) != NULL;
}

/* The len bytes at s with %XX decoded; raw says which bytes may stand for themselves.  Owned; NULL
 * with *err set for bad escapes, other bytes, and control characters in the result. */
static char *decode(const char *s, size_t len, bool (*raw)(unsigned char), const char *what,
                    struct vf_error *err)
{
    char *text = vf_calloc(len + 1, 1, err), *to = text;

    if (!text)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c == '%') {
            int hi = i + 1 < len ? hex_value((unsigned char)s[i + 1]) : -1;
            int lo = i + 2 < len ? hex_value((unsigned char)s[i + 2]) : -1;

            if (hi < 0 || lo < 0) {
                (void)vf_error_set(err, VF_ERR_USAGE, 0,
                                   "'%%' in a %s must be followed by two hex digits", what);
                goto fail;
            }
            c = (unsigned char)(hi * 16 + lo);
            i += 2;
        } else if (!raw(c)) {
            (void)vf_error_set(err, VF_ERR_USAGE, 0, "write byte 0x%02x of the %s as %%%02X", c,
                               what, c);
            goto fail;
        }
        if (is_control(c)) {
            (void)vf_error_set(err, VF_ERR_USAGE, 0, "control character in the %s", what);
            goto fail;
        }
        *to++ = (char)c;
    }
    *to = 0;
    return text;
fail:
    free(text);
    return NULL;
}

static int parse_user(const char *s, size_t len, char **ret, struct vf_error *err)
{
    char *user;

    if (len == 0)
        return vf_error_set(err, VF_ERR_USAGE, 0, "empty user name before '@'");
    if (memchr(s, ':', len))
        return vf_error_set(err, VF_ERR_USAGE, 0,
                            "a password in a target is refused; use a key (--identity)");
    user = decode(s, len, is_user_char, "user name", err);
    if (!user)
        return -1;
    if (strlen(user) > VF_TARGET_NAME_MAX) {
        free(user);
        return vf_error_set(err, VF_ERR_USAGE, 0, "a user name has at most %u bytes",
                            VF_TARGET_NAME_MAX);
    }
    if (user[0] == '-')
        goto bad;
    for (const char *p = user; *p; p++)
        if (!is_user_char((unsigned char)*p)) /* an escape may have brought it in */
            goto bad;
    *ret = user;
    return 0;
bad:
    (void)vf_error_set(err, VF_ERR_USAGE, 0,
                       "'%s' is not a user name (no leading '-', no signs but . _ - + @)", user);
    free(user);
    return -1;
}

/* A name or an IPv4 address: letters, digits, '.', '-', '_'; no leading '-' or '.'. */
static bool host_ok(const char *s, size_t len)
{
    if (len == 0 || len > VF_TARGET_NAME_MAX || s[0] == '-' || s[0] == '.')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_alnum((unsigned char)s[i]) && !memchr(".-_", s[i], 3))
            return false;
    return true;
}

/* What stands in brackets: hex digits, ':' (two at least), '.', then perhaps a zone. */
static bool ipv6_ok(const char *s, size_t len)
{
    size_t colons = 0, i = 0;

    if (len == 0 || len > VF_TARGET_NAME_MAX)
        return false;
    for (; i < len && s[i] != '%'; i++) {
        if (s[i] == ':')
            colons++;
        else if (hex_value((unsigned char)s[i]) < 0 && s[i] != '.')
            return false;
    }
    if (colons < 2)
        return false;
    return i == len || host_ok(s + i + 1, len - i - 1);
}

/* host is [s, s + len), ipv6 says that it stood in brackets. */
static int parse_host(const char *s, size_t len, bool ipv6, char **ret, struct vf_error *err)
{
    char *host, *zone;

    if (len == 0)
        return vf_error_set(err, VF_ERR_USAGE, 0, "the target names no host");
    host = vf_strf(err, "%.*s", (int)len, s);
    if (!host)
        return -1;
    zone = ipv6 ? strchr(host, '%') : NULL;
    if (zone && zone[1] == '2' && zone[2] == '5') /* RFC 6874: "%25" stands for the '%' */
        memmove(zone + 1, zone + 3, strlen(zone + 3) + 1);
    if (!(ipv6 ? ipv6_ok(host, strlen(host)) : host_ok(host, strlen(host)))) {
        free(host);
        return vf_error_set(err, VF_ERR_USAGE, 0,
                            "the target's host is not a host name or address%s",
                            ipv6 ? "" : " (an IPv6 address stands in [brackets])");
    }
    for (char *p = host; *p && p != zone; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    *ret = host;
    return 0;
}

/* host, [address], each perhaps with :port. */
static int parse_authority(const char *s, size_t len, struct vf_target *t, struct vf_error *err)
{
    bool ipv6 = len && s[0] == '[';
    const char *close = ipv6 ? memchr(s, ']', len) : NULL;
    const char *colon, *end = s + len;
    char digits[8];
    uint64_t port;

    if (ipv6 && !close)
        return vf_error_set(err, VF_ERR_USAGE, 0, "'[' without ']' in the target");
    colon = ipv6 ? close + 1 : memchr(s, ':', len);
    if (!colon)
        colon = end;
    if (parse_host(ipv6 ? s + 1 : s, (size_t)((ipv6 ? close : colon) - s) - ipv6, ipv6, &t->host,
                   err) < 0)
        return -1;
    if (colon == end)
        return 0;
    if (*colon != ':' || end - colon - 1 >= (ptrdiff_t)sizeof digits)
        return vf_error_set(err, VF_ERR_USAGE, 0,
                            "a port from 1 to 65535 must follow the target's host");
    (void)snprintf(digits, sizeof digits, "%.*s", (int)(end - colon - 1), colon + 1); /* it fits */
    if (vf_parse_u64(digits, "a port", 1, 65535, &port, err) < 0)
        return -1;
    t->port = (unsigned)port;
    return 0;
}

static int parse_ssh(const char *s, struct vf_target *t, struct vf_error *err)
{
    size_t len = strcspn(s, "/");
    const char *path = s + len, *at = memrchr(s, '@', len);

    t->kind = VF_TARGET_SSH;
    if (at && parse_user(s, (size_t)(at - s), &t->user, err) < 0)
        return -1;
    if (at) {
        len -= (size_t)(at + 1 - s);
        s = at + 1;
    }
    if (parse_authority(s, len, t, err) < 0)
        return -1;
    if (path[0] == 0 || path[1] == 0)
        return 0;
    t->store = decode(path, strlen(path), is_path_char, "store", err);
    return t->store ? 0 : -1;
}

int vf_target_parse(const char *text, struct vf_target *ret, struct vf_error *err)
{
    struct vf_target t = VF_TARGET_INIT;

    if (strlen(text) > VF_TARGET_TEXT_MAX)
        return vf_error_set(err, VF_ERR_USAGE, 0, "a target has at most %u bytes",
                            VF_TARGET_TEXT_MAX);
    for (const char *p = text; *p; p++)
        if (is_control((unsigned char)*p))
            return vf_error_set(err, VF_ERR_USAGE, 0, "control character in the target");
    if (text[0] == '/') {
        t.store = vf_strdup(text, err);
        if (!t.store)
            return -1;
    } else if (strncmp(text, SCHEME, strlen(SCHEME)) == 0) {
        if (parse_ssh(text + strlen(SCHEME), &t, err) < 0) {
            vf_target_free(&t);
            return -1;
        }
    } else {
        return vf_error_set(
            err, VF_ERR_USAGE, 0,
            "a target is ssh://[user@]host[:port][/store] or an absolute path, not '%s'", text);
    }
    *ret = t;
    return 0;
}

void vf_target_free(struct vf_target *t)
{
    free(t->user);
    free(t->host);
    free(t->store);
    *t = (struct vf_target)VF_TARGET_INIT;
}

/* Appends s, bytes that raw does not allow (and '%') as %XX. */
static int add_encoded(struct vf_buf *b, const char *s, bool (*raw)(unsigned char),
                       struct vf_error *err)
{
    static const char hex[] = "0123456789ABCDEF";

    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        char esc[3] = {'%', hex[c >> 4], hex[c & 15]};

        if (vf_buf_add(b, raw(c) ? s : esc, raw(c) ? 1 : 3, err) < 0)
            return -1;
    }
    return 0;
}

static bool is_ipv6(const char *host) { return strchr(host, ':') != NULL; }

/* host or [host], and :port if there is one; percent is what stands for the '%' before a zone. */
static int add_host(struct vf_buf *b, const struct vf_target *t, const char *percent,
                    struct vf_error *err)
{
    bool brackets = is_ipv6(t->host);
    char port[16];

    if (vf_buf_add(b, "[", brackets, err) < 0)
        return -1;
    for (const char *p = t->host; *p; p++)
        if (vf_buf_add(b, *p == '%' ? percent : p, *p == '%' ? strlen(percent) : 1, err) < 0)
            return -1;
    if (vf_buf_add(b, "]", brackets, err) < 0)
        return -1;
    if (!t->port)
        return 0;
    (void)snprintf(port, sizeof port, ":%u", t->port); /* it fits */
    return vf_buf_add(b, port, strlen(port), err);
}

char *vf_target_text(const struct vf_target *t, struct vf_error *err)
{
    struct vf_buf b = VF_BUF_INIT;

    if (t->kind == VF_TARGET_LOCAL)
        return vf_strdup(t->store, err);
    if (vf_buf_add(&b, SCHEME, strlen(SCHEME), err) < 0)
        goto fail;
    if (t->user && (add_encoded(&b, t->user, is_user_char, err) < 0 || vf_buf_u8(&b, '@', err) < 0))
        goto fail;
    if (add_host(&b, t, "%25", err) < 0)
        goto fail;
    if (t->store && add_encoded(&b, t->store, is_path_char, err) < 0)
        goto fail;
    return vf_buf_text(&b, err);
fail:
    vf_buf_free(&b);
    return NULL;
}

char *vf_target_peer(const struct vf_target *t, struct vf_error *err)
{
    struct vf_buf b = VF_BUF_INIT;

    if (t->kind == VF_TARGET_LOCAL)
        return vf_strdup(t->store, err);
    if (t->port ? add_host(&b, t, "%", err) < 0 : vf_buf_add(&b, t->host, strlen(t->host), err) < 0)
        goto fail;
    return vf_buf_text(&b, err);
fail:
    vf_buf_free(&b);
    return NULL;
}
