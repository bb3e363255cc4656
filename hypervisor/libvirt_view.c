/* hypervisor/libvirt_view.c - views of running guests' disks, by libvirt's backups in pull mode. */
#include "hypervisor/view.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <libvirt/virterror.h>

#include "core/checked.h"
#include "core/clock.h"
#include "core/fdio.h"
#include "core/thread.h"
#include "hypervisor/iothread.h"
#include "hypervisor/libvirt_impl.h"
#include "hypervisor/view_impl.h"

#define SYSTEM_SOCKET  "/run/libvirt/libvirt-sock" /* of the daemon, or of systemd's activation */
#define SYSTEM_MODULAR "/run/libvirt/virtqemud-sock"
#define SYSTEM_LIB     "/var/lib/libvirt/qemu"
#define GONE_MS        10000 /* for a job that was told to end */
#define MIB            (UINT64_C(1) << 20)
#define SCRATCH_MAX    (1024 * MIB) /* what a scratch file may hold */
#define ROOM_BEGIN     (4096 * MIB) /* free where it lies, for a disk that is larger than that */
#define ROOM_LEAST     (2048 * MIB) /* the same, while the view lasts */

struct lv_view {
    struct vf_view base; /* first */
    virConnectPtr conn;
    virDomainPtr dom;
    char *scratch, *dir; /* dir: where the scratch file lies */
    uint64_t least;      /* bytes that must stay free there */
    bool begun;
};

/* Asking a libvirt that is not there can take long. */
static bool is_there(const struct vf_view_opts *o)
{
    struct stat st;

    if (o->no_libvirt)
        return false;
    return (o->uri && strcmp(o->uri, VF_LV_URI) != 0) || stat(SYSTEM_SOCKET, &st) == 0 ||
           stat(SYSTEM_MODULAR, &st) == 0;
}

/* ---- which guest ---- */

static char *disk_attr(struct vf_lv_xml *x, size_t i, const char *what, struct vf_error *err)
{
    char path[96];

    (void)snprintf(path, sizeof path, VF_LV_DISKS "[%zu]/%s", i + 1, what); /* always fits */
    return vf_lv_xml_get(x, path, err);
}

/* 1: disk number i is a file of this host, *ret owned; 0: it is not; -1. */
static int read_disk(struct vf_lv_xml *x, size_t i, virDomainPtr dom, struct vf_view_disk *ret,
                     struct vf_error *err)
{
    struct vf_view_disk d = {.path = disk_attr(x, i, "source/@file", err)};
    char uuid[VIR_UUID_STRING_BUFLEN] = "";
    struct stat st;

    if (!d.path)
        return -1;
    if (!*d.path || stat(d.path, &st) < 0 || virDomainGetUUIDString(dom, uuid) < 0) {
        vf_view_disk_free(&d);
        return 0;
    }
    d.dev = (uint64_t)st.st_dev;
    d.ino = (uint64_t)st.st_ino;
    d.target = disk_attr(x, i, "target/@dev", err);
    d.format = disk_attr(x, i, "driver/@type", err);
    d.guest = vf_strdup(virDomainGetName(dom), err);
    d.uuid = vf_strdup(uuid, err);
    if (d.target && d.format && d.guest && d.uuid) {
        *ret = d;
        return 1;
    }
    vf_view_disk_free(&d);
    return -1;
}

/* Adds the disks of the domain to the list. */
static int list_domain(virDomainPtr dom, struct vf_view_list *l, struct vf_error *err)
{
    struct vf_lv_xml *x = vf_lv_domain_xml(dom, 0, NULL);
    size_t n = x ? vf_lv_xml_count(x, VF_LV_DISKS) : 0; /* it may have ended meanwhile */
    int rc = vf_view_list_grow(l, n, err);

    for (size_t i = 0; i < n && rc >= 0; i++) {
        rc = read_disk(x, i, dom, &l->disk[l->n], err);
        l->n += rc > 0;
    }
    vf_lv_xml_free(x);
    return rc < 0 ? -1 : 0;
}

