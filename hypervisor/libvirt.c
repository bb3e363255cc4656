/* hypervisor/libvirt.c - a domain of libvirt: what it is. */
#include "hypervisor/libvirt_impl.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <libvirt/virterror.h>

#include "core/checked.h"
#include "hypervisor/once.h"
#include "hypervisor/view.h"

#define DISKS_MAX 256u
#define YIELD_MS  20000 /* for those who read the guest's disks, and see that a move begins */

static struct vf_lv_guest *of(struct vf_guest *g) { return (struct vf_lv_guest *)g; }

/* ---- connections and errors ---- */

static void quiet(void *ctx, virErrorPtr e)
{
    (void)ctx;
    (void)e;
}

static void set_up(void)
{
    virInitialize();
    virSetErrorFunc(NULL, quiet); /* libraries do not print */
}

int vf_lv_error(struct vf_error *err, const char *what)
{
    const virError *e = virGetLastError();
    enum vf_err code = VF_ERR_IO;

    switch (e ? e->code : 0) {
    case VIR_ERR_NO_DOMAIN:
        code = VF_ERR_NOTFOUND;
        break;
    case VIR_ERR_NO_MEMORY:
        code = VF_ERR_NOMEM;
        break;
    case VIR_ERR_AUTH_FAILED:
    case VIR_ERR_AUTH_UNAVAILABLE:
    case VIR_ERR_ACCESS_DENIED:
        code = VF_ERR_DENIED;
        break;
    case VIR_ERR_CONFIG_UNSUPPORTED:
    case VIR_ERR_NO_SUPPORT:
    case VIR_ERR_OPERATION_UNSUPPORTED:
    case VIR_ERR_ARGUMENT_UNSUPPORTED:
        code = VF_ERR_UNSUPPORTED;
        break;
    case VIR_ERR_OPERATION_TIMEOUT:
        code = VF_ERR_TIMEOUT;
        break;
    case VIR_ERR_OPERATION_ABORTED:
        code = VF_ERR_CANCELLED;
        break;
    default:
        break;
    }
    /* its texts may hold several lines */
    (void)vf_error_set(err, code, 0, "%s: libvirt: %.160s", what,
                       e && e->message ? e->message : "no reason given");
    for (char *p = err ? err->msg : NULL; p && *p; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
    return -1;
}

virConnectPtr vf_lv_connect(const char *uri, struct vf_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    virConnectPtr c;

    pthread_once(&once, set_up);
    c = virConnectOpen(uri ? uri : VF_LV_URI);
    if (!c && vf_lv_error(err, uri ? uri : VF_LV_URI) < 0 && err && err->code == VF_ERR_IO)
        err->code = VF_ERR_UNREACHABLE;
    return c;
}

struct vf_lv_xml *vf_lv_domain_xml(virDomainPtr dom, unsigned flags, struct vf_error *err)
{
    char *text = virDomainGetXMLDesc(dom, flags);
    struct vf_lv_xml *x;

    if (!text) {
        (void)vf_lv_error(err, "the guest's description");
        return NULL;
    }
    x = vf_lv_xml_parse(text, err);
    free(text);
    return x;
}

/* ---- disks ---- */

static char *disk_attr(struct vf_lv_xml *x, size_t n, const char *what, struct vf_error *err)
{
    char path[128];

    (void)snprintf(path, sizeof path, VF_LV_DISKS "[%zu]/%s", n + 1, what);
    return vf_lv_xml_get(x, path, err);
}

static bool disk_has(struct vf_lv_xml *x, size_t n, const char *what)
{
    char path[128];

    (void)snprintf(path, sizeof path, VF_LV_DISKS "[%zu]/%s", n + 1, what);
    return vf_lv_xml_count(x, path) > 0;
}

static int size_of(struct vf_lv_guest *g, struct vf_guest_disk *d, struct vf_error *err)
{
    virDomainBlockInfo info;

    if (virDomainGetBlockInfo(g->dom, d->id, &info, 0) < 0)
        return vf_lv_error(err, d->id);
    d->size = info.capacity;
    return 0;
}

static int add_disk(struct vf_lv_guest *g, struct vf_lv_xml *x, size_t n, struct vf_guest_disk *d,
                    struct vf_error *err)
{
    struct vf_lv_chain c = {0};
    char *device = disk_attr(x, n, "@device", err);
    int backed, rc = -1;

    if (!device || vf_lv_chain_read(x, n, &c, err) < 0)
        goto out;
    d->id = vf_strdup(c.target, err);
    d->path = vf_strdup(c.base, err);
    d->format = vf_strdup(c.base_format, err);
    if (!d->id || !d->path || !d->format)
        goto out;
    d->cdrom = strcmp(device, "cdrom") == 0 || strcmp(device, "floppy") == 0;
    d->read_only = d->cdrom || disk_has(x, n, "readonly");
    if (strcmp(device, "lun") == 0) {
        (void)vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "disk '%s' is a SCSI device of this host",
                           d->id);
        goto out;
    }
    rc = 0;
    if (!*d->path && !disk_has(x, n, "source")) {
        d->way = VF_DISK_EMPTY;
    } else if (!*d->path || d->cdrom || disk_has(x, n, "shareable")) {
        d->way = VF_DISK_LEAVE;
    } else {
        d->way = VF_DISK_COPY;
        backed = vf_lv_is_backed(d->path, d->format, err);
        d->backed = backed == 1;
        rc = backed < 0 ? -1 : size_of(g, d, err);
    }
out:
    vf_lv_chain_free(&c);
    free(device);
    return rc;
}

