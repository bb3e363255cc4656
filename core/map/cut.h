/* core/map/cut.h - where a run of digests is cut: content-defined, so the same data is cut alike
 * wherever it lies.
 *
 * A cut falls after an item whose digest has its last VF_CUT_BITS bits clear, but never before
 * VF_CUT_MIN items and always after VF_CUT_MAX.  Runs of zero blocks cut segments as well
 * (core/map/scan.h).  Digests are as good as random, so segments of dense data hold about 70
 * blocks; on the disk images of tests/lab/make-corpus.sh, where zero runs cut most, about 30.
 *
 * Thread rules: a struct vf_cut belongs to one thread. */
#ifndef VF_CORE_CUT_H
#define VF_CORE_CUT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/block.h"

#define VF_CUT_MIN  8u
#define VF_CUT_MAX  256u
#define VF_CUT_MASK 63u /* one digest in 64 cuts */

struct vf_cut {
    uint32_t len; /* items since the last cut */
};

/* Counts one more item, whose digest ends in the byte `last`.  True when the run ends after it (len
 * is 0 again then). */
static inline bool vf_cut_item(struct vf_cut *c, uint8_t last)
{
    c->len++;
    if ((c->len >= VF_CUT_MIN && (last & VF_CUT_MASK) == 0) || c->len >= VF_CUT_MAX) {
        c->len = 0;
        return true;
    }
    return false;
}

/* A level-0 item: the MD5 of a block.  A higher item: the SHA-256 of a node. */
static inline bool vf_cut_block(struct vf_cut *c, const uint8_t md5[VF_MD5_LEN])
{
    return vf_cut_item(c, md5[VF_MD5_LEN - 1]);
}
static inline bool vf_cut_node(struct vf_cut *c, const uint8_t sha[VF_SHA_LEN])
{
    return vf_cut_item(c, sha[VF_SHA_LEN - 1]);
}

#endif
