/* hypervisor/libvirt_arrival.c - the far half of libvirt: may a domain come, and is it here?
 *
 * The domain itself is made by libvirt's own migration, which the source half drives through a
 * tunnel to the socket of libvirtd here.  Who has that socket is as good as root on this machine:
 * the store's settings must allow it ([libvirt] accept).  In the guest's state directory the file
 * "incoming" says that a domain of that name is ours to remove. */
#include "hypervisor/libvirt_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libvirt/virterror.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "hypervisor/room.h"

#define SOCKET_MAX 107u /* bytes in the name of a socket */

struct arrival {
    struct vf_arrival arrival; /* first */
    const struct vf_arrival_info *info;
    virConnectPtr conn;
    struct vf_lv_xml *xml, *kept; /* kept: NULL when the domain is not kept at the source either */
    char *lib, *mem, *disk;       /* sockets */
    char *mark;                   /* the file "incoming" */
    char *nvram;                  /* UEFI variables of a guest that comes shut off */
    bool has_nvram;
    bool running; /* it comes running, or stopped by its user */
    bool prepared, committed;
};

static struct arrival *of(struct vf_arrival *a) { return (struct arrival *)a; }

static int no(struct vf_error *err, const char *what, const char *which)
{
    return vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "%s '%.100s' is not here", what, which);
}

/* ---- opening ---- */

static struct vf_lv_xml *parse(json_t *definition, const char *name, struct vf_error *err)
{
    const char *text = json_string_value(json_object_get(definition, name));

    if (text)
        return vf_lv_xml_parse(text, err);
    (void)vf_error_set(err, VF_ERR_PROTOCOL, 0, "the guest comes without a description");
    return NULL;
}

static int ready(struct arrival *a, struct vf_error *err)
{
    json_t *def = a->info->definition;

    if (a->conn)
        return 0;
    if (!a->info->settings->libvirt)
        return vf_error_set(err, VF_ERR_DENIED, 0,
                            "this store's settings do not take guests of libvirt ([libvirt] accept "
                            "in vmferry.conf)");
    a->running = json_is_true(json_object_get(def, "running"));
    if (!a->xml)
        a->xml = parse(def, "xml", err);
    if (a->xml && !a->kept && json_object_get(def, "kept")) {
        a->kept = parse(def, "kept", err);
        if (!a->kept)
            return -1;
    }
    if (a->xml)
        a->conn = vf_lv_connect(a->info->settings->libvirt_uri, err);
    return a->conn ? 0 : -1;
}

/* The domain of that UUID; NULL: there is none.  A failure counts as none only where that is safe.
 */
static virDomainPtr find(struct arrival *a)
{
    virDomainPtr d = NULL;

    if (a->info->uuid && *a->info->uuid)
        d = virDomainLookupByUUIDString(a->conn, a->info->uuid);
    return d ? d : virDomainLookupByName(a->conn, a->info->name);
}

/* Is this the guest of an earlier try, which was never let run? */
static bool is_leftover(const struct arrival *a, virDomainPtr d)
{
    struct stat sb;
    int now, reason;

    return stat(a->mark, &sb) == 0 && virDomainGetState(d, &now, &reason, 0) == 0 &&
           (now == VIR_DOMAIN_PAUSED || now == VIR_DOMAIN_SHUTOFF);
}

/* Removes it, if there is one. */
static void remove_leftover(struct arrival *a)
{
    virDomainPtr d = find(a);

    if (d && is_leftover(a, d)) {
        /* libvirt may be quicker, and may not have kept it */
        (void)virDomainDestroy(d);
        (void)virDomainUndefineFlags(d, VIR_DOMAIN_UNDEFINE_NVRAM);
    }
    if (d)
        virDomainFree(d);
    (void)unlink(a->mark);
    (void)unlink(a->mem); /* usually QEMU has done it */
    (void)unlink(a->disk);
    (void)unlink(a->nvram);
}

/* ---- may it come? ---- */