/* Calls fn for every running domain; the first failure is the result. */
static int each_domain(const struct vf_view_opts *o,
                       int (*fn)(virDomainPtr, void *, struct vf_error *), void *ctx,
                       struct vf_error *err)
{
    virConnectPtr conn = vf_lv_connect(o->uri, err);
    virDomainPtr *dom = NULL;
    int n, rc = 0;

    if (!conn)
        return -1;
    n = virConnectListAllDomains(conn, &dom, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
    if (n < 0)
        rc = vf_lv_error(err, "the running guests");
    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = fn(dom[i], ctx, err);
        (void)virDomainFree(dom[i]); /* ours, so it works */
    }
    free(dom);
    (void)virConnectClose(conn); /* as above */
    return rc;
}

static int list_one(virDomainPtr dom, void *ctx, struct vf_error *err)
{
    return list_domain(dom, ctx, err);
}

int vf_lv_view_list(const struct vf_view_opts *o, struct vf_view_list *l, struct vf_error *err)
{
    return is_there(o) ? each_domain(o, list_one, l, err) : 0;
}

/* ---- backups that are there ---- */

/* Does the domain have a backup, and is it one of ours?  *ret_socket (may be NULL): owned. */
static bool has_backup(virDomainPtr dom, bool *ret_ours, char **ret_socket)
{
    char *text = virDomainBackupGetXMLDesc(dom, 0), *socket = NULL;
    struct vf_lv_xml *x = text ? vf_lv_xml_parse(text, NULL) : NULL;
    const char *slash;

    if (x)
        socket = vf_lv_xml_get(x, "/domainbackup/server/@socket", NULL);
    slash = socket ? strrchr(socket, '/') : NULL;
    *ret_ours = slash && strncmp(slash + 1, VF_VIEW_NAME, strlen(VF_VIEW_NAME)) == 0;
    vf_lv_xml_free(x);
    if (ret_socket)
        *ret_socket = socket;
    else
        free(socket);
    if (!text)
        return false;
    free(text);
    return true;
}

/* Ends our backup and waits until it is gone.  0, or -1. */
static int end_backup(virDomainPtr dom, struct vf_error *err)
{
    bool ours;

    for (int ms = 0; has_backup(dom, &ours, NULL) && ours; ms += 20) {
        if (ms == 0 && virDomainAbortJob(dom) < 0)
            return vf_lv_error(err, "ending the backup");
        if (ms >= GONE_MS)
            return vf_error_set(err, VF_ERR_TIMEOUT, 0, "libvirt does not end a backup");
        vf_thread_nap(20);
    }
    return 0;
}

/* Ends what a dead process has left on the domain.  1: it did, 0: nothing to end, -1. */
static int clean(virDomainPtr dom, struct vf_error *err)
{
    char uuid[VIR_UUID_STRING_BUFLEN];
    int lock, rc = 0;
    bool ours;

    if (!has_backup(dom, &ours, NULL) || !ours)
        return 0;
    if (virDomainGetUUIDString(dom, uuid) < 0)
        return vf_lv_error(err, "the guest's number");
    lock = vf_view_lock(uuid, err);
    if (lock < 0)
        return err && err->code == VF_ERR_BUSY ? 0 : -1; /* somebody lives who holds it */
    rc = end_backup(dom, err) < 0 ? -1 : 1;
    vf_close_fd(&lock);
    return rc;
}

struct cleaning {
    unsigned ended;
    bool failed;
    struct vf_error why; /* the first failure; the others are tried all the same */
};

static int clean_one(virDomainPtr dom, void *ctx, struct vf_error *err)
{
    struct cleaning *c = ctx;
    struct vf_error why = VF_ERROR_INIT;
    int rc = clean(dom, &why);

    (void)err;
    c->ended += rc > 0;
    if (rc < 0 && !c->failed) {
        c->failed = true;
        c->why = why;
    }
    return 0;
}

