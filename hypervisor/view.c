/* hypervisor/view.c - what views of both kinds have in common. */
#include "hypervisor/view.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "core/rundir.h"
#include "core/thread.h"
#include "hypervisor/view_impl.h"

#define LOCK_MS 5000 /* for another process of ours to end its view */

/* ---- settings ---- */

int vf_view_opts_copy(const struct vf_view_opts *from, struct vf_view_opts *ret,
                      struct vf_error *err)
{
    *ret = (struct vf_view_opts){.no_libvirt = from->no_libvirt};
    if (from->uri && !(ret->uri = vf_strdup(from->uri, err)))
        return -1;
    if (from->scratch && !(ret->scratch = vf_strdup(from->scratch, err)))
        return -1;
    if (!from->nqmp)
        return 0;
    ret->qmp = vf_calloc(from->nqmp, sizeof *ret->qmp, err);
    if (!ret->qmp)
        return -1;
    for (; ret->nqmp < from->nqmp; ret->nqmp++)
        if (!(ret->qmp[ret->nqmp] = vf_strdup(from->qmp[ret->nqmp], err)))
            return -1;
    return 0;
}

void vf_view_opts_free(struct vf_view_opts *o)
{
    for (size_t i = 0; i < o->nqmp; i++)
        free(o->qmp[i]);
    free(o->qmp);
    free((void *)(uintptr_t)o->uri); /* ours; const for those who only lend them */
    free((void *)(uintptr_t)o->scratch);
    memset(o, 0, sizeof *o);
}

/* ---- disks ---- */

void vf_view_disk_free(struct vf_view_disk *d)
{
    free(d->guest);
    free(d->uuid);
    free(d->target);
    free(d->path);
    free(d->format);
    free(d->qmp);
    memset(d, 0, sizeof *d);
}

int vf_view_list_grow(struct vf_view_list *l, size_t n, struct vf_error *err)
{
    struct vf_view_disk *more =
        n ? reallocarray(l->disk, l->n + n, sizeof(struct vf_view_disk)) : l->disk;

    if (n && !more)
        return vf_error_nomem(err);
    l->disk = more;
    return 0;
}

int vf_view_list(const struct vf_view_opts *o, struct vf_view_list *ret, struct vf_error *err)
{
    struct vf_view_list l = {0};

    if (vf_lv_view_list(o, &l, err) < 0 || vf_qmp_view_list(o, &l, err) < 0) {
        vf_view_list_free(&l);
        return -1;
    }
    *ret = l;
    return 0;
}

void vf_view_list_free(struct vf_view_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        vf_view_disk_free(&l->disk[i]);
    free(l->disk);
    memset(l, 0, sizeof *l);
}

const struct vf_view_disk *vf_view_find(const struct vf_view_list *l, const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return NULL;
    for (size_t i = 0; i < l->n; i++)
        if (l->disk[i].dev == (uint64_t)st.st_dev && l->disk[i].ino == (uint64_t)st.st_ino)
            return &l->disk[i];
    return NULL;
}

/* ---- one at a time ---- */

int vf_view_lock(const char *uuid, struct vf_error *err)
{
    int dir = vf_rundir_open(err), lock;
    char *name;

    if (dir < 0)
        return -1;
    name = vf_strf(err, "guest-%s", uuid);
    lock = name ? vf_rundir_lock(dir, name, false, err) : -1;
    free(name);
    vf_close_fd(&dir);
    return lock;
}

/* The same; who holds it lets go when it sees that a migration begins. */
static int wait_for_guest(const char *uuid, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;
    int lock = vf_view_lock(uuid, &why);

    for (int ms = 0; lock < 0 && why.code == VF_ERR_BUSY && ms < LOCK_MS; ms += 50) {
        vf_thread_nap(50);
        lock = vf_view_lock(uuid, &why);
    }
    if (lock < 0)
        (void)vf_error_pass(err, &why); /* lock says it */
    return lock;
}

/* ---- views ---- */

struct vf_view *vf_view_begin(const struct vf_view_opts *o, const struct vf_view_disk *disk,
                              const struct vf_view_track *track, struct vf_error *err)
{
    int lock = wait_for_guest(disk->uuid, err);

    if (lock < 0)
        return NULL;
    if (!disk->qmp)
        return vf_lv_view_begin(o, disk, track, lock, err);
    if (!track || (!track->since && !track->mark))
        return vf_qmp_view_begin(disk, lock, err);
    vf_close_fd(&lock);
    (void)vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "no marks over QMP"); /* the NULL says it */
    return NULL;
}

const char *vf_view_socket(const struct vf_view *v) { return v->socket; }
bool vf_view_costly(const struct vf_view *v) { return v->costly && v->costly(v); }

void vf_view_end(struct vf_view *v)
{
    if (!v)
        return;
    v->end(v);
    vf_close_fd(&v->lock);
    free(v->socket);
    free(v);
}

int vf_views_clean(const struct vf_view_opts *o, unsigned *ret_ended, struct vf_error *err)
{
    int rc;

    *ret_ended = 0;
    rc = vf_lv_views_clean(o, ret_ended, err);
    vf_qmp_views_clean(o, ret_ended);
    return rc;
}