static int check_machine(struct arrival *a, struct vf_error *err)
{
    char *type = vf_lv_xml_get(a->xml, "/domain/@type", err);
    char *arch = vf_lv_xml_get(a->xml, "/domain/os/type/@arch", err);
    char *machine = vf_lv_xml_get(a->xml, "/domain/os/type/@machine", err);
    char *emulator = vf_lv_xml_get(a->xml, "/domain/devices/emulator", err);
    char *caps = NULL;
    int rc = -1;

    if (!type || !arch || !machine || !emulator)
        goto out;
    if (*emulator && access(emulator, X_OK) < 0) {
        rc = no(err, "the emulator", emulator);
        goto out;
    }
    /* fails for a machine type, an architecture or an accelerator that is not here */
    caps = virConnectGetDomainCapabilities(a->conn, *emulator ? emulator : NULL,
                                           *arch ? arch : NULL, *machine ? machine : NULL, type, 0);
    rc = caps ? 0 : vf_lv_error(err, "the guest's machine");
    if (rc < 0 && err)
        err->code = VF_ERR_UNSUPPORTED;
out:
    free(caps);
    free(emulator);
    free(machine);
    free(arch);
    free(type);
    return rc;
}

/* A guest with the processor of its host needs the same here; of others it is said what they have.
 */
static char *cpu_of(struct arrival *a, struct vf_error *err)
{
    char *mode = vf_lv_xml_get(a->xml, "/domain/cpu/@mode", err);
    const char *host = json_string_value(json_object_get(a->info->definition, "host_cpu"));
    char *ret = NULL;

    if (!mode)
        return NULL;
    if (strcmp(mode, "host-passthrough") == 0 || strcmp(mode, "host-model") == 0)
        ret = vf_strdup(host ? host : "", err);
    else if (strcmp(mode, "maximum") == 0)
        ret = vf_strdup("", err);
    else
        ret = vf_lv_xml_element(a->xml, "/domain/cpu[model]", err);
    free(mode);
    return ret;
}

static int check_cpu(struct arrival *a, struct vf_error *err)
{
    char *cpu = cpu_of(a, err);
    char *type = vf_lv_xml_get(a->xml, "/domain/@type", err);
    char *arch = vf_lv_xml_get(a->xml, "/domain/os/type/@arch", err);
    int rc = -1;

    if (cpu && type && arch && *cpu) {
        int got = strncmp(cpu, "<cpu>", 5) == 0
                      ? virConnectCompareCPU(a->conn, cpu, 0)
                      : virConnectCompareHypervisorCPU(a->conn, NULL, *arch ? arch : NULL, NULL,
                                                       type, cpu, 0);

        if (got == VIR_CPU_COMPARE_INCOMPATIBLE)
            rc = vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                              "this machine's processor lacks what the guest has");
        else if (got == VIR_CPU_COMPARE_ERROR)
            rc = vf_lv_error(err, "comparing processors");
        else
            rc = 0;
    } else if (cpu && type && arch) {
        rc = 0;
    }
    free(arch);
    free(type);
    free(cpu);
    return rc;
}

static bool bridge_is_here(const char *name)
{
    char path[128];
    struct stat sb;

    if (strchr(name, '/') || strlen(name) > 64)
        return false;
    (void)snprintf(path, sizeof path, "/sys/class/net/%s/bridge", name);
    return stat(path, &sb) == 0;
}

static bool network_is_here(virConnectPtr conn, const char *name)
{
    virNetworkPtr n = virNetworkLookupByName(conn, name);
    bool active = n && virNetworkIsActive(n) == 1;

    if (n)
        virNetworkFree(n);
    return active;
}

static int check_networks(struct arrival *a, struct vf_error *err)
{
    static const char nets[] = "/domain/devices/interface[@type='network']/source/@network";
    static const char bridges[] = "/domain/devices/interface[@type='bridge']/source/@bridge";
    size_t n = vf_lv_xml_count(a->xml, nets), b = vf_lv_xml_count(a->xml, bridges);
    int rc = 0;

    for (size_t i = 0; i < n + b && rc == 0; i++) {
        char *name = vf_lv_xml_nth(a->xml, i < n ? nets : bridges, i < n ? i : i - n, err);

        if (!name)
            rc = -1;
        else if (i < n && !network_is_here(a->conn, name))
            rc = no(err, "the network (running)", name);
        else if (i >= n && !bridge_is_here(name))
            rc = no(err, "the bridge", name);
        free(name);
    }
    return rc;
}

