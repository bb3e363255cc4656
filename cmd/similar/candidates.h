/* cmd/similar/candidates.h - nodes to choose from, and what each holds of an image.
 *
 * Thread rules: belongs to the main thread. */
#ifndef VF_CMD_SIMILAR_CANDIDATES_H
#define VF_CMD_SIMILAR_CANDIDATES_H

#include "cmd/inventory.h"
#include "cmd/peer.h"
#include "cmd/similar/ask.h"
#include "cmd/storedir.h"
#include "core/engine/engine.h"
#include "core/similar/rank.h"
#include "core/similar/summary.h"

struct vf_candidate {
    char *label; /* what the user calls it */
    bool own;    /* this very store, which nobody named */
    struct vf_target target;
    struct vf_error why; /* it could not be asked; else VF_ERR_NONE */
    /* What it says of itself, once it was reached. */
    bool reached;
    char *dir; /* where its images go; owned */
    uint64_t free_bytes;
    bool writable, resident; /* resident: it holds images of the group */
    /* What it told (cmd/similar/survey.h). */
    bool told;
    enum vf_answer told_how;
    uint64_t told_bytes;                 /* that this took */
    struct vf_summary summary;           /* owned */
    const struct vf_summary_group *held; /* inside it, of the group that was asked */
    char *reason; /* in its words: why it would not take the image; owned, or NULL */
    /* An exact count. */
    bool counted;
    struct vf_msg_counts counts; /* owned */
    /* The outcome. */
    bool exact; /* likeness is the count's */
    struct vf_likeness likeness;
    double ratio;             /* of its literals, compressed; 0: not known */
    enum vf_rank_why why_not; /* from what it said */
    enum vf_rank_why verdict; /* of the ranking */
    struct vf_prediction prediction;
    size_t place;
};

struct vf_candidates {
    struct vf_candidate *node;
    size_t n;
};

/* The NODEs named, or all of the inventory if none is; own_store: and then this store too.
 * 0 with *ret to be released by vf_candidates_free, or -1. */
int vf_candidates_find(const struct vf_storedir *store, const struct vf_opt_list *named,
                       bool own_store, struct vf_candidates *ret,
                       struct vf_error *err) VF_MUST_CHECK;
/* The same for `--to auto`, which without nodes is VF_ERR_USAGE. */
int vf_candidates_to_choose(const struct vf_storedir *store, const struct vf_opt_list *named,
                            struct vf_candidates *ret, struct vf_error *err) VF_MUST_CHECK;
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
    double deadline; /* seconds for a node's first answer; 0: none */
};

/* Counts the image at n nodes at the same time.  An unreachable or refusing node is not an error:
 * its `why` says it, and with several nodes a message does. -1 only for
 * what ends the whole (interrupted, image unreadable). */
int vf_candidates_count(const struct vf_count *count, struct vf_candidate *const *node, size_t n,
                        struct vf_error *err) VF_MUST_CHECK;

#endif
