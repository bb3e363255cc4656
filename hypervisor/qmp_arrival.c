/* hypervisor/qmp_arrival.c - the far half of QMP: a QEMU that is started to take a guest.
 *
 * What is run is the store's own setting, and is run by a process that does nothing else
 * (struct vf_starter); this side only speaks with it over its QMP socket. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"
#include "hypervisor/hold.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/qmp_exports.h"
#include "hypervisor/qmp_machine.h"
#include "hypervisor/qmp_postcopy.h"
#include "hypervisor/room.h"

#define START_MS   30000
#define SLICE_MS   300
#define ARRIVE_MS  60000
#define SOCKET_MAX 107u /* bytes in the name of a socket */
#define NODE_MAX   32u

struct arrival {
    struct vf_arrival arrival; /* first */
    const struct vf_arrival_info *info;
    char *qmp, *disk; /* sockets */
    struct vf_qmp_way way;
    struct vf_qmp *q;
    bool started, committed;
};

static struct arrival *of(struct vf_arrival *a) { return (struct arrival *)a; }

static void drop(struct vf_arrival *arrival);

/* Its QEMU speaks with one client at a time: that may be a holder's. */
static struct vf_qmp *connect_qmp(const struct arrival *a, int ms, const volatile int *stop,
                                  struct vf_error *err)
{
    int fd = vf_hold_kept(a->way.hold);

    return fd >= 0 ? vf_qmp_adopt(fd, stop, err) : vf_qmp_open(a->qmp, ms, stop, err);
}

/* ---- may it come? ---- */

static int check(struct vf_arrival *arrival, struct vf_error *err)
{
    struct arrival *a = of(arrival);
    struct vf_error why = VF_ERROR_INIT;
    struct vf_qmp *q;

    if (!a->info->settings->qmp_start)
        return vf_error_set(err, VF_ERR_DENIED, 0,
                            "this store's settings name no command that starts a guest ([qmp] "
                            "start in vmferry.conf)");
    if (strlen(a->qmp) > SOCKET_MAX || strlen(a->disk) > SOCKET_MAX)
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                            "the name '%s' is too long for a socket: use a store with a shorter "
                            "path",
                            a->disk);
    if (vf_room_check(vf_qmp_number(a->info->definition, "memory"), err) < 0)
        return -1;
    q = connect_qmp(a, 0, a->info->stop, &why);
    if (!q && why.code != VF_ERR_BUSY)
        return 0;
    vf_qmp_close(q);
    return vf_error_set(err, VF_ERR_EXISTS, 0, "a guest '%s' runs here already", a->info->name);
}

/* ---- taking it ---- */

/* The file of disk number i; stand_in as of rehearse, NULL: the disk itself. */
static const char *path_of(const struct arrival *a, const char *const *stand_in, size_t i)
{
    const char *path = stand_in ? stand_in[i] : a->info->disk[i].path;

    return path ? path : "";
}

static json_t *start_request(const struct arrival *a, const char *const *stand_in,
                             struct vf_error *err)
{
    json_t *disks = json_array();
    json_t *req = json_pack("{s:s, s:s, s:s, s:o}", "name", a->info->name, "dir", a->info->run_dir,
                            "qmp", a->qmp, "disks", disks);

    for (size_t i = 0; i < a->info->ndisks && req; i++) {
        const struct vf_arrival_disk *d = &a->info->disk[i];

        if (json_array_append_new(disks, json_pack("{s:s, s:s, s:s}", "id", d->id, "path",
                                                   path_of(a, stand_in, i), "format", d->format)) <
            0) {
            json_decref(req);
            req = NULL;
        }
    }
    if (!req)
        (void)vf_error_nomem(err); /* the NULL says it */
    return req;
}

/* Is the machine that was started the one that is to come? */
static int check_machine(struct arrival *a, struct vf_error *err)
{
    json_t *here = vf_qmp_machine(a->q, err), *status = NULL;
    int rc = here ? vf_qmp_machine_compare(a->info->definition, here, err) : -1;

    if (rc == 0)
        rc = vf_qmp_call(a->q, "query-status", NULL, &status, err);
    if (rc == 0 && strcmp(vf_qmp_text(status, "status"), "inmigrate") != 0)
        rc = vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                          "the command here did not start QEMU with {incoming}: it is in state "
                          "'%s'",
                          vf_qmp_text(status, "status"));
    json_decref(here);
    json_decref(status);
    return rc;
}

