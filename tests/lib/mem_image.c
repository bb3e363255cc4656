#include "tests/lib/mem_image.h"

#include <pthread.h>
#include <string.h>

#include "core/checked.h"
#include "core/hash/md5_lanes.h"
#include "tests/lib/check.h"

#define GRAIN 4096u

struct mem_image {
    struct vf_image base;
    uint8_t *data;
    pthread_mutex_t lock; /* as a file's: one that looks for holes may look past its range */
};

static struct mem_image *of(struct vf_image *im) { return (struct mem_image *)im; }

static int mem_read(struct vf_image *im, void *buf, size_t len, uint64_t off, struct vf_error *err)
{
    (void)err;
    pthread_mutex_lock(&of(im)->lock);
    memcpy(buf, of(im)->data + off, len);
    pthread_mutex_unlock(&of(im)->lock);
    return 0;
}

static bool zero_at(struct vf_image *im, uint64_t off)
{
    size_t len = im->size - off < GRAIN ? (size_t)(im->size - off) : GRAIN;

    return vf_all_zero(of(im)->data + off, len);
}

static int mem_extent(struct vf_image *im, uint64_t off, struct vf_extent *ret,
                      struct vf_error *err)
{
    uint64_t at = off / GRAIN * GRAIN;
    bool zero;

    (void)err;
    pthread_mutex_lock(&of(im)->lock);
    zero = zero_at(im, at);
    while (at < im->size && zero_at(im, at) == zero)
        at += GRAIN;
    pthread_mutex_unlock(&of(im)->lock);
    ret->off = off;
    ret->len = (at < im->size ? at : im->size) - off;
    ret->zero = zero;
    return 0;
}

static int mem_write(struct vf_image *im, const void *buf, size_t len, uint64_t off,
                     struct vf_error *err)
{
    (void)err;
    pthread_mutex_lock(&of(im)->lock);
    memcpy(of(im)->data + off, buf, len);
    pthread_mutex_unlock(&of(im)->lock);
    return 0;
}

static int mem_zero(struct vf_image *im, uint64_t off, uint64_t len, struct vf_error *err)
{
    (void)err;
    pthread_mutex_lock(&of(im)->lock);
    memset(of(im)->data + off, 0, (size_t)len);
    pthread_mutex_unlock(&of(im)->lock);
    return 0;
}

static int mem_flush(struct vf_image *im, struct vf_error *err)
{
    (void)im;
    (void)err;
    return 0;
}

static void mem_close(struct vf_image *im)
{
    pthread_mutex_destroy(&of(im)->lock);
    free(of(im)->data);
    free(im);
}

struct vf_image *vf_mem_image(uint64_t size, uint8_t **ret_data)
{
    static const struct vf_image_ops ops = {.name = "memory",
                                            .read = mem_read,
                                            .next_extent = mem_extent,
                                            .write = mem_write,
                                            .zero = mem_zero,
                                            .flush = mem_flush,
                                            .close = mem_close};
    struct mem_image *m = calloc(1, sizeof *m);

    CHECK(m);
    m->data = calloc(1, size ? size : 1);
    CHECK(m->data);
    m->base.ops = &ops;
    m->base.size = size;
    m->base.writable = true;
    pthread_mutex_init(&m->lock, NULL);
    *ret_data = m->data;
    return &m->base;
}
