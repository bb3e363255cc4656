/* index/sketch.h - inside the index: the sketch of a generation (core/similar/sketch.h).
 *
 * Thread rules: as index.h. */
#ifndef VF_INDEX_SKETCH_H
#define VF_INDEX_SKETCH_H

#include "core/similar/sketch.h"
#include "index/read.h"

/* The page that holds it; *ret is owned. */
int vf_sketch_page(const struct vf_sketch *s, struct vf_buf *ret,
                   struct vf_error *err) VF_MUST_CHECK;

/* And back; VF_ERR_FORMAT also when it is not that of this map.  *ret is owned. */
int vf_sketch_page_read(struct vf_bytes value, const struct vf_gen *g, struct vf_sketch *ret,
                        struct vf_error *err) VF_MUST_CHECK;

/* The stored one; where there is none, one made from the fingerprints.  *ret is owned. */
int vf_gen_sketch(struct vf_index *ix, const struct vf_gen *g, struct vf_sketch *ret,
                  struct vf_error *err) VF_MUST_CHECK;

#endif
