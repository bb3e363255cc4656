/* core/engine/rescan.h - a new map of an image from its old one and what has changed since.
 *
 * Only what changed is read, and a little beside it: segments are cut by their content, so a change
 * can move the cuts behind it, as a rule for one or two segments.  The new map is the one that
 * reading everything would give, if nothing else has changed. */
#ifndef VF_CORE_RESCAN_H
#define VF_CORE_RESCAN_H

#include "core/engine/engine.h"

/* n runs of blocks that may have changed: ascending, not overlapping, inside the image; none is
 * fine.  old: the map of the image as it was, of the same size.  Otherwise as vf_index_image; the
 * sink is taken. ret_read (may be NULL): blocks that were looked at again. */
int vf_index_changed(struct vf_image *image, struct vf_map *old, const struct vf_run *changed,
                     size_t n, struct vf_map_sink *sink, const struct vf_send_opts *opts,
                     struct vf_map_info *ret_info, uint64_t *ret_read,
                     struct vf_error *err) VF_MUST_CHECK;

#endif
