/* hypervisor/pools.h - where libvirt keeps disk images.
 *
 * Thread rules: one call at a time. */
#ifndef VF_HYPERVISOR_POOLS_H
#define VF_HYPERVISOR_POOLS_H

#include "core/error.h"

/* Calls fn with the directory of each active storage pool of kind dir, fs or netfs of
 * qemu:///system.  A libvirt that is not installed or does not run has none, and that is no error.
 * A result of fn that is not 0 ends the walk and is returned.  0, or -1: UNREACHABLE when libvirt
 * runs and does not answer as it should. */
typedef int vf_pool_fn(void *ctx, const char *dir, struct vf_error *err);
int vf_pools_each(vf_pool_fn *fn, void *ctx, struct vf_error *err) VF_MUST_CHECK;

#endif