static bool same_file(const char *a, const char *b)
{
    struct stat sa, sb;

    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

/* The node of the drive with that file; borrowed from devs. */
static const char *node_of(const json_t *devs, const char *path)
{
    const json_t *dev;
    size_t i;

    json_array_foreach(devs, i, dev)
    {
        const json_t *in = json_object_get(dev, "inserted");

        if (same_file(vf_qmp_text(json_object_get(in, "image"), "filename"), path))
            return vf_qmp_text(in, "node-name");
    }
    return NULL;
}

/* Has it a drive for each disk that comes? */
static int find_disks(struct arrival *a, const char *const *stand_in, json_t *devs,
                      struct vf_error *err)
{
    for (size_t i = 0; i < a->info->ndisks; i++)
        if (a->info->disk[i].way == VF_DISK_COPY && !node_of(devs, path_of(a, stand_in, i)))
            return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                                "the command here started a guest without the disk '%s'",
                                a->info->disk[i].path);
    return 0;
}

static int export_disks(struct arrival *a, struct vf_error *err)
{
    json_t *devs = NULL;
    int rc = vf_qmp_call(a->q, "query-block", NULL, &devs, err);

    if (rc == 0)
        rc = find_disks(a, NULL, devs, err);
    if (rc == 0)
        rc = vf_qmp_exports_listen(a->q, a->disk, err);
    for (size_t i = 0; i < a->info->ndisks && rc == 0; i++) {
        const struct vf_arrival_disk *d = &a->info->disk[i];
        char id[NODE_MAX], name[NODE_MAX];

        if (d->way != VF_DISK_COPY || d->read_only)
            continue;
        (void)snprintf(id, sizeof id, "vmferry-e%zu", i);
        (void)snprintf(name, sizeof name, "disk%zu", i);
        rc = vf_qmp_exports_add(a->q, id, node_of(devs, d->path), name, true, err);
    }
    json_decref(devs);
    return rc;
}

/* Its QMP socket, as long as the command may still come to it. */
static int await_qmp(struct arrival *a, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;

    for (int ms = 0; ms < START_MS && !a->q; ms += SLICE_MS) {
        a->q = vf_qmp_open(a->qmp, SLICE_MS, a->info->stop, &why);
        if (!a->q && why.code == VF_ERR_CANCELLED)
            break;
        if (!a->q && a->info->starter->look(a->info->starter, &why) < 0)
            break;
    }
    if (a->q)
        return 0;
    return vf_error_set(err, why.code, 0, "the guest's QEMU did not start: %s", why.msg);
}

/* Runs the command, on the disks or what stands in for them, and looks at what it has started. */
static int start_it(struct arrival *a, const char *const *stand_in, struct vf_error *err)
{
    json_t *req = start_request(a, stand_in, err);
    int rc;

    if (!req)
        return -1;
    (void)unlink(a->qmp); /* nobody answers there: check() has seen to that */
    a->started = true;
    rc = a->info->starter->start(a->info->starter, req, err);
    json_decref(req);
    if (rc < 0 || await_qmp(a, err) < 0)
        return -1;
    return check_machine(a, err);
}

/* Does the command name all disks that come?  One that finds them some other way can only be tried
 * when they are there. */
static bool names_disks(const struct arrival *a)
{
    char blank[NODE_MAX];

    for (size_t i = 0; i < a->info->ndisks; i++) {
        (void)snprintf(blank, sizeof blank, "{disk%zu}", i);
        if (a->info->disk[i].way == VF_DISK_COPY && !strstr(a->info->settings->qmp_start, blank))
            return false;
    }
    return true;
}

/* QEMU finds out then whether this machine can do postcopy. */
static int set_capabilities(struct arrival *a, struct vf_error *err)
{
    return vf_qmp_callf(a->q, NULL, err, "migrate-set-capabilities",
                        "{s:[{s:s,s:b},{s:s,s:b},{s:s,s:b}]}", "capabilities", "capability",
                        "events", "state", 1, "capability", "pause-before-switchover", "state", 1,
                        "capability", "postcopy-ram", "state", (int)a->info->postcopy);
}

static int rehearse(struct vf_arrival *arrival, const char *const *stand_in, struct vf_error *err)
{
    struct arrival *a = of(arrival);
    json_t *devs = NULL;
    int rc;

    if (a->started)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "the guest was prepared already");
    if (!names_disks(a))
        return 0;
    rc = start_it(a, stand_in, err);
    if (rc == 0)
        rc = vf_qmp_call(a->q, "query-block", NULL, &devs, err);
    if (rc == 0)
        rc = find_disks(a, stand_in, devs, err);
    json_decref(devs);
    if (rc == 0)
        rc = set_capabilities(a, err);
    drop(arrival);
    return rc;
}

