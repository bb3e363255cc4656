#include "cmd/readguest.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/clock.h"
#include "core/fdio.h"
#include "core/thread.h"
#include "formats/format.h"
#include "formats/nbd.h"

#define LOOK_MS 100 /* between looks at what a view costs */
#define CONNS   2

struct guest_image {
    struct vf_image base;
    const struct vf_view_opts *opts;
    struct vf_view_disk disk;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t moved;
    struct vf_view *view; /* NULL: none just now */
    struct vf_image *nbd; /* with view */
    unsigned users;       /* calls that are reading from nbd */
    bool broken;          /* a read failed: the next one wants another view */
    bool closing;
    int64_t begun_ms, used_ms, ended_ms;
    bool watching;
    pthread_t watcher;
};

static struct guest_image *of(struct vf_image *im) { return (struct guest_image *)im; }

/* ---- views come and go; with the lock held ---- */

static void end_view(struct guest_image *g)
{
    vf_image_close(g->nbd);
    vf_view_end(g->view);
    g->nbd = NULL;
    g->view = NULL;
    g->broken = false;
    g->ended_ms = vf_clock_ms();
}

/* Another view, with or without marks. */
static int try_view(struct guest_image *g, const struct vf_view_track *track, struct vf_error *err)
{
    g->view = vf_view_begin(g->opts, &g->disk, track, err);
    if (g->view)
        g->nbd = vf_nbd_connect(vf_view_socket(g->view), VF_VIEW_EXPORT, false, CONNS, err);
    if (!g->nbd) {
        end_view(g);
        return -1;
    }
    g->begun_ms = g->used_ms = vf_clock_ms();
    if (!g->base.size)
        g->base.size = g->nbd->size;
    if (g->nbd->size == g->base.size)
        return 0;
    end_view(g);
    return vf_error_set(err, VF_ERR_CHANGED, 0, "the disk has got another size");
}

static int begin_view(struct guest_image *g, struct vf_error *err)
{
    if (g->ended_ms)
        vf_thread_nap(g->ended_ms + VF_READGUEST_GAP_MS - vf_clock_ms());
    return try_view(g, NULL, err);
}

static bool is_over(const struct guest_image *g)
{
    int64_t now = vf_clock_ms();

    return now - g->begun_ms > VF_READGUEST_HOLD_MS ||
           (g->users == 0 && now - g->used_ms > VF_READGUEST_IDLE_MS) || vf_view_costly(g->view);
}

