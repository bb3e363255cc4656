/* core/similar/summary.c - reads summaries (core/similar/SUMMARY.md, "Summary"). */
#include "core/similar/summary.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/similar/sketch_impl.h"
#include "core/similar/summary_impl.h"

void vf_summary_free(struct vf_summary *s)
{
    for (size_t i = 0; i < s->groups; i++) {
        free(s->group[i].name);
        vf_sketch_set_free(&s->group[i].held);
    }
    for (size_t i = 0; i < s->images; i++) {
        free(s->image[i].name);
        free(s->image[i].group);
        vf_sketch_free(&s->image[i].sketch);
    }
    free(s->group);
    free(s->image);
    memset(s, 0, sizeof *s);
}

const struct vf_summary_group *vf_summary_group(const struct vf_summary *s, const char *name)
{
    for (size_t i = 0; i < s->groups; i++)
        if (strcmp(s->group[i].name, name) == 0)
            return &s->group[i];
    return NULL;
}

const struct vf_summary_image *vf_summary_same(const struct vf_summary *s, const char *group,
                                               const uint8_t root[VF_SHA_LEN])
{
    for (size_t i = 0; i < s->images; i++) {
        const struct vf_summary_image *im = &s->image[i];

        if (im->fresh && strcmp(im->group, group) == 0 && memcmp(im->root, root, VF_SHA_LEN) == 0)
            return im;
    }
    return NULL;
}

/* ---- the pieces ---- */

int vf_summary_malformed(struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_FORMAT, 0, "a summary is malformed");
}

