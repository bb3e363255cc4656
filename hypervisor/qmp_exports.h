/* hypervisor/qmp_exports.h - what QEMU's own NBD server shows, over QMP.
 *
 * Thread rules: those of the connection. */
#ifndef VF_HYPERVISOR_QMP_EXPORTS_H
#define VF_HYPERVISOR_QMP_EXPORTS_H

#include "hypervisor/qmp.h"

/* May what it shows be read?  VF_ERR_UNSUPPORTED when it might not survive that (iothread.h). */
int vf_qmp_exports_check(struct vf_qmp *q, struct vf_error *err) VF_MUST_CHECK;

/* Lets QEMU's NBD server listen on a Unix socket.  It has one at most: -1, VF_ERR_IO when it
 * listens already, for whomever. */
int vf_qmp_exports_listen(struct vf_qmp *q, const char *socket, struct vf_error *err) VF_MUST_CHECK;

/* Shows a node as the NBD export `name`; id is what the export itself is called.  0 or -1 (as of
 * vf_qmp_call). */
int vf_qmp_exports_add(struct vf_qmp *q, const char *id, const char *node, const char *name,
                       bool writable, struct vf_error *err) VF_MUST_CHECK;

#endif
