/* hypervisor/iothread.c - see the header. */
#include "hypervisor/iothread.h"

#include <string.h>

#include "hypervisor/hypervisor.h"

#define FIXED_IN   9u
#define TYPE_AT    6u /* in a request; two bytes */
#define DISCONNECT 2u

bool vf_iothread_fault(uint64_t qemu_major) { return qemu_major < FIXED_IN; }

int vf_iothread_refuse(struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                        "QEMU before 9.0 may die when somebody reads the disks of a guest that has "
                        "iothreads: they are not read while it runs");
}

bool vf_iothread_goodbye(const uint8_t *bytes, size_t len)
{
    static const uint8_t plain[] = {0x25, 0x60, 0x95, 0x13}, extended[] = {0x21, 0xe4, 0x1c, 0x71};

    if (!(len == 28 && memcmp(bytes, plain, sizeof plain) == 0) &&
        !(len == 32 && memcmp(bytes, extended, sizeof extended) == 0))
        return false;
    return bytes[TYPE_AT] == 0 && bytes[TYPE_AT + 1] == DISCONNECT;
}

const struct vf_far_look vf_iothread_look = {.goodbye = vf_iothread_goodbye};
