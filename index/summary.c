/* index/summary.c - what this node tells others about its images. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/be.h"
#include "core/checked.h"
#include "core/hash/digest.h"
#include "index/residents.h"
#include "index/sketch.h"

/* ---- the index's own number ---- */

/* VF_FOUND, VF_ABSENT or -1. */
static int get_id(struct vf_txn *t, uint8_t ret[VF_STORE_ID_LEN], struct vf_error *err)
{
    const struct vf_key key = vf_key_id();
    struct vf_bytes value;
    int rc = vf_txn_get(t, vf_key_bytes(&key), &value, err);

    if (rc == VF_FOUND && vf_id_decode(value.p, value.len, ret, err) < 0)
        return vf_store_damaged(t->st, err);
    return rc;
}

/* Another process may have been faster. */
static int do_make_id(struct vf_txn *t, void *ctx, struct vf_error *err)
{
    const struct vf_key key = vf_key_id();
    struct vf_buf b = VF_BUF_INIT;
    uint8_t *id = ctx;
    int rc = get_id(t, id, err);

    if (rc != VF_ABSENT)
        return rc < 0 ? -1 : 0;
    if (getrandom(id, VF_STORE_ID_LEN, 0) != (ssize_t)VF_STORE_ID_LEN)
        return vf_error_sys(err, errno, "get random bytes");
    rc = vf_id_encode(&b, id, err);
    if (rc == 0)
        rc = vf_txn_put(t, vf_key_bytes(&key), (struct vf_bytes){b.data, b.len}, err);
    vf_buf_free(&b);
    return rc;
}

int vf_index_id(struct vf_index *ix, uint8_t ret[VF_STORE_ID_LEN], struct vf_error *err)
{
    uint8_t id[VF_STORE_ID_LEN];
    struct vf_txn t;
    int rc;

    if (vf_store_read(&ix->store, &t, err) < 0)
        return -1;
    rc = get_id(&t, id, err);
    vf_txn_end(&t);
    if (rc == VF_ABSENT && ix->store.readonly)
        return vf_error_set(err, VF_ERR_NOTFOUND, 0, "the index in '%s' has no number yet",
                            ix->store.dir);
    if (rc == VF_ABSENT)
        rc = vf_store_write(&ix->store, do_make_id, id, err);
    if (rc < 0)
        return -1;
    memcpy(ret, id, VF_STORE_ID_LEN);
    return 0;
}

/* ---- which images ---- */

struct known {
    char *path, *group;
    struct vf_gen gen;
    bool fresh, used;
};

struct list {
    struct vf_index *ix;
    const char **group; /* sorted; borrows the names */
    size_t groups;
    char *exclude; /* a stored name, or NULL */
    struct known *image;
    size_t n, cap;
};

static int by_text(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

static int add_known(void *ctx, const struct vf_image_record *rec, struct vf_error *err)
{
    const char *group = rec->group;
    struct list *l = ctx;
    struct known *k;

    if (!l->groups || !bsearch(&group, l->group, l->groups, sizeof *l->group, by_text) ||
        (l->exclude && strcmp(rec->path, l->exclude) == 0))
        return 0;
    if (l->n == l->cap) {
        const size_t cap = l->cap ? 2 * l->cap : 64;

        k = reallocarray(l->image, cap, sizeof *k);
        if (!k)
            return vf_error_nomem(err);
        l->image = k;
        l->cap = cap;
    }
    k = &l->image[l->n];
    *k = (struct known){.path = vf_strdup(rec->path, err),
                        .group = vf_strdup(rec->group, err),
                        .gen = {rec->generation, rec->info},
                        .fresh = vf_index_fresh(l->ix, rec),
                        .used = vf_index_usable(l->ix, rec)};
    l->n++;
    return k->path && k->group ? 0 : -1;
}

static void list_free(struct list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->image[i].path);
        free(l->image[i].group);
    }
    free(l->image);
    free(l->group);
    free(l->exclude);
}

static int list_images(struct list *l, const char *const *groups, size_t n,
                       const char *exclude_path, struct vf_error *err)
{
    l->group = vf_calloc(n, sizeof *l->group, err);
    if (!l->group)
        return -1;
    for (size_t i = 0; i < n; i++)
        l->group[i] = groups[i];
    if (n)
        qsort(l->group, n, sizeof *l->group, by_text);
    l->groups = n;
    if (exclude_path && !(l->exclude = vf_image_name(l->ix, exclude_path, err)))
        return -1;
    return vf_index_each(l->ix, add_known, l, err);
}

/* ---- the generation: a digest of all that the summary depends on ---- */

static int digest_text(struct vf_sha *sha, const char *s, struct vf_error *err)
{
    return vf_sha_add(sha, s, strlen(s) + 1, err);
}

