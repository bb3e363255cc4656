/* core/image.h - the interface to an image's content, whatever its file format.
 *
 * formats/ implements it; the engine never asks which format it has.  Offsets and lengths are bytes
 * of the *content* (the virtual disk), not of the file.
 *
 * Thread rules: read, next_extent and write may be called from several threads on one image at the
 * same time (an implementation that cannot do that serialises inside); close only when nobody else
 * uses it. */
#ifndef VF_CORE_IMAGE_H
#define VF_CORE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/block.h"
#include "core/error.h"

struct vf_image;

/* A piece of content.  zero: known to read as zeros without reading (hole, zero cluster,
 * unallocated). */
struct vf_extent {
    uint64_t off, len;
    bool zero;
};

struct vf_image_ops {
    const char *name; /* for messages: "raw", "qcow2", "nbd" */
    /* len bytes at off, both inside the image; no short reads. */
    int (*read)(struct vf_image *, void *buf, size_t len, uint64_t off, struct vf_error *);
    /* The extent that holds byte off (off < size): starts at off, ends where the kind changes or
     * earlier, never empty. NULL: everything is data. */
    int (*next_extent)(struct vf_image *, uint64_t off, struct vf_extent *ret, struct vf_error *);
    /* NULL on read-only images, all three.  zero makes the range read as zeros, deallocating where
     * the format can. */
    int (*write)(struct vf_image *, const void *buf, size_t len, uint64_t off, struct vf_error *);
    int (*zero)(struct vf_image *, uint64_t off, uint64_t len, struct vf_error *);
    int (*flush)(struct vf_image *, struct vf_error *); /* returns when all writes are durable */
    /* Descriptor of a plain file whose byte n is content byte n (for copy_file_range); borrows;
     * NULL or -1: none. */
    int (*plain_fd)(struct vf_image *);
    void (*close)(struct vf_image *); /* frees; after failed writes too */
};

/* First member of every implementation's own struct. */
struct vf_image {
    const struct vf_image_ops *ops;
    uint64_t size; /* bytes of content ("virtual size") */
    bool writable;
    char *label; /* what errors of reading call it; owned, may be NULL */
};

/* Checked front ends: a range outside the image is VF_ERR_RANGE, a missing operation
 * VF_ERR_UNSUPPORTED. vf_image_close(NULL) does nothing. */
int vf_image_read(struct vf_image *im, void *buf, size_t len, uint64_t off,
                  struct vf_error *err) VF_MUST_CHECK;
/* Blocks [first, first + n) of VF_BLOCK bytes each; what an image's last block lacks is zeros in
 * buf.  A block behind the last one is VF_ERR_RANGE. */
int vf_image_read_blocks(struct vf_image *im, void *buf, uint64_t first, size_t n,
                         struct vf_error *err) VF_MUST_CHECK;
int vf_image_next_extent(struct vf_image *im, uint64_t off, struct vf_extent *ret,
                         struct vf_error *err) VF_MUST_CHECK;
int vf_image_write(struct vf_image *im, const void *buf, size_t len, uint64_t off,
                   struct vf_error *err) VF_MUST_CHECK;
int vf_image_zero(struct vf_image *im, uint64_t off, uint64_t len,
                  struct vf_error *err) VF_MUST_CHECK;
int vf_image_flush(struct vf_image *im, struct vf_error *err) VF_MUST_CHECK;
int vf_image_plain_fd(struct vf_image *im);
void vf_image_close(struct vf_image *im);

#endif
