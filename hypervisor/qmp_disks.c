/* hypervisor/qmp_disks.c - overlays over the disks of a running QEMU. */
#include "hypervisor/qmp_guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"

void vf_qmp_disks_free(struct vf_qmp_guest *g)
{
    for (size_t i = 0; i < g->ndisks; i++) {
        struct vf_qmp_disk *d = &g->disk[i];

        free(d->base);
        free(d->top);
        for (unsigned o = 0; o < d->overlays; o++)
            free(d->overlay[o]);
    }
    free(g->disk);
    g->disk = NULL;
    g->ndisks = 0;
}

/* ---- jobs ---- */

static bool of_job(const json_t *event, const void *id)
{
    const char *name = vf_qmp_text(event, "event");

    return strncmp(name, "BLOCK_JOB_", 10) == 0 && strcmp(name, "BLOCK_JOB_PENDING") != 0 &&
           strcmp(vf_qmp_text(json_object_get(event, "data"), "device"), id) == 0;
}

int vf_qmp_job_wait(struct vf_qmp *q, const char *id, const char *what, int timeout_ms,
                    struct vf_error *err)
{
    for (;;) {
        json_t *event = NULL;
        const char *name, *why;
        int rc = vf_qmp_event(q, NULL, of_job, id, timeout_ms, &event, err);

        if (rc < 0)
            return -1;
        if (rc == 0)
            return vf_error_set(err, VF_ERR_TIMEOUT, 0, "job %s does not come to an end", id);
        name = vf_qmp_text(event, "event");
        why = vf_qmp_text(json_object_get(event, "data"), "error");
        /* READY comes again and again for a busy guest; an ERROR is followed by the end. */
        if (*why)
            rc = vf_error_set(err, VF_ERR_IO, 0, "disk job %s: %s", id, why);
        else if (strcmp(name, what) == 0)
            rc = 0;
        else if (strcmp(name, "BLOCK_JOB_COMPLETED") == 0 ||
                 strcmp(name, "BLOCK_JOB_CANCELLED") == 0)
            rc = strcmp(what, "BLOCK_JOB_COMPLETED") == 0
                     ? 0
                     : vf_error_set(err, VF_ERR_IO, 0, "disk job %s ended early", id);
        json_decref(event);
        if (rc != 1)
            return rc;
    }
}

/* ---- freezing ---- */

/* The node that the drive with that id writes; owned. */
static char *node_of(const json_t *devs, const char *id, struct vf_error *err)
{
    const json_t *dev;
    size_t i;

    json_array_foreach(devs, i, dev)
    {
        const char *qdev = vf_qmp_text(dev, "qdev");
        const char *node = vf_qmp_text(json_object_get(dev, "inserted"), "node-name");

        if (strcmp(*qdev ? qdev : vf_qmp_text(dev, "device"), id) == 0 && *node)
            return vf_strdup(node, err);
    }
    (void)vf_error_set(err, VF_ERR_CHANGED, 0, "the guest's drive '%s' is gone", id);
    return NULL;
}

static int learn_disks(struct vf_qmp_guest *g, const struct vf_guest_info *info,
                       struct vf_error *err)
{
    json_t *devs = NULL;
    int rc;

    if (g->disk)
        return 0;
    g->disk = vf_calloc(info->ndisks, sizeof *g->disk, err);
    if (!g->disk)
        return -1;
    g->ndisks = info->ndisks;
    rc = vf_qmp_call(g->q, "query-block", NULL, &devs, err);
    for (size_t i = 0; i < info->ndisks && rc == 0; i++) {
        if (info->disk[i].way != VF_DISK_COPY)
            continue;
        g->disk[i].base = node_of(devs, info->disk[i].id, err);
        g->disk[i].top = g->disk[i].base ? vf_strdup(g->disk[i].base, err) : NULL;
        rc = g->disk[i].top ? 0 : -1;
    }
    json_decref(devs);
    return rc;
}

