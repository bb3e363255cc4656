/* formats/raw.h - raw images: regular files and block devices, read and written with positional
 * calls (never mapped: a file that shrinks would kill us). */
#ifndef VF_FORMATS_RAW_H
#define VF_FORMATS_RAW_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/image.h"

/* Size in bytes of an open regular file or block device. */
int vf_raw_size(int fd, uint64_t *ret, struct vf_error *err) VF_MUST_CHECK;

/* The image over an open regular file or block device; takes fd, on failure too.  Its size is the
 * file's now; a file that is shorter when it is read is VF_ERR_CHANGED. */
struct vf_image *vf_raw_new(int fd, bool writable, struct vf_error *err);

/* Where in the file [off, off + len) the kind that off has ends: *ret_len is at least 1 and at most
 * len, *ret_hole says whether it is a hole.  A file system that cannot tell has no holes.  0, or
 * -1: CHANGED when the file ends before off. */
int vf_raw_extent(int fd, uint64_t off, uint64_t len, uint64_t *ret_len, bool *ret_hole,
                  struct vf_error *err) VF_MUST_CHECK;

#endif
