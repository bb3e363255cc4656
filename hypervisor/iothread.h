/* hypervisor/iothread.h - QEMUs that die when a reader leaves a disk that has an iothread.
 *
 * QEMU's NBD server notes the end of a client in the thread that works for the exported disk.
 * Stable releases before 9.0 got an assertion from 9.1 (with the fix of CVE-2024-7409) that this is
 * the main thread.  For a disk with an iothread it is not: the whole guest dies when a client says
 * goodbye, or is lost, unless QEMU has closed its connection before.  So nothing is read through
 * such a QEMU.  Where one takes a guest's writes, the goodbye of their client is kept from it until
 * it has ended the connection.
 */
#ifndef VF_HYPERVISOR_IOTHREAD_H
#define VF_HYPERVISOR_IOTHREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

struct vf_far_look;

/* May a QEMU of that version be such a one? */
bool vf_iothread_fault(uint64_t qemu_major);

/* The error for a disk that cannot be read for that; returns -1. */
int vf_iothread_refuse(struct vf_error *err);

/* Is that NBD's goodbye, and nothing else?  A client says it when all its requests have been
 * answered. */
bool vf_iothread_goodbye(const uint8_t *bytes, size_t len);

/* For the tunnels of disks. */
extern const struct vf_far_look vf_iothread_look;

#endif
