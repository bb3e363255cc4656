/* core/similar/rank.h - chooses the node to which a migration costs least.
 *
 * Thread rules: pure functions. */
#ifndef VF_CORE_RANK_H
#define VF_CORE_RANK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/map.h"
#include "core/similar/sketch.h"

/* ---- what a migration will take ---- */

/* What is known of the target and the link. */
struct vf_wire_model {
    struct vf_map_info info; /* of the target */
    double ratio;            /* compressed bytes for each byte of a literal */
    double rate_bps;         /* bytes per second of the link, 0: not known */
    double setup_s;          /* seconds before the first byte */
};

struct vf_prediction {
    struct vf_bounded wire;                    /* bytes, both ways */
    double seconds, seconds_low, seconds_high; /* negative: not known */
};

/* likeness: of the target at the node; resident: whether it holds any image (an empty one costs no
 * questions).  The interval comes from that of the literals; the ratio is taken as it is. */
void vf_wire_predict(const struct vf_wire_model *model, const struct vf_likeness *likeness,
                     bool resident, struct vf_prediction *ret);

/* ---- who can take it ---- */

/* Why a node cannot be chosen; the first that holds, in this order. */
enum vf_rank_why {
    VF_RANK_CAN = 0,
    VF_RANK_SILENT,  /* did not answer, or refused the connection */
    VF_RANK_VERSION, /* speaks no version of ours */
    VF_RANK_GROUP,   /* the sharing group is not granted */
    VF_RANK_RIGHTS,  /* takes no images, or not from us */
    VF_RANK_FORMAT,  /* cannot make a file of that format */
    VF_RANK_EXISTS,  /* has an image of that name */
    VF_RANK_SPACE,   /* too little room for what is not zero */
    VF_RANK_OWN,     /* it is this very store, which nobody named */
    VF_RANK_WHYS_
};
/* A stable word for it ("silent", "space", ...; "" for CAN), and a phrase for people. */
const char *vf_rank_word(enum vf_rank_why why);
const char *vf_rank_phrase(enum vf_rank_why why);

struct vf_rank_node {
    /* in */
    const char *label;    /* what the user calls it; borrows */
    enum vf_rank_why why; /* what is known already; CAN: decided by vf_rank from free_bytes */
    uint64_t free_bytes;
    bool resident;               /* holds an image of the group */
    bool exact;                  /* likeness is a count, not an estimate */
    struct vf_likeness likeness; /* valid unless why is SILENT, VERSION or GROUP */
    double ratio; /* of this node's literals, in place of the model's; 0: not known */
    void *ctx;    /* the caller's; moves along */
    /* out */
    struct vf_prediction prediction;
    size_t place; /* from 0 */
};

/* Bytes that the destination needs free for an image: its data, and some for tables and index. */
uint64_t vf_rank_room(const struct vf_map_info *info);

/* Fills in predictions, refuses those without room, and sorts: those that can take it first, by
 * predicted wire bytes; nodes within 0.1 % (at least 16 KiB) of the best are a tie, which the most
 * free space decides, then the label.  Then those that cannot, by their reason and label.  Returns
 * how many can.  The same nodes in any order give the same result. */
size_t vf_rank(const struct vf_wire_model *model, struct vf_rank_node *nodes, size_t n);

/* How many bytes more than the best's a node's may be to be as good. */
uint64_t vf_rank_slack(uint64_t best);

/* Those whose interval reaches below the upper bound of the first: the ones worth an exact count,
 * from the front, at least 1 and at most max. */
size_t vf_rank_contenders(const struct vf_rank_node *nodes, size_t can, size_t max);

#endif
