/* core/similar/summary_build.c - makes summaries (core/similar/SUMMARY.md, "Summary"). */
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/similar/sketch_impl.h"
#include "core/similar/summary_impl.h"

#define PENDING 32u /* sets that are put together at once */

/* The union in the making of one group. */
struct group {
    char *name;
    struct vf_sketch_set set[PENDING + 1]; /* owned; the heavy ones are in heavy */
    size_t sets;
    struct vf_buf heavy; /* uint64_t, one for each image that names it */
};

struct item {
    char *name;
    size_t group;
    unsigned flags;
    uint64_t size, zero_blocks, distinct_blocks;
    uint8_t root[VF_SHA_LEN];
    struct vf_buf sketch; /* encoded */
};

struct vf_summary_builder {
    enum vf_summary_size size;
    size_t samples; /* of each image at most; 0: no sketches */
    struct group *group;
    size_t groups;
    struct item *item;
    size_t items, cap;
};

/* The more images, the coarser their sketches, so that the whole stays in bounds. */
static size_t samples_each(enum vf_summary_size size, size_t images)
{
    size_t samples = 8192;

    if (size == VF_SUMMARY_BRIEF || images > 8192)
        return 0;
    for (size_t n = 128; n < images && samples > 512; n *= 2)
        samples /= 2;
    return samples;
}

static int by_name(const void *x, const void *y)
{
    const struct group *a = x, *b = y;

    return strcmp(a->name, b->name);
}

struct vf_summary_builder *vf_summary_builder_new(enum vf_summary_size size,
                                                  const char *const *groups, size_t n,
                                                  size_t images, struct vf_error *err)
{
    struct vf_summary_builder *b = vf_calloc(1, sizeof *b, err);
    size_t kept = 0;

    if (!b)
        return NULL;
    b->size = size;
    b->samples = samples_each(size, images);
    b->group = vf_calloc(n, sizeof *b->group, err);
    if (!b->group)
        goto failed;
    for (; b->groups < n; b->groups++)
        if (!(b->group[b->groups].name = vf_strdup(groups[b->groups], err)))
            goto failed;
    if (n)
        qsort(b->group, n, sizeof *b->group, by_name);
    for (size_t i = 0; i < n; i++) /* each once */
        if (kept && strcmp(b->group[kept - 1].name, b->group[i].name) == 0)
            free(b->group[i].name);
        else
            b->group[kept++] = b->group[i];
    b->groups = kept;
    if (kept <= VF_SUMMARY_GROUPS_MAX)
        return b;
    (void)vf_error_set(err, VF_ERR_RANGE, 0, "a summary of more than %u groups",
                       VF_SUMMARY_GROUPS_MAX);
failed:
    vf_summary_builder_free(b);
    return NULL;
}

void vf_summary_builder_free(struct vf_summary_builder *b)
{
    if (!b)
        return;
    for (size_t i = 0; b->group && i < b->groups; i++) {
        free(b->group[i].name);
        for (size_t k = 0; k < b->group[i].sets; k++)
            vf_sketch_set_free(&b->group[i].set[k]);
        vf_buf_free(&b->group[i].heavy);
    }
    for (size_t i = 0; i < b->items; i++) {
        free(b->item[i].name);
        vf_buf_free(&b->item[i].sketch);
    }
    free(b->group);
    free(b->item);
    free(b);
}

/* ---- images ---- */

/* Puts all sets together into one. */
static int unite(struct group *g, struct vf_error *err)
{
    struct vf_sketch_set all;

    if (vf_sketch_union(g->set, g->sets, VF_SUMMARY_UNION, VF_SUMMARY_UNION_SCALE, &all, err) < 0)
        return -1;
    for (size_t i = 0; i < g->sets; i++)
        vf_sketch_set_free(&g->set[i]);
    g->set[0] = all;
    g->sets = 1;
    return 0;
}

