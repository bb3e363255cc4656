/* service/keeper_look.c - is a file what its map says? */
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/checked.h"
#include "service/keeper_impl.h"

bool vf_keeper_candidate(const struct vf_keeper *k, const char *name)
{
    size_t len = strlen(name);

    if (name[0] == '.' || !len || (len >= 5 && strcmp(name + len - 5, ".part") == 0))
        return false; /* hidden, or a transfer that is going on */
    for (size_t i = 0; i < k->opts.nexclude; i++)
        if (fnmatch(k->opts.exclude[i], name, 0) == 0)
            return false;
    return true;
}

bool vf_keeper_set_why(struct vf_file *f, const char *why)
{
    char *copy;

    if (f->why && strcmp(f->why, why) == 0)
        return false;
    copy = vf_strdup(why, NULL);
    free(f->why);
    f->why = copy; /* without memory it is reported again */
    return true;
}

void vf_keeper_content(struct vf_file *f, enum vf_file_state state)
{
    f->state = state;
    f->tries = 0;
    f->busy_ms = 0;
    free(f->why);
    f->why = NULL;
}

int vf_keeper_queue(struct vf_keeper *k, struct vf_file *f, int64_t wait_ms, struct vf_error *err)
{
    f->state = VF_FILE_WAITING;
    f->judged = f->now;
    return vf_files_enqueue(k->files, f, VF_QUEUE_READ, k->now_ms + wait_ms, err);
}

/* ---- maps that follow their file ---- */

bool vf_keeper_displaced(const struct vf_file *f)
{
    return f->recorded && !f->rec_moving && f->state != VF_FILE_READING &&
           (!f->present || !vf_ident_same(&f->now, &f->rec));
}

/* Is there still something at that path that the record is about? */
static bool still_there(const struct vf_file *from)
{
    struct stat st;

    return lstat(from->path, &st) == 0 && (uint64_t)st.st_ino == from->rec.ino;
}

int vf_keeper_adopt(struct vf_keeper *k, struct vf_file *f, struct vf_file *from,
                    struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;

    if (from == f || !vf_ident_renamed(&from->rec, &f->now) || !vf_keeper_displaced(from) ||
        still_there(from))
        return 0;
    if (k->ops->rename(k->ctx, from->path, f->path, &why) < 0) {
        if (why.code == VF_ERR_NOTFOUND || why.code == VF_ERR_CHANGED)
            return 0; /* somebody else was faster: then it is read */
        return vf_error_pass(err, &why);
    }
    vf_keeper_log(k, VF_LOG_INFO, "%s: renamed to %s, keeps its map", from->path, f->path);
    k->renames++;
    f->recorded = true;
    f->rec_moving = false;
    f->rec = f->now;
    from->recorded = false;
    vf_files_dequeue(k->files, f);
    vf_keeper_content(f, VF_FILE_FRESH);
    if (!from->present)
        vf_files_remove(k->files, from);
    return 1;
}

int vf_keeper_adopt_any(struct vf_keeper *k, struct vf_file *f, struct vf_error *err)
{
    struct vf_file *from = vf_files_next(k->files, NULL), *next;
    int rc = 0;

    for (; from && rc == 0; from = next) {
        next = vf_files_next(k->files, from);
        rc = vf_keeper_adopt(k, f, from, err);
    }
    return rc;
}

/* ---- judging ---- */

/* No file there, or none that could be an image. */
int vf_keeper_gone(struct vf_keeper *k, struct vf_file *f, enum how how, struct vf_error *err)
{
    const struct dir *d = vf_keeper_dir_of(k, f->path);
    int64_t wait = how == HOW_SCAN ? k->opts.forget_ms : 2 * k->opts.settle_ms + 1000;

    f->present = false;
    if (f->state == VF_FILE_READING)
        return 0;                    /* looked at again when the worker is through */
    if (f->state == VF_FILE_SKIPPED) /* perhaps one of several names: the others will do now */
        vf_keeper_scan_soon(k, k->opts.settle_ms);
    if (!f->recorded) {
        vf_files_remove(k->files, f);
        return 0;
    }
    if (d && (!d->there ||
              !d->had_any)) { /* the whole directory is away, so nothing is known of the file */
        vf_keeper_content(f, VF_FILE_MISSING);
        vf_files_dequeue(k->files, f);
        return 0;
    }
    if (f->state == VF_FILE_MISSING && f->queue == VF_QUEUE_GONE)
        return 0;
    vf_keeper_content(f, VF_FILE_MISSING);
    return vf_files_enqueue(k->files, f, VF_QUEUE_GONE, k->now_ms + wait, err);
}

