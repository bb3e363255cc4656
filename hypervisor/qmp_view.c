/* hypervisor/qmp_view.c - views of disks of a QEMU that is spoken to over its QMP socket: an export
 * of its own node, for reading only.
 *
 * What it shows goes on changing while it is read, and costs the guest nothing but the reads.  The
 * socket is held as long as the view: QEMU speaks with one client at a time, so `migrate --vm`
 * waits for the end of the view. */
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "core/thread.h"
#include "hypervisor/qmp_exports.h"
#include "hypervisor/view_impl.h"

#define OPEN_MS 3000 /* for a greeting: who has the socket is soon through */
#define EXPORT  VF_VIEW_NAME "1"
#define SUFFIX  ".vmferry" /* of our socket, beside QEMU's own */

struct qmp_view {
    struct vf_view base; /* first */
    struct vf_qmp *q;
    bool listening, exported;
};

/* ---- which disks ---- */

static int add_disk(const json_t *dev, const char *path, const char *uuid, struct vf_view_list *l,
                    struct vf_error *err)
{
    const json_t *in = json_object_get(dev, "inserted");
    const char *file = vf_qmp_text(in, "file"), *node = vf_qmp_text(in, "node-name");
    struct vf_view_disk *d;
    struct stat st;

    if (*file != '/' || !*node || stat(file, &st) < 0)
        return 0;
    if (vf_view_list_grow(l, 1, err) < 0)
        return -1;
    d = &l->disk[l->n];
    *d = (struct vf_view_disk){.guest = vf_strdup(path, err),
                               .uuid = vf_strdup(uuid, err),
                               .target = vf_strdup(node, err),
                               .path = vf_strdup(file, err),
                               .format = vf_strdup(vf_qmp_text(in, "drv"), err),
                               .qmp = vf_strdup(path, err),
                               .dev = (uint64_t)st.st_dev,
                               .ino = (uint64_t)st.st_ino};
    l->n++;
    return d->guest && d->uuid && d->target && d->path && d->format && d->qmp ? 0 : -1;
}

/* What stands for the guest in the name of its lock: its number, or (there are QEMUs without one)
 * the file that its socket is. */
static char *identity(struct vf_qmp *q, const char *path, struct vf_error *err)
{
    json_t *answer = NULL;
    const char *uuid;
    struct stat st;
    char *ret = NULL;

    if (vf_qmp_call(q, "query-uuid", NULL, &answer, err) < 0)
        return NULL;
    uuid = vf_qmp_text(answer, "UUID");
    if (strspn(uuid, "0-") != strlen(uuid) && !strchr(uuid, '/'))
        ret = vf_strdup(uuid, err);
    else if (stat(path, &st) == 0)
        ret = vf_strf(err, "qmp-%llx-%llx", (unsigned long long)st.st_dev,
                      (unsigned long long)st.st_ino);
    json_decref(answer);
    return ret;
}

/* Only memory fails: a socket that does not answer is left out. */
static int list_one(const char *path, struct vf_view_list *l, struct vf_error *err)
{
    struct vf_qmp *q = vf_qmp_open(path, OPEN_MS, NULL, NULL);
    char *uuid = q ? identity(q, path, NULL) : NULL;
    json_t *devs = NULL;
    const json_t *dev;
    size_t i;
    int rc = 0;

    if (uuid && vf_qmp_call(q, "query-block", NULL, &devs, NULL) == 0)
        json_array_foreach(devs, i, dev) if (rc == 0) rc = add_disk(dev, path, uuid, l, err);
    json_decref(devs);
    free(uuid);
    vf_qmp_close(q);
    return rc;
}

/* The sockets that the patterns find; *ret is to be given back to globfree. */
static void find_sockets(const struct vf_view_opts *o, glob_t *ret)
{
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < o->nqmp; i++)
        (void)glob(o->qmp[i], i ? GLOB_APPEND : 0, NULL, ret); /* none is no failure */
}

int vf_qmp_view_list(const struct vf_view_opts *o, struct vf_view_list *l, struct vf_error *err)
{
    glob_t found;
    int rc = 0;

    find_sockets(o, &found);
    for (size_t i = 0; i < found.gl_pathc && rc == 0; i++)
        rc = list_one(found.gl_pathv[i], l, err);
    globfree(&found);
    return rc;
}

/* ---- exports ---- */

/* How many there are, and how many of them are ours; -1. */
static int count_exports(struct vf_qmp *q, size_t *ret_all, size_t *ret_ours, struct vf_error *err)
{
    json_t *list = NULL;
    const json_t *e;
    size_t i;

    *ret_all = *ret_ours = 0;
    if (vf_qmp_call(q, "query-block-exports", NULL, &list, err) < 0)
        return -1;
    json_array_foreach(list, i, e)
    {
        (*ret_all)++;
        *ret_ours += strcmp(vf_qmp_text(e, "id"), EXPORT) == 0;
    }
    json_decref(list);
    return 0;
}

