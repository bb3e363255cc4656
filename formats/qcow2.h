/* formats/qcow2.h - qcow2 images that stand alone, read without QEMU.
 *
 * Zero ranges are answered by the cluster map, plain clusters are read from the file where the map
 * says they are, compressed clusters go through libqcow. */
#ifndef VF_FORMATS_QCOW2_H
#define VF_FORMATS_QCOW2_H

#include <stdint.h>

#include "core/error.h"
#include "core/image.h"
#include "formats/qcow2_layout.h"

/* Takes fd (read-only, of file_size bytes), on failure too.  h must be simple
 * (vf_qcow2_header_simple).  readers: threads that will read at the same time. */
struct vf_image *vf_qcow2_new(int fd, uint64_t file_size, const struct vf_qcow2_header *h,
                              unsigned readers, struct vf_error *err);

#endif