static int describe_disks(struct vf_lv_guest *g, struct vf_lv_xml *x, struct vf_guest_info *info,
                          struct vf_error *err)
{
    size_t n = vf_lv_xml_count(x, VF_LV_DISKS);

    if (n > DISKS_MAX)
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "the guest has more than %u drives",
                            DISKS_MAX);
    info->disk = vf_calloc(n, sizeof *info->disk, err);
    if (!info->disk)
        return -1;
    for (size_t i = 0; i < n; i++) {
        info->ndisks++;
        if (add_disk(g, x, i, &info->disk[i], err) < 0)
            return -1;
    }
    return 0;
}

/* ---- what forbids a move ---- */

static int check_features(struct vf_lv_xml *x, struct vf_error *err)
{
    static const struct {
        const char *xpath, *what;
    } bad[] = {
        {"/domain/devices/hostdev", "a device of this host"},
        {"/domain/devices/interface[@type='hostdev' or @type='vdpa']",
         "a network card of this host"},
        {"/domain/devices/filesystem", "a directory of this host"},
        {"/domain/devices/memory[@model='nvdimm' or @model='virtio-pmem']", "persistent memory"},
        {"/domain/launchSecurity", "encrypted memory"},
        {VF_LV_DISKS "[@type='vhostuser' or @type='nvme' or @type='vhostvdpa']",
         "a disk that only this host can reach"},
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (vf_lv_xml_count(x, bad[i].xpath) > 0)
            return vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "the guest cannot be moved: it has %s",
                                bad[i].what);
    return 0;
}

static int check_busy(struct vf_lv_guest *g, const struct vf_guest_info *info, struct vf_error *err)
{
    virDomainJobInfo job = {0};
    virDomainBlockJobInfo block;

    if (virDomainSnapshotNum(g->dom, 0) > 0)
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                            "the guest has snapshots, which libvirt does not move "
                            "(virsh snapshot-list)");
    if (vf_lv_view_yield(g->dom, YIELD_MS, g->stop) < 0)
        return vf_error_set(err, VF_ERR_BUSY, 0, "the guest's disk is being indexed");
    if (virDomainListAllCheckpoints(g->dom, NULL, 0) > 0 &&
        (vf_lv_marks_remove(g->dom, VF_VIEW_MARK, NULL) < 0 ||
         virDomainListAllCheckpoints(g->dom, NULL, 0) > 0))
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                            "the guest has checkpoints, which forbid overlays "
                            "(virsh checkpoint-list)");
    if (!info->running)
        return 0;
    if (virDomainGetJobInfo(g->dom, &job) == 0 && job.type != VIR_DOMAIN_JOB_NONE)
        return vf_error_set(err, VF_ERR_BUSY, 0,
                            "libvirt is at work on the guest (virsh "
                            "domjobinfo)");
    for (size_t i = 0; i < info->ndisks; i++)
        if (info->disk[i].way == VF_DISK_COPY &&
            virDomainGetBlockJobInfo(g->dom, info->disk[i].id, &block, 0) > 0)
            return vf_error_set(err, VF_ERR_BUSY, 0, "a job is at work on disk '%s'",
                                info->disk[i].id);
    return 0;
}

