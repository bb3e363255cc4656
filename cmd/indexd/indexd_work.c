/* cmd/indexd/indexd_work.c - the service's hands: index, files, libvirt, log. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/indexd/indexd.h"
#include "cmd/marker.h"
#include "cmd/origin.h"
#include "cmd/readguest.h"
#include "cmd/report.h"
#include "core/checked.h"
#include "core/engine/rescan.h"
#include "core/fdio.h"
#include "formats/format.h"
#include "hypervisor/pools.h"
#include "service/paced.h"

void vf_indexd_log(void *ctx, enum vf_log_level level, const char *text)
{
    const struct vf_indexd *x = ctx;

    if ((level >= VF_LOG_INFO && x->cli->quiet) || (level >= VF_LOG_DEBUG && !x->cli->verbose))
        return;
    if (x->journal)
        fprintf(stderr, "<%d>", (int)level);
    vf_put_clean(stderr, text);
    fputc('\n', stderr);
}

/* ---- records ---- */

#define AHEAD   60 /* seconds that a clock may be wrong without harm */
#define AGE_MAX ((int64_t)100 * 365 * 24 * 3600) /* seconds */

static struct vf_ident ident_of(const struct vf_image_stat *st)
{
    return (struct vf_ident){st->dev, st->ino, st->size, st->mtime_ns, st->ctime_ns};
}

static struct vf_keeper_record record_of(const struct vf_image_record *rec, const char *path)
{
    int64_t age = (int64_t)time(NULL) - rec->indexed_at;

    /* Clocks get set.  A time that is still to come says nothing: that would be young for ever. */
    if (age < -AHEAD || age > AGE_MAX)
        age = AGE_MAX;
    return (struct vf_keeper_record){.path = path,
                                     .id = ident_of(&rec->st),
                                     .moving = rec->state == VF_IMAGE_MOVING,
                                     .age_ms = age > 0 ? age * 1000 : 0};
}

struct each {
    struct vf_indexd *x;
    vf_keeper_record_fn *fn;
    void *ctx;
};

static int each_record(void *ctx, const struct vf_image_record *rec, struct vf_error *err)
{
    struct each *e = ctx;
    struct vf_keeper_record r;
    char *path;
    int rc;

    /* What serve has left, and what is no file whose state can be known. */
    if (rec->state == VF_IMAGE_PARTIAL || !rec->st.regular)
        return 0;
    path = rec->path[0] == '/' ? vf_strdup(rec->path, err)
                               : vf_strf(err, "%s/%s", e->x->root, rec->path);
    if (!path)
        return -1;
    r = record_of(rec, path);
    rc = e->fn(e->ctx, &r, err);
    free(path);
    return rc;
}

static int op_records(void *ctx, vf_keeper_record_fn *fn, void *fn_ctx, struct vf_error *err)
{
    struct each e = {ctx, fn, fn_ctx};

    return vf_index_each(e.x->index, each_record, &e, err);
}

static int op_record(void *ctx, const char *path, struct vf_keeper_record *ret,
                     struct vf_error *err)
{
    struct vf_indexd *x = ctx;
    struct vf_image_record rec = {0};
    int found = vf_index_get(x->index, path, &rec, err);

    if (found == VF_FOUND && (rec.state == VF_IMAGE_PARTIAL || !rec.st.regular))
        found = VF_ABSENT;
    if (found == VF_FOUND)
        *ret = record_of(&rec, NULL);
    vf_image_record_clear(&rec);
    return found;
}

static int op_rename(void *ctx, const char *from, const char *to, struct vf_error *err)
{
    struct vf_indexd *x = ctx;
    struct vf_image_record rec = {0};
    struct vf_image_stat now;
    struct vf_ident a, b;
    char *old = NULL;
    int rc = vf_index_get(x->index, from, &rec, err);

    if (rc == VF_ABSENT)
        rc = vf_error_set(err, VF_ERR_NOTFOUND, 0, "'%s' is not in the index", from);
    if (rc < 0 || vf_index_stat(x->index, to, &now, err) < 0) {
        vf_image_record_clear(&rec);
        return -1;
    }
    a = ident_of(&rec.st);
    b = ident_of(&now);
    old = rec.path;
    rec.path = vf_strdup(to, err);
    rec.st = now;
    if (!rec.path)
        rc = -1;
    else if (!now.regular || !vf_ident_renamed(&a, &b))
        rc = vf_error_set(err, VF_ERR_CHANGED, 0, "'%s' is another file", to);
    else
        rc = vf_index_update(x->index, from, &rec, err);
    free(old);
    vf_image_record_clear(&rec);
    return rc;
}