static uint64_t word(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

/* Four sums side by side, for speed. */
uint64_t vf_summary_checksum(const uint8_t *p, size_t len)
{
    uint64_t h[4] = {len, 1, 2, 3}, all = 0;
    uint8_t tail[32] = {0};

    for (; len >= 32; p += 32, len -= 32)
        for (unsigned k = 0; k < 4; k++) {
            h[k] = (h[k] ^ word(p + 8 * k)) * UINT64_C(0xff51afd7ed558ccd);
            h[k] ^= h[k] >> 32;
        }
    if (len)
        memcpy(tail, p, len);
    for (unsigned k = 0; k < 4; k++) {
        h[k] = (h[k] ^ word(tail + 8 * k)) * UINT64_C(0xff51afd7ed558ccd);
        all = (all ^ h[k] ^ h[k] >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    }
    return all ^ all >> 29;
}

/* A length and so many bytes. */
static bool piece(struct vf_reader *r, size_t max, const uint8_t **ret, size_t *ret_len)
{
    uint64_t len;

    if (!vf_reader_varint(r, &len) || len > max || !vf_reader_bytes(r, (size_t)len, ret))
        return false;
    *ret_len = (size_t)len;
    return true;
}

static bool name(struct vf_reader *r, size_t max, const uint8_t **ret, size_t *ret_len)
{
    return piece(r, max, ret, ret_len) && (*ret_len == 0 || !memchr(*ret, 0, *ret_len));
}

bool vf_group_view_read(struct vf_reader *r, struct vf_group_view *ret)
{
    struct vf_group_view v = {.name = NULL};
    uint64_t scale, n, heavy;
    const uint8_t *p;
    uint8_t has_zero;
    size_t len;

    if (!name(r, VF_SUMMARY_GROUP_MAX, &v.name, &v.name_len) ||
        !vf_reader_varint(r, &v.held.images) || v.held.images > VF_SUMMARY_IMAGES_MAX ||
        !vf_reader_varint(r, &v.held.resident) ||
        v.held.resident > VF_MAX_BLOCKS * VF_SUMMARY_IMAGES_MAX || !vf_reader_u8(r, &has_zero) ||
        has_zero > 1 || !vf_reader_varint(r, &scale) || scale > VF_SKETCH_SCALE_MAX ||
        !vf_reader_varint(r, &n) || n > VF_SKETCH_SAMPLES_MAX || n > v.held.resident ||
        !piece(r, VF_SUMMARY_BYTES_MAX, &p, &len) || n > len || (n == 0 && len))
        return false;
    v.gaps = vf_reader_over(p, len);
    if (!vf_reader_varint(r, &heavy) || heavy > VF_SET_HEAVY ||
        !piece(r, VF_SUMMARY_BYTES_MAX, &p, &len) || heavy > len || (heavy == 0 && len))
        return false;
    v.heavy = vf_reader_over(p, len);
    v.held.has_zero = has_zero;
    v.held.scale = (unsigned)scale;
    v.held.n = (size_t)n;
    v.held.heavy_n = (size_t)heavy;
    *ret = v;
    return true;
}

bool vf_image_view_read(struct vf_reader *r, uint64_t groups, struct vf_image_view *ret)
{
    struct vf_image_view v = {.name = NULL};
    const uint8_t *p = NULL;
    uint64_t blocks;
    uint8_t flags;
    size_t len = 0;

    if (!vf_reader_varint(r, &v.group) || v.group >= groups ||
        !name(r, VF_SUMMARY_NAME_MAX, &v.name, &v.name_len) || v.name_len == 0 ||
        !vf_reader_u8(r, &flags) || flags > VF_IMAGE_FLAGS ||
        ((flags & VF_IMAGE_FRESH) && (flags & VF_IMAGE_USED)) || !vf_reader_varint(r, &v.size) ||
        v.size > VF_MAX_BLOCKS * VF_BLOCK || !vf_reader_varint(r, &v.zero_blocks) ||
        !vf_reader_varint(r, &v.distinct_blocks) || !vf_reader_bytes(r, VF_SHA_LEN, &v.root))
        return false;
    blocks = vf_blocks_of(v.size);
    if (v.zero_blocks > blocks || v.distinct_blocks > blocks - v.zero_blocks + (v.zero_blocks != 0))
        return false;
    v.flags = flags;
    if ((flags & VF_IMAGE_SKETCHED) && (!piece(r, VF_SKETCH_BYTES_MAX, &p, &len) || len == 0))
        return false;
    v.sketch = vf_reader_over(p, len);
    *ret = v;
    return true;
}

static int compare_names(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    const size_t n = a_len < b_len ? a_len : b_len;
    const int c = n ? memcmp(a, b, n) : 0;

    return c ? c : a_len < b_len ? -1 : a_len > b_len;
}

static char *text(const uint8_t *p, size_t len, struct vf_error *err)
{
    char *s = vf_calloc(1, len + 1, err);

    if (s && len)
        memcpy(s, p, len);
    return s;
}

/* ---- all of it ---- */

int vf_summary_head(const void *data, size_t len, struct vf_summary_head *ret, struct vf_error *err)
{
    struct vf_reader r = vf_reader_over(data, len);
    const uint8_t *magic;
    uint64_t checksum;
    uint16_t version;
    uint8_t size, zero;

    if (len > VF_SUMMARY_BYTES_MAX || !vf_reader_bytes(&r, 4, &magic) ||
        memcmp(magic, VF_SUMMARY_MAGIC, 4) != 0 || !vf_reader_u16(&r, &version))
        return vf_summary_malformed(err);
    if (version != VF_SUMMARY_VERSION)
        return vf_error_set(err, VF_ERR_FORMAT, 0,
                            "a summary has version %u, this program reads version %u", version,
                            VF_SUMMARY_VERSION);
    if (!vf_reader_u8(&r, &size) || size > VF_SUMMARY_FULL || !vf_reader_u8(&r, &zero) || zero ||
        !vf_reader_u64(&r, &checksum) || checksum != vf_summary_checksum(r.p, vf_reader_left(&r)) ||
        !vf_reader_copy(&r, ret->store_id, VF_STORE_ID_LEN) || !vf_reader_u64(&r, &ret->generation))
        return vf_summary_malformed(err);
    ret->size = size;
    return 0;
}

/* The set of a group; *ret is owned. */
static int unpack(const struct vf_group_view *v, struct vf_sketch_set *ret, struct vf_error *err)
{
    struct vf_reader gaps = v->gaps, heavy = v->heavy;
    struct vf_sketch_set set = v->held;
    int rc = -1;

    set.fp = vf_calloc(set.n, sizeof *set.fp, err);
    set.heavy_fp = vf_calloc(set.heavy_n, sizeof *set.heavy_fp, err);
    if (set.fp && set.heavy_fp)
        rc = vf_gaps_read(&gaps, set.fp, set.n, vf_sketch_end(set.scale)) &&
                     vf_gaps_read(&heavy, set.heavy_fp, set.heavy_n, vf_sketch_end(0)) &&
                     vf_reader_left(&gaps) == 0 && vf_reader_left(&heavy) == 0
                 ? 0
                 : vf_summary_malformed(err);
    if (rc == 0)
        *ret = set;
    else
        vf_sketch_set_free(&set);
    return rc;
}

static int parse_group(struct vf_reader *r, struct vf_summary *s, struct vf_error *err)
{
    struct vf_summary_group *g = &s->group[s->groups];
    struct vf_group_view v;

    if (!vf_group_view_read(r, &v))
        return vf_summary_malformed(err);
    if (s->groups) {
        const char *before = s->group[s->groups - 1].name;

        if (compare_names((const uint8_t *)before, strlen(before), v.name, v.name_len) >= 0)
            return vf_summary_malformed(err);
    }
    s->groups++;
    g->name = text(v.name, v.name_len, err);
    return g->name ? unpack(&v, &g->held, err) : -1;
}

static int parse_image(struct vf_reader *r, struct vf_summary *s, uint64_t *samples,
                       struct vf_error *err)
{
    const struct vf_summary_image *before = s->images ? &s->image[s->images - 1] : NULL;
    struct vf_summary_image *im = &s->image[s->images];
    struct vf_image_view v;
    int order;

    if (!vf_image_view_read(r, s->groups, &v))
        return vf_summary_malformed(err);
    if (before) {
        order = strcmp(before->group, s->group[v.group].name);
        if (order == 0)
            order = compare_names((const uint8_t *)before->name, strlen(before->name), v.name,
                                  v.name_len);
        if (order >= 0)
            return vf_summary_malformed(err);
    }
    s->images++;
    im->name = text(v.name, v.name_len, err);
    im->group = vf_strdup(s->group[v.group].name, err);
    if (!im->name || !im->group)
        return -1;
    im->size = v.size;
    im->blocks = vf_blocks_of(v.size);
    im->zero_blocks = v.zero_blocks;
    im->distinct_blocks = v.distinct_blocks;
    memcpy(im->root, v.root, VF_SHA_LEN);
    im->fresh = v.flags & VF_IMAGE_FRESH;
    im->used = v.flags & (VF_IMAGE_FRESH | VF_IMAGE_USED);
    if (!(v.flags & VF_IMAGE_SKETCHED))
        return 0;
    if (vf_sketch_decode(v.sketch.p, vf_reader_left(&v.sketch), &im->sketch, err) < 0)
        return -1;
    im->sketched = true;
    *samples += im->sketch.n;
    if (im->sketch.zero_blocks != im->zero_blocks ||
        vf_sketch_distinct(&im->sketch) + (im->zero_blocks != 0) != im->distinct_blocks ||
        *samples > VF_SUMMARY_SAMPLES_MAX)
        return vf_summary_malformed(err);
    return 0;
}

static int parse(struct vf_reader *r, struct vf_summary *s, struct vf_error *err)
{
    uint64_t groups, images, samples = 0;

    if (!vf_reader_varint(r, &groups) || groups > VF_SUMMARY_GROUPS_MAX)
        return vf_summary_malformed(err);
    s->group = vf_calloc((size_t)groups, sizeof *s->group, err);
    if (!s->group)
        return -1;
    while (s->groups < groups)
        if (parse_group(r, s, err) < 0)
            return -1;
    /* An image takes 38 bytes at least. */
    if (!vf_reader_varint(r, &images) || images > VF_SUMMARY_IMAGES_MAX ||
        images > vf_reader_left(r) / 38)
        return vf_summary_malformed(err);
    s->image = vf_calloc((size_t)images, sizeof *s->image, err);
    if (!s->image)
        return -1;
    while (s->images < images)
        if (parse_image(r, s, &samples, err) < 0)
            return -1;
    return vf_reader_left(r) ? vf_summary_malformed(err) : 0;
}

int vf_summary_parse(const void *data, size_t len, struct vf_summary *ret, struct vf_error *err)
{
    struct vf_reader r = vf_reader_over(data, len);
    struct vf_summary s = {.groups = 0};
    struct vf_summary_head head;
    const uint8_t *skipped;

    if (vf_summary_head(data, len, &head, err) < 0)
        return -1;
    memcpy(s.store_id, head.store_id, VF_STORE_ID_LEN);
    s.generation = head.generation;
    s.detail = head.size;
    if (!vf_reader_bytes(&r, VF_SUMMARY_HEAD_LEN, &skipped) || parse(&r, &s, err) < 0) {
        vf_summary_free(&s);
        return -1;
    }
    *ret = s;
    return 0;
}

/* ---- a quick look ---- */

/* Is there a fresh image of group number `group` with this root? */
static int find_root(struct vf_reader *r, uint64_t groups, uint64_t group, const uint8_t *root,
                     bool *ret, struct vf_error *err)
{
    struct vf_image_view v;
    uint64_t images;

    *ret = false;
    if (!vf_reader_varint(r, &images) || images > VF_SUMMARY_IMAGES_MAX)
        return vf_summary_malformed(err);
    while (images--) {
        if (!vf_image_view_read(r, groups, &v))
            return vf_summary_malformed(err);
        if (v.group == group && (v.flags & VF_IMAGE_FRESH) && memcmp(v.root, root, VF_SHA_LEN) == 0)
            *ret = true;
    }
    return 0;
}

int vf_summary_compare(const void *data, size_t len, const char *group,
                       const struct vf_sketch *target, const uint8_t *root, struct vf_likeness *ret,
                       struct vf_error *err)
{
    struct vf_reader r = vf_reader_over(data, len);
    uint64_t groups, number = UINT64_MAX;
    struct vf_summary_head head;
    struct vf_group_view v, found;
    const uint8_t *skipped;
    bool same = false;

    if (vf_summary_head(data, len, &head, err) < 0)
        return -1;
    if (!vf_reader_bytes(&r, VF_SUMMARY_HEAD_LEN, &skipped) || !vf_reader_varint(&r, &groups) ||
        groups > VF_SUMMARY_GROUPS_MAX)
        return vf_summary_malformed(err);
    for (uint64_t i = 0; i < groups; i++) {
        if (!vf_group_view_read(&r, &v))
            return vf_summary_malformed(err);
        if (compare_names(v.name, v.name_len, (const uint8_t *)group, strlen(group)) == 0) {
            number = i;
            found = v;
        }
    }
    if (number == UINT64_MAX)
        return VF_SUMMARY_NO_GROUP;
    if (root && find_root(&r, groups, number, root, &same, err) < 0)
        return -1;
    if (same) {
        vf_likeness_same(target, ret);
    } else {
        struct vf_sketch_set set;

        if (unpack(&found, &set, err) < 0)
            return -1;
        vf_sketch_compare(target, &set, ret);
        vf_sketch_set_free(&set);
    }
    return VF_SUMMARY_COMPARED;
}