int vf_lv_views_clean(const struct vf_view_opts *o, unsigned *ret_ended, struct vf_error *err)
{
    struct cleaning c = {0};
    int rc = is_there(o) ? each_domain(o, clean_one, &c, err) : 0;

    *ret_ended += c.ended;
    return rc == 0 && c.failed ? vf_error_pass(err, &c.why) : rc;
}

int vf_lv_view_yield(virDomainPtr dom, int timeout_ms, const volatile int *stop)
{
    struct vf_error ignored = VF_ERROR_INIT;
    bool ours;

    for (int ms = 0; has_backup(dom, &ours, NULL) && ours; ms += 100) {
        if (ms >= timeout_ms || (stop && *stop))
            return -1;
        if (clean(dom, &ignored) == 0) /* its holder sees that a migration begins */
            vf_thread_nap(100);
    }
    return 0;
}

/* ---- beginning ---- */

/* Where QEMU can make a socket and nobody but it and root comes by: the directory that libvirt has
 * made for this run of the guest. */
static char *guest_dir(virDomainPtr dom, struct vf_error *err)
{
    const char *home = getenv("XDG_CONFIG_HOME");
    unsigned id = virDomainGetID(dom);
    char *lib = geteuid() == 0 ? vf_strdup(SYSTEM_LIB, err)
                               : vf_strf(err, "%s/libvirt/qemu/lib", home ? home : "/nowhere");
    char *prefix = vf_strf(err, "domain-%u-", id), *ret = NULL;
    DIR *d = lib && prefix ? opendir(lib) : NULL;
    struct dirent *e;

    while (d && !ret && (e = readdir(d)) != NULL)
        if (strncmp(e->d_name, prefix, strlen(prefix)) == 0)
            ret = vf_strf(err, "%s/%s", lib, e->d_name);
    if (lib && prefix && !ret)
        (void)vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "libvirt's directory of the guest in '%s'",
                           lib); /* the NULL says it */
    if (d)
        (void)closedir(d); /* only read */
    free(prefix);
    free(lib);
    return ret;
}

/* Is there room for a scratch file of a disk of that size? */
static int check_room(struct lv_view *v, const struct vf_view_disk *disk, struct vf_error *err)
{
    virDomainBlockInfo info;
    struct statvfs fs;
    uint64_t need, have;

    if (virDomainGetBlockInfo(v->dom, disk->target, &info, 0) < 0)
        return vf_lv_error(err, disk->target);
    if (statvfs(v->dir, &fs) < 0)
        return vf_error_sys(err, errno, "'%s'", v->dir);
    have = (uint64_t)fs.f_bavail * fs.f_frsize;
    /* More than the whole disk, and its tables, is never copied. */
    need = info.capacity + info.capacity / 64 + 2 * MIB;
    v->least = need < ROOM_BEGIN ? 0 : ROOM_LEAST;
    if (need > ROOM_BEGIN)
        need = ROOM_BEGIN;
    if (have >= need)
        return 0;
    /* Not VF_ERR_SPACE: that would hold up all other images, too. */
    return vf_error_set(err, VF_ERR_BUSY, 0,
                        "too little room in '%s' for what a running guest overwrites meanwhile",
                        v->dir);
}

static char *dir_of(const char *path, struct vf_error *err)
{
    const char *slash = strrchr(path, '/');
    char *ret = vf_strdup(slash && slash > path ? path : "/", err);

    if (ret && slash && slash > path)
        ret[slash - path] = '\0';
    return ret;
}

/* Hidden names: neither we nor others take the scratch file for an image. */
static int name_files(struct lv_view *v, const struct vf_view_opts *o,
                      const struct vf_view_disk *disk, struct vf_error *err)
{
    char *dir = guest_dir(v->dom, err);

    if (dir)
        v->base.socket = vf_strf(err, "%s/" VF_VIEW_NAME "%ld", dir, (long)getpid());
    free(dir);
    v->dir = o->scratch ? vf_strdup(o->scratch, err) : dir_of(disk->path, err);
    if (v->base.socket && v->dir)
        v->scratch = vf_strf(err, "%s/." VF_VIEW_NAME "%s-%s-%" PRIu64, v->dir, disk->uuid,
                             disk->target, vf_clock_ns());
    return v->scratch ? 0 : -1;
}

