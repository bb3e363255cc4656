/* formats/nbd.c - images through an NBD server. */
#include "formats/nbd.h"

#include <errno.h>
#include <inttypes.h>
#include <libnbd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "formats/qemu.h"

#define IO_MAX     (8u << 20)          /* bytes in a request; every server takes 32 MiB */
#define ZERO_MAX   (UINT32_C(1) << 30) /* bytes in a request without data: 32 bits long */
#define STATUS_MAX (UINT32_C(1) << 30)
#define EXTENTS    512u /* remembered of one answer */
#define START_MS   60000

struct nbd {
    struct vf_image base;
    struct vf_qemu_server server;          /* empty: not ours */
    bool has_extents, can_zero, can_flush; /* asked once: a dead connection says no to all */

    /* Lock order: each is taken alone. */
    pthread_mutex_t lock; /* idle, n_idle */
    pthread_cond_t freed;
    struct nbd_handle *idle[VF_NBD_CONNS_MAX];
    unsigned n_idle, n_conns;

    /* One answer to "what is allocated" has many extents; callers take them one by one.  Not kept
     * for writable images, where it could be out of date. */
    pthread_mutex_t known_lock; /* known, n_known */
    struct vf_extent known[EXTENTS];
    size_t n_known;
};

static struct nbd *nbd_of(struct vf_image *im) { return (struct nbd *)im; }

/* What libnbd says about the last failed call of this thread. */
static int nbd_failed(struct vf_error *err, const char *what, uint64_t len, uint64_t off)
{
    int sys = nbd_get_errno();

    return vf_error_sys(err, sys ? sys : EIO, "%s %" PRIu64 " bytes at %" PRIu64 " through NBD",
                        what, len, off);
}

/* ---- connections ---- */

static struct nbd_handle *conn_get(struct nbd *n)
{
    struct nbd_handle *h;

    (void)pthread_mutex_lock(&n->lock); /* cannot fail on a plain mutex */
    while (n->n_idle == 0)
        (void)pthread_cond_wait(&n->freed, &n->lock); /* as above */
    h = n->idle[--n->n_idle];
    (void)pthread_mutex_unlock(&n->lock); /* as above */
    return h;
}

static void conn_put(struct nbd *n, struct nbd_handle *h)
{
    (void)pthread_mutex_lock(&n->lock); /* cannot fail on a plain mutex */
    n->idle[n->n_idle++] = h;
    (void)pthread_cond_signal(&n->freed); /* as above */
    (void)pthread_mutex_unlock(&n->lock); /* as above */
}

/* NULL: could not connect (yet); libnbd knows why. */
static struct nbd_handle *conn_open(const char *socket, const char *export_name)
{
    struct nbd_handle *h = nbd_create();

    if (!h)
        return NULL;
    /* Without asking for block sizes the server takes requests of any alignment. */
    if (nbd_set_export_name(h, export_name) < 0 || nbd_set_request_block_size(h, false) < 0 ||
        nbd_set_pread_initialize(h, false) < 0 ||
        nbd_add_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0 ||
        nbd_connect_unix(h, socket) < 0) {
        nbd_close(h);
        return NULL;
    }
    return h;
}

/* ---- extents ---- */

struct answer {
    struct vf_extent *x;
    size_t n;
    uint64_t end; /* of what was told */
};

static int on_extents(void *data, const char *context, uint64_t off, uint32_t *entries,
                      size_t n_entries, int *error)
{
    struct answer *a = data;

    (void)error; /* only the transport's errors matter, and the call itself returns those */
    if (strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) != 0 || off != a->end)
        return 0;
    for (size_t i = 0; i + 1 < n_entries; i += 2) {
        bool zero = entries[i + 1] & LIBNBD_STATE_ZERO;
        struct vf_extent *last = a->n ? &a->x[a->n - 1] : NULL;

        if (entries[i] == 0)
            break; /* nonsense */
        if (last && last->zero == zero)
            last->len += entries[i];
        else if (a->n < EXTENTS)
            a->x[a->n++] = (struct vf_extent){a->end, entries[i], zero};
        else
            break;
        a->end += entries[i];
    }
    return 0;
}

/* Asks the server.  x has room for EXTENTS. */
static int ask_extents(struct nbd *n, uint64_t off, struct vf_extent *x, size_t *ret_n,
                       struct vf_error *err)
{
    uint64_t left = n->base.size - off, len = left < STATUS_MAX ? left : STATUS_MAX;
    struct answer a = {x, 0, off};
    nbd_extent_callback cb = {.callback = on_extents, .user_data = &a};
    struct nbd_handle *h = conn_get(n);
    int rc = 0;

    if (nbd_block_status(h, len, off, cb, 0) < 0)
        rc = nbd_failed(err, "ask for the allocation of", len, off);
    conn_put(n, h);
    if (rc == 0 && a.n == 0) { /* it told nothing: data is always right */
        x[0] = (struct vf_extent){off, len, false};
        a.n = 1;
    }
    *ret_n = a.n;
    return rc;
}