static int add_to_group(struct group *g, const struct vf_sketch *s, struct vf_error *err)
{
    struct vf_sketch_set view = vf_sketch_as_set(s);

    if (vf_buf_add(&g->heavy, s->heavy_fp, s->heavy_n * sizeof *s->heavy_fp, err) < 0)
        return -1;
    view.heavy_n = 0;
    /* A union of one is a copy that is as coarse as it may be. */
    if (vf_sketch_union(&view, 1, VF_SUMMARY_UNION, VF_SUMMARY_UNION_SCALE, &g->set[g->sets], err) <
        0)
        return -1;
    g->sets++;
    return g->sets > PENDING ? unite(g, err) : 0;
}

static int add_sketch(struct vf_buf *to, const struct vf_sketch *s, size_t samples,
                      struct vf_error *err)
{
    struct vf_sketch small;
    int rc;

    if (vf_sketch_reduce(s, samples, &small, err) < 0)
        return -1;
    rc = vf_sketch_encode(&small, to, err);
    vf_sketch_free(&small);
    return rc;
}

static struct item *new_item(struct vf_summary_builder *b, struct vf_error *err)
{
    if (b->items == VF_SUMMARY_IMAGES_MAX) {
        (void)vf_error_set(err, VF_ERR_RANGE, 0, "a summary of more than %u images",
                           VF_SUMMARY_IMAGES_MAX);
        return NULL;
    }
    if (b->items == b->cap) {
        const size_t cap = b->cap ? 2 * b->cap : 64;
        struct item *more = reallocarray(b->item, cap, sizeof *more);

        if (!more) {
            (void)vf_error_nomem(err);
            return NULL;
        }
        b->item = more;
        b->cap = cap;
    }
    return &b->item[b->items];
}

int vf_summary_builder_add(struct vf_summary_builder *b, const struct vf_summary_image *image,
                           struct vf_error *err)
{
    struct item *it = new_item(b, err);
    const bool sketched = image->sketched && b->samples, used = image->fresh || image->used;
    size_t g = 0;

    if (!it)
        return -1;
    while (g < b->groups && strcmp(b->group[g].name, image->group) != 0)
        g++;
    if (g == b->groups || (used && !image->sketched))
        return vf_error_set(err, VF_ERR_RANGE, 0, "an image that does not belong into the summary");
    *it = (struct item){
        .group = g,
        .flags = (image->fresh ? VF_IMAGE_FRESH
                  : used       ? VF_IMAGE_USED
                               : 0u) |
                 (sketched ? VF_IMAGE_SKETCHED : 0u),
        .size = image->size,
        .zero_blocks = image->zero_blocks,
        .distinct_blocks = image->distinct_blocks,
        .sketch = VF_BUF_INIT,
    };
    memcpy(it->root, image->root, VF_SHA_LEN);
    it->name = vf_strdup(image->name, err);
    if (!it->name)
        return -1;
    b->items++;
    if (used && add_to_group(&b->group[g], &image->sketch, err) < 0)
        return -1;
    return sketched ? add_sketch(&it->sketch, &image->sketch, b->samples, err) : 0;
}

/* ---- the bytes ---- */

static int by_group_and_name(const void *x, const void *y)
{
    const struct item *a = x, *b = y;

    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    return strcmp(a->name, b->name);
}

static int put_bytes(struct vf_buf *to, const struct vf_buf *b, struct vf_error *err)
{
    if (vf_buf_varint(to, b->len, err) < 0)
        return -1;
    return b->len ? vf_buf_add(to, b->data, b->len, err) : 0;
}

static int put_gaps(struct vf_buf *to, const uint64_t *fp, size_t n, struct vf_error *err)
{
    struct vf_buf gaps = VF_BUF_INIT;
    int rc = vf_gaps_write(fp, n, &gaps, err);

    if (rc == 0)
        rc = put_bytes(to, &gaps, err);
    vf_buf_free(&gaps);
    return rc;
}

