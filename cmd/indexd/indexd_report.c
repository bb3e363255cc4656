/* cmd/indexd/indexd_report.c - what the service says of itself. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/indexd/indexd.h"
#include "cmd/report.h"
#include "core/clock.h"
#include "service/clock.h"
#include "service/metrics.h"
#include "service/notify.h"

#define LIST_MAX 1000 /* files of one kind in a status */

static json_t *directories(struct vf_indexd *x)
{
    json_t *list = json_array();
    struct vf_keeper_dir d;

    for (size_t i = 0; vf_keeper_dir(vf_daemon_keeper(x->daemon), i, &d); i++) {
        json_t *o = json_pack("{s:o, s:b, s:s, s:I}", "path", vf_json_text(d.path), "there",
                              d.there, "watched", d.watched && !*d.why ? "events" : "polling",
                              "files", (json_int_t)d.files);

        if (o && *d.why)
            json_object_set_new(o, "problem", vf_json_text(d.why));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *reading(struct vf_indexd *x)
{
    json_t *list = json_array();
    struct vf_workers *w = vf_daemon_workers(x->daemon);
    const char *path;
    uint64_t bytes;
    bool moving;

    for (unsigned i = 0; i < VF_WORKERS_MAX; i++)
        if (vf_workers_at(w, i, &path, &moving, &bytes))
            json_array_append_new(list,
                                  json_pack("{s:o, s:b, s:I}", "image", vf_json_text(path),
                                            "moving", moving, "bytes_done", (json_int_t)bytes));
    return list;
}

/* Files of a state; those that failed or were skipped come with the reason. */
static json_t *files_of(struct vf_indexd *x, enum vf_file_state state)
{
    struct vf_keeper *k = vf_daemon_keeper(x->daemon);
    int64_t now = vf_boot_ms();
    json_t *list = json_array();

    for (struct vf_file *f = vf_keeper_next_file(k, NULL); f; f = vf_keeper_next_file(k, f)) {
        json_t *o;

        if (f->state != state || json_array_size(list) == LIST_MAX)
            continue;
        o = json_pack("{s:o}", "image", vf_json_text(f->path));
        if (o && f->why)
            json_object_set_new(o, "message", vf_json_text(f->why));
        if (o && f->tries)
            json_object_set_new(o, "tries", json_integer((json_int_t)f->tries));
        if (o && f->queue == VF_QUEUE_READ)
            json_object_set_new(o, "next_try_seconds",
                                json_real(f->due_ms > now ? (double)(f->due_ms - now) / 1000 : 0));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *counts(const struct vf_keeper_stats *s)
{
    json_t *o = json_pack("{s:I}", "total", (json_int_t)s->files);

    for (int i = 0; i < VF_FILE_STATES && o; i++)
        json_object_set_new(o, vf_file_state_name((enum vf_file_state)i),
                            json_integer((json_int_t)s->state[i]));
    return o;
}

static json_t *paused(const struct vf_keeper_stats *s, const struct vf_pace_state *p)
{
    const char *why = *s->hold_why ? s->hold_why : p->paused;

    return *why ? vf_json_text(why) : json_null();
}

json_t *vf_indexd_status(struct vf_indexd *x)
{
    struct vf_keeper_stats s;
    struct vf_pace_state p;
    int64_t now = vf_boot_ms();
    json_t *o;

    vf_keeper_stats(vf_daemon_keeper(x->daemon), now, &s);
    vf_pace_state(x->pace, &p);
    o = json_pack(
        "{s:b, s:I, s:s, s:o, s:I, s:f, s:o, s:o, s:I, s:o, s:f, s:I, s:I, s:I, s:I, s:I, s:o}",
        "running", true, "pid", (json_int_t)getpid(), "version", VF_VERSION, "store",
        vf_json_text(x->root), "started_at", (json_int_t)x->start_wall, "uptime_seconds",
        vf_clock_now() - x->start, "images", counts(&s), "directories", directories(x), "queue",
        (json_int_t)s.queued, "reading", reading(x), "rate", p.rate, "read_bytes",
        (json_int_t)atomic_load(&x->read_bytes), "indexed", (json_int_t)atomic_load(&x->indexed),
        "renamed", (json_int_t)s.renames, "forgotten", (json_int_t)s.forgotten, "overflows",
        (json_int_t)s.overflows, "paused", paused(&s, &p));
    if (!o)
        return NULL;
    json_object_set_new(o, "paused_seconds", json_real(p.paused_seconds));
    json_object_set_new(o, "pressure",
                        json_pack("{s:i, s:i}", "io_percent", (int)p.io_percent, "cpu_percent",
                                  (int)p.cpu_percent));
    json_object_set_new(
        o, "scan",
        json_pack("{s:I, s:f, s:f, s:f, s:f}", "count", (json_int_t)s.scans, "seconds",
                  s.scan_seconds, "cpu_seconds", s.scan_cpu_seconds, "seconds_ago",
                  (double)(now - s.scan_ms) / 1000, "next_seconds",
                  s.next_scan_ms > now ? (double)(s.next_scan_ms - now) / 1000 : 0.0));
    json_object_set_new(o, "failed", files_of(x, VF_FILE_FAILED));
    json_object_set_new(o, "skipped", files_of(x, VF_FILE_SKIPPED));
    json_object_set_new(o, "moving", files_of(x, VF_FILE_MOVING));
    json_object_set_new(o, "waiting", files_of(x, VF_FILE_WAITING));
    return o;
}

static void measure(struct vf_indexd *x, struct vf_metrics *m)
{
    memset(m, 0, sizeof *m);
    vf_keeper_stats(vf_daemon_keeper(x->daemon), vf_boot_ms(), &m->keeper);
    vf_pace_state(x->pace, &m->pace);
    m->indexed = atomic_load(&x->indexed);
    m->read_bytes = m->pace.bytes; /* also of what is being read */
    m->uptime_seconds = vf_clock_now() - x->start;
    m->reading = vf_workers_busy(vf_daemon_workers(x->daemon));
}

char *vf_indexd_answer(void *ctx, const char *question, const char **ret_type)
{
    struct vf_indexd *x = ctx;
    struct vf_metrics m;
    json_t *status;
    char *text = NULL;

    if (strcmp(question, "metrics") == 0) {
        *ret_type = "text/plain; version=0.0.4; charset=utf-8";
        measure(x, &m);
        return vf_metrics_text(&m);
    }
    if (strcmp(question, "status") == 0) {
        *ret_type = "application/json";
        status = vf_indexd_status(x);
        text = status ? json_dumps(status, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
        json_decref(status);
    }
    return text;
}

static void write_metrics(struct vf_indexd *x, const struct vf_metrics *m)
{
    const char *path = x->store->set.indexd.metrics_file;
    struct vf_error why = VF_ERROR_INIT;
    char *text = path ? vf_metrics_text(m) : NULL;

    if (text && vf_metrics_write(path, text, &why) < 0 && strcmp(x->metrics_why, why.msg) != 0)
        vf_indexd_log(x, VF_LOG_WARNING, why.msg);
    memcpy(x->metrics_why, why.msg, sizeof x->metrics_why);
    free(text);
}

void vf_indexd_tick(void *ctx)
{
    struct vf_indexd *x = ctx;
    struct vf_metrics m;
    char line[400];
    const char *why;

    measure(x, &m);
    write_metrics(x, &m);
    why = *m.keeper.hold_why ? m.keeper.hold_why : m.pace.paused;
    snprintf(line, sizeof line, "%zu images, %zu fresh, %zu waiting, %u being read%s%.200s",
             m.keeper.files, m.keeper.state[VF_FILE_FRESH], m.keeper.queued, m.reading,
             *why ? "; paused: " : "", why);
    vf_notify_status(line);
}