static int op_forget(void *ctx, const char *path, struct vf_error *err)
{
    struct vf_indexd *x = ctx;

    return vf_index_remove(x->index, path, err) < 0 ? -1 : 0;
}

/* ---- who writes? ---- */

/* A read lease is granted only while nobody has the file open for writing.  It is given back at
 * once, before anybody could have to wait for it. */
static enum vf_writer op_writer(void *ctx, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    enum vf_writer who = VF_WRITER_NONE;

    (void)ctx;
    if (fd < 0)
        return who; /* reading will say why */
    if (vf_format_busy(fd))
        who = VF_WRITER_GUEST;
    else if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
        (void)fcntl(fd, F_SETLEASE, F_UNLCK); /* goes with fd, too */
    else if (errno == EAGAIN)
        who = VF_WRITER_OTHER;
    vf_close_fd(&fd);
    return who;
}

/* ---- storage pools ---- */

struct pools {
    vf_keeper_dir_fn *fn;
    void *ctx;
};

static int each_pool(void *ctx, const char *dir, struct vf_error *err)
{
    struct pools *p = ctx;

    return p->fn(p->ctx, dir, err);
}

static int op_pools(void *ctx, vf_keeper_dir_fn *fn, void *fn_ctx, struct vf_error *err)
{
    struct vf_indexd *x = ctx;
    struct pools p = {fn, fn_ctx};

    return x->store->set.indexd.libvirt_pools ? vf_pools_each(each_pool, &p, err) : 0;
}

const struct vf_keeper_ops vf_indexd_keeper_ops = {
    .records = op_records,
    .record = op_record,
    .rename = op_rename,
    .forget = op_forget,
    .writer = op_writer,
    .pools = op_pools,
    .log = vf_indexd_log,
};

/* ---- reading; in a worker ---- */

#define DEPENDS "it depends on other files, and blocks are not taken from such images"

struct busy {
    struct vf_indexd *x;
    bool live;                 /* somebody writes it, and it is read all the same */
    struct vf_view_opts views; /* owned */
    bool tracked;              /* by checkpoints: */
    int64_t time; /* of this reading; its mark is named after that, and so is the map */
    char *prefix, *since, *mark;
    struct vf_readguest_track track; /* of these three */
    struct vf_image *image;          /* borrowed: the guest's */
};

/* Where views come from.  The main thread may read the settings anew meanwhile. */
static int take_views(struct busy *b, struct vf_error *err)
{
    struct vf_indexd *x = b->x;
    bool allowed;
    int rc;

    pthread_mutex_lock(&x->lock);
    rc = vf_view_opts_copy(&x->views, &b->views, err);
    b->tracked = x->checkpoints;
    allowed = x->read_guests;
    pthread_mutex_unlock(&x->lock);
    if (rc == 0 && !allowed)
        rc = vf_error_set(err, VF_ERR_BUSY, 0,
                          "a running guest writes it, and read-guests is not set");
    return rc;
}

/* The mark of a reading is named after the store, the file and the time that its map will carry: so
 * the map that the index has says which mark is its own. */
static int name_marks(struct busy *b, const char *path, const struct vf_image_desc *desc,
                      struct vf_error *err)
{
    uint8_t id[VF_STORE_ID_LEN];
    struct vf_image_record rec = {0};
    int found = vf_index_get(b->x->index, path, &rec, err);

    if (found < 0 || vf_index_id(b->x->index, id, err) < 0) {
        vf_image_record_clear(&rec);
        return -1;
    }
    b->time = (int64_t)time(NULL);
    if (found == VF_FOUND && b->time == rec.indexed_at)
        b->time++; /* twice in a second */
    b->prefix = vf_strf(err, VF_VIEW_MARK "%02x%02x%02x%02x-%" PRIx64 "-", id[0], id[1], id[2],
                        id[3], desc->file.ino);
    if (b->prefix)
        b->mark = vf_strf(err, "%s%" PRId64, b->prefix, b->time);
    if (b->mark && found == VF_FOUND && rec.state == VF_IMAGE_MOVING &&
        strcmp(rec.format, desc->format) == 0 && rec.st.ino == desc->file.ino &&
        rec.info.size == desc->virtual_size)
        b->since = vf_strf(err, "%s%" PRId64, b->prefix, rec.indexed_at);
    vf_image_record_clear(&rec);
    b->track = (struct vf_readguest_track){.prefix = b->prefix, .since = b->since, .mark = b->mark};
    return b->mark ? 0 : -1;
}

/* A raw image is read directly, since every block lies where it always lies; others through the
 * guest's hypervisor. */
static struct vf_image *open_busy(void *ctx, const char *path, const struct vf_image_desc *desc,
                                  struct vf_error *err)
{
    struct vf_open_opts opts = {.format = "raw", .allow_busy = true};
    struct busy *b = ctx;

