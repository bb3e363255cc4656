/* hypervisor/libvirt_disks.c - overlays over the disks of a domain. */
#include "hypervisor/libvirt_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/proc.h"
#include "core/thread.h"

#define INFO_MS   20000
#define COMMIT_MS (12 * 3600 * 1000) /* folding a large overlay on a slow disk */

void vf_lv_chain_free(struct vf_lv_chain *c)
{
    free(c->target);
    free(c->top);
    free(c->base);
    free(c->base_format);
    for (unsigned i = 0; i < c->overlays; i++)
        free(c->overlay[i]);
    memset(c, 0, sizeof *c);
}

/* ---- what lies below a file ---- */

/* What qemu-img says of the header of one file; a new reference. */
static json_t *image_info(const char *path, const char *format, struct vf_error *err)
{
    const char *const argv[] = {"qemu-img", "info", "-U", "-f", format,
                                "--output", "json", "--", path, NULL};
    char *text = NULL;
    json_t *o;

    if (vf_proc_run(argv, &text, INFO_MS, err) < 0)
        return NULL;
    o = json_loads(text, 0, NULL);
    free(text);
    if (!o)
        (void)vf_error_set(err, VF_ERR_FORMAT, 0, "qemu-img says nothing useful of '%s'", path);
    return o;
}

int vf_lv_is_backed(const char *path, const char *format, struct vf_error *err)
{
    json_t *o;
    int ret;

    if (strcmp(format, "raw") == 0)
        return 0;
    o = image_info(path, format, err);
    if (!o)
        return -1;
    ret = json_object_get(o, "backing-filename") != NULL;
    json_decref(o);
    return ret;
}

static bool is_ours(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && strstr(slash, VF_OVERLAY_MARK);
}

/* One step down from an overlay of ours, whose header only we and QEMU have written. */
static int step_down(struct vf_lv_chain *c, struct vf_error *err)
{
    json_t *o;
    const char *below, *format;
    int rc = -1;

    if (c->overlays == VF_OVERLAY_MAX)
        return vf_error_set(err, VF_ERR_RANGE, 0, "too many overlays below '%s'", c->top);
    o = image_info(c->base, "qcow2", err);
    below = json_string_value(json_object_get(o, "full-backing-filename"));
    format = json_string_value(json_object_get(o, "backing-filename-format"));
    if (o && (!below || !format)) {
        (void)vf_error_set(err, VF_ERR_FORMAT, 0, "nothing lies below '%s'", c->base);
    } else if (o) {
        c->overlay[c->overlays++] = c->base;
        free(c->base_format);
        c->base = vf_strdup(below, err);
        c->base_format = vf_strdup(format, err);
        rc = c->base && c->base_format ? 0 : -1;
    }
    json_decref(o);
    return rc;
}

static char *attr(struct vf_lv_xml *x, size_t n, const char *what, struct vf_error *err)
{
    char path[160];

    (void)snprintf(path, sizeof path, VF_LV_DISKS "[%zu]/%s", n + 1, what);
    return vf_lv_xml_get(x, path, err);
}

int vf_lv_chain_read(struct vf_lv_xml *x, size_t n, struct vf_lv_chain *c, struct vf_error *err)
{
    int rc = -1;

    memset(c, 0, sizeof *c);
    c->target = attr(x, n, "target/@dev", err);
    c->top = attr(x, n, "source/@file", err);
    if (c->top && !*c->top) {
        free(c->top);
        c->top = attr(x, n, "source/@dev", err);
    }
    c->base = c->top ? vf_strdup(c->top, err) : NULL;
    c->base_format = attr(x, n, "driver/@type", err);
    if (c->target && c->base && c->base_format) {
        rc = 0;
        while (rc == 0 && is_ours(c->base))
            rc = step_down(c, err);
    }
    if (rc == 0 && !*c->base_format) { /* libvirt's default */
        free(c->base_format);
        c->base_format = vf_strdup("raw", err);
        rc = c->base_format ? 0 : -1;
    }
    if (rc < 0)
        vf_lv_chain_free(c);
    return rc;
}

int vf_lv_chain_of(struct vf_lv_xml *x, const char *target, struct vf_lv_chain *c,
                   struct vf_error *err)
{
    size_t n = vf_lv_xml_count(x, VF_LV_DISKS);

    for (size_t i = 0; i < n; i++) {
        char *dev = attr(x, i, "target/@dev", err);
        bool same = dev && strcmp(dev, target) == 0;

        free(dev);
        if (same)
            return vf_lv_chain_read(x, i, c, err);
        if (!dev)
            return -1;
    }
    return vf_error_set(err, VF_ERR_CHANGED, 0, "the guest's disk '%s' is gone", target);
}

/* ---- freezing ---- */

static bool wants_overlay(const struct vf_guest_disk *d)
{
    return d->way == VF_DISK_COPY && !d->read_only;
}

/* Adds a piece to a growing text; false when memory is out. */
static bool append(char **text, const char *piece)
{
    size_t have = strlen(*text), len = strlen(piece) + 1;
    char *more = realloc(*text, have + len);

    if (!more)
        return false;
    memcpy(more + have, piece, len);
    *text = more;
    return true;
}

