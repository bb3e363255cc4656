/* core/error.c - errors as values. */
#include "core/error.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *const names[VF_ERR_COUNT_] = {
    [VF_ERR_NONE] = "none",
    [VF_ERR_USAGE] = "usage",
    [VF_ERR_IO] = "io",
    [VF_ERR_NOMEM] = "nomem",
    [VF_ERR_SPACE] = "space",
    [VF_ERR_RANGE] = "range",
    [VF_ERR_FORMAT] = "format",
    [VF_ERR_NOTFOUND] = "notfound",
    [VF_ERR_EXISTS] = "exists",
    [VF_ERR_BUSY] = "busy",
    [VF_ERR_DENIED] = "denied",
    [VF_ERR_UNREACHABLE] = "unreachable",
    [VF_ERR_AUTH] = "auth",
    [VF_ERR_PROTOCOL] = "protocol",
    [VF_ERR_TIMEOUT] = "timeout",
    [VF_ERR_MISMATCH] = "mismatch",
    [VF_ERR_CHANGED] = "changed",
    [VF_ERR_UNSUPPORTED] = "unsupported",
    [VF_ERR_CANCELLED] = "cancelled",
};

const char *vf_err_name(enum vf_err code)
{
    if ((unsigned)code >= VF_ERR_COUNT_)
        return "unknown";
    return names[code];
}

enum vf_err vf_err_by_name(const char *name)
{
    for (unsigned i = 0; i < VF_ERR_COUNT_; i++)
        if (strcmp(names[i], name) == 0)
            return (enum vf_err)i;
    return VF_ERR_NONE;
}

/* Keeps the promise of one clean phrase: control characters (a message may quote a peer or a file
 * name) become '?', and a cut does not leave half a UTF-8 character behind. */
static void tidy(char *msg, bool cut)
{
    size_t len = strlen(msg);

    for (size_t i = 0; i < len; i++)
        if ((unsigned char)msg[i] < 0x20 || msg[i] == 0x7f)
            msg[i] = '?';
    if (!cut)
        return;
    for (size_t back = 1; back <= 4 && back <= len; back++) {
        unsigned char c = (unsigned char)msg[len - back];
        size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

        if ((c & 0xc0) == 0x80)
            continue; /* a continuation byte: its start is further left */
        if (need > back)
            msg[len - back] = 0;
        break;
    }
}

/* All messages are built in a buffer of their own, so that arguments may point into err->msg. */
static void fill(struct vf_error *err, enum vf_err code, int sys, const char *fmt, va_list ap)
    VF_PRINTF(4, 0);
static void fill(struct vf_error *err, enum vf_err code, int sys, const char *fmt, va_list ap)
{
    char msg[sizeof err->msg], text[128];
    int n = vsnprintf(msg, sizeof msg, fmt, ap);
    size_t len;
    bool cut;

    if (n < 0) {
        n = 0;
        msg[0] = 0;
    }
    cut = (size_t)n >= sizeof msg;
    if (sys && !cut) {
        len = strlen(msg);
        n = snprintf(msg + len, sizeof msg - len, "%s%s", len ? ": " : "",
                     strerror_r(sys, text, sizeof text));
        cut = n >= 0 && (size_t)n >= sizeof msg - len;
    }
    tidy(msg, cut);
    err->code = code;
    err->sys = sys;
    memcpy(err->msg, msg, sizeof msg);
}

int vf_error_vset(struct vf_error *err, enum vf_err code, int sys, const char *fmt, va_list ap)
{
    if (err)
        fill(err, code, sys, fmt, ap);
    return -1;
}

int vf_error_set(struct vf_error *err, enum vf_err code, int sys, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vf_error_vset(err, code, sys, fmt, ap); /* returns -1 as we do */
    va_end(ap);
    return -1;
}

static enum vf_err code_of_errno(int sys)
{
    switch (sys) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
        return VF_ERR_SPACE;
    case ENOMEM:
        return VF_ERR_NOMEM;
    case ENOENT:
        return VF_ERR_NOTFOUND;
    case EEXIST:
        return VF_ERR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return VF_ERR_DENIED;
    default:
        return VF_ERR_IO;
    }
}

int vf_error_sys(struct vf_error *err, int sys, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vf_error_vset(err, code_of_errno(sys), sys, fmt, ap); /* returns -1 as we do */
    va_end(ap);
    return -1;
}

int vf_error_pass(struct vf_error *err, const struct vf_error *from)
{
    if (err)
        *err = *from;
    return -1;
}

int vf_error_nomem(struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_NOMEM, 0, "out of memory");
}

int vf_error_prefix(struct vf_error *err, const char *fmt, ...)
{
    char msg[sizeof err->msg];
    va_list ap;
    size_t len;
    bool cut;
    int n;

    if (!err)
        return -1;
    va_start(ap, fmt);
    n = vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    if (n < 0)
        return -1; /* nothing sensible to add */
    cut = (size_t)n >= sizeof msg;
    len = strlen(msg);
    n = snprintf(msg + len, sizeof msg - len, ": %s", err->msg);
    tidy(msg, cut || (size_t)n >= sizeof msg - len);
    memcpy(err->msg, msg, sizeof msg);
    return -1;
}
