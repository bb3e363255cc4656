/* formats/nbd.h - images through an NBD server: a qemu-nbd of our own, or somebody's on a Unix
 * socket (the export of a running QEMU). */
#ifndef VF_FORMATS_NBD_H
#define VF_FORMATS_NBD_H

#include <stdbool.h>

#include "core/error.h"
#include "core/image.h"

#define VF_NBD_CONNS_MAX 16u

/* Starts a qemu-nbd for image (as vf_qemu_serve takes it).  conns: calls that can run at the same
 * time (1 to VF_NBD_CONNS_MAX); more wait for each other.  The files of the image need to be open
 * here only until this returns.  Closing a writable image waits until QEMU has closed it. */
struct vf_image *vf_nbd_open(const char *image, bool writable, unsigned conns,
                             struct vf_error *err);

/* Connects to the server at the Unix socket; export may be "".  Extents are known only if the
 * server offers base:allocation. */
struct vf_image *vf_nbd_connect(const char *socket, const char *export_name, bool writable,
                                unsigned conns, struct vf_error *err);

/* Told of a piece of content that a bitmap marks; pieces come in order.  -1 ends it. */
typedef int vf_nbd_dirty_fn(void *ctx, uint64_t off, uint64_t len, struct vf_error *err);
/* Calls fn for all that the export's bitmap (qemu:dirty-bitmap:NAME) marks.  0, or -1: UNSUPPORTED
 * when it has none of that name. */
int vf_nbd_dirty(const char *socket, const char *export_name, const char *bitmap,
                 vf_nbd_dirty_fn *fn, void *ctx, struct vf_error *err) VF_MUST_CHECK;

#endif