    if (desc->files > 1) {
        (void)vf_error_set(err, VF_ERR_UNSUPPORTED, 0, DEPENDS); /* the NULL says it */
        return NULL;
    }
    b->live = true;
    if (strcmp(desc->format, "raw") == 0)
        return vf_format_open(AT_FDCWD, path, &opts, NULL, err);
    if (take_views(b, err) < 0 || (b->tracked && name_marks(b, path, desc, err) < 0))
        return NULL;
    b->image = vf_readguest_open(&b->views, path, desc->format, b->tracked ? &b->track : NULL, err);
    return b->image;
}

static int open_image(struct vf_indexd *x, const struct vf_job *job, struct busy *b,
                      struct vf_origin *ret, struct vf_error *err)
{
    struct vf_origin_opts opts = {.open_busy = open_busy, .busy_ctx = b};

    b->x = x;
    return vf_origin_open(x->index, job->path, &opts, ret, err);
}

static int check_image(const struct vf_origin *o, const struct vf_job *job, bool live,
                       struct vf_error *err)
{
    if (strcmp(o->path, job->path) != 0)
        return vf_error_set(err, VF_ERR_CHANGED, 0, "it is a symbolic link now");
    if (o->desc.files > 1)
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0, DEPENDS);
    if (job->moving && !live && strcmp(o->desc.format, "raw") != 0)
        return vf_error_set(err, VF_ERR_BUSY, 0,
                            "a process writes it, and %s cannot be read meanwhile", o->desc.format);
    return 0;
}

/* An image that is new here gets the group of the settings. */
static int set_group(struct vf_indexd *x, struct vf_origin *o, struct vf_error *err)
{
    char *group;

    if (o->known)
        return 0;
    pthread_mutex_lock(&x->lock);
    group = vf_strdup(x->group ? x->group : "", err);
    pthread_mutex_unlock(&x->lock);
    if (!group)
        return -1;
    free(o->rec.group);
    o->rec.group = group;
    return 0;
}

/* The new map from the old one and what changed. */
static int read_changed(struct vf_indexd *x, struct vf_origin *o, const struct busy *b,
                        const struct vf_send_opts *opts, struct vf_error *err)
{
    struct vf_map *old = vf_index_map(x->index, o->path, err);
    struct vf_map_sink *sink = old ? vf_origin_sink(x->index, o, err) : NULL;
    int rc = -1;

    if (sink)
        rc = vf_index_changed(o->image, old, b->track.changed, b->track.n, sink, opts, NULL, NULL,
                              err);
    if (old)
        old->ops->close(old);
    return rc;
}

static int read_image(struct vf_indexd *x, struct vf_origin *o, const struct busy *b, bool moving,
                      _Atomic uint64_t *progress, struct vf_error *err)
{
    struct vf_send_opts opts = {.workers = 1, .stop = &x->stop};
    int rc;

    o->rec.state = moving ? VF_IMAGE_MOVING : VF_IMAGE_COMPLETE;
    if (b->tracked)
        o->rec.indexed_at = b->time;
    o->image = vf_paced_new(o->image, x->pace, o->path, progress, err); /* NULL: it is closed */
    if (!o->image || set_group(x, o, err) < 0)
        return -1;
    rc = b->track.known ? read_changed(x, o, b, &opts, err)
                        : vf_origin_scan(x->index, o, &opts, err);
    if (b->tracked && b->image)
        vf_readguest_settle(b->image, &b->track, rc == 0);
    atomic_fetch_add(&x->read_bytes, atomic_load(progress));
    if (rc == 0)
        atomic_fetch_add(&x->indexed, 1);
    return rc;
}

void vf_indexd_work(void *ctx, const struct vf_job *job, _Atomic uint64_t *progress,
                    struct vf_job_result *ret)
{
    struct vf_indexd *x = ctx;
    struct vf_origin o = {0};
    struct busy b = {0};
    struct vf_job_result r = {.rc = -1};

    r.rc = open_image(x, job, &b, &o, &r.err);
    r.moving = job->moving || b.live;
    if (r.rc == 0)
        r.rc = check_image(&o, job, b.live, &r.err);
    if (r.rc == 0 && (r.moving || !o.map)) /* else another process has indexed it */
        r.rc = read_image(x, &o, &b, r.moving, progress, &r.err);
    r.id = ident_of(&o.rec.st);
    vf_origin_close(&o);
    vf_readguest_track_free(&b.track);
    free(b.prefix);
    free(b.since);
    free(b.mark);
    vf_view_opts_free(&b.views);
    *ret = r;
}