/* The rest of the known extent that holds off. */
static bool find_known(const struct nbd *n, uint64_t off, struct vf_extent *ret)
{
    for (size_t i = 0; i < n->n_known; i++) {
        const struct vf_extent *x = &n->known[i];

        if (off >= x->off && off - x->off < x->len) {
            *ret = (struct vf_extent){off, x->len - (off - x->off), x->zero};
            return true;
        }
    }
    return false;
}

static int nbd_op_next_extent(struct vf_image *im, uint64_t off, struct vf_extent *ret,
                              struct vf_error *err)
{
    struct nbd *n = nbd_of(im);
    struct vf_extent *x;
    size_t count = 0;
    bool found = false;
    int rc;

    if (!n->has_extents) {
        *ret = (struct vf_extent){off, im->size - off, false};
        return 0;
    }
    (void)pthread_mutex_lock(&n->known_lock); /* cannot fail on a plain mutex */
    found = !im->writable && find_known(n, off, ret);
    (void)pthread_mutex_unlock(&n->known_lock); /* as above */
    if (found)
        return 0;
    x = vf_calloc(EXTENTS, sizeof *x, err);
    if (!x)
        return -1;
    rc = ask_extents(n, off, x, &count, err);
    if (rc == 0) {
        *ret = x[0];
        (void)pthread_mutex_lock(&n->known_lock); /* as above */
        memcpy(n->known, x, count * sizeof *x);
        n->n_known = count;
        (void)pthread_mutex_unlock(&n->known_lock); /* as above */
    }
    free(x);
    return rc;
}

/* ---- reading and writing ---- */

static int nbd_op_read(struct vf_image *im, void *buf, size_t len, uint64_t off,
                       struct vf_error *err)
{
    struct nbd *n = nbd_of(im);
    struct nbd_handle *h = conn_get(n);
    uint8_t *p = buf;
    int rc = 0;

    while (len && rc == 0) {
        size_t part = len < IO_MAX ? len : IO_MAX;

        if (nbd_pread(h, p, part, off, 0) < 0)
            rc = nbd_failed(err, "read", part, off);
        p += part;
        off += part;
        len -= part;
    }
    conn_put(n, h);
    return rc;
}

static int nbd_op_write(struct vf_image *im, const void *buf, size_t len, uint64_t off,
                        struct vf_error *err)
{
    struct nbd *n = nbd_of(im);
    struct nbd_handle *h = conn_get(n);
    const uint8_t *p = buf;
    int rc = 0;

    while (len && rc == 0) {
        size_t part = len < IO_MAX ? len : IO_MAX;

        if (nbd_pwrite(h, p, part, off, 0) < 0)
            rc = nbd_failed(err, "write", part, off);
        p += part;
        off += part;
        len -= part;
    }
    conn_put(n, h);
    return rc;
}

/* Where the server cannot write zeros. */
static int write_zeros(struct vf_image *im, uint64_t off, uint64_t len, struct vf_error *err)
{
    size_t max = len < IO_MAX ? (size_t)len : IO_MAX;
    uint8_t *zeros = vf_calloc(max, 1, err);
    int rc = 0;

    if (!zeros)
        return -1;
    while (len && rc == 0) {
        size_t part = len < max ? (size_t)len : max;

        rc = nbd_op_write(im, zeros, part, off, err);
        off += part;
        len -= part;
    }
    free(zeros);
    return rc;
}

/* len is at most ZERO_MAX. */
static int zero_part(struct nbd *n, uint64_t off, uint64_t len, struct vf_error *err)
{
    struct nbd_handle *h;
    int rc = 0;

    if (!n->can_zero)
        return write_zeros(&n->base, off, len, err);
    h = conn_get(n);
    if (nbd_zero(h, len, off, 0) < 0) /* no flag: holes are welcome */
        rc = nbd_failed(err, "zero", len, off);
    conn_put(n, h);
    return rc;
}

/* Zeroing what is zero would make QEMU allocate cluster tables for it: 128 MiB for each TiB. */
static int nbd_op_zero(struct vf_image *im, uint64_t off, uint64_t len, struct vf_error *err)
{
    while (len) {
        uint64_t part = len < ZERO_MAX ? len : ZERO_MAX;
        struct vf_extent x;

        if (nbd_op_next_extent(im, off, &x, err) < 0)
            return -1;
        if (x.zero && x.len > part)
            part = x.len < len ? x.len : len;
        else if (x.len < part)
            part = x.len;
        if (!x.zero && zero_part(nbd_of(im), off, part, err) < 0)
            return -1;
        off += part;
        len -= part;
    }
    return 0;
}

static int nbd_op_flush(struct vf_image *im, struct vf_error *err)
{
    struct nbd *n = nbd_of(im);
    struct nbd_handle *h = conn_get(n);
    int rc = 0;

    /* A server that cannot flush does not cache. */
    if (n->can_flush && nbd_flush(h, 0) < 0) {
        int sys = nbd_get_errno();

        rc = vf_error_sys(err, sys ? sys : EIO, "flush through NBD");
    }
    conn_put(n, h);
    return rc;
}

/* ---- opening and closing ---- */