/* A guest has been writing it when its map was made. */
static int judge_moving(struct vf_keeper *k, struct vf_file *f, enum how how, struct vf_error *err)
{
    int64_t at = f->rec_ms + k->opts.moving_ms;

    if (f->state == VF_FILE_WAITING && f->queue == VF_QUEUE_READ && how != HOW_CLOSED)
        return 0;
    if (how == HOW_CLOSED || (how == HOW_SCAN && k->ops->writer(k->ctx, f->path) == VF_WRITER_NONE))
        return vf_keeper_queue(k, f, k->opts.settle_ms, err);
    vf_keeper_content(f, VF_FILE_MOVING);
    return vf_files_enqueue(k->files, f, VF_QUEUE_READ, at, err);
}

int vf_keeper_linked(struct vf_keeper *k, struct vf_file *f, uint64_t links)
{
    char why[120];

    (void)snprintf(why, sizeof why,
                   "it has %" PRIu64 " names (hard links), and follow-links is not set", links);
    if (vf_keeper_set_why(f, why)) {
        vf_keeper_log(k, VF_LOG_WARNING, "%s: skipped: %s", f->path, why);
        vf_keeper_scan_soon(k, k->opts.settle_ms); /* its other names have changed without event */
    }
    f->state = VF_FILE_SKIPPED;
    f->judged = f->now;
    vf_files_dequeue(k->files, f);
    return 0;
}

static int judge(struct vf_keeper *k, struct vf_file *f, uint64_t links, enum how how,
                 struct vf_error *err)
{
    bool same = vf_ident_same(&f->now, &f->judged);
    int rc;

    if (f->state == VF_FILE_READING)
        return 0; /* as above */
    if (f->recorded && !f->rec_moving && vf_ident_same(&f->rec, &f->now)) {
        vf_files_dequeue(k->files, f);
        vf_keeper_content(f, VF_FILE_FRESH);
        return 0;
    }
    if (links > 1 && !k->opts.follow_links)
        return vf_keeper_linked(k, f, links);
    if (f->recorded && f->rec_moving)
        return judge_moving(k, f, how, err);
    switch (f->state) {
    case VF_FILE_WAITING:
    case VF_FILE_FAILED:
    case VF_FILE_SKIPPED:
        /* Nothing new: it keeps its turn, if an error has not cost it that, or waits for a change.
         */
        if (same && how != HOW_CLOSED &&
            (f->state == VF_FILE_SKIPPED ? f->why != NULL : f->queue == VF_QUEUE_READ))
            return 0;
        break;
    default:
        break;
    }
    /* A scan knows only at its end which files have gone. */
    rc = how == HOW_SCAN ? 0 : vf_keeper_adopt_any(k, f, err);
    if (rc)
        return rc < 0 ? -1 : 0;
    if (!same)
        f->tries = 0;
    return vf_keeper_queue(k, f, k->opts.settle_ms, err);
}

static int64_t ns(const struct timespec *t) { return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec; }

bool vf_keeper_stat(struct vf_file *f, uint64_t *ret_links)
{
    struct stat st;

    f->present = lstat(f->path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size;
    if (!f->present)
        return false;
    *ret_links = (uint64_t)st.st_nlink;
    f->now = (struct vf_ident){.dev = (uint64_t)st.st_dev,
                               .ino = (uint64_t)st.st_ino,
                               .size = (uint64_t)st.st_size,
                               .mtime_ns = ns(&st.st_mtim),
                               .ctime_ns = ns(&st.st_ctim)};
    return true;
}

int vf_keeper_look_at(struct vf_keeper *k, struct vf_file *f, enum how how, struct vf_error *err)
{
    uint64_t links = 0;

    f->seen = k->scan;
    return vf_keeper_stat(f, &links) ? judge(k, f, links, how, err)
                                     : vf_keeper_gone(k, f, how, err);
}

/* Where a symbolic link leads; NULL: nowhere, or it may not be followed. */
static char *follow(const struct vf_keeper *k, const char *path)
{
    struct stat st;
    char *to = NULL;

    if (lstat(path, &st) < 0 || !S_ISLNK(st.st_mode) || !k->opts.follow_links)
        return NULL;
    to = realpath(path, NULL);
    if (to && stat(to, &st) == 0 && S_ISREG(st.st_mode))
        return to;
    free(to);
    return NULL;
}

int vf_keeper_look(struct vf_keeper *k, const char *path, enum how how, struct vf_error *err)
{
    struct vf_file *f = vf_files_find(k->files, path);
    char *target = f ? NULL : follow(k, path);
    struct stat st;
    int rc = 0;

    /* What is not an image, and never was one, makes no entry. */
    if (!f && !target && (lstat(path, &st) < 0 || !S_ISREG(st.st_mode) || !st.st_size))
        return 0;
    if (!f)
        f = vf_files_add(k->files, target ? target : path, err);
    rc = f ? vf_keeper_look_at(k, f, how, err) : -1;
    free(target);
    return rc;
}