/* Closes views in time, whatever readers do. */
static void *watch(void *arg)
{
    struct guest_image *g = arg;

    pthread_mutex_lock(&g->lock);
    while (!g->closing) {
        if (g->view && !g->broken && is_over(g))
            g->broken = true; /* nobody else begins with it */
        if (g->view && g->broken && g->users == 0)
            end_view(g);
        (void)vf_thread_wait(&g->moved, &g->lock, LOOK_MS); /* the loop looks again anyway */
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

/* ---- reading ---- */

static int enter(struct guest_image *g, struct vf_error *err)
{
    int rc = 0;

    pthread_mutex_lock(&g->lock);
    while (g->broken && g->users)
        pthread_cond_wait(&g->moved, &g->lock);
    if (g->broken)
        end_view(g);
    if (!g->view)
        rc = begin_view(g, err);
    g->users += rc == 0;
    pthread_mutex_unlock(&g->lock);
    return rc;
}

static void leave(struct guest_image *g, bool failed)
{
    pthread_mutex_lock(&g->lock);
    g->users--;
    g->used_ms = vf_clock_ms();
    g->broken |= failed;
    pthread_cond_broadcast(&g->moved);
    pthread_mutex_unlock(&g->lock);
}

/* Somebody may end the view (an administrator, the end of the guest): tried once more. */
static int guest_read(struct vf_image *im, void *buf, size_t len, uint64_t off,
                      struct vf_error *err)
{
    struct guest_image *g = of(im);
    int rc = -1;

    for (int i = 0; i < 2 && rc < 0; i++) {
        if (enter(g, err) < 0)
            return -1;
        rc = vf_image_read(g->nbd, buf, len, off, err);
        leave(g, rc < 0);
    }
    return rc;
}

static int guest_extent(struct vf_image *im, uint64_t off, struct vf_extent *ret,
                        struct vf_error *err)
{
    struct guest_image *g = of(im);
    int rc = -1;

    for (int i = 0; i < 2 && rc < 0; i++) {
        if (enter(g, err) < 0)
            return -1;
        rc = vf_image_next_extent(g->nbd, off, ret, err);
        leave(g, rc < 0);
    }
    return rc;
}

static void guest_close(struct vf_image *im)
{
    struct guest_image *g = of(im);

    pthread_mutex_lock(&g->lock);
    g->closing = true;
    pthread_cond_broadcast(&g->moved);
    pthread_mutex_unlock(&g->lock);
    if (g->watching)
        pthread_join(g->watcher, NULL);
    end_view(g);
    vf_view_disk_free(&g->disk);
    pthread_cond_destroy(&g->moved);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

static const struct vf_image_ops guest_ops = {
    .name = "guest",
    .read = guest_read,
    .next_extent = guest_extent,
    .close = guest_close,
};

/* ---- opening ---- */

bool vf_readguest_opts(const struct vf_settings *set, struct vf_view_opts *ret)
{
    *ret = (struct vf_view_opts){.uri = set->libvirt_uri,
                                 .scratch = set->libvirt_scratch,
                                 .no_libvirt = !set->libvirt_read,
                                 .qmp = set->indexd.qmp.item,
                                 .nqmp = set->indexd.qmp.n};
    return set->libvirt_read || set->indexd.qmp.n;
}

/* Takes the disk of that file out of the list. */
static int take_disk(struct vf_view_list *l, const char *path, const char *format,
                     struct vf_view_disk *ret, struct vf_error *err)
{
    const struct vf_view_disk *d = vf_view_find(l, path);

    if (!d)
        return vf_error_set(
            err, VF_ERR_BUSY, 0,
            "a running guest writes it, and no hypervisor that can be asked has it");
    if (strcmp(d->format, format) != 0)
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                            "a running guest uses it as '%.16s', which it does not look like",
                            d->format);
    *ret = *d;
    l->disk[d - l->disk] = (struct vf_view_disk){0};
    return 0;
}

static int start_watcher(struct guest_image *g, struct vf_error *err)
{
    if (vf_thread_start(&g->watcher, watch, g, err) < 0)
        return -1;
    g->watching = true;
    return 0;
}

/* ---- what has changed ---- */

void vf_readguest_track_free(struct vf_readguest_track *t)
{
    free(t->changed);
    t->changed = NULL;
    t->n = 0;
}

/* One more piece; pieces that touch become one. */
static int note_change(void *ctx, uint64_t off, uint64_t len, struct vf_error *err)
{
    struct vf_readguest_track *t = ctx;
    struct vf_run r = {off / VF_BLOCK, vf_blocks_of(off + len) - off / VF_BLOCK};
    struct vf_run *last = t->n ? &t->changed[t->n - 1] : NULL;

    if (last && last->first + last->n >= r.first) {
        last->n = r.first + r.n - last->first;
        return 0;
    }
    if (t->n == VF_READGUEST_RUNS)
        return vf_error_set(err, VF_ERR_RANGE, 0, "too many changes");
    if ((t->n & (t->n - 1)) == 0) { /* full at the powers of two */
        last = realloc(t->changed, (t->n ? 2 * t->n : 1) * sizeof(struct vf_run));
        if (!last)
            return vf_error_nomem(err);
        t->changed = last;
    }
    t->changed[t->n++] = r;
    return 0;
}

/* The first view of a reading: with what changed, if that can be had, and with a new mark. */
static int begin_first(struct guest_image *g, struct vf_readguest_track *t, struct vf_error *err)
{
    struct vf_view_track both = {t->since, t->mark}, mark = {NULL, t->mark};
    struct vf_error why = VF_ERROR_INIT;
    int rc = t->since ? try_view(g, &both, &why) : -1;

    t->marked = rc == 0;
    if (rc == 0) {
        t->known = vf_nbd_dirty(vf_view_socket(g->view), VF_VIEW_EXPORT, VF_VIEW_BITMAP,
                                note_change, t, &why) == 0;
        if (!t->known)
            vf_readguest_track_free(t);
        return 0;
    }
    if (why.code != VF_ERR_BUSY) /* the old mark is gone, or damaged: then everything is read */
        rc = try_view(g, &mark, &why);
    t->marked = rc == 0;
    if (rc < 0 && why.code != VF_ERR_BUSY && why.code != VF_ERR_CHANGED)
        rc = try_view(g, NULL, &why); /* no marks in this format */
    if (rc < 0)
        (void)vf_error_pass(err, &why); /* rc says it */
    return rc;
}

void vf_readguest_settle(struct vf_image *im, const struct vf_readguest_track *t, bool done)
{
    struct guest_image *g = of(im);

    if (!t->marked)
        return;
    pthread_mutex_lock(&g->lock);
    while (g->users)
        pthread_cond_wait(&g->moved, &g->lock);
    end_view(g); /* libvirt removes none while one is used */
    pthread_mutex_unlock(&g->lock);
    (void)vf_view_forget(g->opts, &g->disk, done ? t->prefix : t->mark, done ? t->mark : NULL,
                         NULL); /* what is left goes next time */
}

struct vf_image *vf_readguest_open(const struct vf_view_opts *opts, const char *path,
                                   const char *format, struct vf_readguest_track *track,
                                   struct vf_error *err)
{
    struct guest_image *g = vf_calloc(1, sizeof *g, err);
    struct vf_view_list guests = {0};

    if (!g)
        return NULL;
    g->base.ops = &guest_ops;
    g->opts = opts;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->moved, NULL);
    if (vf_view_list(opts, &guests, err) < 0 ||
        take_disk(&guests, path, format, &g->disk, err) < 0 ||
        (track ? begin_first(g, track, err) : begin_view(g, err)) < 0 ||
        start_watcher(g, err) < 0) {
        guest_close(&g->base);
        g = NULL;
    }
    vf_view_list_free(&guests);
    return g ? &g->base : NULL;
}

/* ---- what can be read ---- */

void vf_readable_free(struct vf_readable *r)
{
    vf_view_list_free(&r->guests);
    memset(r, 0, sizeof *r);
}

bool vf_readable_is(struct vf_readable *r, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool busy = fd >= 0 && vf_format_busy(fd);

    if (fd < 0)
        return false;
    vf_close_fd(&fd);
    if (!busy || !r->opts)
        return !busy;
    if (!r->asked && vf_view_list(r->opts, &r->guests, NULL) < 0)
        r->guests = (struct vf_view_list){0}; /* as if there were none */
    r->asked = true;
    return vf_view_find(&r->guests, path) != NULL;
}