static int check_memory(struct arrival *a, struct vf_error *err)
{
    char *kib = vf_lv_xml_get(a->xml, "/domain/memory", err); /* as libvirt writes it */
    int rc = kib ? vf_room_check(strtoull(kib, NULL, 10) << 10, err) : -1;

    free(kib);
    return rc;
}

/* Disks that are left alone have to be here under their names. */
static int check_left(struct arrival *a, struct vf_error *err)
{
    for (size_t i = 0; i < a->info->ndisks; i++) {
        const struct vf_arrival_disk *d = &a->info->disk[i];

        if (d->way == VF_DISK_LEAVE && d->path && *d->path == '/' && access(d->path, R_OK) < 0 &&
            errno == ENOENT)
            return no(err, "the file", d->path);
    }
    return 0;
}

static int check(struct vf_arrival *arrival, struct vf_error *err)
{
    struct arrival *a = of(arrival);
    virDomainPtr d;

    if (ready(a, err) < 0)
        return -1;
    if (strlen(a->mem) > SOCKET_MAX || strlen(a->disk) > SOCKET_MAX)
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "the name '%s' is too long for a socket",
                            a->disk);
    d = find(a);
    if (d && !is_leftover(a, d)) {
        (void)vf_error_set(err, VF_ERR_EXISTS, 0, "libvirt has a guest '%.100s' already",
                           virDomainGetName(d));
        virDomainFree(d);
        return -1;
    }
    if (d)
        virDomainFree(d);
    if (check_machine(a, err) < 0 || check_networks(a, err) < 0 || check_left(a, err) < 0)
        return -1;
    if (!a->running)
        return 0;
    return check_cpu(a, err) < 0 || check_memory(a, err) < 0 ? -1 : 0;
}

/* ---- taking it ---- */

static int set_disks(struct arrival *a, struct vf_lv_xml *x, struct vf_error *err)
{
    for (size_t i = 0; i < a->info->ndisks; i++) {
        const struct vf_arrival_disk *d = &a->info->disk[i];

        if (d->way == VF_DISK_COPY && vf_lv_xml_set_disk(x, d->id, d->path, d->format, err) < 0)
            return -1;
    }
    return 0;
}

static json_t *described(struct arrival *a, struct vf_error *err)
{
    char *xml = NULL, *kept = NULL;
    json_t *o = NULL;

    if (set_disks(a, a->xml, err) == 0 && (!a->kept || set_disks(a, a->kept, err) == 0)) {
        xml = vf_lv_xml_text(a->xml, err);
        kept = a->kept ? vf_lv_xml_text(a->kept, err) : NULL;
        if (xml && (kept || !a->kept)) {
            o = json_pack("{s:s, s:s*}", "xml", xml, "kept", kept);
            if (!o)
                (void)vf_error_nomem(err); /* the NULL says it */
        }
    }
    free(kept);
    free(xml);
    return o;
}

