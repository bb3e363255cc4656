/* core/map/tree.h - the levels of a block map above the segments, built while segments arrive.
 *
 * What the digests are over (all numbers 64-bit little-endian):
 *   segment    the bytes of its blocks
 *   node       level, then for each child: child.first - node.first, child.span, child.sha
 *   root       "vmferry tree 1\n", image size in bytes, then first, span and sha of the one top
 *              node (nothing if all is zero)
 * Positions inside a node are relative, so equal content has equal nodes wherever it lies; zeros
 * count only as distance.  The root is absolute: equal roots mean equal content and size, whatever
 * the file format.
 *
 * Thread rules: one thread at a time. */
#ifndef VF_CORE_TREE_H
#define VF_CORE_TREE_H

#include <stddef.h>

#include "core/map.h"

struct vf_tree;

/* Told of n consecutive nodes of a level, as soon as they are complete.  A child is always told
 * before its parent. -1 with *err set stops the tree. */
typedef int vf_tree_fn(void *ctx, unsigned level, const struct vf_node *nodes, size_t n,
                       struct vf_error *err);

/* on_node may be NULL. */
struct vf_tree *vf_tree_new(uint64_t size, vf_tree_fn *on_node, void *ctx, struct vf_error *err);
void vf_tree_free(struct vf_tree *t);

/* n segments with their sha, in ascending order, not overlapping, inside the image. */
int vf_tree_add(struct vf_tree *t, const struct vf_node *segs, size_t n,
                struct vf_error *err) VF_MUST_CHECK;

/* No more segments: completes the levels and fills *ret, except distinct_blocks (0). */
int vf_tree_finish(struct vf_tree *t, struct vf_map_info *ret, struct vf_error *err) VF_MUST_CHECK;

/* The strong digest of a batch: SHA-256 over range.first, range.n and for each segment first, span
 * and sha. */
struct vf_sha;
int vf_batch_digest(struct vf_sha *sha, struct vf_run range, const struct vf_node *segs, size_t n,
                    uint8_t ret[VF_SHA_LEN], struct vf_error *err) VF_MUST_CHECK;

#endif
