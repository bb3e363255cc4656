/* cmd/similar/aside.h - a map of an image that leaves no trace: in an index of its own, which is
 * removed.
 *
 * Thread rules: belongs to the main thread; the map as core/map.h says. */
#ifndef VF_CMD_SIMILAR_ASIDE_H
#define VF_CMD_SIMILAR_ASIDE_H

#include "cmd/origin.h"
#include "cmd/storedir.h"

struct vf_cli;

struct vf_aside {
    char *dir;
    struct vf_index *index;
    struct vf_map *map;
};

/* Reads the image and keeps its map below STORE/tmp.  0 with *ret to be released by vf_aside_close,
 * or -1. */
int vf_aside_open(const struct vf_cli *cli, const struct vf_storedir *store,
                  struct vf_origin *image, struct vf_aside *ret,
                  struct vf_error *err) VF_MUST_CHECK;
void vf_aside_close(struct vf_aside *a); /* a zeroed one is fine */

#endif
