/* service/keeper.h - decides which files are to be read when, and which maps are to be forgotten.
 *
 * It looks at directories and files (names and stat only), compares them with what the index has,
 * and hands out the files whose time has come.  The index itself, the reading and the log are the
 * caller's: struct vf_keeper_ops.
 *
 *   event or scan -> look: is the file what its map says?
 *       yes                     fresh
 *       it is another one's     the map follows the file (rename)
 *       no                      waits; read when it has rested for the settle time
 *       a guest writes it       read as it is, now and then ("moving")
 *   no file any more            its map is forgotten after a while
 *
 * Thread rules: belongs to one thread, which also runs all callbacks. */
#ifndef VF_SERVICE_KEEPER_H
#define VF_SERVICE_KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "service/files.h"
#include "service/watch.h"

/* Borrowed for the life of the keeper, or until the next vf_keeper_configure. */
struct vf_keeper_opts {
    const char *const *dir; /* absolute */
    size_t ndirs;
    const char *const *avoid; /* absolute: never entered */
    size_t navoid;
    const char *const *exclude; /* patterns for names, as of the shell */
    size_t nexclude;
    bool recursive;    /* also what lies in directories of these directories */
    bool follow_links; /* symbolic links, and files with several names */
    int64_t settle_ms; /* a file rests that long before it is read */
    int64_t scan_ms;   /* from scan to scan */
    int64_t poll_ms;   /* the same where events do not come, and for directories that are gone */
    int64_t retry_ms;  /* first wait after a failure; doubled each time, up to VF_RETRY_MAX_MS */
    int64_t moving_ms; /* how old the map of a moving image may get */
    int64_t forget_ms; /* a file that a scan does not find is forgotten after that long */
};
#define VF_RETRY_MAX_MS ((int64_t)6 * 3600 * 1000)

/* What the index has of a file. */
struct vf_keeper_record {
    const char *path; /* absolute; valid during the call */
    struct vf_ident id;
    bool moving;
    int64_t age_ms; /* how long ago the map was made */
};

enum vf_writer {
    VF_WRITER_NONE,  /* nobody has the file open for writing, or that cannot be known */
    VF_WRITER_OTHER, /* some process has */
    VF_WRITER_GUEST  /* a running QEMU has */
};

enum vf_log_level { VF_LOG_ERR = 3, VF_LOG_WARNING = 4, VF_LOG_INFO = 6, VF_LOG_DEBUG = 7 };

typedef int vf_keeper_record_fn(void *ctx, const struct vf_keeper_record *rec,
                                struct vf_error *err);
typedef int vf_keeper_dir_fn(void *ctx, const char *dir, struct vf_error *err);

struct vf_keeper_ops {
    /* Every record of the index (of whole images); a result of fn that is not 0 ends it. */
    int (*records)(void *ctx, vf_keeper_record_fn *fn, void *fn_ctx, struct vf_error *err);
    /* That of one file: 1 and *ret (path unset), 0: there is none, -1. */
    int (*record)(void *ctx, const char *path, struct vf_keeper_record *ret, struct vf_error *err);
    /* The map of `from` is that of `to` now; whatever `to` had is forgotten. */
    int (*rename)(void *ctx, const char *from, const char *to, struct vf_error *err);
    int (*forget)(void *ctx, const char *path, struct vf_error *err);
    enum vf_writer (*writer)(void *ctx, const char *path);
    /* Further directories (storage pools); NULL: none.  A failure is only reported. */
    int (*pools)(void *ctx, vf_keeper_dir_fn *fn, void *fn_ctx, struct vf_error *err);
    void (*log)(void *ctx, enum vf_log_level level, const char *text);
};

struct vf_keeper;
/* watch may be NULL: then everything is polled.  ops, ctx and watch are kept. */
struct vf_keeper *vf_keeper_new(const struct vf_keeper_opts *opts, const struct vf_keeper_ops *ops,
                                void *ctx, struct vf_watch *watch, struct vf_error *err);
void vf_keeper_free(struct vf_keeper *k); /* NULL is fine */

/* Other settings from now on; a scan follows at once.  now_ms: here and below, vf_boot_ms. */
void vf_keeper_configure(struct vf_keeper *k, const struct vf_keeper_opts *opts, int64_t now_ms);

/* Everything that the watch has to tell.  0, or -1. */
int vf_keeper_events(struct vf_keeper *k, int64_t now_ms, struct vf_error *err) VF_MUST_CHECK;

/* Does what is due: scans, forgets.  0, or -1 when the index or memory failed. */
int vf_keeper_work(struct vf_keeper *k, int64_t now_ms, struct vf_error *err) VF_MUST_CHECK;

/* When vf_keeper_work or vf_keeper_take will have something to do next. */
int64_t vf_keeper_next(const struct vf_keeper *k, bool worker_free);

/* A file to be read now. */
struct vf_job {
    char *path;  /* owned */
    bool moving; /* somebody writes it, and goes on doing so */
};
/* 1: *ret is owned; vf_keeper_done must follow.  0: nothing is due. */
int vf_keeper_take(struct vf_keeper *k, int64_t now_ms, struct vf_job *ret);

/* What became of it. */
struct vf_job_result {
    int rc;              /* 0, or -1 with err */
    struct vf_error err; /* BUSY, USAGE, UNSUPPORTED: cannot be indexed as it is; CHANGED; SPACE and
                            NOMEM: nothing is taken for a while; CANCELLED; others: tried again */
    struct vf_ident id;  /* of the file that was read */
    bool moving;
};
void vf_keeper_done(struct vf_keeper *k, const char *path, const struct vf_job_result *r,
                    int64_t now_ms);

/* ---- for reports ---- */

struct vf_keeper_dir {
    const char *path;
    bool there, watched;
    const char *why; /* not there, or not watched: why; "" otherwise */
    size_t files;    /* seen by the last scan */
};

struct vf_keeper_stats {
    size_t state[VF_FILE_STATES];
    size_t files, queued;
    uint64_t scans, overflows, renames, forgotten, failures;
    double scan_seconds, scan_cpu_seconds; /* of the last scan */
    int64_t scan_ms, next_scan_ms;         /* when it began; when the next one will */
    int64_t hold_ms;                       /* nothing is taken before that time */
    const char *hold_why;                  /* while that lasts; "" otherwise */
};
void vf_keeper_stats(struct vf_keeper *k, int64_t now_ms, struct vf_keeper_stats *ret);

/* Each file, each directory; NULL begins and ends. */
struct vf_file *vf_keeper_next_file(struct vf_keeper *k, struct vf_file *after);
/* false: there is no directory number i. */
bool vf_keeper_dir(const struct vf_keeper *k, size_t i, struct vf_keeper_dir *ret);

#endif
