/* service/keeper_impl.h - what the parts of the keeper share. */
#ifndef VF_SERVICE_KEEPER_IMPL_H
#define VF_SERVICE_KEEPER_IMPL_H

#include "service/keeper.h"

enum how { HOW_SCAN, HOW_EVENT, HOW_CLOSED };

struct dir {
    char *path;
    int number;   /* of its watch; -1: polled */
    bool there;   /* a directory that can be listed */
    bool had_any; /* this service has seen something in it */
    bool named;   /* by settings or a storage pool; not found below another one */
    unsigned depth;
    uint64_t seen; /* number of the scan that met it last */
    size_t files;
    char why[160];
};

struct vf_keeper {
    struct vf_keeper_opts opts;
    const struct vf_keeper_ops *ops;
    void *ctx;
    struct vf_watch *watch;
    struct vf_files *files;
    struct dir *dir;
    size_t ndirs, dirs_cap;
    uint64_t scan; /* number of the last one */
    int64_t next_scan_ms, scan_ms;
    int64_t hold_ms;
    char hold_why[240];
    char pools_why[240]; /* reported already */
    uint64_t overflows, renames, forgotten, failures;
    double scan_seconds, scan_cpu_seconds;
    int64_t now_ms; /* of the call that is going on */
};

/* ---- keeper_look.c ---- */

/* Looks at the file and decides.  Only memory and the index can fail. */
int vf_keeper_look(struct vf_keeper *k, const char *path, enum how how, struct vf_error *err);
/* The same for one that is in the table; it may be removed. */
int vf_keeper_look_at(struct vf_keeper *k, struct vf_file *f, enum how how, struct vf_error *err);
/* Has it a map that is of another file than the one which is there, if any? */
bool vf_keeper_displaced(const struct vf_file *f);
/* If the map of `from` is that of f, f takes it, and `from` may be removed.  1: done, 0, -1. */
int vf_keeper_adopt(struct vf_keeper *k, struct vf_file *f, struct vf_file *from,
                    struct vf_error *err);
/* The same, of any file. */
int vf_keeper_adopt_any(struct vf_keeper *k, struct vf_file *f, struct vf_error *err);
/* stat of what is at its path now: f->present and f->now.  false: nothing that could be an image.
 */
bool vf_keeper_stat(struct vf_file *f, uint64_t *ret_links);
/* Results of looking: no file any more (may remove f); a file with several names; all is well. */
int vf_keeper_gone(struct vf_keeper *k, struct vf_file *f, enum how how, struct vf_error *err);
int vf_keeper_linked(struct vf_keeper *k, struct vf_file *f, uint64_t links);
void vf_keeper_content(struct vf_file *f, enum vf_file_state state);
bool vf_keeper_candidate(const struct vf_keeper *k, const char *name);
/* Has another reason been noted before?  Then it is to be reported. */
bool vf_keeper_set_why(struct vf_file *f, const char *why);
int vf_keeper_queue(struct vf_keeper *k, struct vf_file *f, int64_t wait_ms, struct vf_error *err);

/* ---- keeper_scan.c ---- */

int vf_keeper_scan(struct vf_keeper *k, struct vf_error *err);
struct dir *vf_keeper_dir_of(struct vf_keeper *k, const char *path); /* that a file lies in */
/* Is the file one of those to look after, as far as its place decides? */
bool vf_keeper_covers(struct vf_keeper *k, const char *path);
void vf_keeper_dirs_free(struct vf_keeper *k);
void vf_keeper_scan_soon(struct vf_keeper *k, int64_t wait_ms);

void vf_keeper_log(struct vf_keeper *k, enum vf_log_level level, const char *fmt, ...)
    VF_PRINTF(3, 4);

#endif