static void remove_export(struct vf_qmp *q)
{
    if (vf_qmp_callf(q, NULL, NULL, "block-export-del", "{s:s, s:s}", "id", EXPORT, "mode",
                     "hard") < 0)
        return; /* it has gone, or QEMU has */
    for (int ms = 0; ms < 2000; ms += 20) {
        size_t all, ours;

        if (count_exports(q, &all, &ours, NULL) < 0 || !ours)
            return;
        vf_thread_nap(20);
    }
}

/* What a dead process has left is removed: we hold the lock.  1: it was, 0: nothing, -1: BUSY when
 * others export something. */
static int clean_exports(struct vf_qmp *q, const char *socket, struct vf_error *err)
{
    size_t all, ours;

    if (count_exports(q, &all, &ours, err) < 0)
        return -1;
    if (ours) {
        remove_export(q);
        if (all == ours)
            (void)vf_qmp_call(q, "nbd-server-stop", NULL, NULL, NULL);
        (void)unlink(socket); /* usually QEMU has done that */
    }
    if (all > ours)
        return vf_error_set(err, VF_ERR_BUSY, 0, "its QEMU exports disks for somebody else");
    return ours > 0;
}

/* ---- views ---- */

static void end(struct vf_view *base)
{
    struct qmp_view *v = (struct qmp_view *)base;

    if (v->exported)
        remove_export(v->q);
    if (v->listening) {
        (void)vf_qmp_call(v->q, "nbd-server-stop", NULL, NULL, NULL); /* QEMU may have ended */
        (void)unlink(v->base.socket); /* usually QEMU has done that */
    }
    vf_qmp_close(v->q);
}

/* The node has the file still. */
static int check_node(struct vf_qmp *q, const struct vf_view_disk *disk, struct vf_error *err)
{
    struct vf_view_list now = {0};
    const struct vf_view_disk *d;
    json_t *devs = NULL;
    const json_t *dev;
    size_t i;
    int rc = vf_qmp_call(q, "query-block", NULL, &devs, err);

    json_array_foreach(devs, i, dev) if (rc == 0) rc =
        add_disk(dev, disk->qmp, disk->uuid, &now, err);
    json_decref(devs);
    d = rc == 0 ? vf_view_find(&now, disk->path) : NULL;
    if (rc == 0 && (!d || strcmp(d->target, disk->target) != 0))
        rc = vf_error_set(err, VF_ERR_CHANGED, 0, "the guest has it no more");
    vf_view_list_free(&now);
    return rc;
}

static int begin(struct qmp_view *v, const struct vf_view_disk *disk, struct vf_error *err)
{
    v->base.socket = vf_strf(err, "%s" SUFFIX, disk->qmp);
    v->q = v->base.socket ? vf_qmp_open(disk->qmp, OPEN_MS, NULL, err) : NULL;
    if (!v->q || vf_qmp_exports_check(v->q, err) < 0 || check_node(v->q, disk, err) < 0 ||
        clean_exports(v->q, v->base.socket, err) < 0)
        return -1;
    if (vf_qmp_exports_listen(v->q, v->base.socket, err) < 0) {
        if (err && err->code == VF_ERR_IO)
            err->code = VF_ERR_BUSY; /* somebody else's runs */
        return -1;
    }
    v->listening = true;
    if (vf_qmp_exports_add(v->q, EXPORT, disk->target, VF_VIEW_EXPORT, false, err) < 0)
        return -1;
    v->exported = true;
    return 0;
}

struct vf_view *vf_qmp_view_begin(const struct vf_view_disk *disk, int lock, struct vf_error *err)
{
    struct qmp_view *v = vf_calloc(1, sizeof *v, err);

    if (!v) {
        vf_close_fd(&lock);
        return NULL;
    }
    v->base = (struct vf_view){.end = end, .lock = lock};
    if (begin(v, disk, err) == 0)
        return &v->base;
    vf_view_end(&v->base);
    return NULL;
}

static bool clean_one(const char *path)
{
    struct vf_qmp *q = vf_qmp_open(path, OPEN_MS, NULL, NULL);
    char *uuid = q ? identity(q, path, NULL) : NULL;
    char *socket = vf_strf(NULL, "%s" SUFFIX, path);
    int lock = uuid ? vf_view_lock(uuid, NULL) : -1;
    bool cleaned = lock >= 0 && socket && clean_exports(q, socket, NULL) > 0;

    vf_close_fd(&lock);
    free(socket);
    free(uuid);
    vf_qmp_close(q);
    return cleaned;
}

void vf_qmp_views_clean(const struct vf_view_opts *o, unsigned *ret_ended)
{
    glob_t found;

    find_sockets(o, &found);
    for (size_t i = 0; i < found.gl_pathc; i++)
        *ret_ended += clean_one(found.gl_pathv[i]);
    globfree(&found);
}