/* Adds the snapshot of one disk to the transaction. */
static int plan(struct vf_qmp_disk *d, size_t i, const struct vf_guest_disk *disk, const char *dir,
                json_t *actions, struct vf_error *err)
{
    char node[VF_QMP_NODE_MAX];
    json_t *a;
    char *file;

    if (d->overlays == VF_OVERLAY_MAX)
        return vf_error_set(err, VF_ERR_RANGE, 0, "too many overlays on '%s'", disk->path);
    file = vf_overlay_new(disk->path, dir, d->overlays, err);
    if (!file)
        return -1;
    (void)snprintf(node, sizeof node, VF_QMP_OURS "o%zu-%u", i, d->overlays);
    d->overlay[d->overlays] = file; /* counted when it exists */
    a = json_pack("{s:s, s:{s:s, s:s, s:s, s:s}}", "type", "blockdev-snapshot-sync", "data",
                  "node-name", d->top, "snapshot-file", file, "snapshot-node-name", node, "format",
                  "qcow2");
    return json_array_append_new(actions, a) == 0 ? 0 : vf_error_nomem(err);
}

/* The transaction went well: the new overlays are on top. */
static int note(struct vf_qmp_disk *d, size_t i, const struct vf_guest_disk *disk,
                struct vf_frozen *f, struct vf_error *err)
{
    char *top = vf_strf(err, VF_QMP_OURS "o%zu-%u", i, d->overlays);

    f->delta = d->overlays > 0;
    f->path = vf_strdup(f->delta ? d->overlay[d->overlays - 1] : disk->path, err);
    f->format = vf_strdup(f->delta ? "qcow2" : disk->format, err);
    d->overlays++;
    free(d->top);
    d->top = top;
    return top && f->path && f->format ? 0 : -1;
}

/* A disk that nobody writes needs no overlay. */
static bool wants_overlay(const struct vf_guest_disk *d)
{
    return d->way == VF_DISK_COPY && !d->read_only;
}

int vf_qmp_freeze(struct vf_guest *guest, const struct vf_guest_info *info, const char *dir,
                  struct vf_frozen **ret_frozen, struct vf_error *err)
{
    struct vf_qmp_guest *g = (struct vf_qmp_guest *)guest;
    struct vf_frozen *f = vf_calloc(info->ndisks, sizeof *f, err);
    json_t *actions = json_array();
    int rc = f && actions ? learn_disks(g, info, err) : vf_error_nomem(err);

    for (size_t i = 0; i < info->ndisks && rc == 0; i++)
        if (wants_overlay(&info->disk[i]))
            rc = plan(&g->disk[i], i, &info->disk[i], dir, actions, err);
    if (rc == 0 && json_array_size(actions))
        rc = vf_qmp_callf(g->q, NULL, err, "transaction", "{s:O}", "actions", actions);
    json_decref(actions);
    for (size_t i = 0; i < info->ndisks && f && g->disk; i++) {
        struct vf_qmp_disk *d = &g->disk[i];

        if (rc == 0 && wants_overlay(&info->disk[i])) {
            rc = note(d, i, &info->disk[i], &f[i], err);
        } else if (rc == 0 && info->disk[i].way == VF_DISK_COPY && !g->frozen) {
            f[i].path = vf_strdup(info->disk[i].path, err);
            f[i].format = vf_strdup(info->disk[i].format, err);
            rc = f[i].path && f[i].format ? 0 : -1;
        } else if (d->overlays < VF_OVERLAY_MAX) {
            free(d->overlay[d->overlays]); /* planned only */
            d->overlay[d->overlays] = NULL;
        }
    }
    if (rc < 0) {
        vf_frozen_free(f, info->ndisks);
        return -1;
    }
    g->frozen = true;
    *ret_frozen = f;
    return 0;
}

int vf_qmp_changed(struct vf_guest *guest, const struct vf_guest_info *info, uint64_t *ret_bytes,
                   struct vf_error *err)
{
    struct vf_qmp_guest *g = (struct vf_qmp_guest *)guest;
    uint64_t sum = 0;

    (void)info;
    for (size_t i = 0; i < g->ndisks; i++) {
        const struct vf_qmp_disk *d = &g->disk[i];
        struct stat sb;

        if (!d->overlays)
            continue;
        if (stat(d->overlay[d->overlays - 1], &sb) < 0)
            return vf_error_sys(err, errno, "'%s'", d->overlay[d->overlays - 1]);
        sum += (uint64_t)sb.st_blocks * 512;
    }
    *ret_bytes = sum;
    return 0;
}
