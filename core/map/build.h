/* core/map/build.h - a block map in the making: segments go in, the tree above them and the stored
 * map come out.
 *
 * Thread rules: one thread at a time. */
#ifndef VF_CORE_BUILD_H
#define VF_CORE_BUILD_H

#include "core/map.h"
#include "core/map/tree.h"

struct vf_build;

/* sink (may be NULL) gets digests and nodes; it stays the caller's until vf_build_commit.  on_node
 * (may be NULL) is told of every node of level 2 and above, after the sink. */
struct vf_build *vf_build_new(uint64_t size, struct vf_map_sink *sink, vf_tree_fn *on_node,
                              void *ctx, struct vf_error *err);
void vf_build_free(struct vf_build *b);

/* n segments in order and the MD5s of all their blocks, one after the other. */
int vf_build_add(struct vf_build *b, const struct vf_node *segs, size_t n,
                 const uint8_t (*md5)[VF_MD5_LEN], struct vf_error *err) VF_MUST_CHECK;

/* No more segments.  distinct_blocks is not known before the sink's commit. */
int vf_build_finish(struct vf_build *b, struct vf_map_info *ret,
                    struct vf_error *err) VF_MUST_CHECK;

#endif