/* All connections are idle, or were never made. */
static void nbd_op_close(struct vf_image *im)
{
    struct nbd *n = nbd_of(im);
    bool served = n->n_idle > 0; /* only then does the server end by itself */

    while (n->n_idle) {
        struct nbd_handle *h = n->idle[--n->n_idle];

        (void)nbd_shutdown(h, 0); /* polite; closing alone would do */
        nbd_close(h);
    }
    if (n->base.writable && served && n->server.proc.pid > 0)
        (void)vf_qemu_finish(&n->server, NULL); /* what had to be safe was flushed before */
    vf_qemu_kill(&n->server);
    (void)pthread_mutex_destroy(&n->known_lock); /* nobody uses it any more */
    (void)pthread_cond_destroy(&n->freed);       /* as above */
    (void)pthread_mutex_destroy(&n->lock);       /* as above */
    free(n);
}

static const struct vf_image_ops nbd_ops = {
    .name = "nbd",
    .read = nbd_op_read,
    .next_extent = nbd_op_next_extent,
    .write = nbd_op_write,
    .zero = nbd_op_zero,
    .flush = nbd_op_flush,
    .close = nbd_op_close,
};

static struct nbd *nbd_new(bool writable, unsigned conns, struct vf_error *err)
{
    struct nbd *n = vf_calloc(1, sizeof *n, err);

    if (!n)
        return NULL;
    n->base.ops = &nbd_ops;
    n->base.writable = writable;
    n->n_conns = conns < 1 ? 1 : conns > VF_NBD_CONNS_MAX ? VF_NBD_CONNS_MAX : conns;
    n->server = (struct vf_qemu_server)VF_QEMU_SERVER_INIT;
    (void)pthread_mutex_init(&n->lock, NULL);       /* cannot fail with default attributes */
    (void)pthread_cond_init(&n->freed, NULL);       /* as above */
    (void)pthread_mutex_init(&n->known_lock, NULL); /* as above */
    return n;
}

static int connect_error(struct vf_error *err, const char *socket)
{
    int sys = nbd_get_errno();

    return vf_error_set(err, VF_ERR_UNREACHABLE, sys, "connect to the NBD server at '%s'", socket);
}

/* Makes the connections that are still missing and learns the size. */
static int connect_all(struct nbd *n, const char *socket, const char *export_name,
                       struct vf_error *err)
{
    struct nbd_handle *h;
    int64_t size;

    while (n->n_idle < n->n_conns) {
        h = conn_open(socket, export_name);
        if (!h)
            return connect_error(err, socket);
        n->idle[n->n_idle++] = h;
    }
    h = n->idle[0];
    size = nbd_get_size(h);
    if (size < 0)
        return vf_error_set(err, VF_ERR_IO, nbd_get_errno(), "ask the NBD server for the size");
    if (n->base.writable && nbd_is_read_only(h) != 0)
        return vf_error_set(err, VF_ERR_DENIED, 0, "the NBD server allows no writing");
    n->base.size = (uint64_t)size;
    n->can_zero = nbd_can_zero(h) == 1;
    n->can_flush = nbd_can_flush(h) == 1;
    n->has_extents = nbd_can_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) == 1;
    return 0;
}

/* The first connection to a server that has just been started: it may not listen yet. */
static int connect_first(struct nbd *n, struct vf_error *err)
{
    for (int ms = 0; ms < START_MS; ms += 2) {
        int there = vf_qemu_wait(&n->server, 2, err);
        bool refused;

        if (there < 0)
            return -1;
        if (!there)
            continue;
        n->idle[0] = conn_open(n->server.socket, "");
        if (n->idle[0]) {
            n->n_idle = 1;
            return 0;
        }
        refused = nbd_get_errno() == ECONNREFUSED;  /* between its bind and its listen */
        (void)connect_error(err, n->server.socket); /* unless the server itself says more */
        /* It opens the image after the socket: its end is the better explanation. */
        if (vf_qemu_ended(&n->server, refused ? 2 : 2000, err) || !refused)
            return -1;
    }
    return vf_error_set(err, VF_ERR_TIMEOUT, 0, "qemu-nbd did not start within %d s",
                        START_MS / 1000);
}

struct vf_image *vf_nbd_open(const char *image, bool writable, unsigned conns, struct vf_error *err)
{
    struct nbd *n = nbd_new(writable, conns, err);

    if (!n)
        return NULL;
    if (vf_qemu_serve(&n->server, image, writable, n->n_conns, err) < 0 ||
        connect_first(n, err) < 0 || connect_all(n, n->server.socket, "", err) < 0) {
        nbd_op_close(&n->base);
        return NULL;
    }
    vf_qemu_hide(&n->server);
    return &n->base;
}

struct vf_image *vf_nbd_connect(const char *socket, const char *export_name, bool writable,
                                unsigned conns, struct vf_error *err)
{
    struct nbd *n = nbd_new(writable, conns, err);

    if (n && connect_all(n, socket, export_name, err) < 0) {
        nbd_op_close(&n->base);
        return NULL;
    }
    return n ? &n->base : NULL;
}
