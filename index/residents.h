/* index/residents.h - inside the index: the set of resident images.
 *
 * Thread rules: nothing in it changes after it was made. */
#ifndef VF_INDEX_RESIDENTS_H
#define VF_INDEX_RESIDENTS_H

#include "index/read.h"

struct vf_resident {
    struct vf_image_record rec;
    struct vf_gen gen;
    bool fresh;  /* when the set was made */
    bool usable; /* the same, and what vf_index_usable says */
};

struct vf_resident_set {
    struct vf_residents base;
    struct vf_index *ix;
    struct vf_resident *image;
    uint32_t n;
    vf_image_opener *open;
    void *open_ctx;
};

static inline struct vf_resident_set *vf_resident_set(struct vf_residents *base)
{
    return (struct vf_resident_set *)base;
}

/* find and shared of struct vf_residents_ops. */
int vf_residents_find(struct vf_residents *base, unsigned level, const uint8_t (*ids)[VF_ID_LEN],
                      size_t n, struct vf_place (*ret)[VF_PLACES], struct vf_error *err);
int vf_residents_shared(struct vf_residents *base, vf_print_next *next, void *ctx,
                        struct vf_shared *ret_each, struct vf_shared *ret_all,
                        struct vf_error *err);

#endif
