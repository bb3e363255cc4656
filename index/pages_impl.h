/* index/pages_impl.h - shared by pages.c and pages_sorted.c alone. */
#ifndef VF_INDEX_PAGES_IMPL_H
#define VF_INDEX_PAGES_IMPL_H

#include "index/le.h"
#include "index/pages.h"

/* Reserves the head, and memory for about `expect` bytes behind it. */
int vf_page_begin(struct vf_buf *b, size_t expect, struct vf_error *err) VF_MUST_CHECK;

/* Fills in the head from kind, level, width, n and extra of *page, and the checksum. */
void vf_page_seal(struct vf_buf *b, const struct vf_page *page);

#endif
