/* formats/raw.c - regular files and block devices. */
#include "formats/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/fdio.h"

#define ZERO_CHUNK (256u << 10) /* where nothing but writing zeros works */

struct raw {
    struct vf_image base;
    int fd;
};

static struct raw *raw_of(struct vf_image *im) { return (struct raw *)im; }

int vf_raw_size(int fd, uint64_t *ret, struct vf_error *err)
{
    off_t end = lseek(fd, 0, SEEK_END); /* also right for block devices, where st_size is 0 */

    if (end < 0)
        return vf_error_sys(err, errno, "find the size");
    *ret = (uint64_t)end;
    return 0;
}

static int raw_read(struct vf_image *im, void *buf, size_t len, uint64_t off, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;

    if (vf_pread_full(raw_of(im)->fd, buf, len, off, &why) == 0)
        return 0;
    if (why.code == VF_ERR_RANGE)
        return vf_error_set(err, VF_ERR_CHANGED, 0, "the file shrank while it was read: %s",
                            why.msg);
    return vf_error_pass(err, &why);
}

int vf_raw_extent(int fd, uint64_t off, uint64_t len, uint64_t *ret_len, bool *ret_hole,
                  struct vf_error *err)
{
    off_t data = lseek(fd, (off_t)off, SEEK_DATA), hole;
    uint64_t size = 0;

    *ret_len = len;
    *ret_hole = false;
    if (data < 0 && errno == ENXIO) {
        if (vf_raw_size(fd, &size, err) < 0)
            return -1;
        if (size <= off)
            return vf_error_set(err, VF_ERR_CHANGED, 0,
                                "the file shrank while it was read: it ends at %" PRIu64, size);
        *ret_hole = true; /* up to the end */
        return 0;
    }
    if (data < 0)
        return 0; /* cannot tell: data, which is always right */
    if ((uint64_t)data > off) {
        *ret_hole = true;
        if ((uint64_t)data - off < len)
            *ret_len = (uint64_t)data - off;
        return 0;
    }
    hole = lseek(fd, (off_t)off, SEEK_HOLE);
    if (hole > (off_t)off && (uint64_t)hole - off < len)
        *ret_len = (uint64_t)hole - off;
    return 0;
}

static int raw_next_extent(struct vf_image *im, uint64_t off, struct vf_extent *ret,
                           struct vf_error *err)
{
    ret->off = off;
    return vf_raw_extent(raw_of(im)->fd, off, im->size - off, &ret->len, &ret->zero, err);
}

static int raw_write(struct vf_image *im, const void *buf, size_t len, uint64_t off,
                     struct vf_error *err)
{
    return vf_pwrite_full(raw_of(im)->fd, buf, len, off, err);
}

static int write_zeros(int fd, uint64_t off, uint64_t len, struct vf_error *err)
{
    uint8_t *zeros = vf_calloc(ZERO_CHUNK, 1, err);
    int rc = -1;

    if (!zeros)
        return -1;
    while (len) {
        size_t n = len < ZERO_CHUNK ? (size_t)len : ZERO_CHUNK;

        if (vf_pwrite_full(fd, zeros, n, off, err) < 0)
            goto out;
        off += n;
        len -= n;
    }
    rc = 0;
out:
    free(zeros);
    return rc;
}

static int raw_zero(struct vf_image *im, uint64_t off, uint64_t len, struct vf_error *err)
{
    static const int modes[] = {FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
    int fd = raw_of(im)->fd;

    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        int rc;

        do
            rc = fallocate(fd, modes[i], (off_t)off, (off_t)len);
        while (rc < 0 && errno == EINTR);
        if (rc == 0)
            return 0;
        if (errno == ENOSPC || errno == EDQUOT || errno == EIO)
            return vf_error_sys(err, errno, "zero %" PRIu64 " bytes at %" PRIu64, len, off);
    }
    return write_zeros(fd, off, len, err);
}

static int raw_flush(struct vf_image *im, struct vf_error *err)
{
    if (fsync(raw_of(im)->fd) < 0)
        return vf_error_sys(err, errno, "write the file to the disk");
    return 0;
}

static int raw_plain_fd(struct vf_image *im) { return raw_of(im)->fd; }

static void raw_close(struct vf_image *im)
{
    vf_close_fd(&raw_of(im)->fd);
    free(im);
}

static const struct vf_image_ops raw_ops = {
    .name = "raw",
    .read = raw_read,
    .next_extent = raw_next_extent,
    .write = raw_write,
    .zero = raw_zero,
    .flush = raw_flush,
    .plain_fd = raw_plain_fd,
    .close = raw_close,
};

struct vf_image *vf_raw_new(int fd, bool writable, struct vf_error *err)
{
    struct raw *r = vf_calloc(1, sizeof *r, err);

    if (!r || vf_raw_size(fd, &r->base.size, err) < 0) {
        free(r);
        vf_close_fd(&fd);
        return NULL;
    }
    r->base.ops = &raw_ops;
    r->base.writable = writable;
    r->fd = fd;
    if (!writable)
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* only advice */
    return &r->base;
}
