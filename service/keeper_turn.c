/* service/keeper_turn.c - whose turn it is to be read, and what became of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "service/keeper_impl.h"

#define PATIENCE 6 /* settle times that a writer other than a guest is waited for */

/* Another process may have made a map of it meanwhile. */
static int refresh_record(struct vf_keeper *k, struct vf_file *f, struct vf_error *err)
{
    struct vf_keeper_record rec;
    int found = k->ops->record(k->ctx, f->path, &rec, err);

    if (found < 0)
        return -1;
    f->recorded = found > 0;
    if (!found)
        return 0;
    f->rec = rec.id;
    f->rec_moving = rec.moving;
    f->rec_ms = k->now_ms - rec.age_ms;
    return 0;
}

static bool is_recent(const struct vf_keeper *k, const struct vf_file *f)
{
    return f->recorded && f->rec_moving && f->rec_ms + k->opts.moving_ms > k->now_ms;
}

/* Nobody must be at work on it, but for guests, who never stop.  1: now, 0: it was queued again. */
static int judge_writer(struct vf_keeper *k, struct vf_file *f, bool *ret_moving,
                        struct vf_error *err)
{
    bool changed = !vf_ident_same(&f->now, &f->judged);
    enum vf_writer writer = k->ops->writer(k->ctx, f->path);

    *ret_moving = writer != VF_WRITER_NONE;
    if (writer != VF_WRITER_OTHER)
        f->busy_ms = 0;
    else if (!f->busy_ms)
        f->busy_ms = k->now_ms;
    if (*ret_moving && is_recent(k, f)) {
        vf_keeper_content(f, VF_FILE_MOVING);
        return vf_files_enqueue(k->files, f, VF_QUEUE_READ, f->rec_ms + k->opts.moving_ms, err);
    }
    if ((writer == VF_WRITER_NONE && changed) ||
        (writer == VF_WRITER_OTHER &&
         k->now_ms - f->busy_ms < PATIENCE * (k->opts.settle_ms + 1000)))
        return vf_keeper_queue(k, f, k->opts.settle_ms, err);
    return 1;
}

/* f was taken out of the queue.  1: it is to be read; 0: not now (f may be gone); -1. */
static int judge_turn(struct vf_keeper *k, struct vf_file *f, bool *ret_moving,
                      struct vf_error *err)
{
    uint64_t links = 0;
    int rc;

    if (refresh_record(k, f, err) < 0) {
        /* Its turn is not lost.  Without memory even for that, the next scan finds it. */
        if (vf_files_enqueue(k->files, f, VF_QUEUE_READ, k->now_ms, NULL) < 0)
            f->state = VF_FILE_NEW;
        return -1;
    }
    if (!vf_keeper_stat(f, &links))
        return vf_keeper_gone(k, f, HOW_EVENT, err);
    if (f->recorded && !f->rec_moving && vf_ident_same(&f->rec, &f->now)) {
        vf_keeper_content(f, VF_FILE_FRESH);
        return 0;
    }
    if (links > 1 && !k->opts.follow_links)
        return vf_keeper_linked(k, f, links);
    rc = vf_keeper_adopt_any(k, f, err);
    if (rc)
        return rc < 0 ? -1 : 0;
    return judge_writer(k, f, ret_moving, err);
}

static void hold(struct vf_keeper *k, const struct vf_error *why)
{
    if (!*k->hold_why) /* said once, until something goes well again */
        vf_keeper_log(k, VF_LOG_ERR, "waiting: %s", why->msg);
    k->hold_ms = k->now_ms + k->opts.retry_ms;
    (void)snprintf(k->hold_why, sizeof k->hold_why, "%s", why->msg); /* cut is fine */
}

int vf_keeper_take(struct vf_keeper *k, int64_t now_ms, struct vf_job *ret)
{
    struct vf_file *f;

    k->now_ms = now_ms;
    while (now_ms >= k->hold_ms && (f = vf_files_first(k->files, VF_QUEUE_READ)) &&
           f->due_ms <= now_ms) {
        struct vf_error why = VF_ERROR_INIT;
        bool moving = false;
        int rc;

        vf_files_dequeue(k->files, f);
        rc = judge_turn(k, f, &moving, &why);
        if (rc > 0) {
            ret->path = vf_strdup(f->path, &why);
            ret->moving = moving;
            if (ret->path) {
                f->state = VF_FILE_READING;
                f->judged = f->now;
                return 1;
            }
            f->state = VF_FILE_NEW; /* the next scan finds it */
            rc = -1;
        }
        if (rc < 0) {
            hold(k, &why);
            vf_keeper_scan_soon(k, k->opts.retry_ms);
        }
    }
    return 0;
}

