/* index/read.h - reading the pages of one generation inside a transaction.
 *
 * Everything is copied out or used before the transaction ends.  A page that is missing or
 * malformed is VF_ERR_FORMAT.  Whether the generation is still an image's map is for the caller to
 * ask (vf_generation_live), in the same transaction.
 *
 * Thread rules: those of the transaction. */
#ifndef VF_INDEX_READ_H
#define VF_INDEX_READ_H

#include "index/catalog.h"

/* One generation, as its image's record describes it. */
struct vf_gen {
    uint64_t number;
    struct vf_map_info info;
};

/* Begins a transaction in which the generation is live.  0, or -1 with none begun. */
int vf_gen_read(struct vf_index *ix, const struct vf_gen *g, struct vf_txn *ret,
                struct vf_error *err) VF_MUST_CHECK;

/* The map of that generation, as vf_index_map gives it; owned. */
struct vf_map *vf_gen_map(struct vf_index *ix, const struct vf_gen *g, struct vf_error *err);

/* n nodes of level 1 or above from number `from` on; VF_ERR_RANGE when there are not so many. */
int vf_gen_nodes(struct vf_txn *t, const struct vf_gen *g, unsigned level, uint64_t from, size_t n,
                 struct vf_node *ret, struct vf_error *err) VF_MUST_CHECK;

/* MD5s of blocks [first, first + n); VF_ERR_RANGE when the image ends before. */
int vf_gen_digests(struct vf_txn *t, const struct vf_gen *g, uint64_t first, size_t n,
                   uint8_t (*ret)[VF_MD5_LEN], struct vf_error *err) VF_MUST_CHECK;

/* The page that holds the key, or what is next to it: of the pages whose keys begin with the first
 * `prefix` bytes of key, the last one that is not above key, or else the first one.  *ret_at: the
 * number at the end of its key (8 bytes; ids: 6).  VF_FOUND, VF_ABSENT (there is none), -1. */
int vf_gen_page_near(struct vf_cursor *c, const struct vf_key *key, size_t prefix,
                     enum vf_page_kind kind, unsigned level, struct vf_page *ret, uint64_t *ret_at,
                     struct vf_error *err) VF_MUST_CHECK;
/* The page after the one that c stands on, as above. */
int vf_gen_page_next(struct vf_cursor *c, const struct vf_key *key, size_t prefix,
                     enum vf_page_kind kind, unsigned level, struct vf_page *ret, uint64_t *ret_at,
                     struct vf_error *err) VF_MUST_CHECK;

/* Bytes of the value under c that so many searches in it bring into memory: the kernel maps 64 KiB
 * around each. */
static inline size_t vf_gen_touch(const struct vf_cursor *c, size_t searches)
{
    return searches < c->value.len >> 16 ? searches << 16 : c->value.len;
}

#endif