static char *backup_xml(const struct lv_view *v, const struct vf_view_disk *disk, const char *since,
                        struct vf_error *err)
{
    char *socket = vf_lv_xml_escape(v->base.socket, err),
         *scratch = vf_lv_xml_escape(v->scratch, err);
    char *target = vf_lv_xml_escape(disk->target, err), *ret = NULL;
    char *bitmap = since ? vf_strf(err,
                                   " backupmode='incremental' incremental='%s' "
                                   "exportbitmap='" VF_VIEW_BITMAP "'",
                                   since)
                         : vf_strdup("", err);

    if (socket && scratch && target && bitmap)
        ret = vf_strf(err,
                      "<domainbackup mode='pull'><server transport='unix' socket=\"%s\"/><disks>"
                      "<disk name=\"%s\" backup='yes' type='file' exportname='" VF_VIEW_EXPORT
                      "'%s><scratch file=\"%s\"/></disk></disks></domainbackup>",
                      socket, target, bitmap, scratch);
    free(bitmap);
    free(target);
    free(scratch);
    free(socket);
    return ret;
}

static char *mark_xml(const struct vf_view_disk *disk, const char *mark, struct vf_error *err)
{
    char *target = vf_lv_xml_escape(disk->target, err), *ret = NULL;

    if (target)
        ret = vf_strf(err,
                      "<domaincheckpoint><name>%s</name><disks><disk name=\"%s\" "
                      "checkpoint='bitmap'/></disks></domaincheckpoint>",
                      mark, target);
    free(target);
    return ret;
}

/* Would its QEMU survive to be read?  One disk or controller with an iothread is enough. */
static int check_iothreads(struct lv_view *v, struct vf_error *err)
{
    struct vf_lv_xml *x = vf_lv_domain_xml(v->dom, 0, err);
    bool has = x && vf_lv_xml_count(x, "/domain/devices/*/driver/@iothread") > 0;
    unsigned long qemu = 0;

    if (!x)
        return -1;
    vf_lv_xml_free(x);
    if (!has)
        return 0;
    if (virConnectGetVersion(v->conn, &qemu) < 0)
        return vf_lv_error(err, "versions");
    return vf_iothread_fault(qemu / 1000000) ? vf_iothread_refuse(err) : 0;
}

/* The guest has the disk still, and nothing else is at work on it. */
static int check_guest(struct lv_view *v, const struct vf_view_disk *disk, struct vf_error *err)
{
    struct vf_view_list now = {0};
    const struct vf_view_disk *d;
    bool ours;
    int rc = list_domain(v->dom, &now, err);

    d = rc == 0 ? vf_view_find(&now, disk->path) : NULL;
    if (rc == 0 && (!d || strcmp(d->target, disk->target) != 0))
        rc = vf_error_set(err, VF_ERR_CHANGED, 0, "the guest '%s' has it no more", disk->guest);
    vf_view_list_free(&now);
    if (rc < 0 || end_backup(v->dom, err) < 0) /* ours: we hold the lock, so its owner is dead */
        return -1;
    if (has_backup(v->dom, &ours, NULL))
        return vf_error_set(err, VF_ERR_BUSY, 0, "a backup of the guest '%s' is going on",
                            disk->guest);
    return 0;
}

static int start(struct lv_view *v, const struct vf_view_disk *disk,
                 const struct vf_view_track *track, struct vf_error *err)
{
    char *xml = backup_xml(v, disk, track ? track->since : NULL, err), *mark = NULL;
    int rc = xml ? 0 : -1;

    if (rc == 0 && track && track->mark) {
        mark = mark_xml(disk, track->mark, err);
        rc = mark ? 0 : -1;
    }
    if (rc == 0) {
        rc = virDomainBackupBegin(v->dom, xml, mark, 0);
        v->begun = rc == 0;
        if (rc < 0)
            (void)vf_lv_error(err, "reading the disk of a running guest"); /* rc says it */
        if (rc < 0 && err && err->code == VF_ERR_TIMEOUT)
            err->code = VF_ERR_BUSY;
    }
    free(mark);
    free(xml);
    return rc;
}