/* ---- the machine ---- */

static int describe_state(struct vf_lv_guest *g, struct vf_guest_info *info, struct vf_error *err)
{
    int state, reason;

    if (virDomainGetState(g->dom, &state, &reason, 0) < 0)
        return vf_lv_error(err, "the guest's state");
    switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
        info->running = true;
        return 0;
    case VIR_DOMAIN_PAUSED:
        info->running = info->paused = true;
        return 0;
    case VIR_DOMAIN_SHUTOFF:
        return 0;
    default:
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "the guest neither runs nor is shut off");
    }
}

/* UEFI variables and TPM state travel with a running guest's memory; of one that is shut off they
 * are files. */
static int describe_files(struct vf_lv_xml *x, struct vf_guest_info *info, struct vf_error *err)
{
    char *nvram = vf_lv_xml_get(x, "/domain/os/nvram", err);

    if (!nvram)
        return -1;
    if (!info->running && *nvram == '/') {
        info->file = vf_calloc(1, sizeof *info->file, err);
        if (info->file) {
            info->file->role = vf_strdup("nvram", err);
            info->file->path = nvram;
            info->nfiles = 1;
            return info->file->role ? 0 : -1;
        }
        free(nvram);
        return -1;
    }
    free(nvram);
    if (!info->running && vf_lv_xml_count(x, "/domain/devices/tpm/backend[@type='emulator']"))
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                            "the state of an emulated TPM moves only with a running guest");
    return 0;
}

static int describe_version(struct vf_lv_guest *g, struct vf_lv_xml *x, struct vf_guest_info *info,
                            struct vf_error *err)
{
    unsigned long qemu = 0, lib = 0;
    char *type;

    if (virConnectGetVersion(g->conn, &qemu) < 0 || virConnectGetLibVersion(g->conn, &lib) < 0)
        return vf_lv_error(err, "versions");
    type = vf_lv_xml_get(x, "/domain/@type", err);
    if (!type)
        return -1;
    info->once = vf_once_only(strcmp(type, "kvm") == 0, qemu / 1000000);
    free(type);
    info->version =
        vf_strf(err, "QEMU %lu.%lu.%lu, libvirt %lu.%lu.%lu", qemu / 1000000, qemu / 1000 % 1000,
                qemu % 1000, lib / 1000000, lib / 1000 % 1000, lib % 1000);
    return info->version ? 0 : -1;
}

static int describe_machine(struct vf_lv_guest *g, struct vf_lv_xml *x, struct vf_guest_info *info,
                            struct vf_error *err)
{
    char uuid[VIR_UUID_STRING_BUFLEN];
    virDomainInfo dom;

    if (virDomainGetUUIDString(g->dom, uuid) < 0 || virDomainGetInfo(g->dom, &dom) < 0)
        return vf_lv_error(err, "the guest");
    info->memory = (uint64_t)dom.maxMem * 1024;
    info->name = vf_strdup(virDomainGetName(g->dom), err);
    info->uuid = vf_strdup(uuid, err);
    info->machine = vf_lv_xml_get(x, "/domain/os/type/@machine", err);
    return info->name && info->uuid && info->machine ? describe_version(g, x, info, err) : -1;
}

/* What the far half needs: the running guest's description, what is kept of it when it is shut off,
 * and the processor of this host for guests that have the same. */
static int describe_definition(struct vf_lv_guest *g, struct vf_guest_info *info,
                               struct vf_error *err)
{
    int persistent = virDomainIsPersistent(g->dom);
    char *xml = virDomainGetXMLDesc(g->dom, VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_MIGRATABLE);
    char *kept = persistent == 1
                     ? virDomainGetXMLDesc(g->dom, VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_INACTIVE |
                                                       VIR_DOMAIN_XML_MIGRATABLE)
                     : NULL;
    char *caps = virConnectGetCapabilities(g->conn), *cpu = NULL;
    struct vf_lv_xml *c = caps ? vf_lv_xml_parse(caps, err) : NULL;
    int rc = -1;