/* What becomes of one disk in the snapshot; ret_overlay: its new file, NULL: none. */
static char *snapshot_disk(struct vf_lv_xml *x, const struct vf_guest_disk *d, const char *dir,
                           struct vf_frozen *f, char **ret_overlay, struct vf_error *err)
{
    struct vf_lv_chain c = {0};
    char *path = NULL, *quoted = NULL, *ret = NULL;

    if (!wants_overlay(d))
        return vf_strf(err, "<disk name='%s' snapshot='no'/>", d->id);
    if (vf_lv_chain_of(x, d->id, &c, err) < 0)
        return NULL;
    f->delta = c.overlays > 0;
    f->path = vf_strdup(c.top, err);
    f->format = vf_strdup(f->delta ? "qcow2" : c.base_format, err);
    if (f->path && f->format)
        path = vf_overlay_new(c.base, dir, c.overlays, err);
    quoted = path ? vf_lv_xml_escape(path, err) : NULL;
    if (quoted)
        ret = vf_strf(err,
                      "<disk name='%s' snapshot='external' type='file'><driver type='qcow2'/>"
                      "<source file=\"%s\"/></disk>",
                      d->id, quoted);
    if (ret)
        *ret_overlay = path;
    else
        free(path);
    free(quoted);
    vf_lv_chain_free(&c);
    return ret;
}

static int take_snapshot(struct vf_lv_guest *g, const char *disks, struct vf_error *err)
{
    char *xml = vf_strf(err, "<domainsnapshot><disks>%s</disks></domainsnapshot>", disks);
    virDomainSnapshotPtr s =
        xml ? virDomainSnapshotCreateXML(g->dom, xml,
                                         VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY |
                                             VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA |
                                             VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC)
            : NULL;

    if (xml && !s)
        (void)vf_lv_error(err, "freezing the disks");
    free(xml);
    if (s)
        virDomainSnapshotFree(s);
    return s ? 0 : -1;
}

int vf_lv_freeze(struct vf_guest *guest, const struct vf_guest_info *info, const char *dir,
                 struct vf_frozen **ret_frozen, struct vf_error *err)
{
    struct vf_lv_guest *g = (struct vf_lv_guest *)guest;
    struct vf_frozen *f = vf_calloc(info->ndisks, sizeof *f, err);
    char **overlay = vf_calloc(info->ndisks, sizeof *overlay, err);
    struct vf_lv_xml *x = f && overlay ? vf_lv_domain_xml(g->dom, 0, err) : NULL;
    char *disks = x ? vf_strdup("", err) : NULL;
    bool any = false;
    int rc = disks ? 0 : -1;

    for (size_t i = 0; i < info->ndisks && rc == 0; i++) {
        const struct vf_guest_disk *d = &info->disk[i];
        char *piece;

        if (d->way == VF_DISK_COPY && (d->read_only || !info->running) && !g->frozen) {
            f[i].path = vf_strdup(d->path, err);
            f[i].format = vf_strdup(d->format, err);
            rc = f[i].path && f[i].format ? 0 : -1;
        }
        if (!info->running || rc < 0)
            continue;
        piece = snapshot_disk(x, d, dir, &f[i], &overlay[i], err);
        if (!piece)
            rc = -1;
        else if (!append(&disks, piece))
            rc = vf_error_nomem(err);
        any = any || overlay[i];
        free(piece);
    }
    if (rc == 0 && any) {
        rc = take_snapshot(g, disks, err);
        for (size_t i = 0; i < info->ndisks && rc < 0; i++)
            if (overlay[i])
                (void)unlink(overlay[i]); /* made for nothing, if it was made */
    }
    for (size_t i = 0; overlay && i < info->ndisks; i++)
        free(overlay[i]);
    free(overlay);
    free(disks);
    vf_lv_xml_free(x);
    if (rc < 0) {
        vf_frozen_free(f, info->ndisks);
        return -1;
    }
    g->frozen = true;
    *ret_frozen = f;
    return 0;
}

int vf_lv_changed(struct vf_guest *guest, const struct vf_guest_info *info, uint64_t *ret_bytes,
                  struct vf_error *err)
{
    struct vf_lv_guest *g = (struct vf_lv_guest *)guest;
    struct vf_lv_xml *x = vf_lv_domain_xml(g->dom, 0, err);
    uint64_t sum = 0;
    int rc = x ? 0 : -1;

    for (size_t i = 0; i < info->ndisks && rc == 0; i++) {
        struct vf_lv_chain c;
        struct stat sb;

        if (!wants_overlay(&info->disk[i]))
            continue;
        rc = vf_lv_chain_of(x, info->disk[i].id, &c, err);
        if (rc == 0 && c.overlays) {
            rc = stat(c.top, &sb) == 0 ? 0 : vf_error_sys(err, errno, "'%s'", c.top);
            sum += rc == 0 ? (uint64_t)sb.st_blocks * 512 : 0;
        }
        if (rc == 0)
            vf_lv_chain_free(&c);
    }
    vf_lv_xml_free(x);
    if (rc == 0)
        *ret_bytes = sum;
    return rc;
}

