/* hypervisor/iothread.h - QEMUs that die when a reader leaves a disk that has an iothread.
 *
 * QEMU's NBD server notes the end of a client in the thread that works for the exported disk.
 * Stable releases before 9.0 got an assertion from 9.1 (with the fix of CVE-2024-7409) that this is
 * the main thread.  For a disk with an iothread it is not: the whole guest dies when a client says
 * goodbye, or is lost, unless QEMU has closed its connection before.  So nothing is read through
 * such a QEMU; and where one takes a guest's writes, the end of its client is kept from it (struct
 * vf_far, look).
 */
#ifndef VF_HYPERVISOR_IOTHREAD_H
#define VF_HYPERVISOR_IOTHREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"

/* May a QEMU of that version be such a one? */
bool vf_iothread_fault(uint64_t qemu_major);

/* The error for a disk that cannot be read for that; returns -1. */
int vf_iothread_refuse(struct vf_error *err);

#endif
