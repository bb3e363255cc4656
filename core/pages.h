/* core/pages.h - many small reads all over an image, without a request to its format or server for
 * each: a few MiB of it are kept.  Of a plain file, of which the kernel keeps enough, a little is
 * read ahead.
 *
 * Thread rules: one thread at a time. */
#ifndef VF_CORE_PAGES_H
#define VF_CORE_PAGES_H

#include "core/image.h"

struct vf_pages;

/* The image is borrowed until free. */
struct vf_pages *vf_pages_new(struct vf_image *image, struct vf_error *err);
void vf_pages_free(struct vf_pages *p); /* NULL is fine */

/* As vf_image_read.  Nothing at or behind byte `settled` is kept: the image may still be written
 * there. */
int vf_pages_read(struct vf_pages *p, void *buf, size_t len, uint64_t off, uint64_t settled,
                  struct vf_error *err) VF_MUST_CHECK;

/* What lay before `settled` was written after all. */
void vf_pages_drop(struct vf_pages *p);

#endif
