/* hypervisor/once.h - QEMUs that damage memory of a guest when they send it more than once.
 *
 * QEMU before 9.0 without KVM (TCG) takes note of a guest's writes by means of its emulated TLB,
 * and leaves that as it is when it looks which pages have changed: later writes to those pages may
 * not be noticed.  A page that was sent after such a look, and written again before the guest
 * stops, arrives old.  Nothing is lost when the guest stops with the first look after the
 * beginning: all that was found is then sent while it stands still.  So one pass over the memory is
 * safe, two are not.  QEMU counts its looks as dirty-sync-count: one at the beginning, one at the
 * end of the first pass, one when the guest has stopped for good.
 *
 * QEMU looks when what is left of a pass fits into the downtime that it is allowed, and stops the
 * guest if that is still so with what it has found.  So such a guest gets a short downtime at
 * first, which keeps QEMU from looking, and all that it may want when little of the pass is left.
 * Empty pages at the end of the memory may pass in between, too quickly for that: then it was sent
 * twice, the move goes back, and another try is worth it.
 */
#ifndef VF_HYPERVISOR_ONCE_H
#define VF_HYPERVISOR_ONCE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"

#define VF_ONCE_FIRST_MS UINT64_C(100)     /* of downtime, during the pass */
#define VF_ONCE_LAST_MS  UINT64_C(1800000) /* and at its end */
#define VF_ONCE_LOOK_MS  20                /* how often to look how much is left */
#define VF_ONCE_LOOKS    2u                /* QEMU's looks before the guest stops that do no harm */

/* Is it such a QEMU? */
bool vf_once_only(bool kvm, uint64_t qemu_major);

/* Is so little of the pass left that QEMU has to be told now?  left and sent: bytes of memory,
 * seconds: since the memory began to travel, rate: QEMU's own, in bytes per second (0: not known).
 */
bool vf_once_near_end(uint64_t left, uint64_t sent, double seconds, double rate);

/* The error for a guest that was sent twice all the same; returns -1. */
int vf_once_refuse(struct vf_error *err);

#endif
