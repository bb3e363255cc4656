/* core/similar/summary_impl.h - inside summaries: the layout (core/similar/SUMMARY.md, "Summary").
 */
#ifndef VF_CORE_SUMMARY_IMPL_H
#define VF_CORE_SUMMARY_IMPL_H

#include "core/similar/summary.h"

/* Head: magic (4), version (2), size (1), zero (1), checksum of all behind it (8), store id (16),
 * generation (8). */
#define VF_SUMMARY_MAGIC    "vfSM"
#define VF_SUMMARY_CHECKED  16u /* the checksum is over what begins here */
#define VF_SUMMARY_HEAD_LEN 40u

/* USED: although it is not fresh. */
enum { VF_IMAGE_FRESH = 1, VF_IMAGE_SKETCHED = 2, VF_IMAGE_USED = 4, VF_IMAGE_FLAGS = 7 };

uint64_t vf_summary_checksum(const uint8_t *p, size_t len);

int vf_summary_malformed(struct vf_error *err);

/* One group as it lies there. */
struct vf_group_view {
    const uint8_t *name; /* not ended by a zero byte */
    size_t name_len;
    struct vf_sketch_set held; /* without samples and heavy ones: */
    struct vf_reader gaps, heavy;
};
bool vf_group_view_read(struct vf_reader *r, struct vf_group_view *ret);

/* One image as it lies there. */
struct vf_image_view {
    uint64_t group; /* its number */
    const uint8_t *name;
    size_t name_len;
    unsigned flags;
    uint64_t size, zero_blocks, distinct_blocks;
    const uint8_t *root;
    struct vf_reader sketch; /* empty when there is none */
};
bool vf_image_view_read(struct vf_reader *r, uint64_t groups, struct vf_image_view *ret);

#endif
