/* Fuzz target for formats/refs.c, formats/vmdk.c and formats/detect.c: the first byte chooses a
 * format, the rest is the file. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "formats/refs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct vf_refs refs;
    const struct vf_fmt *fmt;
    int fd;

    if (len == 0)
        return 0;
    fmt = vf_fmt((enum vf_fmt_id)(*data++ % VF_FMT_COUNT_));
    len--;
    (void)vf_detect("x.vmdk", data, len, data, len, NULL); /* must only not crash */
    fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    /* No directory: a VMDK that names any piece must fail. */
    if (write(fd, data, len) == (ssize_t)len && vf_refs_read(fmt, fd, -1, &refs, NULL) == 0 &&
        (strlen(refs.backing) >= sizeof refs.backing ||
         strlen(refs.data_file) >= sizeof refs.data_file || refs.stamp))
        abort();
    (void)close(fd);
    return 0;
}