static int set_mark(struct arrival *a, struct vf_error *err)
{
    int fd;

    if (vf_mkdir_p(a->info->state_dir, 0700, err) < 0)
        return -1;
    fd = open(a->mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return vf_error_sys(err, errno, "'%s'", a->mark);
    vf_close_fd(&fd);
    return 0;
}

/* QEMU, which libvirt runs as a user of its own, makes its sockets there.  Without such a user it
 * runs as somebody that we cannot know. */
static void open_dir(const char *dir)
{
    const struct passwd *p = getpwnam("libvirt-qemu");

    if (!p)
        p = getpwnam("qemu");
    if (!p || chown(dir, p->pw_uid, (gid_t)-1) < 0)
        (void)chmod(dir, 01733); /* QEMU says it when that is not enough */
}

static int prepare(struct vf_arrival *arrival, json_t *args, json_t **ret_answer,
                   struct vf_error *err)
{
    struct arrival *a = of(arrival);

    (void)args;
    if (ready(a, err) < 0)
        return -1;
    remove_leftover(a);
    *ret_answer = described(a, err);
    if (*ret_answer && set_mark(a, err) == 0) {
        a->prepared = true;
        open_dir(a->info->run_dir);
        return 0;
    }
    json_decref(*ret_answer);
    *ret_answer = NULL;
    return -1;
}

static int hex_value(char c)
{
    static const char digit[] = "0123456789abcdef";
    const char *at = c ? strchr(digit, c) : NULL;

    return at ? (int)(at - digit) : -1;
}

/* A piece of a small file of a guest that is shut off. */
static int take_piece(struct arrival *a, json_t *args, struct vf_error *err)
{
    const char *role = json_string_value(json_object_get(args, "role"));
    const char *data = json_string_value(json_object_get(args, "data"));
    json_int_t off = json_integer_value(json_object_get(args, "off"));
    uint8_t piece[VF_LV_PIECE];
    size_t len = data ? strlen(data) / 2 : 0;
    int fd, rc;

    if (a->running || !a->prepared || !role || strcmp(role, "nvram") != 0 || len > sizeof piece ||
        off < 0 || (uint64_t)off + len > VF_LV_FILE_MAX)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "a file that is not expected");
    for (size_t i = 0; i < len; i++) {
        int high = hex_value(data[2 * i]), low = hex_value(data[2 * i + 1]);

        if (high < 0 || low < 0)
            return vf_error_set(err, VF_ERR_PROTOCOL, 0, "a damaged piece of a file");
        piece[i] = (uint8_t)(high << 4 | low);
    }
    fd = open(a->nvram, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return vf_error_sys(err, errno, "'%s'", a->nvram);
    rc = vf_pwrite_full(fd, piece, len, (uint64_t)off, err);
    if (rc == 0 && fsync(fd) < 0)
        rc = vf_error_sys(err, errno, "'%s'", a->nvram);
    vf_close_fd(&fd);
    a->has_nvram = rc == 0;
    return rc;
}

static int ask(struct vf_arrival *arrival, const char *question, json_t *args, json_t **ret_answer,
               struct vf_error *err)
{
    if (strcmp(question, "file") != 0)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "unknown question '%.32s'", question);
    if (take_piece(of(arrival), args, err) < 0)
        return -1;
    *ret_answer = json_object();
    return *ret_answer ? 0 : vf_error_nomem(err);
}

static const char *socket_of(struct vf_arrival *arrival, const char *name)
{
    const struct arrival *a = of(arrival);

    if (strcmp(name, "libvirt") == 0)
        return a->info->settings->libvirt ? a->lib : NULL;
    if (strcmp(name, "mem") == 0)
        return a->mem;
    return strcmp(name, "disk") == 0 ? a->disk : NULL;
}

/* ---- the commit point ---- */

static int define(struct arrival *a, struct vf_error *err)
{
    struct vf_lv_xml *x = a->kept ? a->kept : a->xml;
    bool set = set_disks(a, x, err) == 0 &&
               (!a->has_nvram || vf_lv_xml_set(x, "/domain/os/nvram", a->nvram, err) == 0);
    char *text = set ? vf_lv_xml_text(x, err) : NULL;
    virDomainPtr d = text ? virDomainDefineXML(a->conn, text) : NULL;

    if (text && !d)
        (void)vf_lv_error(err, "the guest's definition");
    free(text);
    if (d)
        virDomainFree(d);
    return d ? 0 : -1;
}

static int committing(struct arrival *a, struct vf_error *err)
{
    if (a->info->committing && a->info->committing(a->info->ctx, err) < 0)
        return -1;
    a->committed = true;
    (void)unlink(a->mark); /* absent on a second call */
    return 0;
}

static int let_run(struct arrival *a, virDomainPtr d, struct vf_error *err)
{
    virDomainJobInfo job = {0};
    int state, reason;

    if (virDomainGetState(d, &state, &reason, 0) < 0)
        return vf_lv_error(err, "the guest's state");
    if (state == VIR_DOMAIN_SHUTOFF)
        return vf_error_set(err, VF_ERR_IO, 0, "the guest's memory did not arrive whole");
    if (virDomainGetJobInfo(d, &job) == 0 && job.type != VIR_DOMAIN_JOB_NONE)
        return vf_error_set(err, VF_ERR_BUSY, 0, "libvirt has not finished moving the guest");
    if (committing(a, err) < 0)
        return -1;
    if (state == VIR_DOMAIN_PAUSED && !a->info->paused && virDomainResume(d) < 0)
        return vf_lv_error(err, "letting the guest run");
    return 0;
}

