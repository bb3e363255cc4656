/* Fuzz target for formats/qcow2_header.c and formats/qcow2_layout.c: the input is a whole file. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "formats/qcow2_layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Goes over the whole content, but not for ever: a few bytes can describe half a petabyte. */
static void walk(int fd, size_t len, const struct vf_qcow2_header *h)
{
    struct vf_qcow2_layout *l = vf_qcow2_layout_new(fd, len, h, NULL);
    uint64_t off = 0;

    for (int n = 0; l && off < h->size && n < 1000; n++) {
        struct vf_qcow2_extent x;

        if (vf_qcow2_layout_next(l, off, UINT64_MAX, &x, NULL) < 0) {
            off += UINT64_C(1) << h->cluster_bits;
            continue;
        }
        if (x.off != off || x.len == 0 || x.len > h->size - off)
            abort();
        if (x.kind == VF_QCOW2_PLAIN && (x.host >= len || x.len > len - x.host))
            abort();
        off += x.len;
    }
    vf_qcow2_layout_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct vf_qcow2_header h;
    int fd;

    if (vf_qcow2_header_parse(data, len, len, &h, NULL) < 0 || !vf_qcow2_header_simple(&h))
        return 0;
    fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    if (write(fd, data, len) == (ssize_t)len)
        walk(fd, len, &h);
    (void)close(fd);
    return 0;
}
