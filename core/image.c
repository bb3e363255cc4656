/* core/image.c - checked front ends of the image interface. */
#include "core/image.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* [off, off + len) must lie inside the image.  Written without a sum, which could overflow. */
static int check_range(const struct vf_image *im, uint64_t off, uint64_t len, struct vf_error *err)
{
    if (off <= im->size && len <= im->size - off)
        return 0;
    return vf_error_set(err, VF_ERR_RANGE, 0,
                        "%" PRIu64 " bytes at %" PRIu64 " are outside the %s image of %" PRIu64
                        " bytes",
                        len, off, im->ops->name, im->size);
}

static int unsupported(const struct vf_image *im, const char *what, struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "this %s image cannot be %s", im->ops->name,
                        what);
}

/* The implementation has said what is wrong, but not always where. */
static int unreadable(const struct vf_image *im, struct vf_error *err)
{
    return im->label ? vf_error_prefix(err, "'%s'", im->label) : -1;
}

int vf_image_read(struct vf_image *im, void *buf, size_t len, uint64_t off, struct vf_error *err)
{
    if (check_range(im, off, len, err) < 0)
        return -1;
    if (!im->ops->read)
        return unsupported(im, "read", err);
    return len && im->ops->read(im, buf, len, off, err) < 0 ? unreadable(im, err) : 0;
}

int vf_image_read_blocks(struct vf_image *im, void *buf, uint64_t first, size_t n,
                         struct vf_error *err)
{
    uint64_t all = vf_blocks_of(im->size);
    size_t pad = 0;

    if (first > all || n > all - first)
        return vf_error_set(err, VF_ERR_RANGE, 0,
                            "%zu blocks from number %" PRIu64
                            " on are outside the %s image, which has "
                            "%" PRIu64,
                            n, first, im->ops->name, all);
    if (n == 0)
        return 0;
    if (first + n == all)
        pad = (size_t)(all * VF_BLOCK - im->size);
    memset((uint8_t *)buf + n * VF_BLOCK - pad, 0, pad);
    return vf_image_read(im, buf, n * VF_BLOCK - pad, first * VF_BLOCK, err);
}

int vf_image_next_extent(struct vf_image *im, uint64_t off, struct vf_extent *ret,
                         struct vf_error *err)
{
    struct vf_extent e = {off, 0, false};

    if (off >= im->size)
        return vf_error_set(err, VF_ERR_RANGE, 0,
                            "no extent at %" PRIu64 " in the %s image of %" PRIu64 " bytes", off,
                            im->ops->name, im->size);
    e.len = im->size - off;
    if (im->ops->next_extent) {
        if (im->ops->next_extent(im, off, &e, err) < 0)
            return unreadable(im, err);
        /* The extents may come from outside (an NBD server, a damaged table): a wrong one would
         * make callers loop for ever or read past the end. */
        if (e.off != off || e.len == 0)
            return vf_error_set(err, VF_ERR_FORMAT, 0,
                                "the %s image has an inconsistent extent at %" PRIu64,
                                im->ops->name, off);
        if (e.len > im->size - off)
            e.len = im->size - off;
    }
    *ret = e;
    return 0;
}

int vf_image_write(struct vf_image *im, const void *buf, size_t len, uint64_t off,
                   struct vf_error *err)
{
    if (check_range(im, off, len, err) < 0)
        return -1;
    if (!im->writable || !im->ops->write)
        return unsupported(im, "written", err);
    return len ? im->ops->write(im, buf, len, off, err) : 0;
}

int vf_image_zero(struct vf_image *im, uint64_t off, uint64_t len, struct vf_error *err)
{
    if (check_range(im, off, len, err) < 0)
        return -1;
    if (!im->writable || !im->ops->zero)
        return unsupported(im, "zeroed", err);
    return len ? im->ops->zero(im, off, len, err) : 0;
}

int vf_image_flush(struct vf_image *im, struct vf_error *err)
{
    if (!im->writable || !im->ops->flush)
        return unsupported(im, "flushed", err);
    return im->ops->flush(im, err);
}

int vf_image_plain_fd(struct vf_image *im)
{
    return im->ops->plain_fd ? im->ops->plain_fd(im) : -1;
}

void vf_image_close(struct vf_image *im)
{
    char *label = im ? im->label : NULL;

    if (im)
        im->ops->close(im);
    free(label);
}
