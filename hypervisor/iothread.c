/* hypervisor/iothread.c - see the header. */
#include "hypervisor/iothread.h"

#define FIXED_IN 9u

bool vf_iothread_fault(uint64_t qemu_major) { return qemu_major < FIXED_IN; }

int vf_iothread_refuse(struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                        "QEMU before 9.0 may die when somebody reads the disks of a guest that has "
                        "iothreads: they are not read while it runs");
}