static int prepare(struct vf_arrival *arrival, json_t *args, json_t **ret_answer,
                   struct vf_error *err)
{
    struct arrival *a = of(arrival);

    (void)args;
    if (a->started)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "the guest was prepared already");
    if (start_it(a, NULL, err) < 0 || export_disks(a, err) < 0)
        return -1;
    *ret_answer = json_object();
    return *ret_answer ? 0 : vf_error_nomem(err);
}

static int incoming(struct arrival *a, struct vf_error *err)
{
    char *uri = vf_strf(err, "unix:%s", a->way.mem);
    int rc = uri ? 0 : -1;

    if (rc == 0)
        rc = set_capabilities(a, err);
    if (rc == 0)
        rc = vf_qmp_callf(a->q, NULL, err, "migrate-incoming", "{s:s}", "uri", uri);
    if (rc == 0 && a->info->postcopy)
        rc = vf_qmp_arrival_way(a->q, &a->way, err);
    free(uri);
    return rc;
}

/* The connection to its QEMU; one that an earlier process has prepared is found at its socket. */
static int need_qmp(struct arrival *a, struct vf_error *err)
{
    if (!a->q)
        a->q = connect_qmp(a, 1000, NULL, err);
    if (!a->q)
        return -1;
    vf_qmp_mind_stop(a->q, false);
    return 0;
}

static int runs(struct arrival *a, bool *ret, struct vf_error *err)
{
    json_t *status = NULL;

    if (vf_qmp_call(a->q, "query-status", NULL, &status, err) < 0)
        return -1;
    *ret = strcmp(vf_qmp_text(status, "status"), "running") == 0;
    json_decref(status);
    return 0;
}

/* Nobody writes the disks through this QEMU any more.  It is told before anything is decided: for
 * it the source's client is still there, and it may not survive to see that go (iothread.h). */
static void end_exports(struct arrival *a)
{
    bool already;

    /* The server of a guest that runs is not ours. */
    if (runs(a, &already, NULL) == 0 && !already)
        (void)vf_qmp_call(a->q, "nbd-server-stop", NULL, NULL, NULL); /* it may be told again */
}

/* With postcopy that is before the guest is let go: QEMU's main thread does not wait for a page
 * yet. */
static int promise(struct vf_arrival *arrival, struct vf_error *err)
{
    struct arrival *a = of(arrival);
    bool already;

    if (need_qmp(a, err) < 0)
        return -1;
    end_exports(a);
    return runs(a, &already, err); /* it is still there */
}

/* incoming: take memory.  With postcopy also whole: is all of that here, or has QEMU lost its
 * connection ("broken")?  recover: the source's QEMU has, and needs a new one. */
static int ask(struct vf_arrival *arrival, const char *question, json_t *args, json_t **ret_answer,
               struct vf_error *err)
{
    struct arrival *a = of(arrival);
    bool whole = false, broken = false;
    int rc;

    (void)args;
    if (need_qmp(a, err) < 0)
        return -1;
    if (strcmp(question, "incoming") == 0)
        rc = incoming(a, err);
    else if (strcmp(question, "whole") == 0)
        rc = vf_qmp_arrival_whole(a->q, &a->way, &whole, &broken, err);
    else if (strcmp(question, "recover") == 0)
        rc = vf_qmp_arrival_recover(a->q, &a->way, &whole, err);
    else
        rc = vf_error_set(err, VF_ERR_PROTOCOL, 0, "unknown question '%.32s'", question);
    if (rc < 0)
        return -1;
    *ret_answer = json_pack("{s:b, s:b}", "whole", (int)whole, "broken", (int)broken);
    return *ret_answer ? 0 : vf_error_nomem(err);
}

static const char *socket_of(struct vf_arrival *arrival, const char *name)
{
    const struct arrival *a = of(arrival);

    if (strcmp(name, "mem") == 0)
        return a->way.mem;
    if (strcmp(name, VF_QMP_LINE) == 0)
        return a->way.line;
    return strcmp(name, "disk") == 0 ? a->disk : NULL;
}

/* ---- the commit point ---- */

static bool is_end(const json_t *event, const void *arg)
{
    const char *s = vf_qmp_text(json_object_get(event, "data"), "status");

    (void)arg;
    return strcmp(s, "completed") == 0 || strcmp(s, "failed") == 0;
}

