/* core/rundir.h - a directory for what all processes of one user on this machine share while it is
 * up: signs and locks that go with their process.
 *
 * It is $VMFERRY_RUN_DIR if that is set, else /run/vmferry for root and $XDG_RUNTIME_DIR/vmferry
 * for others; there may be none.
 *
 * Thread rules: any thread. */
#ifndef VF_CORE_RUNDIR_H
#define VF_CORE_RUNDIR_H

#include <stdbool.h>

#include "core/error.h"

/* Its path, whether it is there or not; returns owned.  NULL: there is none. */
char *vf_rundir_path(struct vf_error *err);

/* Opens it, and makes it (0700) if it is not there.  Descriptor, or -1: NOTFOUND when there is
 * none, DENIED when it belongs to somebody else or others may write there. */
int vf_rundir_open(struct vf_error *err) VF_MUST_CHECK;

/* Many may hold a lock shared, or one of them exclusively, until they close the descriptor.  Locks
 * name in the directory, which is made if it is not there.  Descriptor, or -1: BUSY. */
int vf_rundir_lock(int dirfd, const char *name, bool shared, struct vf_error *err) VF_MUST_CHECK;

/* Does somebody hold that lock? */
bool vf_rundir_locked(int dirfd, const char *name);

#endif