static int commit(struct vf_arrival *arrival, struct vf_error *err)
{
    struct arrival *a = of(arrival);
    virDomainPtr d;
    int rc;

    if (ready(a, err) < 0)
        return -1;
    d = find(a);
    if (!a->running) {
        if (d)
            virDomainFree(d); /* defined by an earlier call */
        return (d || define(a, err) == 0) && committing(a, err) == 0 ? 0 : -1;
    }
    if (!d)
        return vf_error_set(err, VF_ERR_NOTFOUND, 0, "the guest is not here");
    rc = let_run(a, d, err);
    virDomainFree(d);
    return rc;
}

static const char *state(struct vf_arrival *arrival)
{
    struct arrival *a = of(arrival);
    struct vf_error why;
    virDomainJobInfo job = {0};
    int now = VIR_DOMAIN_NOSTATE, reason;
    virDomainPtr d = ready(a, &why) == 0 ? find(a) : NULL;

    if (!d)
        return "none";
    if (virDomainGetState(d, &now, &reason, 0) < 0)
        now = VIR_DOMAIN_NOSTATE;
    (void)virDomainGetJobInfo(d, &job); /* of one that is shut off there is none */
    virDomainFree(d);
    switch (now) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
        return "running";
    case VIR_DOMAIN_PAUSED:
        return job.type != VIR_DOMAIN_JOB_NONE ? "incoming" : "paused";
    case VIR_DOMAIN_SHUTOFF:
        return "shut off";
    default:
        return "unknown";
    }
}

/* Only what is marked as ours and has never been let run. */
static void drop(struct vf_arrival *arrival)
{
    struct arrival *a = of(arrival);
    struct vf_error why;
    struct stat sb;

    if (!a->committed && stat(a->mark, &sb) == 0 && ready(a, &why) == 0)
        remove_leftover(a);
}

static void close_arrival(struct vf_arrival *arrival)
{
    struct arrival *a = of(arrival);

    if (a->prepared && !a->committed && strcmp(state(arrival), "paused") != 0)
        drop(arrival); /* one that has arrived may be the only one: see cmd/guest/guest_serve.c */
    if (a->conn)
        virConnectClose(a->conn);
    vf_lv_xml_free(a->xml);
    vf_lv_xml_free(a->kept);
    free(a->lib);
    free(a->mem);
    free(a->disk);
    free(a->mark);
    free(a->nvram);
    free(a);
}

/* Where libvirt listens: the socket= of the setting's URI, or what is usual. */
static char *libvirt_socket(const char *uri, struct vf_error *err)
{
    static const char *const usual[] = {"/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock"};
    const char *at = uri ? strstr(uri, "socket=") : NULL;
    struct stat sb;

    if (at) {
        char *path = vf_strdup(at + strlen("socket="), err);

        if (path)
            path[strcspn(path, "&")] = '\0';
        return path;
    }
    return vf_strdup(stat(usual[0], &sb) == 0 ? usual[0] : usual[1], err);
}

struct vf_arrival *vf_libvirt_arrival_open(const struct vf_arrival_info *info, struct vf_error *err)
{
    static const struct vf_arrival_ops ops = {.kind = "libvirt",
                                              .check = check,
                                              .prepare = prepare,
                                              .ask = ask,
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
    a->lib = libvirt_socket(info->settings->libvirt_uri, err);
    a->mem = vf_strf(err, "%s/mem", info->run_dir);
    a->disk = vf_strf(err, "%s/disk", info->run_dir);
    a->mark = vf_strf(err, "%s/incoming", info->state_dir);
    a->nvram = vf_strf(err, "%s/nvram.fd", info->state_dir);
    if (a->lib && a->mem && a->disk && a->mark && a->nvram)
        return &a->arrival;
    close_arrival(&a->arrival);
    return NULL;
}