/* All of memory is here; the state of the guest is then that of the source. */
static int await_arrival(struct arrival *a, struct vf_error *err)
{
    json_t *m = NULL, *event = NULL;
    const char *status;
    int rc;

    if (a->info->postcopy) /* or all of it but what is to follow */
        return vf_qmp_arrived(a->q, ARRIVE_MS, err);
    rc = vf_qmp_call(a->q, "query-migrate", NULL, &m, err);
    if (rc < 0)
        return -1;
    status = vf_qmp_text(m, "status");
    if (strcmp(status, "completed") != 0) {
        rc = vf_qmp_event(a->q, "MIGRATION", is_end, NULL, ARRIVE_MS, &event, err);
        status = vf_qmp_text(json_object_get(event, "data"), "status");
    }
    if (rc >= 0)
        rc = strcmp(status, "completed") == 0
                 ? 0
                 : vf_error_set(err, VF_ERR_IO, 0, "the guest's memory did not arrive whole");
    json_decref(event);
    json_decref(m);
    return rc;
}

static int let_run(struct arrival *a, struct vf_error *err)
{
    bool already;

    if (runs(a, &already, err) < 0)
        return -1;
    if (already)
        return 0;
    return a->info->paused ? 0 : vf_qmp_call(a->q, "cont", NULL, NULL, err);
}

static int commit(struct vf_arrival *arrival, struct vf_error *err)
{
    struct arrival *a = of(arrival);

    if (need_qmp(a, err) < 0 || await_arrival(a, err) < 0)
        return -1;
    if (!a->info->postcopy)
        end_exports(a);
    if (a->started && a->info->starter->keep(a->info->starter, err) < 0)
        return -1;
    if (a->info->committing && a->info->committing(a->info->ctx, err) < 0)
        return -1;
    a->committed = true;
    if (let_run(a, err) == 0)
        return 0;
    /* QEMU may just wait for a page, and let it run then: "no" would be wrong.  It is asked again.
     */
    return a->info->postcopy ? 0 : -1;
}

static const char *state(struct vf_arrival *arrival)
{
    static const char *const known[] = {"running", "paused", "inmigrate", "postmigrate",
                                        "shutdown"};
    struct arrival *a = of(arrival);
    json_t *status = NULL;
    const char *ret = "unknown";

    if (!a->q)
        a->q = connect_qmp(a, 200, NULL, NULL);
    if (!a->q || vf_qmp_call(a->q, "query-status", NULL, &status, NULL) < 0)
        return "none";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(vf_qmp_text(status, "status"), known[i]) == 0)
            ret = known[i];
    json_decref(status);
    return ret;
}

static void drop(struct vf_arrival *arrival)
{
    struct arrival *a = of(arrival);
    struct vf_error why;

    if (a->committed)
        return;
    if (!a->q)
        a->q = connect_qmp(a, 200, NULL, &why);
    if (a->q) {
        vf_qmp_mind_stop(a->q, false);
        (void)vf_qmp_call(a->q, "quit", NULL, NULL, &why); /* it may be gone before it answers */
        vf_qmp_close(a->q);
        a->q = NULL;
    }
    if (a->started)
        a->info->starter->kill(a->info->starter);
    a->started = false;
    (void)unlink(a->qmp); /* usually QEMU has done it */
    (void)unlink(a->way.mem);
    (void)unlink(a->way.line);
    (void)unlink(a->way.hold);
    (void)unlink(a->disk);
}

static void close_arrival(struct vf_arrival *arrival)
{
    struct arrival *a = of(arrival);

    if (a->started)
        drop(arrival);
    vf_qmp_close(a->q);
    free(a->qmp);
    free(a->way.mem);
    free(a->way.line);
    free(a->way.hold);
    free(a->disk);
    free(a);
}

struct vf_arrival *vf_qmp_arrival_open(const struct vf_arrival_info *info, struct vf_error *err)
{
    static const struct vf_arrival_ops ops = {.kind = "qmp",
                                              .check = check,
                                              .rehearse = rehearse,
                                              .prepare = prepare,
                                              .ask = ask,
                                              .promise = promise,
                                              .socket = socket_of,
                                              .commit = commit,
                                              .state = state,
                                              .drop = drop,
                                              .close = close_arrival};
    struct arrival *a = vf_calloc(1, sizeof *a, err);

    if (!a)
        return NULL;
    a->arrival.ops = &ops;
    a->info = info;
    a->qmp = vf_strf(err, "%s/qmp", info->run_dir);
    a->way.mem = vf_strf(err, "%s/mem", info->run_dir);
    a->way.line = vf_strf(err, "%s/" VF_QMP_LINE, info->run_dir);
    a->way.hold = vf_strf(err, "%s/" VF_QMP_HOLD, info->run_dir);
    a->disk = vf_strf(err, "%s/disk", info->run_dir);
    if (a->qmp && a->way.mem && a->way.line && a->way.hold && a->disk)
        return &a->arrival;
    close_arrival(&a->arrival);
    return NULL;
}
