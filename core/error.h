/* core/error.h - errors as values that the caller owns.
 *
 * Every call that can fail takes a struct vf_error * as its last parameter and
 * returns -1 (NULL for constructors) after filling it.  The pointer may be NULL;
 * the struct is untouched on success and never read by the callee.  The return
 * value alone drives control flow; `code` is for decisions, `msg` for people.
 *
 * Thread rules: a struct vf_error belongs to one thread at a time.
 */
#ifndef VF_CORE_ERROR_H
#define VF_CORE_ERROR_H

#include <stdarg.h>

/* Put on every fallible call.  A deliberate ignore is written (void) with a reason. */
#define VF_MUST_CHECK        __attribute__((warn_unused_result))
#define VF_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* What went wrong, as far as a program has to tell cases apart. */
enum vf_err {
    VF_ERR_NONE = 0,
    VF_ERR_USAGE,       /* the request itself is wrong: bad option, bad name, missing --format */
    VF_ERR_IO,          /* a read, write, open, spawn failed; sys says why */
    VF_ERR_NOMEM,       /* memory */
    VF_ERR_SPACE,       /* disk space, quota, map size, file table: a resource ran out */
    VF_ERR_RANGE,       /* an offset or a size outside what exists */
    VF_ERR_FORMAT,      /* an image or index file is malformed or of an unknown kind */
    VF_ERR_NOTFOUND,    /* the thing asked for does not exist */
    VF_ERR_EXISTS,      /* the thing to be made exists already */
    VF_ERR_BUSY,        /* another process holds it */
    VF_ERR_DENIED,      /* this side or the other refuses by policy: rights, group, path outside */
    VF_ERR_UNREACHABLE, /* connecting failed, or the connection was lost */
    VF_ERR_AUTH,        /* host key or user key not accepted */
    VF_ERR_PROTOCOL,    /* the peer said something that it must not say, or is not vmferry */
    VF_ERR_TIMEOUT,     /* a deadline or the progress watchdog */
    VF_ERR_MISMATCH,    /* content did not verify */
    VF_ERR_CHANGED,     /* an image changed while it was read */
    VF_ERR_UNSUPPORTED, /* understood, but this program cannot do it */
    VF_ERR_CANCELLED,   /* SIGINT, SIGTERM, or the caller gave up */
    VF_ERR_COUNT_       /* number of codes; not an error */
};

struct vf_error {
    enum vf_err code;
    int sys;       /* errno at the time, or 0 */
    char msg[240]; /* one phrase: no newline, no full stop, no program name */
};

#define VF_ERROR_INIT                                                                              \
    {                                                                                              \
        VF_ERR_NONE, 0, ""                                                                         \
    }

/* Fills *err (if err is not NULL) with code, sys and the formatted phrase; when sys is not 0,
 * ": " and the system's text for it are appended.  Too long a phrase is cut.  Returns -1. */
int vf_error_set(struct vf_error *err, enum vf_err code, int sys, const char *fmt, ...)
    VF_PRINTF(4, 5);
int vf_error_vset(struct vf_error *err, enum vf_err code, int sys, const char *fmt, va_list ap)
    VF_PRINTF(4, 0);

/* As vf_error_set with VF_ERR_IO, or VF_ERR_SPACE when sys is ENOSPC, EDQUOT, EFBIG or
 * EMFILE/ENFILE, VF_ERR_NOMEM for ENOMEM, VF_ERR_NOTFOUND for ENOENT, VF_ERR_EXISTS for EEXIST,
 * VF_ERR_DENIED for EACCES, EPERM and EROFS.  Returns -1. */
int vf_error_sys(struct vf_error *err, int sys, const char *fmt, ...) VF_PRINTF(3, 4);

/* "out of memory".  Returns -1. */
int vf_error_nomem(struct vf_error *err);

/* Puts "phrase: " before the message that is there; code and sys stay.  Returns -1. */
int vf_error_prefix(struct vf_error *err, const char *fmt, ...) VF_PRINTF(2, 3);

/* Hands on an error that another call has filled: as it is, for its message says the system's text
 * already.  Returns -1. */
int vf_error_pass(struct vf_error *err, const struct vf_error *from);

/* The stable lower-case word for a code ("io", "space", "mismatch", ...), as `--json` prints it. */
const char *vf_err_name(enum vf_err code);

/* The code for such a word; VF_ERR_NONE if there is none. */
enum vf_err vf_err_by_name(const char *name);

#endif
