/* hypervisor/qmp_guest.c - a guest behind a QMP socket: what it is. */
#include "hypervisor/qmp_guest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "hypervisor/once.h"
#include "hypervisor/qmp_machine.h"
#include "hypervisor/qmp_postcopy.h"

#define OPEN_MS   3000
#define DISKS_MAX 256u

static struct vf_qmp_guest *of(struct vf_guest *g) { return (struct vf_qmp_guest *)g; }

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* ---- disks ---- */

/* The file at the bottom of our own overlays: what the guest's disk is without us. */
static const json_t *own_image(const json_t *image)
{
    const json_t *below = json_object_get(image, "backing-image");

    while (strstr(vf_qmp_text(image, "filename"), VF_OVERLAY_MARK) && below) {
        image = below;
        below = json_object_get(image, "backing-image");
    }
    return image;
}

static int add_disk(struct vf_guest_info *info, const json_t *dev, struct vf_error *err)
{
    const json_t *in = json_object_get(dev, "inserted"), *image;
    const char *id = vf_qmp_text(dev, "qdev");
    struct vf_guest_disk *d = &info->disk[info->ndisks];

    if (!*id)
        id = vf_qmp_text(dev, "device");
    d->id = vf_strdup(id, err);
    d->cdrom = json_is_true(json_object_get(dev, "removable"));
    info->ndisks++;
    if (!in) {
        d->way = VF_DISK_EMPTY;
        d->path = vf_strdup("", err);
        d->format = vf_strdup("", err);
        return d->id && d->path && d->format ? 0 : -1;
    }
    image = own_image(json_object_get(in, "image"));
    d->path = vf_strdup(vf_qmp_text(image, "filename"), err);
    d->format = vf_strdup(vf_qmp_text(image, "format"), err);
    d->size = vf_qmp_number(image, "virtual-size");
    d->read_only = json_is_true(json_object_get(in, "ro"));
    d->backed = json_object_get(image, "backing-image") != NULL;
    d->way = !d->path || d->path[0] != '/' || d->cdrom ? VF_DISK_LEAVE : VF_DISK_COPY;
    return d->id && d->path && d->format ? 0 : -1;
}

static int describe_disks(struct vf_qmp_guest *g, struct vf_guest_info *info, struct vf_error *err)
{
    json_t *devs = NULL, *dev;
    size_t i;
    int rc = vf_qmp_call(g->q, "query-block", NULL, &devs, err);

    if (rc == 0 && json_array_size(devs) > DISKS_MAX)
        rc = vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "the guest has more than %u drives",
                          DISKS_MAX);
    if (rc == 0) {
        info->disk = vf_calloc(json_array_size(devs), sizeof *info->disk, err);
        rc = info->disk ? 0 : -1;
    }
    json_array_foreach(devs, i, dev)
    {
        if (rc == 0)
            rc = add_disk(info, dev, err);
    }
    json_decref(devs);
    return rc;
}

/* ---- the machine ---- */

static int describe_machine(struct vf_qmp_guest *g, struct vf_guest_info *info,
                            struct vf_error *err)
{
    json_t *v = NULL, *uuid = NULL, *kvm = NULL;
    const json_t *n;
    int rc = -1;

    info->definition = vf_qmp_machine(g->q, err);
    if (!info->definition || vf_qmp_call(g->q, "query-version", NULL, &v, err) < 0 ||
        vf_qmp_call(g->q, "query-kvm", NULL, &kvm, err) < 0 ||
        vf_qmp_call(g->q, "query-uuid", NULL, &uuid, err) < 0)
        goto out;
    n = json_object_get(v, "qemu");
    info->once =
        vf_once_only(json_is_true(json_object_get(kvm, "enabled")), vf_qmp_number(n, "major"));
    info->version = vf_strf(err, "QEMU %" PRIu64 ".%" PRIu64 ".%" PRIu64, vf_qmp_number(n, "major"),
                            vf_qmp_number(n, "minor"), vf_qmp_number(n, "micro"));
    info->memory = vf_qmp_number(info->definition, "memory");
    info->machine = vf_strdup(vf_qmp_text(info->definition, "machine"), err);
    info->uuid = vf_strdup(
        begins(vf_qmp_text(uuid, "UUID"), "00000000-0000-") ? "" : vf_qmp_text(uuid, "UUID"), err);
    info->name = vf_strdup(g->name, err);
    rc = info->version && info->machine && info->uuid && info->name ? 0 : -1;
out:
    json_decref(kvm);
    json_decref(uuid);
    json_decref(v);
    return rc;
}

