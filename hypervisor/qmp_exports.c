/* hypervisor/qmp_exports.c - the disks of a running guest, read through its own QEMU.
 *
 * What a guest writes passes through QEMU's caches: the tables of a qcow2 file cannot be read
 * beside it, but QEMU itself can show what the guest sees. */
#include "hypervisor/qmp_exports.h"

#include <stdio.h>
#include <string.h>

#include "core/checked.h"
#include "hypervisor/iothread.h"
#include "hypervisor/qmp_guest.h"

#define VIEW VF_QMP_OURS "v"

/* The node that the drive with that id reads; borrowed from devs. */
static const char *node_of(const json_t *devs, const char *id)
{
    const json_t *dev;
    size_t i;

    json_array_foreach(devs, i, dev)
    {
        const char *qdev = vf_qmp_text(dev, "qdev");

        if (strcmp(*qdev ? qdev : vf_qmp_text(dev, "device"), id) == 0)
            return vf_qmp_text(json_object_get(dev, "inserted"), "node-name");
    }
    return "";
}

/* Which disks have an iothread is not told in one place: any iothread counts. */
int vf_qmp_exports_check(struct vf_qmp *q, struct vf_error *err)
{
    json_t *threads = NULL, *v = NULL;
    int rc = vf_qmp_call(q, "query-iothreads", NULL, &threads, err);

    if (rc == 0 && json_array_size(threads)) {
        rc = vf_qmp_call(q, "query-version", NULL, &v, err);
        if (rc == 0 && vf_iothread_fault(vf_qmp_number(json_object_get(v, "qemu"), "major")))
            rc = vf_iothread_refuse(err);
    }
    json_decref(v);
    json_decref(threads);
    return rc;
}

int vf_qmp_exports_listen(struct vf_qmp *q, const char *socket, struct vf_error *err)
{
    return vf_qmp_callf(q, NULL, err, "nbd-server-start", "{s:{s:s, s:{s:s}}}", "addr", "type",
                        "unix", "data", "path", socket);
}

int vf_qmp_exports_add(struct vf_qmp *q, const char *id, const char *node, const char *name,
                       bool writable, struct vf_error *err)
{
    return vf_qmp_callf(q, NULL, err, "block-export-add", "{s:s, s:s, s:s, s:s, s:b}", "type",
                        "nbd", "id", id, "node-name", node, "name", name, "writable", writable);
}

static int add_exports(struct vf_qmp *q, const struct vf_guest_info *info, struct vf_error *err)
{
    json_t *devs = NULL;
    int rc = vf_qmp_call(q, "query-block", NULL, &devs, err);

    for (size_t i = 0; i < info->ndisks && rc == 0; i++) {
        char id[VF_QMP_NODE_MAX], name[VF_QMP_NODE_MAX];

        if (info->disk[i].way != VF_DISK_COPY)
            continue;
        (void)snprintf(id, sizeof id, VIEW "%zu", i);
        (void)snprintf(name, sizeof name, "disk%zu", i);
        rc = vf_qmp_exports_add(q, id, node_of(devs, info->disk[i].id), name, false, err);
    }
    json_decref(devs);
    return rc;
}

int vf_qmp_exports_begin(struct vf_guest *guest, const struct vf_guest_info *info,
                         const char *socket, struct vf_error *err)
{
    struct vf_qmp *q = ((struct vf_qmp_guest *)guest)->q;

    if (vf_qmp_exports_check(q, err) < 0)
        return -1;
    if (vf_qmp_exports_listen(q, socket, err) < 0)
        return vf_error_prefix(err, "reading the guest's disks");
    if (add_exports(q, info, err) == 0)
        return 0;
    (void)vf_qmp_call(q, "nbd-server-stop", NULL, NULL, NULL); /* the -1 tells enough */
    return -1;
}

int vf_qmp_exports_end(struct vf_qmp *q, bool *ret_found, struct vf_error *err)
{
    json_t *exports = NULL;
    const json_t *e;
    size_t i;
    bool found = false;
    int rc = vf_qmp_call(q, "query-block-exports", NULL, &exports, err);

    json_array_foreach(exports, i, e)
    {
        found |= strncmp(vf_qmp_text(e, "id"), VIEW, strlen(VIEW)) == 0;
    }
    json_decref(exports);
    if (rc == 0 && found)
        rc = vf_qmp_call(q, "nbd-server-stop", NULL, NULL, err);
    if (ret_found)
        *ret_found |= found;
    return rc;
}
