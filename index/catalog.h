/* index/catalog.h - inside the index: keys, and which generation is the map of which image.
 *
 * Thread rules as in index.h. */
#ifndef VF_INDEX_CATALOG_H
#define VF_INDEX_CATALOG_H

#include "index/index.h"
#include "index/pages.h"
#include "index/record.h"
#include "index/store.h"

/* Sizes that tests make small. */
struct vf_index_limits {
    uint64_t map_size;  /* address space to begin with */
    size_t write_bytes; /* of pages written in one transaction */
};

struct vf_index {
    struct vf_store store;
    char *store_dir; /* as given to open */
    char *real_dir;  /* the same, resolved */
    int store_fd;    /* STORE */
    struct vf_index_limits limits;
    vf_index_live_fn *live; /* may be NULL */
    void *live_ctx;
};

#define VF_INDEX_LIMITS                                                                            \
    {                                                                                              \
        VF_STORE_MAP_SIZE, 4u << 20                                                                \
    }
struct vf_index *vf_index_open_with(const char *store_dir, unsigned flags,
                                    const struct vf_index_limits *limits, struct vf_error *err);

/* ---- keys (FORMAT.md, "Keys") ---- */

struct vf_key {
    uint8_t b[24];
    size_t len;
};
static inline struct vf_bytes vf_key_bytes(const struct vf_key *k)
{
    return (struct vf_bytes){k->b, k->len};
}

struct vf_key vf_key_version(void);
struct vf_key vf_key_id(void);
struct vf_key vf_key_generation(uint64_t gen);
/* All pages of a generation begin with this; then kind, and depending on that: first block (8);
 * level (1), page number (4); level (1), first id (6); first fingerprint (8); sketch: nothing. */
struct vf_key vf_key_pages(uint64_t gen);
struct vf_key vf_key_digests(uint64_t gen, uint64_t block);
struct vf_key vf_key_nodes(uint64_t gen, unsigned level, uint64_t page);
struct vf_key vf_key_ids(uint64_t gen, unsigned level, uint64_t id);
struct vf_key vf_key_prints(uint64_t gen, enum vf_page_kind kind, uint64_t fp);
struct vf_key vf_key_sketch(uint64_t gen);
/* Does key begin with the first n bytes of k? */
bool vf_key_begins(struct vf_bytes key, const struct vf_key *k, size_t n);

/* ---- generations ---- */

/* Makes a new one in state BUILDING, and holds its lock (a descriptor) as long as its builder
 * lives: that is how others know. */
int vf_generation_new(struct vf_index *ix, uint64_t *ret_gen, int *ret_lock,
                      struct vf_error *err) VF_MUST_CHECK;
/* VF_FOUND with its state, VF_ABSENT or -1. */
int vf_generation_get(struct vf_txn *t, uint64_t gen, enum vf_generation_state *ret,
                      struct vf_error *err) VF_MUST_CHECK;
int vf_generation_set(struct vf_txn *t, uint64_t gen, enum vf_generation_state state,
                      struct vf_error *err) VF_MUST_CHECK;
/* 0 while it is the map of an image, else VF_ERR_NOTFOUND. */
int vf_generation_live(struct vf_txn *t, uint64_t gen, struct vf_error *err) VF_MUST_CHECK;
/* Deletes doomed generations and those whose builder is dead, in short transactions. */
int vf_generations_sweep(struct vf_index *ix, struct vf_error *err) VF_MUST_CHECK;
/* The same after a change that stands by itself: what cannot be deleted now is deleted later. */
void vf_generations_tidy(struct vf_index *ix);

/* ---- images ---- */

/* Path as it is stored; returns owned.  VF_ERR_USAGE. */
char *vf_image_name(const struct vf_index *ix, const char *path, struct vf_error *err);
/* VF_FOUND with *ret owned, VF_ABSENT or -1; name is a stored one. */
int vf_image_find(struct vf_txn *t, const char *name, struct vf_image_record *ret,
                  struct vf_error *err) VF_MUST_CHECK;
/* Makes rec the record of the image rec->path.  A map that it had before is doomed, unless it is
 * rec's own. */
int vf_image_put(struct vf_txn *t, const struct vf_image_record *rec,
                 struct vf_error *err) VF_MUST_CHECK;

#endif
