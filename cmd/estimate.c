/* cmd/estimate.c - samples how well an image compresses. */
#include "cmd/estimate.h"

#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/literals.h"
#include "core/stream.h"

#define PIECES      64u
#define PIECE_BYTES (256u * 1024)

/* Hellos, offers, results, and the frames around them. */
#define FIXED_BYTES 2048u
/* A question about a group or segment: its identity and about two bytes of place, and the answer.
 */
#define ASK_BYTES (VF_ID_LEN + 2u)

/* The first data at or behind off; false if there is none. */
static int next_data(struct vf_image *image, uint64_t off, struct vf_extent *ret, bool *ret_found,
                     struct vf_error *err)
{
    *ret_found = false;
    while (off < image->size) {
        if (vf_image_next_extent(image, off, ret, err) < 0)
            return -1;
        if (!ret->zero) {
            *ret_found = true;
            return 0;
        }
        off = ret->off + ret->len;
    }
    return 0;
}

/* Keeps the blocks that are not zero, at the front; returns their bytes. */
static size_t squeeze(uint8_t *data, size_t len)
{
    static const uint8_t zero[VF_BLOCK];
    size_t kept = 0;

    for (size_t i = 0; i + VF_BLOCK <= len; i += VF_BLOCK)
        if (memcmp(data + i, zero, VF_BLOCK) != 0) {
            memmove(data + kept, data + i, VF_BLOCK);
            kept += VF_BLOCK;
        }
    return kept;
}

int vf_estimate_ratio(struct vf_image *image, const volatile int *stop, double *ret,
                      struct vf_error *err)
{
    uint8_t *data = vf_calloc(1, PIECE_BYTES, err);
    uint64_t step = image->size / PIECES + 1, end = 0, raw = 0, packed = 0;
    int rc = -1;

    if (!data)
        return -1;
    for (uint64_t at = 0; at < image->size; at += step) {
        struct vf_extent e;
        size_t len, small;
        bool found;

        if (*stop) {
            (void)vf_error_set(err, VF_ERR_CANCELLED, 0, "interrupted");
            goto out;
        }
        if (next_data(image, at > end ? at : end, &e, &found, err) < 0)
            goto out;
        if (!found)
            break;
        len = e.len < PIECE_BYTES ? (size_t)e.len : PIECE_BYTES;
        if (vf_image_read(image, data, len, e.off, err) < 0)
            goto out;
        end = e.off + len;
        len = squeeze(data, len);
        if (len && vf_literals_sample(data, len, &small, err) < 0)
            goto out;
        raw += len;
        packed += len ? small : 0;
    }
    *ret = raw ? (double)packed / (double)raw : 1;
    rc = 0;
out:
    free(data);
    return rc;
}

uint64_t vf_estimate_wire(const struct vf_map_info *image, uint64_t literals, uint64_t probes,
                          double ratio)
{
    uint64_t groups = image->top >= 2 ? image->nodes[2] : image->top ? image->nodes[1] : 0;
    uint64_t asked = image->blocks > image->zero_blocks && image->top
                         ? probes * image->nodes[1] / (image->blocks - image->zero_blocks)
                         : 0;

    return FIXED_BYTES + (groups + asked) * ASK_BYTES +
           (uint64_t)((double)literals * VF_BLOCK * ratio);
}
