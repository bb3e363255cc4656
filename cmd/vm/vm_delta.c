/* cmd/vm/vm_delta.c - a round: what an overlay holds, sent as an image of its own.
 *
 * The overlay's clusters are the data of an image that reads as zeros elsewhere; it goes through
 * the engine like any image, so what the far store holds does not travel.  Which clusters they are
 * is told apart, as a zero that the guest wrote counts. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/vm/vm_impl.h"
#include "core/checked.h"
#include "core/proc.h"

#define EXTENTS_MAX   (UINT64_C(1) << 20)
#define EXTENTS_A_ASK 12000u /* three numbers each, in a message of 1 MiB */

struct extent {
    uint64_t off, len;
    bool zero;
};

/* An image that has data only where an overlay has clusters. */
struct delta {
    struct vf_image image; /* first */
    struct vf_image *inner;
    const struct extent *ext;
    size_t n;
};

/* ---- what the overlay holds ---- */

static int add_extent(const json_t *e, struct extent *ret, uint64_t size, struct vf_error *err)
{
    json_int_t off = json_integer_value(json_object_get(e, "start"));
    json_int_t len = json_integer_value(json_object_get(e, "length"));

    if (off < 0 || len <= 0 || (uint64_t)off > size || (uint64_t)len > size - (uint64_t)off)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "qemu-img's map of the overlay makes no sense");
    *ret = (struct extent){(uint64_t)off, (uint64_t)len, json_is_true(json_object_get(e, "zero"))};
    return 0;
}

/* Owned; ascending. */
static int read_map(const char *path, uint64_t size, struct extent **ret, size_t *ret_n,
                    struct vf_error *err)
{
    const char *argv[] = {"qemu-img", "map", "-U", "-f", "qcow2", "--output=json", path, NULL};
    struct extent *ext = NULL;
    char *text = NULL;
    const json_t *e;
    json_t *map;
    size_t i, n = 0;
    int rc = vf_proc_run(argv, &text, -1, err);

    if (rc < 0)
        return -1;
    map = json_loads(text, 0, NULL);
    free(text);
    if (!json_is_array(map) || json_array_size(map) > EXTENTS_MAX)
        rc = vf_error_set(err, VF_ERR_FORMAT, 0, "qemu-img's map of '%s' cannot be read", path);
    if (rc == 0) {
        ext = vf_calloc(json_array_size(map), sizeof *ext, err);
        rc = ext ? 0 : -1;
    }
    json_array_foreach(map, i, e)
    {
        bool ours = json_integer_value(json_object_get(e, "depth")) == 0 &&
                    json_is_true(json_object_get(e, "present"));

        if (rc == 0 && ours)
            rc = add_extent(e, &ext[n++], size, err);
    }
    json_decref(map);
    if (rc < 0) {
        free(ext);
        return -1;
    }
    *ret = ext;
    *ret_n = n;
    return 0;
}

/* ---- the image ---- */

static int delta_read(struct vf_image *im, void *buf, size_t len, uint64_t off,
                      struct vf_error *err)
{
    return vf_image_read(((struct delta *)im)->inner, buf, len, off, err);
}

/* The extent that holds off, or the gap before the next one. */
static int delta_next(struct vf_image *im, uint64_t off, struct vf_extent *ret,
                      struct vf_error *err)
{
    const struct delta *d = (const struct delta *)im;
    size_t lo = 0, hi = d->n;

    (void)err;
    while (lo < hi) { /* the first that ends behind off */
        size_t mid = lo + (hi - lo) / 2;

        if (d->ext[mid].off + d->ext[mid].len <= off)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == d->n)
        *ret = (struct vf_extent){off, im->size - off, true};
    else if (off < d->ext[lo].off)
        *ret = (struct vf_extent){off, d->ext[lo].off - off, true};
    else
        *ret = (struct vf_extent){off, d->ext[lo].off + d->ext[lo].len - off, d->ext[lo].zero};
    return 0;
}

static void delta_close(struct vf_image *im) { (void)im; /* on its maker's stack */ }

/* ---- sending ---- */

static int send_image(struct vf_vm *vm, const char *name, struct vf_image *image,
                      struct vf_error *err)
{
    struct vf_send_opts opts = {.name = name,
                                .format = "raw",
                                .replace = true,
                                .level = vm->req->level,
                                .memory = vm->req->memory,
                                .stop = vm->cli->stop};
    struct vf_send_result result = {0};
    struct vf_stream_stats wire;
    struct vf_peer peer = {0};
    int rc = vf_peer_open(vm->cli, vm->req->target, vm->req->reach, VF_FOR_MIGRATE,
                          vm->req->group ? vm->req->group : "", vm->limit, &peer, err);

    if (rc < 0)
        return -1;
    vf_peer_spread(&peer, vm->req->streams);
    rc = vf_send(peer.stream, &peer.welcome, image, NULL, NULL, &opts, &result, err);
    peer.stream->ops->stats(peer.stream, &wire);
    vf_vm_count_wire(&vm->count, &wire);
    vm->count.round_bytes += wire.sent;
    if (rc < 0)
        vf_peer_why(&peer, err);
    vf_peer_close(&peer, rc < 0 ? err : NULL);
    vf_send_result_free(&result);
    return rc;
}

/* Has the extents written on the far image, some thousand at a time. */
static int apply(struct vf_vm *vm, size_t disk, const char *name, const struct extent *ext,
                 size_t n, struct vf_error *err)
{
    struct vf_far *half = vf_guest_far_half(vm->far);
    size_t at = 0;
    int rc = 0;

    do {
        json_t *list = json_array(), *with;

        for (size_t i = 0; i < EXTENTS_A_ASK && at < n && rc == 0; i++, at++)
            if (json_array_append_new(list, json_integer((json_int_t)ext[at].off)) < 0 ||
                json_array_append_new(list, json_integer((json_int_t)ext[at].len)) < 0 ||
                json_array_append_new(list, json_integer(ext[at].zero)) < 0)
                rc = vf_error_nomem(err);
        with = json_pack("{s:I, s:s, s:b, s:o}", "disk", (json_int_t)disk, "image", name, "last",
                         at == n, "extents", list);
        if (rc == 0)
            rc = with ? half->ask(half, "apply", with, NULL, err) : vf_error_nomem(err);
        json_decref(with);
    } while (rc == 0 && at < n);
    return rc;
}

int vf_vm_send_delta(struct vf_vm *vm, size_t i, const struct vf_frozen *frozen,
                     struct vf_error *err)
{
    static const struct vf_image_ops ops = {
        .name = "delta", .read = delta_read, .next_extent = delta_next, .close = delta_close};
    const struct vf_guest_disk *d = &vm->info.disk[i];
    const char *const backing[] = {d->path};
    struct vf_open_opts open = {.format = frozen->format,
                                .allow_backing = backing,
                                .n_allow_backing = 1,
                                .allow_busy = true,
                                .readers = 4};
    struct delta delta = {.image = {.ops = &ops, .size = d->size}};
    char *name = vf_strf(err, "%s.delta", d->name);
    struct extent *ext = NULL;
    size_t n = 0;
    int rc = name ? read_map(frozen->path, d->size, &ext, &n, err) : -1;

    if (rc == 0 && n) {
        delta.inner = vf_format_open(AT_FDCWD, frozen->path, &open, NULL, err);
        delta.ext = ext;
        delta.n = n;
        rc = delta.inner ? send_image(vm, name, &delta.image, err) : -1;
        vf_image_close(delta.inner);
        if (rc == 0)
            rc = apply(vm, i, name, ext, n, err);
    }
    free(ext);
    free(name);
    return rc;
}