static int begin(struct lv_view *v, const struct vf_view_opts *o, const struct vf_view_disk *disk,
                 const struct vf_view_track *track, struct vf_error *err)
{
    v->conn = vf_lv_connect(o->uri, err);
    if (!v->conn)
        return -1;
    v->dom = virDomainLookupByUUIDString(v->conn, disk->uuid);
    if (!v->dom)
        return vf_lv_error(err, disk->guest);
    if (check_guest(v, disk, err) < 0 || check_iothreads(v, err) < 0 ||
        name_files(v, o, disk, err) < 0 || check_room(v, disk, err) < 0)
        return -1;
    return start(v, disk, track, err);
}

static bool is_costly(const struct vf_view *base)
{
    const struct lv_view *v = (const struct lv_view *)base;
    struct statvfs fs;
    struct stat st;

    if (stat(v->scratch, &st) == 0 && (uint64_t)st.st_blocks * 512 > SCRATCH_MAX)
        return true;
    return v->least && statvfs(v->dir, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < v->least;
}

static void end(struct vf_view *base)
{
    struct lv_view *v = (struct lv_view *)base;
    char *socket = NULL;
    bool ours;

    if (v->begun && has_backup(v->dom, &ours, &socket) && ours && socket &&
        strcmp(socket, v->base.socket) == 0)
        (void)end_backup(v->dom, NULL); /* what stays is ended by the next who comes by */
    free(socket);
    if (v->dom)
        (void)virDomainFree(v->dom); /* ours, so it works */
    if (v->conn)
        (void)virConnectClose(v->conn); /* as above */
    free(v->scratch);
    free(v->dir);
}

struct vf_view *vf_lv_view_begin(const struct vf_view_opts *o, const struct vf_view_disk *disk,
                                 const struct vf_view_track *track, int lock, struct vf_error *err)
{
    struct lv_view *v = vf_calloc(1, sizeof *v, err);

    if (!v) {
        vf_close_fd(&lock);
        return NULL;
    }
    v->base = (struct vf_view){.costly = is_costly, .end = end, .lock = lock};
    if (begin(v, o, disk, track, err) == 0)
        return &v->base;
    vf_view_end(&v->base);
    return NULL;
}

/* ---- marks ---- */

int vf_lv_marks_remove(virDomainPtr dom, const char *prefix, const char *except)
{
    virDomainCheckpointPtr *mark = NULL;
    int n = virDomainListAllCheckpoints(dom, &mark, 0), rc = n < 0 ? -1 : 0;

    for (int i = 0; i < n; i++) {
        const char *name = virDomainCheckpointGetName(mark[i]);

        /* Of a guest that is shut off libvirt can only forget it; the bitmap stays in the file. */
        if (name && strncmp(name, prefix, strlen(prefix)) == 0 &&
            (!except || strcmp(name, except) != 0) && virDomainCheckpointDelete(mark[i], 0) < 0 &&
            virDomainCheckpointDelete(mark[i], VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY) < 0)
            rc = -1;
        (void)virDomainCheckpointFree(mark[i]); /* ours, so it works */
    }
    free(mark);
    return rc;
}

int vf_view_forget(const struct vf_view_opts *o, const struct vf_view_disk *disk,
                   const char *prefix, const char *except, struct vf_error *err)
{
    virConnectPtr conn = disk->qmp ? NULL : vf_lv_connect(o->uri, err);
    virDomainPtr dom = conn ? virDomainLookupByUUIDString(conn, disk->uuid) : NULL;
    int rc = dom ? vf_lv_marks_remove(dom, prefix, except) : -1;

    if (conn && rc < 0)
        (void)vf_lv_error(err, "removing a checkpoint"); /* rc says it */
    if (dom)
        (void)virDomainFree(dom); /* as above */
    if (conn)
        (void)virConnectClose(conn); /* as above */
    return rc;
}
