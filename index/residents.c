/* index/residents.c - the resident images of a sharing group. */
#include "index/residents.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/checked.h"

/* ---- files ---- */

static int64_t nanoseconds(struct timespec ts)
{
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* name is a stored one; openat takes an absolute path as it is. */
static int stat_file(struct vf_index *ix, const char *name, struct vf_image_stat *ret,
                     struct vf_error *err)
{
    struct stat st;

    if (fstatat(ix->store_fd, name, &st, 0) < 0)
        return vf_error_sys(err, errno, "look at '%s'", name);
    *ret = (struct vf_image_stat){
        .dev = st.st_dev,
        .ino = st.st_ino,
        .size = (uint64_t)st.st_size,
        .mtime_ns = nanoseconds(st.st_mtim),
        .ctime_ns = nanoseconds(st.st_ctim),
        .regular = S_ISREG(st.st_mode),
        .device = S_ISBLK(st.st_mode),
    };
    return 0;
}

int vf_index_stat(struct vf_index *ix, const char *path, struct vf_image_stat *ret,
                  struct vf_error *err)
{
    char *name = vf_image_name(ix, path, err);
    int rc = name ? stat_file(ix, name, ret, err) : -1;

    free(name);
    return rc;
}

/* The path to open; owned. */
static char *file_of(struct vf_index *ix, const struct vf_image_record *rec, struct vf_error *err)
{
    return rec->path[0] == '/' ? vf_strdup(rec->path, err)
                               : vf_strf(err, "%s/%s", ix->store_dir, rec->path);
}

static bool same_file(const struct vf_image_stat *a, const struct vf_image_stat *b)
{
    return a->regular && b->regular && a->ino == b->ino && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

bool vf_index_fresh(struct vf_index *ix, const struct vf_image_record *rec)
{
    struct vf_image_stat now;

    return rec->state != VF_IMAGE_MOVING && stat_file(ix, rec->path, &now, NULL) == 0 &&
           same_file(&rec->st, &now);
}

/* A device with the plain content of a disk, then as now.  Others that are no ordinary files, in
 * other formats, depend on several files. */
static bool is_volume(const struct vf_image_record *rec, const struct vf_image_stat *now)
{
    return !rec->st.regular && now->device && strcmp(rec->format, "raw") == 0;
}

/* May blocks be taken from it?  What a guest writes is not what was indexed, and a device does not
 * tell, but most of it is still there, and all that is taken gets verified. */
static bool usable(struct vf_index *ix, const struct vf_image_record *rec,
                   const struct vf_image_stat *now)
{
    char *file;
    bool yes;

    if (rec->state != VF_IMAGE_MOVING)
        return same_file(&rec->st, now) || is_volume(rec, now);
    if (!now->regular || now->ino != rec->st.ino)
        return false;
    if (strcmp(rec->format, "raw") == 0)
        return now->size == rec->st.size;
    /* The file grows while the guest writes; only whoever can read it knows more. */
    file = ix->live ? file_of(ix, rec, NULL) : NULL;
    yes = file && ix->live(ix->live_ctx, rec, file);
    free(file);
    return yes;
}

void vf_index_set_live(struct vf_index *ix, vf_index_live_fn *fn, void *ctx)
{
    ix->live = fn;
    ix->live_ctx = ctx;
}

bool vf_index_usable(struct vf_index *ix, const struct vf_image_record *rec)
{
    struct vf_image_stat now;

    return stat_file(ix, rec->path, &now, NULL) == 0 && usable(ix, rec, &now);
}

/* ---- the set ---- */

static unsigned set_count(struct vf_residents *base) { return vf_resident_set(base)->n; }

static struct vf_resident *resident(struct vf_residents *base, uint32_t image, struct vf_error *err)
{
    struct vf_resident_set *set = vf_resident_set(base);

    if (image < set->n)
        return &set->image[image];
    (void)vf_error_set(err, VF_ERR_RANGE, 0, "there is no resident image %" PRIu32, image);
    return NULL;
}

static int set_digests(struct vf_residents *base, uint32_t image, int64_t first, size_t n,
                       uint8_t (*ret)[VF_MD5_LEN], struct vf_error *err)
{
    const struct vf_resident *r = resident(base, image, err);
    uint64_t skip, from, some;
    struct vf_txn t;
    int rc;

    if (!r)
        return -1;
    for (size_t i = 0; i < n; i++)
        memcpy(ret[i], vf_zero_md5, VF_MD5_LEN);
    skip = first < 0 ? 0 - (uint64_t)first : 0;
    from = first < 0 ? 0 : (uint64_t)first;
    if (vf_gen_read(vf_resident_set(base)->ix, &r->gen, &t, err) < 0)
        return -1;
    rc = 0;
    if (skip < n && from < r->gen.info.blocks) {
        some = n - skip;
        if (some > r->gen.info.blocks - from)
            some = r->gen.info.blocks - from;
        rc = vf_gen_digests(&t, &r->gen, from, (size_t)some, ret + skip, err);
    }
    vf_txn_end(&t);
    return rc;
}

/* Children of the nodes [*lo, *hi) of a level become the new range. */
static int descend(struct vf_txn *t, const struct vf_gen *g, unsigned level, uint64_t *lo,
                   uint64_t *hi, struct vf_error *err)
{
    struct vf_node first, last;
    uint64_t end;

    if (vf_gen_nodes(t, g, level, *lo, 1, &first, err) < 0 ||
        vf_gen_nodes(t, g, level, *hi - 1, 1, &last, err) < 0)
        return -1;
    end = last.kid + last.kids;
    if (first.kid >= end || end > g->info.nodes[level - 1]) {
        (void)vf_error_set(err, VF_ERR_FORMAT, 0, "a node of level %u has impossible children",
                           level);
        return vf_store_damaged(t->st, err);
    }
    *lo = first.kid;
    *hi = end;
    return 0;
}

static long set_segments(struct vf_residents *base, uint32_t image, unsigned level, uint64_t node,
                         size_t skip, struct vf_node *ret, size_t max, struct vf_error *err)
{
    const struct vf_resident *r = resident(base, image, err);
    uint64_t lo = node, hi = node + 1, some;
    struct vf_txn t;
    int rc = 0;

    if (!r)
        return -1;
    if (level < 1 || level > r->gen.info.top || node >= r->gen.info.nodes[level])
        return vf_error_set(err, VF_ERR_RANGE, 0, "an image has no node %" PRIu64 " on level %u",
                            node, level);
    if (vf_gen_read(vf_resident_set(base)->ix, &r->gen, &t, err) < 0)
        return -1;
    for (; rc == 0 && level > 1; level--)
        rc = descend(&t, &r->gen, level, &lo, &hi, err);
    if (rc == 0 && skip < hi - lo) {
        some = hi - lo - skip < max ? hi - lo - skip : max;
        rc = vf_gen_nodes(&t, &r->gen, 1, lo + skip, (size_t)some, ret, err);
    }
    vf_txn_end(&t);
    return rc < 0 ? -1 : (long)(hi - lo);
}

static struct vf_image *set_open(struct vf_residents *base, uint32_t image, struct vf_error *err)
{
    struct vf_resident_set *set = vf_resident_set(base);
    const struct vf_resident *r = resident(base, image, err);
    struct vf_image *im = NULL;
    struct vf_image_stat now;
    struct vf_txn t;
    char *file;

    if (!r)
        return NULL;
    if (!set->open) {
        (void)vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "these images cannot be opened");
        return NULL;
    }
    if (vf_gen_read(set->ix, &r->gen, &t, err) < 0)
        return NULL;
    vf_txn_end(&t);
    if (stat_file(set->ix, r->rec.path, &now, err) < 0)
        return NULL;
    if (!usable(set->ix, &r->rec, &now)) {
        (void)vf_error_set(err, VF_ERR_CHANGED, 0, "'%s' is not what was indexed", r->rec.path);
        return NULL;
    }
    file = file_of(set->ix, &r->rec, err);
    if (file)
        im = set->open(set->open_ctx, &r->rec, file, err);
    free(file);
    return im;
}

static int set_describe(struct vf_residents *base, uint32_t image, const char **ret_name,
                        struct vf_map_info *ret_info, bool *ret_fresh, struct vf_error *err)
{
    const struct vf_resident *r = resident(base, image, err);

    if (!r)
        return -1;
    *ret_name = r->rec.path;
    *ret_info = r->gen.info;
    *ret_fresh = r->fresh;
    return 0;
}

static void set_close(struct vf_residents *base)
{
    struct vf_resident_set *set = vf_resident_set(base);

    if (!set)
        return;
    for (uint32_t i = 0; i < set->n; i++)
        vf_image_record_clear(&set->image[i].rec);
    free(set->image);
    free(set);
}

static const struct vf_residents_ops set_ops = {
    .count = set_count,
    .find = vf_residents_find,
    .segments = set_segments,
    .digests = set_digests,
    .open = set_open,
    .shared = vf_residents_shared,
    .describe = set_describe,
    .close = set_close,
};

/* ---- making it ---- */

struct gather {
    struct vf_resident_set *set;
    const char *group, *exclude; /* exclude: a stored name */
    size_t cap;
};

static int gather_one(void *ctx, const struct vf_image_record *rec, struct vf_error *err)
{
    struct gather *g = ctx;
    struct vf_resident_set *set = g->set;
    struct vf_resident *r;

    if (strcmp(rec->group, g->group) != 0 || (g->exclude && strcmp(rec->path, g->exclude) == 0))
        return 0;
    if (set->n == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 16, bytes;
        struct vf_resident *more = NULL;

        if (cap <= UINT32_MAX && vf_mul_ok(cap, sizeof *more, &bytes))
            more = realloc(set->image, bytes);
        if (!more)
            return vf_error_nomem(err);
        set->image = more;
        g->cap = cap;
    }
    r = &set->image[set->n];
    if (vf_image_record_copy(rec, &r->rec, err) < 0)
        return -1;
    r->gen = (struct vf_gen){rec->generation, rec->info};
    r->fresh = vf_index_fresh(set->ix, rec);
    r->usable = vf_index_usable(set->ix, rec);
    set->n++;
    return 0;
}

static int fresh_first(const void *a, const void *b)
{
    const struct vf_resident *x = a, *y = b;

    if (x->fresh != y->fresh)
        return x->fresh ? -1 : 1;
    return strcmp(x->rec.path, y->rec.path);
}

struct vf_residents *vf_index_residents(struct vf_index *ix, const char *group,
                                        const char *exclude_path, vf_image_opener *open,
                                        void *open_ctx, struct vf_error *err)
{
    struct vf_resident_set *set = vf_calloc(1, sizeof *set, err);
    struct gather g = {.set = set, .group = group ? group : ""};
    char *exclude = NULL;

    if (!set)
        return NULL;
    set->base.ops = &set_ops;
    set->ix = ix;
    set->open = open;
    set->open_ctx = open_ctx;
    if (exclude_path && !(exclude = vf_image_name(ix, exclude_path, err)))
        goto failed;
    g.exclude = exclude;
    if (vf_index_each(ix, gather_one, &g, err) != 0)
        goto failed;
    free(exclude);
    if (set->n)
        qsort(set->image, set->n, sizeof *set->image, fresh_first);
    return &set->base;
failed:
    free(exclude);
    set_close(&set->base);
    return NULL;
}
