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

#endif
