/* service/keeper.c - events, turns and results. */
#include "service/keeper.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/checked.h"
#include "service/keeper_impl.h"

void vf_keeper_log(struct vf_keeper *k, enum vf_log_level level, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    if (text)
        k->ops->log(k->ctx, level, text);
    free(text);
}

struct vf_keeper *vf_keeper_new(const struct vf_keeper_opts *opts, const struct vf_keeper_ops *ops,
                                void *ctx, struct vf_watch *watch, struct vf_error *err)
{
    struct vf_keeper *k = vf_calloc(1, sizeof *k, err);

    if (!k)
        return NULL;
    k->ops = ops;
    k->ctx = ctx;
    k->watch = watch;
    k->opts = *opts;
    k->files = vf_files_new(err);
    if (!k->files) {
        free(k);
        return NULL;
    }
    return k;
}

void vf_keeper_free(struct vf_keeper *k)
{
    if (!k)
        return;
    vf_keeper_dirs_free(k);
    vf_files_free(k->files);
    free(k);
}

void vf_keeper_configure(struct vf_keeper *k, const struct vf_keeper_opts *opts, int64_t now_ms)
{
    k->opts = *opts;
    k->next_scan_ms = now_ms;
    k->hold_ms = 0;
    /* What could not be done may be possible now. */
    for (struct vf_file *f = vf_files_next(k->files, NULL); f; f = vf_files_next(k->files, f))
        if (f->state == VF_FILE_SKIPPED || f->state == VF_FILE_FAILED)
            f->state = VF_FILE_NEW;
}

/* ---- events ---- */

struct reading {
    struct vf_keeper *k;
    struct vf_error *err;
    int rc;
};

static void on_event(void *ctx, enum vf_watch_kind kind, int number, const char *name, bool is_dir)
{
    struct reading *r = ctx;
    struct vf_keeper *k = r->k;
    struct dir *d = NULL;
    char *path;

    if (kind == VF_WATCH_OVERFLOW) {
        k->overflows++;
        vf_keeper_log(k, VF_LOG_WARNING, "too many events at once; looking at everything");
        vf_keeper_scan_soon(k, 0);
        return;
    }
    for (size_t i = 0; i < k->ndirs && !d; i++)
        if (k->dir[i].number == number)
            d = &k->dir[i];
    if (!d)
        return; /* of a watch that was given up */
    if (kind == VF_WATCH_DIR_GONE) {
        if (k->watch)
            vf_watch_remove(k->watch, d->number);
        d->number = -1;
        d->there = d->had_any = false;
        vf_keeper_scan_soon(k, 0);
        return;
    }
    d->had_any = true;
    if (is_dir) {
        if (k->opts.recursive)
            vf_keeper_scan_soon(k, 200); /* often several at once */
        return;
    }
    if (r->rc < 0 || !vf_keeper_candidate(k, name))
        return;
    path = vf_strf(r->err, "%s/%s", strcmp(d->path, "/") ? d->path : "", name);
    r->rc = path ? vf_keeper_look(k, path, kind == VF_WATCH_CLOSED ? HOW_CLOSED : HOW_EVENT, r->err)
                 : -1;
    free(path);
}

int vf_keeper_events(struct vf_keeper *k, int64_t now_ms, struct vf_error *err)
{
    struct reading r = {k, err, 0};

    k->now_ms = now_ms;
    if (k->watch && vf_watch_read(k->watch, on_event, &r, err) < 0)
        return -1;
    if (r.rc < 0) /* what was not looked at is not lost */
        vf_keeper_scan_soon(k, k->opts.poll_ms);
    return r.rc;
}

/* ---- what is due ---- */

/* The file had gone when it was looked at, and has had its time to come back. */
static int forget(struct vf_keeper *k, struct vf_file *f, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;
    struct stat st;

    vf_files_dequeue(k->files, f);
    f->state = VF_FILE_NEW;
    if (lstat(f->path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size)
        return vf_keeper_look_at(k, f, HOW_EVENT, err);
    if (k->ops->forget(k->ctx, f->path, &why) < 0) {
        if (vf_keeper_set_why(f, why.msg))
            vf_keeper_log(k, VF_LOG_WARNING, "%s: cannot be forgotten: %s", f->path, why.msg);
        f->state = VF_FILE_MISSING;
        return vf_files_enqueue(k->files, f, VF_QUEUE_GONE, k->now_ms + k->opts.retry_ms, err);
    }
    vf_keeper_log(k, VF_LOG_INFO, "%s: has gone, forgotten", f->path);
    k->forgotten++;
    vf_files_remove(k->files, f);
    return 0;
}

static int forget_due(struct vf_keeper *k, struct vf_error *err)
{
    struct vf_file *f;

    while ((f = vf_files_first(k->files, VF_QUEUE_GONE)) && f->due_ms <= k->now_ms)
        if (forget(k, f, err) < 0)
            return -1;
    return 0;
}

int vf_keeper_work(struct vf_keeper *k, int64_t now_ms, struct vf_error *err)
{
    k->now_ms = now_ms;
    if (k->next_scan_ms <= now_ms && vf_keeper_scan(k, err) < 0)
        return -1;
    return forget_due(k, err);
}

int64_t vf_keeper_next(const struct vf_keeper *k, bool worker_free)
{
    const struct vf_file *gone = vf_files_first(k->files, VF_QUEUE_GONE);
    const struct vf_file *read = vf_files_first(k->files, VF_QUEUE_READ);
    int64_t at = k->next_scan_ms;

    if (gone && gone->due_ms < at)
        at = gone->due_ms;
    if (worker_free && read) {
        int64_t due = read->due_ms > k->hold_ms ? read->due_ms : k->hold_ms;

        if (due < at)
            at = due;
    }
    return at;
}

/* ---- for reports ---- */

void vf_keeper_stats(struct vf_keeper *k, int64_t now_ms, struct vf_keeper_stats *ret)
{
    memset(ret, 0, sizeof *ret);
    for (struct vf_file *f = vf_files_next(k->files, NULL); f; f = vf_files_next(k->files, f)) {
        ret->state[f->state]++;
        ret->queued += f->state == VF_FILE_WAITING;
    }
    ret->files = vf_files_count(k->files);
    ret->scans = k->scan;
    ret->overflows = k->overflows;
    ret->renames = k->renames;
    ret->forgotten = k->forgotten;
    ret->failures = k->failures;
    ret->scan_seconds = k->scan_seconds;
    ret->scan_cpu_seconds = k->scan_cpu_seconds;
    ret->scan_ms = k->scan_ms;
    ret->next_scan_ms = k->next_scan_ms;
    ret->hold_ms = k->hold_ms;
    ret->hold_why = now_ms < k->hold_ms ? k->hold_why : "";
}

struct vf_file *vf_keeper_next_file(struct vf_keeper *k, struct vf_file *after)
{
    return vf_files_next(k->files, after);
}

bool vf_keeper_dir(const struct vf_keeper *k, size_t i, struct vf_keeper_dir *ret)
{
    const struct dir *d = i < k->ndirs ? &k->dir[i] : NULL;

    if (!d)
        return false;
    *ret = (struct vf_keeper_dir){d->path, d->there, d->number >= 0, d->why, d->files};
    return true;
}
