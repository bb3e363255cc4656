/* hypervisor/pools.c - asks libvirt for its storage pools. */
#include "hypervisor/pools.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "core/checked.h"

#define SOCKET         "/run/libvirt/libvirt-sock-ro" /* of the daemon, or of systemd's activation */
#define SOCKET_MODULAR "/run/libvirt/virtstoraged-sock-ro"
#define PATH_ELEMENT   "<path>"

static void be_quiet(void *ctx, virErrorPtr error)
{
    (void)ctx;
    (void)error;
}

/* The text of target/path.  libvirt writes it as the only such element of a pool of these kinds,
 * with the five entities of XML. */
static char *target_path(const char *xml)
{
    static const struct {
        const char *name;
        char c;
    } entity[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    const char *target = strstr(xml, "<target>"), *p = target ? strstr(target, PATH_ELEMENT) : NULL;
    const char *end = p ? strstr(p, "</path>") : NULL;
    char *ret, *to;

    if (!end)
        return NULL;
    p += strlen(PATH_ELEMENT);
    ret = to = calloc(1, (size_t)(end - p) + 1);
    while (ret && p < end) {
        size_t i = 0, n = sizeof entity / sizeof *entity;

        while (i < n && strncmp(p, entity[i].name, strlen(entity[i].name)) != 0)
            i++;
        *to++ = i < n ? entity[i].c : *p;
        p += i < n ? strlen(entity[i].name) : 1;
    }
    return ret;
}

static int each(virConnectPtr conn, vf_pool_fn *fn, void *ctx, struct vf_error *err)
{
    virStoragePoolPtr *pool = NULL;
    int rc = 0, n = virConnectListAllStoragePools(
                    conn, &pool,
                    VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE | VIR_CONNECT_LIST_STORAGE_POOLS_DIR |
                        VIR_CONNECT_LIST_STORAGE_POOLS_FS | VIR_CONNECT_LIST_STORAGE_POOLS_NETFS);

    if (n < 0)
        return vf_error_set(err, VF_ERR_UNREACHABLE, 0, "libvirt lists no storage pools: %s",
                            virGetLastErrorMessage());
    for (int i = 0; i < n; i++) {
        char *xml = rc == 0 ? virStoragePoolGetXMLDesc(pool[i], 0) : NULL;
        char *dir = xml ? target_path(xml) : NULL;

        if (dir && dir[0] == '/')
            rc = fn(ctx, dir, err);
        free(dir);
        free(xml);
        (void)virStoragePoolFree(pool[i]); /* ours, so it works */
    }
    free(pool);
    return rc;
}

int vf_pools_each(vf_pool_fn *fn, void *ctx, struct vf_error *err)
{
    virConnectPtr conn;
    struct stat st;
    int rc;

    /* Asking a libvirt that is not there can take long. */
    if (stat(SOCKET, &st) < 0 && stat(SOCKET_MODULAR, &st) < 0)
        return 0;
    virSetErrorFunc(NULL, be_quiet); /* it would write to standard error */
    conn = virConnectOpenReadOnly("qemu:///system");
    if (!conn)
        return 0; /* it does not run, or does not want us */
    rc = each(conn, fn, ctx, err);
    (void)virConnectClose(conn); /* as above */
    return rc;
}
