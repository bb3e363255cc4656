/* hypervisor/once.c - see the header. */
#include "hypervisor/once.h"

#define FIXED_IN 9u
/* QEMU takes a new limit into account every 100 ms only, and this process may be late, too. */
#define END_SECONDS 0.3

bool vf_once_only(bool kvm, uint64_t qemu_major) { return !kvm && qemu_major < FIXED_IN; }

bool vf_once_near_end(uint64_t left, uint64_t sent, double seconds, double rate)
{
    double mean = seconds > 0 ? (double)sent / seconds : 0;

    return (double)left <= END_SECONDS * (mean > rate ? mean : rate);
}

int vf_once_refuse(struct vf_error *err)
{
    return vf_error_set(
        err, VF_ERR_BUSY, 0,
        "this QEMU, without KVM and before 9.0, damages memory that it sends twice, "
        "and it was about to: the guest stays, try it again");
}
