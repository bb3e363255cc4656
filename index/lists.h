/* index/lists.h - the sorted lists of a map in the making: fingerprints and ids, through external
 * sorters, so that memory is bounded whatever the size of the image.
 *
 * Fill with digests and nodes, finish, then take all fingerprints and all ids.
 *
 * Thread rules: an object belongs to one thread at a time. */
#ifndef VF_INDEX_LISTS_H
#define VF_INDEX_LISTS_H

#include <stddef.h>
#include <stdint.h>

#include "core/map.h"

#define VF_LISTS_MEMORY (24u << 20) /* bytes at most, of which a quarter for the ids */

struct vf_lists;

/* tmpdir: for what does not fit into memory (files without names). */
struct vf_lists *vf_lists_new(const char *tmpdir, struct vf_error *err);
void vf_lists_free(struct vf_lists *l); /* NULL is fine */

/* The MD5s of n blocks. */
int vf_lists_digests(struct vf_lists *l, const uint8_t (*md5)[VF_MD5_LEN], size_t n,
                     struct vf_error *err) VF_MUST_CHECK;
/* n consecutive nodes of a level, the first of which has that number. */
int vf_lists_nodes(struct vf_lists *l, unsigned level, uint64_t number, const struct vf_node *nodes,
                   size_t n, struct vf_error *err) VF_MUST_CHECK;

int vf_lists_finish(struct vf_lists *l, struct vf_error *err) VF_MUST_CHECK;

/* Distinct fingerprints, ascending, and how often each occurs. */
struct vf_lists_prints {
    const uint64_t *fp, *count;
    size_t n;
};
/* The next ones, valid until the next call.  1, 0 at the end (their memory is free then), -1. */
int vf_lists_next_prints(struct vf_lists *l, struct vf_lists_prints *ret,
                         struct vf_error *err) VF_MUST_CHECK;
/* The next id: ascending by level, id, number; of equal ids of a level only the first VF_IDS_SAME.
 * 1, 0 or -1. */
int vf_lists_next_id(struct vf_lists *l, unsigned *ret_level, uint64_t *ret_id,
                     uint64_t *ret_number, struct vf_error *err) VF_MUST_CHECK;

#endif