    if (!xml || persistent < 0 || (persistent && !kept) || !caps) {
        (void)vf_lv_error(err, "the guest's description");
        goto out;
    }
    cpu = c ? vf_lv_xml_element(c, "/capabilities/host/cpu", err) : NULL;
    if (!cpu)
        goto out;
    info->definition = json_pack("{s:s, s:s*, s:s, s:b, s:b}", "xml", xml, "kept", kept, "host_cpu",
                                 cpu, "running", (int)info->running, "paused", (int)info->paused);
    rc = info->definition ? 0 : vf_error_nomem(err);
out:
    vf_lv_xml_free(c);
    free(cpu);
    free(caps);
    free(kept);
    free(xml);
    return rc;
}

int vf_lv_describe(struct vf_guest *guest, struct vf_guest_info *ret, struct vf_error *err)
{
    struct vf_lv_guest *g = of(guest);
    struct vf_guest_info info = {0};
    struct vf_lv_xml *x = vf_lv_domain_xml(g->dom, VIR_DOMAIN_XML_MIGRATABLE, err);

    if (x && describe_state(g, &info, err) == 0 && check_features(x, err) == 0 &&
        describe_machine(g, x, &info, err) == 0 && describe_disks(g, x, &info, err) == 0 &&
        check_busy(g, &info, err) == 0 && describe_files(x, &info, err) == 0 &&
        describe_definition(g, &info, err) == 0) {
        vf_lv_xml_free(x);
        *ret = info;
        return 0;
    }
    vf_lv_xml_free(x);
    vf_guest_info_free(&info);
    return -1;
}

static int state(struct vf_guest *guest, const char **ret_state, struct vf_error *err)
{
    int now, reason;

    if (virDomainGetState(of(guest)->dom, &now, &reason, 0) < 0) {
        if (virGetLastErrorCode() != VIR_ERR_NO_DOMAIN)
            return vf_lv_error(err, "the guest's state");
        *ret_state = "none";
        return 0;
    }
    switch (now) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
        *ret_state = "running";
        break;
    case VIR_DOMAIN_PAUSED:
        *ret_state = "paused";
        break;
    case VIR_DOMAIN_SHUTOFF:
        *ret_state = "shut off";
        break;
    case VIR_DOMAIN_SHUTDOWN:
        *ret_state = "shutting down";
        break;
    case VIR_DOMAIN_PMSUSPENDED:
        *ret_state = "suspended";
        break;
    case VIR_DOMAIN_CRASHED:
        *ret_state = "crashed";
        break;
    default:
        *ret_state = "unknown";
        break;
    }
    return 0;
}

static void close_guest(struct vf_guest *guest)
{
    struct vf_lv_guest *g = of(guest);

    if (g->dom)
        virDomainFree(g->dom);
    if (g->conn)
        virConnectClose(g->conn);
    vf_lv_eye_destroy(&g->eye);
    free(g);
}

struct vf_guest *vf_libvirt_guest_open(const char *name, const char *uri, const volatile int *stop,
                                       struct vf_error *err)
{
    static const struct vf_guest_ops ops = {.kind = "libvirt",
                                            .describe = vf_lv_describe,
                                            .recover = vf_lv_recover,
                                            .freeze = vf_lv_freeze,
                                            .changed = vf_lv_changed,
                                            .hand_off = vf_lv_hand_off,
                                            .roll_back = vf_lv_roll_back,
                                            .finish = vf_lv_finish,
                                            .state = state,
                                            .close = close_guest};
    struct vf_lv_guest *g = vf_calloc(1, sizeof *g, err);

    if (!g)
        return NULL;
    vf_lv_eye_init(&g->eye);
    g->guest.ops = &ops;
    g->guest.same_run_dir = true; /* QEMU here and there gets one path for each socket */
    g->stop = stop;
    g->conn = vf_lv_connect(uri, err);
    if (g->conn) {
        g->dom = virDomainLookupByName(g->conn, name);
        if (g->dom)
            return &g->guest;
        (void)vf_lv_error(err, name);
    }
    close_guest(&g->guest);
    return NULL;
}