/* ---- results ---- */

static int64_t back_off(const struct vf_keeper *k, unsigned tries)
{
    int64_t wait = k->opts.retry_ms;

    while (--tries && wait < VF_RETRY_MAX_MS)
        wait *= 2;
    return wait < VF_RETRY_MAX_MS ? wait : VF_RETRY_MAX_MS;
}

/* The file has changed into something that is no image here: its map is of no more use. */
static void forget_map(struct vf_keeper *k, struct vf_file *f, const struct vf_error *why)
{
    struct vf_error err = VF_ERROR_INIT;

    if (!f->recorded || (why->code != VF_ERR_USAGE && why->code != VF_ERR_UNSUPPORTED &&
                         why->code != VF_ERR_FORMAT))
        return;
    if (k->ops->forget(k->ctx, f->path, &err) < 0) {
        vf_keeper_log(k, VF_LOG_WARNING, "%s: cannot be forgotten: %s", f->path, err.msg);
        return; /* the next scan finds the record again */
    }
    f->recorded = false;
    k->forgotten++;
}

/* It cannot be indexed, or not now. */
static int refused(struct vf_keeper *k, struct vf_file *f, const struct vf_error *why,
                   struct vf_error *err)
{
    bool skip =
        why->code == VF_ERR_USAGE || why->code == VF_ERR_UNSUPPORTED || why->code == VF_ERR_BUSY;

    forget_map(k, f, why);
    f->tries++;
    f->state = skip ? VF_FILE_SKIPPED : VF_FILE_FAILED;
    if (vf_keeper_set_why(f, why->msg)) {
        vf_keeper_log(k, skip ? VF_LOG_INFO : VF_LOG_WARNING, "%s: %s: %s", f->path,
                      skip ? "skipped" : "failed", why->msg);
        k->failures += !skip;
    }
    if (skip && why->code != VF_ERR_BUSY)
        return 0; /* until the file changes */
    return vf_files_enqueue(k->files, f, VF_QUEUE_READ, k->now_ms + back_off(k, f->tries), err);
}

static int failed(struct vf_keeper *k, struct vf_file *f, const struct vf_error *why,
                  struct vf_error *err)
{
    switch (why->code) {
    case VF_ERR_CANCELLED:
        return vf_keeper_queue(k, f, 0, err);
    case VF_ERR_SPACE:
    case VF_ERR_NOMEM:
        hold(k, why);
        return vf_keeper_queue(k, f, 0, err);
    case VF_ERR_CHANGED: /* each time a little more patience */
        f->tries += f->tries < 6;
        f->state = VF_FILE_NEW;
        return vf_keeper_queue(k, f, k->opts.settle_ms << f->tries, err);
    case VF_ERR_NOTFOUND:
        f->state = VF_FILE_NEW;
        return vf_keeper_look_at(k, f, HOW_EVENT, err);
    default:
        return refused(k, f, why, err);
    }
}

void vf_keeper_done(struct vf_keeper *k, const char *path, const struct vf_job_result *r,
                    int64_t now_ms)
{
    struct vf_file *f = vf_files_find(k->files, path);
    struct vf_error err = VF_ERROR_INIT;
    int rc;

    k->now_ms = now_ms;
    if (!f || f->state != VF_FILE_READING)
        return;
    if (r->rc < 0) {
        rc = failed(k, f, &r->err, &err);
    } else {
        f->recorded = true;
        f->rec = r->id;
        f->rec_moving = r->moving;
        f->rec_ms = now_ms;
        vf_keeper_content(f, VF_FILE_NEW);
        k->hold_why[0] = '\0';
        rc = vf_keeper_look_at(k, f, HOW_EVENT, &err);
    }
    if (rc < 0) {
        hold(k, &err);
        vf_keeper_scan_soon(k, k->opts.retry_ms); /* which gives it its turn again */
    }
}
