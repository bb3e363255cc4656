#include "service/paced.h"

#include <stdlib.h>

#include "core/checked.h"
#include "service/footprint.h"

#define DROP_BYTES (UINT64_C(32) << 20)

struct paced {
    struct vf_image base;
    struct vf_image *inner;
    struct vf_pace *pace;
    struct vf_footprint *footprint;
    _Atomic uint64_t *bytes;
    atomic_flag dropping;
    _Atomic uint64_t undropped;
};

static struct paced *paced_of(struct vf_image *im) { return (struct paced *)im; }

static void drop(struct paced *p, size_t len)
{
    if (atomic_fetch_add(&p->undropped, len) + len < DROP_BYTES)
        return;
    if (atomic_flag_test_and_set(&p->dropping))
        return; /* another thread does it */
    atomic_store(&p->undropped, 0);
    vf_footprint_drop(p->footprint);
    atomic_flag_clear(&p->dropping);
}

static int paced_read(struct vf_image *im, void *buf, size_t len, uint64_t off,
                      struct vf_error *err)
{
    struct paced *p = paced_of(im);
    int rc;

    if (vf_pace_enter(p->pace, len, err) < 0)
        return -1;
    rc = vf_image_read(p->inner, buf, len, off, err);
    vf_pace_leave(p->pace);
    if (p->bytes)
        atomic_fetch_add(p->bytes, len);
    drop(p, len);
    return rc;
}

static int paced_extent(struct vf_image *im, uint64_t off, struct vf_extent *ret,
                        struct vf_error *err)
{
    return vf_image_next_extent(paced_of(im)->inner, off, ret, err);
}

static void paced_close(struct vf_image *im)
{
    struct paced *p = paced_of(im);

    vf_image_close(p->inner);
    vf_footprint_drop(p->footprint);
    vf_footprint_free(p->footprint);
    free(p);
}

static const struct vf_image_ops paced_ops = {
    .name = "paced",
    .read = paced_read,
    .next_extent = paced_extent,
    .close = paced_close,
};

struct vf_image *vf_paced_new(struct vf_image *inner, struct vf_pace *pace, const char *path,
                              _Atomic uint64_t *ret_bytes, struct vf_error *err)
{
    struct paced *p = vf_calloc(1, sizeof *p, err);

    if (!p) {
        vf_image_close(inner);
        return NULL;
    }
    p->base.ops = &paced_ops;
    p->base.size = inner->size;
    p->inner = inner;
    p->pace = pace;
    p->bytes = ret_bytes;
    p->footprint = vf_footprint_new(path);
    return &p->base;
}
