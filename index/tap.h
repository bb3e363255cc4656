/* index/tap.h - the sink's end of a struct vf_index_tap (index/index.h).
 *
 * Thread rules: new, put and end belong to the thread that has the sink; what index.h offers to the
 * one that takes. */
#ifndef VF_INDEX_TAP_H
#define VF_INDEX_TAP_H

#include <stdbool.h>

#include "index/index.h"
#include "index/lists.h"

struct vf_index_tap *vf_tap_new(struct vf_error *err);
/* Waits while there is no room. */
void vf_tap_put(struct vf_index_tap *w, const struct vf_lists_prints *p);
/* There are no more: those were all, or something failed.  The first call counts. */
void vf_tap_end(struct vf_index_tap *w, bool all);

#endif