static int put_group(struct vf_buf *to, struct group *g, struct vf_error *err)
{
    struct vf_sketch_set *all = &g->set[0];
    const size_t n = g->heavy.len / sizeof(uint64_t);
    uint64_t *heavy = vf_calloc(n, sizeof *heavy, err);

    if (!heavy)
        return -1;
    if (n)
        memcpy(heavy, g->heavy.data, n * sizeof *heavy);
    if (unite(g, err) < 0) {
        free(heavy);
        return -1;
    }
    free(all->heavy_fp);
    all->heavy_fp = NULL;
    all->heavy_n = 0;
    if (vf_heavy_pick(heavy, n, all, err) < 0) {
        free(heavy);
        return -1;
    }
    if (vf_buf_str(to, g->name, err) < 0 || vf_buf_varint(to, all->images, err) < 0 ||
        vf_buf_varint(to, all->resident, err) < 0 || vf_buf_u8(to, all->has_zero, err) < 0 ||
        vf_buf_varint(to, all->scale, err) < 0 || vf_buf_varint(to, all->n, err) < 0 ||
        put_gaps(to, all->fp, all->n, err) < 0 || vf_buf_varint(to, all->heavy_n, err) < 0)
        return -1;
    return put_gaps(to, all->heavy_fp, all->heavy_n, err);
}

static int put_item(struct vf_buf *to, const struct item *it, struct vf_error *err)
{
    if (vf_buf_varint(to, it->group, err) < 0 || vf_buf_str(to, it->name, err) < 0 ||
        vf_buf_u8(to, (uint8_t)it->flags, err) < 0 || vf_buf_varint(to, it->size, err) < 0 ||
        vf_buf_varint(to, it->zero_blocks, err) < 0 ||
        vf_buf_varint(to, it->distinct_blocks, err) < 0 ||
        vf_buf_add(to, it->root, VF_SHA_LEN, err) < 0)
        return -1;
    return it->flags & VF_IMAGE_SKETCHED ? put_bytes(to, &it->sketch, err) : 0;
}

static int put_all(struct vf_summary_builder *b, struct vf_buf *to,
                   const uint8_t store_id[VF_STORE_ID_LEN], uint64_t generation,
                   struct vf_error *err)
{
    if (vf_buf_add(to, VF_SUMMARY_MAGIC, 4, err) < 0 ||
        vf_buf_u16(to, VF_SUMMARY_VERSION, err) < 0 || vf_buf_u8(to, (uint8_t)b->size, err) < 0 ||
        vf_buf_u8(to, 0, err) < 0 || vf_buf_u64(to, 0, err) < 0 ||
        vf_buf_add(to, store_id, VF_STORE_ID_LEN, err) < 0 || vf_buf_u64(to, generation, err) < 0 ||
        vf_buf_varint(to, b->groups, err) < 0)
        return -1;
    for (size_t i = 0; i < b->groups; i++)
        if (put_group(to, &b->group[i], err) < 0)
            return -1;
    if (vf_buf_varint(to, b->items, err) < 0)
        return -1;
    for (size_t i = 0; i < b->items; i++)
        if (put_item(to, &b->item[i], err) < 0)
            return -1;
    return 0;
}

int vf_summary_builder_finish(struct vf_summary_builder *b, const uint8_t store_id[VF_STORE_ID_LEN],
                              uint64_t generation, struct vf_buf *ret, struct vf_error *err)
{
    struct vf_buf out = VF_BUF_INIT;
    uint64_t sum;
    int rc;

    if (b->items)
        qsort(b->item, b->items, sizeof *b->item, by_group_and_name);
    rc = put_all(b, &out, store_id, generation, err);
    if (rc == 0 && out.len > VF_SUMMARY_BYTES_MAX)
        rc = vf_error_set(err, VF_ERR_RANGE, 0, "a summary of more than %u bytes",
                          VF_SUMMARY_BYTES_MAX);
    if (rc < 0) {
        vf_buf_free(&out);
        return -1;
    }
    sum = vf_summary_checksum(out.data + VF_SUMMARY_CHECKED, out.len - VF_SUMMARY_CHECKED);
    for (unsigned i = 0; i < 8; i++)
        out.data[8 + i] = (uint8_t)(sum >> (8 * i));
    *ret = out;
    return 0;
}
