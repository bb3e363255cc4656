/* hypervisor/libvirt.c - domains of libvirt. */
#include "hypervisor/hypervisor.h"

static int not_yet(struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                        "this program was built without libvirt: give --qmp SOCKET");
}

struct vf_guest *vf_libvirt_guest_open(const char *name, const char *uri, const volatile int *stop,
                                       struct vf_error *err)
{
    (void)name;
    (void)uri;
    (void)stop;
    (void)not_yet(err); /* the NULL says it */
    return NULL;
}

struct vf_arrival *vf_libvirt_arrival_open(const struct vf_arrival_info *info, struct vf_error *err)
{
    (void)info;
    (void)not_yet(err); /* the NULL says it */
    return NULL;
}
