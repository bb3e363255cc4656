/* cmd/compare.h - a sink that compares a map being made with a stored one.
 *
 * Thread rules: as map.h says of sinks. */
#ifndef VF_CMD_COMPARE_H
#define VF_CMD_COMPARE_H

#include "core/map.h"

/* `with` borrows until the sink is gone.  The first difference ends the scan with VF_ERR_MISMATCH
 * and a phrase that says where.  Commit compares what is left: size, counts and root.  Returns
 * owned, or NULL. */
struct vf_map_sink *vf_compare_new(struct vf_map *with, struct vf_error *err);

#endif