static int digest_image(struct vf_sha *sha, const struct known *k, struct vf_error *err)
{
    const struct vf_map_info *info = &k->gen.info;

    if (digest_text(sha, k->path, err) < 0 || digest_text(sha, k->group, err) < 0 ||
        vf_sha_add_u64(sha, k->fresh + 2u * k->used, err) < 0 ||
        vf_sha_add_u64(sha, info->size, err) < 0 ||
        vf_sha_add_u64(sha, info->zero_blocks, err) < 0 ||
        vf_sha_add_u64(sha, info->distinct_blocks, err) < 0)
        return -1;
    return vf_sha_add(sha, info->root, VF_SHA_LEN, err);
}

static int digest_list(const struct list *l, enum vf_summary_size size, uint64_t *ret,
                       struct vf_error *err)
{
    struct vf_sha *sha = vf_sha_new(err);
    uint8_t d[VF_SHA_LEN];
    int rc = sha ? vf_sha_begin(sha, err) : -1;

    if (rc == 0)
        rc = vf_sha_add_u64(sha, VF_SUMMARY_VERSION << 8 | size, err);
    for (size_t i = 0; rc == 0 && i < l->groups; i++)
        if (i == 0 || strcmp(l->group[i], l->group[i - 1]) != 0)
            rc = digest_text(sha, l->group[i], err);
    if (rc == 0)
        rc = vf_sha_add(sha, "", 1, err);
    for (size_t i = 0; rc == 0 && i < l->n; i++)
        rc = digest_image(sha, &l->image[i], err);
    if (rc == 0)
        rc = vf_sha_end(sha, d, err);
    vf_sha_free(sha);
    if (rc < 0)
        return -1;
    *ret = vf_be64(d);
    return 0;
}

int vf_index_summary_generation(struct vf_index *ix, enum vf_summary_size size,
                                const char *const *groups, size_t n, const char *exclude_path,
                                uint64_t *ret, struct vf_error *err)
{
    struct list l = {.ix = ix};
    int rc = list_images(&l, groups, n, exclude_path, err);

    if (rc == 0)
        rc = digest_list(&l, size, ret, err);
    list_free(&l);
    return rc;
}

/* ---- the summary ---- */

/* 1: added; 0: the image has gone meanwhile; -1. */
static int add_image(struct vf_summary_builder *b, struct vf_index *ix, const struct known *k,
                     bool sketched, struct vf_error *err)
{
    const struct vf_map_info *info = &k->gen.info;
    struct vf_summary_image im = {.name = k->path,
                                  .group = k->group,
                                  .size = info->size,
                                  .blocks = info->blocks,
                                  .zero_blocks = info->zero_blocks,
                                  .distinct_blocks = info->distinct_blocks,
                                  .fresh = k->fresh,
                                  .used = k->used,
                                  .sketched = sketched};
    struct vf_error own = VF_ERROR_INIT;
    int rc;

    memcpy(im.root, info->root, VF_SHA_LEN);
    if (sketched && vf_gen_sketch(ix, &k->gen, &im.sketch, &own) < 0) {
        if (own.code == VF_ERR_NOTFOUND)
            return 0;
        return vf_error_pass(err, &own);
    }
    rc = vf_summary_builder_add(b, &im, err);
    vf_sketch_free(&im.sketch);
    return rc < 0 ? -1 : 1;
}

/* Adds all images; those that have gone leave the list. */
static int add_images(struct vf_summary_builder *b, struct list *l, enum vf_summary_size size,
                      struct vf_error *err)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->n; i++) {
        const struct known k = l->image[i];
        int rc = add_image(b, l->ix, &k, k.fresh || k.used || size == VF_SUMMARY_FULL, err);

        if (rc < 0)
            return -1;
        l->image[i] = l->image[kept]; /* each stays owned by the list once */
        l->image[kept] = k;
        kept += (size_t)rc;
    }
    for (size_t i = kept; i < l->n; i++) {
        free(l->image[i].path);
        free(l->image[i].group);
    }
    l->n = kept;
    return 0;
}

int vf_index_summary(struct vf_index *ix, enum vf_summary_size size, const char *const *groups,
                     size_t n, const char *exclude_path, struct vf_buf *ret, struct vf_error *err)
{
    struct list l = {.ix = ix};
    struct vf_summary_builder *b = NULL;
    uint8_t id[VF_STORE_ID_LEN];
    uint64_t generation;
    int rc = -1;

    if (vf_index_id(ix, id, err) < 0 || list_images(&l, groups, n, exclude_path, err) < 0)
        goto out;
    b = vf_summary_builder_new(size, groups, n, l.n, err);
    if (b && add_images(b, &l, size, err) == 0 && digest_list(&l, size, &generation, err) == 0)
        rc = vf_summary_builder_finish(b, id, generation, ret, err);
out:
    vf_summary_builder_free(b);
    list_free(&l);
    return rc;
}
