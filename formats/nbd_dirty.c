/* formats/nbd_dirty.c - what a bitmap of QEMU marks in an export. */
#include <errno.h>
#include <inttypes.h>
#include <libnbd.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "formats/nbd.h"

#define ASK_MAX (UINT32_C(1) << 30) /* bytes in a question; 32 bits long */

struct asking {
    const char *context;
    vf_nbd_dirty_fn *fn;
    void *ctx;
    uint64_t end; /* of what was told */
    int rc;
    struct vf_error err;
};

static int on_extents(void *data, const char *context, uint64_t off, uint32_t *entries,
                      size_t n_entries, int *error)
{
    struct asking *a = data;

    (void)error; /* only the transport's errors matter, and the call itself returns those */
    if (strcmp(context, a->context) != 0 || off != a->end)
        return 0;
    for (size_t i = 0; i + 1 < n_entries && a->rc == 0; i += 2) {
        if (entries[i + 1] & 1)
            a->rc = a->fn(a->ctx, a->end, entries[i], &a->err);
        a->end += entries[i];
    }
    return 0;
}

static int ask(struct nbd_handle *h, struct asking *a, struct vf_error *err)
{
    int64_t size = nbd_get_size(h);

    if (size < 0 || nbd_can_meta_context(h, a->context) != 1)
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "the NBD server has no '%s'", a->context);
    while (a->end < (uint64_t)size) {
        uint64_t from = a->end, left = (uint64_t)size - from;
        nbd_extent_callback cb = {.callback = on_extents, .user_data = a};

        if (nbd_block_status(h, left < ASK_MAX ? left : ASK_MAX, from, cb, 0) < 0)
            return vf_error_sys(err, nbd_get_errno() ? nbd_get_errno() : EIO,
                                "ask what changed behind %" PRIu64 " through NBD", from);
        if (a->rc < 0)
            return vf_error_pass(err, &a->err);
        if (a->end == from)
            return vf_error_set(err, VF_ERR_PROTOCOL, 0,
                                "the NBD server does not tell what changed");
    }
    return 0;
}

int vf_nbd_dirty(const char *socket, const char *export_name, const char *bitmap,
                 vf_nbd_dirty_fn *fn, void *ctx, struct vf_error *err)
{
    char *context = vf_strf(err, "qemu:dirty-bitmap:%s", bitmap);
    struct asking a = {.context = context, .fn = fn, .ctx = ctx, .err = VF_ERROR_INIT};
    struct nbd_handle *h = context ? nbd_create() : NULL;
    int rc = -1;

    if (context && !h)
        rc = vf_error_nomem(err);
    else if (h && (nbd_set_export_name(h, export_name) < 0 ||
                   nbd_add_meta_context(h, context) < 0 || nbd_connect_unix(h, socket) < 0))
        rc = vf_error_set(err, VF_ERR_UNREACHABLE, nbd_get_errno(),
                          "connect to the NBD server at '%s'", socket);
    else if (h)
        rc = ask(h, &a, err);
    nbd_close(h);
    free(context);
    return rc;
}
