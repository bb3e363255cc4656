/* formats/qcow2.c - reading qcow2 without QEMU.
 *
 * Why not libqcow for everything: it reads zero clusters wrongly, and for plain clusters, whose
 * place in the file the map has to check anyway, pread is about twice as fast and needs no handle.
 * Compressed clusters are what it is good at. */
#include "formats/qcow2.h"

#include <inttypes.h>
#include <libqcow.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "formats/raw.h"

#define HANDLES_MAX 16u

struct qcow2 {
    struct vf_image base;
    int fd;
    struct vf_qcow2_layout *layout;
    /* libqcow serialises what happens on one handle, so each reader borrows one of its own; opened
     * when first needed: most images have no compressed cluster. */
    pthread_mutex_t lock; /* idle, n_idle, n_open */
    pthread_cond_t freed;
    libqcow_file_t *idle[HANDLES_MAX];
    unsigned n_idle, n_open, max_open;

    /* A piece of the file without holes, the last one found: asking the file system costs more than
     * reading a cluster, and most files have no hole at all. */
    pthread_mutex_t solid_lock; /* the two below; never held together with lock */
    uint64_t solid, solid_end;
    uint64_t file_size;
};

static struct qcow2 *qcow2_of(struct vf_image *im) { return (struct qcow2 *)im; }

/* ---- libqcow handles ---- */

/* Reports and frees *e. */
static int qcow_error(struct vf_error *err, libqcow_error_t **e, const char *what)
{
    char text[512] = "";
    char *end;

    if (*e && libqcow_error_sprint(*e, text, sizeof text) < 0)
        text[0] = 0; /* too long for it: better no text than half of one */
    end = strpbrk(text, "\r\n");
    if (end)
        *end = 0;
    libqcow_error_free(e);
    return vf_error_set(err, VF_ERR_FORMAT, 0, "libqcow: %s%s%s", what, *text ? ": " : "", text);
}

static libqcow_file_t *handle_open(const struct qcow2 *q, struct vf_error *err)
{
    libqcow_error_t *e = NULL;
    libqcow_file_t *f = NULL;
    char name[32];
    size64_t size = 0;

    /* By descriptor: the very file that was checked, whatever its name means by now. */
    (void)snprintf(name, sizeof name, "/proc/self/fd/%d", q->fd); /* always fits */
    if (libqcow_file_initialize(&f, &e) != 1) {
        (void)qcow_error(err, &e, "cannot make a handle"); /* the NULL says it */
        return NULL;
    }
    if (libqcow_file_open(f, name, libqcow_get_access_flags_read(), &e) != 1 ||
        libqcow_file_get_media_size(f, &size, &e) != 1) {
        (void)qcow_error(err, &e, "cannot open the image"); /* as above */
        (void)libqcow_file_free(&f, NULL);                  /* nothing more to tell */
        return NULL;
    }
    if (size != q->base.size) {
        (void)vf_error_set(err, VF_ERR_FORMAT, 0, "libqcow sees %" PRIu64 " bytes of content",
                           (uint64_t)size); /* as above */
        (void)libqcow_file_free(&f, NULL);  /* as above */
    }
    return f;
}

/* A handle that nobody else uses; waits for one when as many as there are readers are in use. */
static libqcow_file_t *handle_get(struct qcow2 *q, struct vf_error *err)
{
    libqcow_file_t *f = NULL;
    bool open = false;

    (void)pthread_mutex_lock(&q->lock); /* cannot fail on a plain mutex */
    while (q->n_idle == 0 && q->n_open == q->max_open)
        (void)pthread_cond_wait(&q->freed, &q->lock); /* as above */
    if (q->n_idle) {
        f = q->idle[--q->n_idle];
    } else {
        q->n_open++;
        open = true;
    }
    (void)pthread_mutex_unlock(&q->lock); /* as above */
    if (!open)
        return f;
    f = handle_open(q, err);
    if (!f) {
        (void)pthread_mutex_lock(&q->lock); /* as above */
        q->n_open--;
        (void)pthread_cond_signal(&q->freed); /* as above */
        (void)pthread_mutex_unlock(&q->lock); /* as above */
    }
    return f;
}

static void handle_put(struct qcow2 *q, libqcow_file_t *f)
{
    (void)pthread_mutex_lock(&q->lock); /* cannot fail on a plain mutex */
    q->idle[q->n_idle++] = f;
    (void)pthread_cond_signal(&q->freed); /* as above */
    (void)pthread_mutex_unlock(&q->lock); /* as above */
}

static int read_compressed(struct qcow2 *q, uint8_t *buf, size_t len, uint64_t off,
                           struct vf_error *err)
{
    libqcow_error_t *e = NULL;
    libqcow_file_t *f = handle_get(q, err);
    int rc = 0;