/* ---- folding ---- */

/* A job of an earlier try is ended first: libvirt allows one for each disk. */
static void end_job(virDomainPtr dom, const char *target)
{
    virDomainBlockJobInfo job;

    for (int tries = 0; tries < 100 && virDomainGetBlockJobInfo(dom, target, &job, 0) == 1;
         tries++) {
        (void)virDomainBlockJobAbort(dom, target, 0); /* its failure shows in the next round */
        vf_thread_nap(50);
    }
}

/* The pivot is refused until the job is really in step. */
static int pivot(virDomainPtr dom, const char *target, struct vf_error *err)
{
    for (;;) {
        virDomainBlockJobInfo job = {0};
        int n = virDomainGetBlockJobInfo(dom, target, &job, 0);

        if (n < 0)
            return vf_lv_error(err, "folding an overlay");
        if (n == 0)
            return vf_error_set(err, VF_ERR_IO, 0,
                                "the overlay of disk '%s' was not folded: its "
                                "job ended early",
                                target);
        if (job.end && job.cur == job.end &&
            virDomainBlockJobAbort(dom, target, VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT) == 0)
            return 0;
        vf_thread_nap(20);
    }
}

static void remove_overlays(const struct vf_lv_chain *c)
{
    for (unsigned i = 0; i < c->overlays; i++)
        (void)unlink(c->overlay[i]); /* its content is below; nobody has it open */
}

static int fold_running(virDomainPtr dom, const struct vf_lv_chain *c, struct vf_error *err)
{
    end_job(dom, c->target);
    if (virDomainBlockCommit(dom, c->target, c->base, NULL, 0, VIR_DOMAIN_BLOCK_COMMIT_ACTIVE) < 0)
        return vf_lv_error(err, "folding an overlay");
    if (pivot(dom, c->target, err) < 0)
        return -1;
    remove_overlays(c);
    return 0;
}

/* Nobody has the files open: qemu-img makes sure of that by its locks. */
static int fold_files(const struct vf_lv_chain *c, struct vf_error *err)
{
    const char *const argv[] = {"qemu-img", "commit", "-q", "-f",   "qcow2",
                                "-b",       c->base,  "--", c->top, NULL};
    char *out = NULL;
    int rc = vf_proc_run(argv, &out, COMMIT_MS, err);

    free(out);
    return rc < 0 ? vf_error_prefix(err, "folding '%s'", c->top) : 0;
}

/* A domain that is shut off: the files first, then what is kept of it. */
static int fold_shut_off(struct vf_lv_guest *g, struct vf_lv_xml *kept, bool *found,
                         struct vf_error *err)
{
    size_t n = vf_lv_xml_count(kept, VF_LV_DISKS);
    struct vf_lv_chain *c = vf_calloc(n, sizeof *c, err);
    char *text = NULL;
    virDomainPtr dom;
    int rc = c ? 0 : -1;

    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = vf_lv_chain_read(kept, i, &c[i], err);
        if (rc == 0 && c[i].overlays) {
            *found = true;
            rc = fold_files(&c[i], err);
            if (rc == 0)
                rc = vf_lv_xml_set_disk(kept, c[i].target, c[i].base, c[i].base_format, err);
        }
    }
    if (rc == 0 && *found) {
        text = vf_lv_xml_text(kept, err);
        dom = text ? virDomainDefineXML(g->conn, text) : NULL;
        rc = dom ? 0 : text ? vf_lv_error(err, "the guest's definition") : -1;
        if (dom)
            virDomainFree(dom);
        free(text);
    }
    for (size_t i = 0; c && i < n; i++) {
        if (rc == 0)
            remove_overlays(&c[i]);
        vf_lv_chain_free(&c[i]);
    }
    free(c);
    return rc;
}

static int fold_all_running(struct vf_lv_guest *g, struct vf_lv_xml *x, bool *found,
                            struct vf_error *err)
{
    size_t n = vf_lv_xml_count(x, VF_LV_DISKS);
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        struct vf_lv_chain c;

        rc = vf_lv_chain_read(x, i, &c, err);
        if (rc == 0 && c.overlays) {
            *found = true;
            rc = fold_running(g->dom, &c, err);
        }
        vf_lv_chain_free(&c);
    }
    return rc;
}

int vf_lv_fold(struct vf_lv_guest *g, bool *ret_found, struct vf_error *err)
{
    int active = virDomainIsActive(g->dom), rc = -1;
    bool found = false;
    struct vf_lv_xml *x;

    if (active < 0)
        return vf_lv_error(err, "the guest's state");
    x = vf_lv_domain_xml(g->dom, VIR_DOMAIN_XML_SECURE | (active ? 0 : VIR_DOMAIN_XML_INACTIVE),
                         err);
    if (x)
        rc = active ? fold_all_running(g, x, &found, err) : fold_shut_off(g, x, &found, err);
    vf_lv_xml_free(x);
    if (ret_found)
        *ret_found = *ret_found || found;
    return rc;
}