/* What forbids a migration by itself. */
static int check_blockers(struct vf_qmp_guest *g, struct vf_error *err)
{
    json_t *m = NULL, *jobs = NULL;
    const json_t *why;
    int rc = vf_qmp_memory_follows(g->q)
                 ? vf_error_set(err, VF_ERR_BUSY, 0,
                                "some of the guest's memory has not come here yet: the move that "
                                "brought it has to be ended at its source first")
                 : 0;

    if (rc == 0)
        rc = vf_qmp_call(g->q, "query-migrate", NULL, &m, err);

    if (rc == 0)
        rc = vf_qmp_call(g->q, "query-block-jobs", NULL, &jobs, err);
    why = json_array_get(json_object_get(m, "blocked-reasons"), 0);
    if (rc == 0 && json_is_string(why))
        rc = vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "the guest cannot be migrated: %s",
                          json_string_value(why));
    if (rc == 0 && json_array_size(jobs))
        rc = vf_error_set(err, VF_ERR_BUSY, 0, "a job (%s) is at work on a disk of the guest",
                          vf_qmp_text(json_array_get(jobs, 0), "device"));
    json_decref(jobs);
    json_decref(m);
    return rc;
}

static int describe(struct vf_guest *guest, struct vf_guest_info *ret, struct vf_error *err)
{
    struct vf_qmp_guest *g = of(guest);
    struct vf_guest_info info = {0};
    json_t *status = NULL;
    const char *state;
    int rc = vf_qmp_call(g->q, "query-status", NULL, &status, err);

    state = vf_qmp_text(status, "status");
    info.running = true;
    info.paused = strcmp(state, "running") != 0;
    if (rc == 0 && info.paused && strcmp(state, "paused") != 0 && strcmp(state, "suspended") != 0)
        rc = vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "the guest is in state '%s'", state);
    json_decref(status);
    if (rc == 0 && check_blockers(g, err) == 0 && describe_machine(g, &info, err) == 0 &&
        describe_disks(g, &info, err) == 0) {
        g->was_paused = info.paused;
        *ret = info;
        return 0;
    }
    vf_guest_info_free(&info);
    return -1;
}

static int state(struct vf_guest *guest, const char **ret_state, struct vf_error *err)
{
    static const char *const known[] = {
        "running",   "paused",    "postmigrate", "inmigrate",      "finish-migrate",
        "shutdown",  "prelaunch", "io-error",    "internal-error", "guest-panicked",
        "suspended", "save-vm",   "restore-vm",  "watchdog",       "debug"};
    json_t *status = NULL;

    if (vf_qmp_call(of(guest)->q, "query-status", NULL, &status, err) < 0)
        return -1;
    *ret_state = "unknown";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(vf_qmp_text(status, "status"), known[i]) == 0)
            *ret_state = known[i];
    json_decref(status);
    return 0;
}

static void end_view(struct vf_guest *guest)
{
    struct vf_error why;

    vf_qmp_mind_stop(of(guest)->q, false);
    (void)vf_qmp_exports_end(of(guest)->q, NULL, &why); /* what is left the next try ends */
    vf_qmp_mind_stop(of(guest)->q, true);
}

static void close_guest(struct vf_guest *guest)
{
    struct vf_qmp_guest *g = of(guest);

    vf_qmp_close(g->q);
    vf_close_fd(&g->pidfd);
    vf_qmp_disks_free(g);
    free(g->name);
    free(g->path);
    free(g);
}

struct vf_guest *vf_qmp_guest_open(const char *name, const char *path, const volatile int *stop,
                                   struct vf_error *err)
{
    static const struct vf_guest_ops ops = {.kind = "qmp",
                                            .describe = describe,
                                            .recover = vf_qmp_recover,
                                            .freeze = vf_qmp_freeze,
                                            .changed = vf_qmp_changed,
                                            .hand_off = vf_qmp_hand_off,
                                            .follow = vf_qmp_follow,
                                            .let_go = vf_qmp_let_go,
                                            .roll_back = vf_qmp_roll_back,
                                            .finish = vf_qmp_finish,
                                            .state = state,
                                            .view = vf_qmp_exports_begin,
                                            .end_view = end_view,
                                            .close = close_guest};
    struct vf_qmp_guest *g = vf_calloc(1, sizeof *g, err);

    if (!g)
        return NULL;
    g->guest.ops = &ops;
    g->stop = stop;
    g->pidfd = -1;
    g->name = vf_strdup(name, err);
    g->path = vf_strdup(path, err);
    if (g->name && g->path)
        g->q = vf_qmp_open(path, OPEN_MS, stop, err);
    if (g->q) {
        vf_qmp_find_process(g);
        return &g->guest;
    }
    close_guest(&g->guest);
    return NULL;
}
