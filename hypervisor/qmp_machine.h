/* hypervisor/qmp_machine.h - what a QEMU is made of, and whether two of them are the same machine.
 *
 * A guest's memory can only be loaded by a QEMU with the same devices in the same places.  QEMU
 * itself says so only when all of memory has travelled; these looks say it before.
 *
 * Thread rules: as struct vf_qmp. */
#ifndef VF_HYPERVISOR_QMP_MACHINE_H
#define VF_HYPERVISOR_QMP_MACHINE_H

#include "hypervisor/qmp.h"

/* A text property of a QOM object; owned, "" when it cannot be had.  NULL: out of memory. */
char *vf_qmp_property(struct vf_qmp *q, const char *path, const char *name, struct vf_error *err);

/* The machine as an object: "machine", "cpu", "cpus", "memory" (bytes), "major" (of QEMU's version)
 * and "devices", a sorted list with a text for each device that was asked for by name or without
 * one: "NAME TYPE PLACE".  New reference; NULL on error. */
json_t *vf_qmp_machine(struct vf_qmp *q, struct vf_error *err);

/* Is `here` what `want` (from a peer) describes?  0, or -1 with VF_ERR_UNSUPPORTED and the first
 * difference.  What want does not say is not compared. */
int vf_qmp_machine_compare(const json_t *want, const json_t *here,
                           struct vf_error *err) VF_MUST_CHECK;

#endif
