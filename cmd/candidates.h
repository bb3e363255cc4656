/* cmd/candidates.h - nodes to choose from, and what each holds of an image.
 *
 * Thread rules: belongs to the main thread. */
#ifndef VF_CMD_CANDIDATES_H
#define VF_CMD_CANDIDATES_H

#include "cmd/inventory.h"
#include "cmd/peer.h"
#include "cmd/storedir.h"
#include "core/engine.h"

struct vf_candidate {
    char *label; /* what the user calls it */
    bool own;    /* this very store, which nobody named */
    struct vf_target target;
    bool counted; /* counts and what follows are valid; else why is */
    struct vf_error why;
    struct vf_msg_counts counts; /* owned */
    uint64_t probes;             /* block digests that the count asked with */
    char *dir;                   /* where its images go; owned */
    uint64_t free_bytes;
    bool writable;
};
/* Releases all that node owns. */
void vf_candidate_free(struct vf_candidate *node);

struct vf_candidates {
    struct vf_candidate *node;
    size_t n;
};

/* The NODEs named, or all of the inventory if none is; own_store: and then this store too.
 * 0 with *ret to be released by vf_candidates_free, or -1. */
int vf_candidates_find(const struct vf_storedir *store, const struct vf_opt_list *named,
                       bool own_store, struct vf_candidates *ret,
                       struct vf_error *err) VF_MUST_CHECK;
void vf_candidates_free(struct vf_candidates *c);

/* How one image is counted at nodes. */
struct vf_count {
    const struct vf_cli *cli;
    const struct vf_reach *reach;
    const char *group;
    const char *title; /* for progress */
    struct vf_image *image;
    struct vf_map *map; /* of the image; never NULL */
    /* What a transfer would say; it would be refused where the count is.  name NULL: no transfer is
     * meant. */
    const char *name, *format;
    bool replace;
};

/* Counts the image at one node.  An unreachable or refusing node is not an error: node->why says
 * it. ret_info: of the image.  -1 only for what ends the whole (interrupted, image unreadable). */
int vf_candidate_count(const struct vf_count *count, struct vf_candidate *node,
                       struct vf_map_info *ret_info, struct vf_error *err) VF_MUST_CHECK;

/* The counts of the contract, out of those of the protocol: zero blocks are ordinary content here.
 */
struct vf_measures {
    uint64_t shared, shared_distinct; /* blocks */
};
struct vf_measures vf_measures_of(const struct vf_map_info *image, const struct vf_shared *shared,
                                  bool has_zero);
/* Blocks that would have to travel. */
uint64_t vf_literals_of(const struct vf_msg_counts *counts);

/* The counted, writable candidate that needs the fewest literals, the own store only if there is no
 * other; NULL if there is none. */
const struct vf_candidate *vf_candidates_best(const struct vf_candidates *c);

#endif
