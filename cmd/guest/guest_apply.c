/* cmd/guest/guest_apply.c - extents of a delta onto an image. */
#include "cmd/guest/guest_apply.h"

#include <stdlib.h>

#include "cmd/guest/guest_talk.h"
#include "cmd/member.h"
#include "core/checked.h"
#include "formats/format.h"
#include "formats/writer.h"

#define PIECE (1u << 20)

/* One number of the list, in range. */
static int number(const json_t *list, size_t i, uint64_t max, uint64_t *ret, struct vf_error *err)
{
    const json_t *v = json_array_get(list, i);
    json_int_t n = json_is_integer(v) ? json_integer_value(v) : -1;

    if (n < 0 || (uint64_t)n > max)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "a delta's extents are out of range");
    *ret = (uint64_t)n;
    return 0;
}

static int copy(struct vf_image *from, struct vf_image *to, void *buf, uint64_t off, uint64_t len,
                struct vf_error *err)
{
    while (len > 0) {
        size_t n = len < PIECE ? (size_t)len : PIECE;

        if (vf_image_read(from, buf, n, off, err) < 0 || vf_image_write(to, buf, n, off, err) < 0)
            return -1;
        off += n;
        len -= n;
    }
    return 0;
}

static int copy_all(struct vf_image *from, struct vf_image *to, const json_t *list,
                    struct vf_error *err)
{
    void *buf = vf_calloc(1, PIECE, err);
    size_t n = json_array_size(list);
    int rc = buf ? 0 : -1;

    if (n % 3 != 0)
        rc = vf_error_set(err, VF_ERR_PROTOCOL, 0, "a delta's extents are incomplete");
    for (size_t i = 0; i + 2 < n && rc == 0; i += 3) {
        uint64_t off, len, zero;

        if (number(list, i, to->size, &off, err) < 0 ||
            number(list, i + 1, to->size - off, &len, err) < 0 ||
            number(list, i + 2, 1, &zero, err) < 0)
            rc = -1;
        else
            rc = zero ? vf_image_zero(to, off, len, err) : copy(from, to, buf, off, len, err);
    }
    free(buf);
    return rc;
}

int vf_guest_apply(struct vf_guest_arrival *a, const json_t *with, struct vf_error *err)
{
    struct vf_open_opts raw = {.format = "raw", .beneath = true}, open = {.beneath = true};
    uint64_t i = vf_member_number(with, "disk");
    const struct vf_arrival_disk *d = i < a->info.ndisks ? &a->disk[i] : NULL;
    struct vf_image *from = NULL, *to = NULL;
    struct vf_image_desc like;
    char *name = NULL;
    int rc = -1;

    if (!d || d->way != VF_DISK_COPY)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "a delta for a disk that does not come");
    if (vf_guest_arrival_has(a, i, err) < 0)
        return -1;
    name = vf_strf(err, "%s.delta", vf_guest_arrival_name(d));
    open.format = d->format;
    if (!name || vf_format_stat(a->s->images_fd, vf_guest_arrival_name(d), &open, &like, err) < 0)
        goto out;
    like.virtual_size = d->size;
    from = vf_format_open(a->s->images_fd, name, &raw, NULL, err);
    to = from ? vf_writer_reopen(a->s->images_fd, vf_guest_arrival_name(d), &like, err) : NULL;
    if (!to)
        goto out;
    if (from->size != to->size)
        rc = vf_error_set(err, VF_ERR_PROTOCOL, 0, "a delta of another size than its disk");
    else
        rc = copy_all(from, to, json_object_get(with, "extents"), err);
    if (rc == 0)
        rc = vf_image_flush(to, err);
out:
    vf_image_close(to);
    vf_image_close(from);
    free(name);
    if (rc == 0 && json_is_true(json_object_get(with, "last")))
        vf_guest_arrival_forget_delta(a, vf_guest_arrival_name(d));
    return rc;
}