    if (!f)
        return -1;
    while (len) {
        ssize_t n = libqcow_file_read_buffer_at_offset(f, buf, len, (off64_t)off, &e);

        if (n <= 0 || (size_t)n > len) {
            rc = qcow_error(err, &e, "cannot read a compressed cluster");
            (void)vf_error_prefix(err, "content at %" PRIu64, off); /* rc is -1 already */
            break;
        }
        buf += n;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    handle_put(q, f);
    return rc;
}

/* ---- the image ---- */

static int read_plain(const struct qcow2 *q, uint8_t *buf, const struct vf_qcow2_extent *x,
                      struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;

    if (vf_pread_full(q->fd, buf, (size_t)x->len, x->host, &why) == 0)
        return 0;
    if (why.code == VF_ERR_RANGE) /* the map saw it inside the file */
        return vf_error_set(err, VF_ERR_CHANGED, 0, "the file shrank while it was read: %s",
                            why.msg);
    return vf_error_pass(err, &why);
}

static int qcow2_read(struct vf_image *im, void *buf, size_t len, uint64_t off,
                      struct vf_error *err)
{
    struct qcow2 *q = qcow2_of(im);
    uint8_t *p = buf;

    while (len) {
        struct vf_qcow2_extent x;
        int rc = 0;

        if (vf_qcow2_layout_next(q->layout, off, len, &x, err) < 0)
            return -1;
        if (x.kind == VF_QCOW2_ZERO)
            memset(p, 0, (size_t)x.len);
        else if (x.kind == VF_QCOW2_PLAIN)
            rc = read_plain(q, p, &x, err);
        else
            rc = read_compressed(q, p, (size_t)x.len, off, err);
        if (rc < 0)
            return -1;
        p += x.len;
        off += x.len;
        len -= (size_t)x.len;
    }
    return 0;
}

/* Is the piece zero, and how much of it is of one kind?  Clusters that were only reserved
 * (preallocation) are holes in the file, and so are some that a guest discarded. */
static int classify(struct qcow2 *q, struct vf_qcow2_extent *x, bool *ret_zero,
                    struct vf_error *err)
{
    uint64_t end = 0, len = 0;
    bool hole = false;

    *ret_zero = x->kind == VF_QCOW2_ZERO;
    if (x->kind != VF_QCOW2_PLAIN)
        return 0;
    (void)pthread_mutex_lock(&q->solid_lock); /* cannot fail on a plain mutex */
    if (x->host >= q->solid && x->host < q->solid_end)
        end = q->solid_end;
    (void)pthread_mutex_unlock(&q->solid_lock); /* as above */
    if (!end) {
        if (vf_raw_extent(q->fd, x->host, q->file_size - x->host, &len, &hole, err) < 0)
            return -1;
        end = x->host + len;
    }
    if (len && !hole) {
        (void)pthread_mutex_lock(&q->solid_lock); /* as above */
        q->solid = x->host;
        q->solid_end = end;
        (void)pthread_mutex_unlock(&q->solid_lock); /* as above */
    }
    if (x->len > end - x->host)
        x->len = end - x->host;
    *ret_zero = hole;
    return 0;
}

static int qcow2_next_extent(struct vf_image *im, uint64_t off, struct vf_extent *ret,
                             struct vf_error *err)
{
    struct qcow2 *q = qcow2_of(im);

    *ret = (struct vf_extent){off, 0, false};
    /* A few pieces of the map make one extent; not all of them, so that a call stays short. */
    for (int i = 0; i < 64 && off < im->size; i++) {
        struct vf_qcow2_extent x;
        bool zero;

        if (vf_qcow2_layout_next(q->layout, off, im->size - off, &x, err) < 0 ||
            classify(q, &x, &zero, err) < 0)
            return -1;
        if (ret->len && zero != ret->zero)
            break;
        ret->zero = zero;
        ret->len += x.len;
        off += x.len;
    }
    return 0;
}

static void qcow2_close(struct vf_image *im)
{
    struct qcow2 *q = qcow2_of(im);

    while (q->n_idle)
        (void)libqcow_file_free(&q->idle[--q->n_idle], NULL); /* read-only: nothing to lose */
    (void)pthread_cond_destroy(&q->freed);                    /* nobody uses it any more */
    (void)pthread_mutex_destroy(&q->lock);                    /* as above */
    (void)pthread_mutex_destroy(&q->solid_lock);              /* as above */
    vf_qcow2_layout_free(q->layout);
    vf_close_fd(&q->fd);
    free(q);
}

static const struct vf_image_ops qcow2_ops = {
    .name = "qcow2",
    .read = qcow2_read,
    .next_extent = qcow2_next_extent,
    .close = qcow2_close,
};

struct vf_image *vf_qcow2_new(int fd, uint64_t file_size, const struct vf_qcow2_header *h,
                              unsigned readers, struct vf_error *err)
{
    struct qcow2 *q = vf_calloc(1, sizeof *q, err);

    if (!q) {
        vf_close_fd(&fd);
        return NULL;
    }
    (void)pthread_mutex_init(&q->lock, NULL);       /* cannot fail with default attributes */
    (void)pthread_cond_init(&q->freed, NULL);       /* as above */
    (void)pthread_mutex_init(&q->solid_lock, NULL); /* as above */
    q->file_size = file_size;
    q->base = (struct vf_image){&qcow2_ops, h->size, false, NULL};
    q->fd = fd;
    q->max_open = readers < 1 ? 1 : readers > HANDLES_MAX ? HANDLES_MAX : readers;
    q->layout = vf_qcow2_layout_new(fd, file_size, h, err);
    if (!q->layout) {
        qcow2_close(&q->base);
        return NULL;
    }
    return &q->base;
}
