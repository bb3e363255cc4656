/* cmd/nowhere.h - what stands in for the parts of a store that is not there, and must not be made.
 *
 * Thread rules: main thread. */
#ifndef VF_CMD_NOWHERE_H
#define VF_CMD_NOWHERE_H

#include "core/error.h"
#include "index/index.h"

/* An empty directory without a name, in which nothing can be made: descriptor, or -1. */
int vf_nowhere_dir(struct vf_error *err) VF_MUST_CHECK;

/* An index without images, on files without names.  Returns owned, or NULL. */
struct vf_index *vf_nowhere_index(struct vf_error *err);

/* The nearest directory above a path that is there, whose file system would take what is made at
 * the path: descriptor (for fstatvfs and faccessat only), or -1. */
int vf_nowhere_above(const char *path, struct vf_error *err) VF_MUST_CHECK;

/* Removes a temporary directory with all that is in it. */
void vf_nowhere_remove(const char *dir);

#endif
