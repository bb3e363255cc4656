/* formats/writer.h - new image files: raw ones directly, other formats through QEMU's own writer.
 *
 * All of them are named by a held directory and a single name in it; no symbolic link is followed.
 *
 * Thread rules: any thread; an image that is not raw loses its server when the thread that made it
 * ends (see formats/format.h). */
#ifndef VF_FORMATS_WRITER_H
#define VF_FORMATS_WRITER_H

#include <stdbool.h>

#include "core/error.h"
#include "core/image.h"
#include "formats/format.h"

/* Can images of this format be written? */
bool vf_writer_can(const char *format);

/* Creates DIRFD/name, which must not exist (EXISTS), mode 0600, reading as zeros.  Of *like count:
 * format, virtual_size, and for qcow2 cluster_size (0: QEMU's default) and compat ("": "1.1").  The
 * image can be written, zeroed, flushed and read; after vf_image_close nothing of QEMU runs any
 * more.  On failure nothing is left behind. */
struct vf_image *vf_writer_create(int dirfd, const char *name, const struct vf_image_desc *like,
                                  struct vf_error *err);

/* Opens what vf_writer_create made earlier, to go on writing.  NULL with *err FORMAT when that
 * cannot be done (another size or kind of image, damaged by a crash, a format that is not repaired
 * here): start afresh then.  BUSY while another process still writes it.  DENIED when the file is
 * not a regular file of ours with one name. */
struct vf_image *vf_writer_reopen(int dirfd, const char *name, const struct vf_image_desc *like,
                                  struct vf_error *err);

/* After the image was closed: is the file consistent in the eyes of qemu-img check?  0, or -1 with
 * *err FORMAT.  Raw files and formats without a check are. */
int vf_writer_check(int dirfd, const char *name, const char *format,
                    struct vf_error *err) VF_MUST_CHECK;

#endif
