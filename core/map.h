/* core/map.h - the interface to block maps and to the set of resident images; index/ implements it.
 *
 * A block map is a tree on the 512-byte grid:
 *   level 0   the MD5 of each block;
 *   level 1   segments: runs of 1 to VF_SEG_MAX non-zero blocks, cut where the digests say so
 *             (core/map/cut.h), never containing a zero block: what lies between two is zeros;
 *   level 2+  groups of nodes of the level below, cut by the same kind of rule; at the top one
 *             root.
 * A node's identity is a SHA-256 (core/map/tree.h says over what); VF_ID_LEN bytes of it are enough
 * to *find* one, because whatever is found is verified by the full digest after it was assembled.
 *
 * Thread rules: a map and a resident set may be used by several threads at the same time; sinks
 * belong to one thread. Nothing returned points into the database; all results are copied out.  No
 * call keeps a read transaction open after it returned.  An image that was replaced or removed in
 * the meantime gives VF_ERR_NOTFOUND: to a migration that is a donor less, not a failure. */
#ifndef VF_CORE_MAP_H
#define VF_CORE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/block.h"
#include "core/error.h"

#define VF_ID_LEN   6u   /* bytes of a node's SHA-256 that travel and are looked up */
#define VF_LEVELS   16u  /* 0..15: groups hold 8 nodes or more, so more than VF_MAX_BLOCKS needs */
#define VF_SEG_MAX  256u /* blocks in a segment at most */
#define VF_KIDS_MAX 256u /* children of a node at most */
#define VF_PLACES   4u   /* places reported for one id at most */

/* One node of level 1 or above. */
struct vf_node {
    uint64_t first; /* its first block; never a zero block */
    uint64_t span;  /* blocks from first to its last one; level 2+: with zero blocks between */
    uint64_t data;  /* non-zero blocks in it; equal to span at level 1 */
    uint64_t kid;   /* number, in the level below, of its first child; level 1: 0 */
    uint32_t kids;  /* number of children; level 1: 0 */
    uint8_t sha[VF_SHA_LEN];
};

struct vf_map_info {
    uint64_t size;   /* bytes of content */
    uint64_t blocks; /* of VF_BLOCK bytes, the last one padded */
    uint64_t zero_blocks;
    uint64_t distinct_blocks; /* distinct contents, the zero block counted as one if there is any */
    unsigned top;             /* the highest level stored; 0: an image without data */
    uint64_t nodes[VF_LEVELS]; /* nodes on levels 1..top; nodes[0] = non-zero blocks */
    uint8_t root[VF_SHA_LEN];
};

/* ---- a stored map ---- */
struct vf_map;
struct vf_map_ops {
    int (*info)(struct vf_map *, struct vf_map_info *ret, struct vf_error *);
    /* n nodes of the level, from number `from` on; a range outside is VF_ERR_RANGE. */
    int (*nodes)(struct vf_map *, unsigned level, uint64_t from, size_t n, struct vf_node *ret,
                 struct vf_error *);
    /* MD5s of blocks [first, first + n); zero blocks give vf_zero_md5. */
    int (*digests)(struct vf_map *, uint64_t first, size_t n, uint8_t (*ret)[VF_MD5_LEN],
                   struct vf_error *);
    void (*close)(struct vf_map *);
};
struct vf_map {
    const struct vf_map_ops *ops;
};

/* ---- where a new map goes ---- */
struct vf_map_sink;
/* Every sink has all of them, one that has nothing to do an empty one. */
struct vf_map_sink_ops {
    /* n consecutive non-zero blocks from `first` on; calls come in ascending order of blocks. */
    int (*digests)(struct vf_map_sink *, uint64_t first, size_t n, const uint8_t (*md5)[VF_MD5_LEN],
                   struct vf_error *);
    /* n nodes, in order within their level; levels interleave. */
    int (*nodes)(struct vf_map_sink *, unsigned level, const struct vf_node *nodes, size_t n,
                 struct vf_error *);
    /* All of the map has been given: does what can be done of commit's work while the map stays
     * invisible, so that little is left.  info as for commit.  Need not be called.  After an error
     * only abort is allowed. */
    int (*complete)(struct vf_map_sink *, struct vf_map_info *info, struct vf_error *);
    /* Makes the map the current one of its image, durably and at once (all or nothing).
     * info->distinct_blocks is found by the sink and written into *info.  Frees the sink in any
     * case. */
    int (*commit)(struct vf_map_sink *, struct vf_map_info *info, struct vf_error *);
    void (*abort)(struct vf_map_sink *); /* forgets all; frees the sink; NULL is fine */
};
struct vf_map_sink {
    const struct vf_map_sink_ops *ops;
};

/* ---- the resident images of one sharing group ---- */
/* A place where a node's content lies. */
struct vf_place {
    uint32_t image;       /* number of the resident image in this set, from 0 */
    uint64_t node;        /* number of the node in its level */
    uint64_t first, span; /* blocks */
};

/* Distinct fingerprints of a target image, ascending.  A fingerprint is the first 8 bytes of a
 * block's MD5, as a big-endian number; the zero block is left out.  Fills up to max entries;
 * returns how many, 0 at the end, -1 on error. */
struct vf_print {
    uint64_t fp;
    uint32_t count; /* occurrences in the target, UINT32_MAX: that many or more */
};
typedef long vf_print_next(void *ctx, struct vf_print *ret, size_t max, struct vf_error *err);

struct vf_shared {   /* non-zero blocks of a target that occur in some image or set of images */
    uint64_t blocks; /* counting every occurrence */
    uint64_t distinct;
};

struct vf_residents;
struct vf_residents_ops {
    unsigned (*count)(struct vf_residents *); /* images in the set */
    /* For each of n ids (any order; they are the first VF_ID_LEN bytes of a node's sha) up to
     * VF_PLACES places of nodes of that level; ret[i][k].span == 0 ends the list of i.  Answered in
     * bulk: ask many at once. */
    int (*find)(struct vf_residents *, unsigned level, const uint8_t (*ids)[VF_ID_LEN], size_t n,
                struct vf_place (*ret)[VF_PLACES], struct vf_error *);
    /* The segments (level 1) under a node of level >= 1 of image number `image`: up to max from its
     * `skip`th on; returns how many there are altogether (may exceed max), -1 on error. */
    long (*segments)(struct vf_residents *, uint32_t image, unsigned level, uint64_t node,
                     size_t skip, struct vf_node *ret, size_t max, struct vf_error *);
    /* As vf_map_ops.digests, clipped: blocks outside the image give vf_zero_md5. */
    int (*digests)(struct vf_residents *, uint32_t image, int64_t first, size_t n,
                   uint8_t (*ret)[VF_MD5_LEN], struct vf_error *);
    /* Opens the image for reading; the caller closes it.  VF_ERR_NOTFOUND, VF_ERR_CHANGED when it
     * is not what was indexed. */
    struct vf_image *(*open)(struct vf_residents *, uint32_t image, struct vf_error *);
    /* Counts a target against every image (ret_each, `count` of them) and against all together
     * (ret_all): one merging pass over sorted fingerprints. */
    int (*shared)(struct vf_residents *, vf_print_next *next, void *ctx, struct vf_shared *ret_each,
                  struct vf_shared *ret_all, struct vf_error *);
    /* Name (store-relative or path), info and freshness of one image; name is owned by the set. */
    int (*describe)(struct vf_residents *, uint32_t image, const char **ret_name,
                    struct vf_map_info *ret_info, bool *ret_fresh, struct vf_error *);
    void (*close)(struct vf_residents *);
};
struct vf_residents {
    const struct vf_residents_ops *ops;
};

#endif
