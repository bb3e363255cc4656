/* core/similar/summary.h - what a node tells about its images: a list of them, with sketches, and
 * for each sharing group the union of what its usable images hold.
 *
 * A summary is bytes, laid out so that the same images always give the same bytes and a changed
 * image changes few of them: what a node said before is brought up to date by a small delta
 * (core/similar/delta.h).  The layout is core/similar/SUMMARY.md.
 *
 * Two sizes.  BRIEF has the list of images and the unions: enough to rank nodes (about 100 KB for a
 * node with 100 images of 3 GB).  FULL also has a sketch of each image: for reports.
 *
 * The generation is a number that is another one whenever an image of the granted groups was added,
 * removed, replaced, renamed or changed under its map, or the size or layout of the summary is
 * another one.  It does not count up.  What changes all the time or is not of the index (free
 * space, rights, program version) is not in the bytes: it comes with WELCOME, as always.
 *
 * Asking, in one round trip:
 *   source  loads what it has of the node (vf_summary_cache_load), and sends the group, the size,
 *           its generation (vf_summary_head) and its signature (vf_delta_signature), if it has one;
 *   node    vf_index_summary_generation: the same? says so.  Else vf_index_summary, and then the
 *           shorter of vf_delta_make and all of it, with the SHA-256 of all of it;
 *   source  vf_delta_apply, vf_summary_cache_save; vf_summary_compare (ranking) or
 *           vf_summary_parse and vf_sketch_compare for each image (reports).
 *
 * Thread rules: pure functions; an object belongs to one thread while it changes. */
#ifndef VF_CORE_SUMMARY_H
#define VF_CORE_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/map.h"
#include "core/similar/sketch.h"

#define VF_SUMMARY_VERSION     1u
#define VF_SUMMARY_BYTES_MAX   (64u << 20)
#define VF_SUMMARY_SAMPLES_MAX (8u << 20) /* of all sketches together */
#define VF_SUMMARY_IMAGES_MAX  65536u
#define VF_SUMMARY_GROUPS_MAX  256u
#define VF_SUMMARY_NAME_MAX    4095u /* bytes of an image's name */
#define VF_SUMMARY_GROUP_MAX   255u  /* bytes of a group's name */
#define VF_STORE_ID_LEN        16u

/* Samples of a group's union: at most so many, unless that needed a scale above
 * VF_SUMMARY_UNION_SCALE. */
#define VF_SUMMARY_UNION       32768u
#define VF_SUMMARY_UNION_SCALE 12u

enum vf_summary_size { VF_SUMMARY_BRIEF = 0, VF_SUMMARY_FULL = 1 };

/* Which images a summary tells of: those of the groups granted to the one who asks. */
struct vf_summary_image {
    char *name;                                          /* store-relative, or an absolute path */
    char *group;                                         /* sharing group; "" is the default one */
    uint64_t size, blocks, zero_blocks, distinct_blocks; /* as in struct vf_map_info */
    uint8_t root[VF_SHA_LEN];                            /* digest of the content */
    bool fresh;                                          /* the file is what was indexed */
    bool used;     /* its blocks can be used: every fresh one, and those that a guest writes; these
                      are in the union */
    bool sketched; /* sketch is there */
    struct vf_sketch sketch;
};

struct vf_summary_group {
    char *name;
    struct vf_sketch_set held; /* its usable images together */
};

struct vf_summary {
    uint8_t store_id[VF_STORE_ID_LEN];
    uint64_t generation;
    enum vf_summary_size detail;
    size_t groups; /* granted, ascending by name; one without images is listed too */
    struct vf_summary_group *group;
    size_t images; /* ascending by group, then name */
    struct vf_summary_image *image;
};
void vf_summary_free(struct vf_summary *s); /* a zeroed one is fine */

/* The group of that name, NULL if it was not granted. */
const struct vf_summary_group *vf_summary_group(const struct vf_summary *s, const char *name);
/* The first fresh image of the group with this root, NULL if there is none. */
const struct vf_summary_image *vf_summary_same(const struct vf_summary *s, const char *group,
                                               const uint8_t root[VF_SHA_LEN]);

/* ---- making one (index/ does) ---- */

struct vf_summary_builder;
/* groups: names granted, in any order; copied.  images: how many will come at most; with very many
 * their sketches become coarser, and above 8,192 are left out. */
struct vf_summary_builder *vf_summary_builder_new(enum vf_summary_size size,
                                                  const char *const *groups, size_t n,
                                                  size_t images, struct vf_error *err);
/* Borrows the image.  Its sketch must be there unless the summary is brief and the image is neither
 * fresh nor used.  Images come in any order.  VF_ERR_RANGE for a group that was not granted. */
int vf_summary_builder_add(struct vf_summary_builder *b, const struct vf_summary_image *image,
                           struct vf_error *err) VF_MUST_CHECK;
/* The bytes, to *ret (owned). */
int vf_summary_builder_finish(struct vf_summary_builder *b, const uint8_t store_id[VF_STORE_ID_LEN],
                              uint64_t generation, struct vf_buf *ret,
                              struct vf_error *err) VF_MUST_CHECK;
void vf_summary_builder_free(struct vf_summary_builder *b); /* NULL is fine */

/* ---- reading one ---- */

/* Everything that the bytes say.  They are hostile: VF_ERR_FORMAT.  *ret is owned and borrows
 * nothing. */
int vf_summary_parse(const void *data, size_t len, struct vf_summary *ret,
                     struct vf_error *err) VF_MUST_CHECK;

/* The head only: store, generation, size (all that is needed to ask for a newer one).  Checks the
 * checksum of all. */
struct vf_summary_head {
    uint8_t store_id[VF_STORE_ID_LEN];
    uint64_t generation;
    enum vf_summary_size size;
};
int vf_summary_head(const void *data, size_t len, struct vf_summary_head *ret,
                    struct vf_error *err) VF_MUST_CHECK;

/* How much of a target the images of one group hold together, without unpacking the rest: for
 * thousands of nodes.  root: the target's, for an image of the same content (NULL: not known).
 * VF_SUMMARY_NO_GROUP: *ret is unchanged, the group was not granted. */
enum { VF_SUMMARY_NO_GROUP = 0, VF_SUMMARY_COMPARED = 1 };
int vf_summary_compare(const void *data, size_t len, const char *group,
                       const struct vf_sketch *target, const uint8_t *root, struct vf_likeness *ret,
                       struct vf_error *err) VF_MUST_CHECK;

/* ---- the last summary of each node, kept in STORE/cache/summaries/ ---- */

/* key: what stands for the node and the question, for instance its address, the group and the size
 * with line ends between; any text.  Files are named by its hash, and hold it. */

/* VF_FOUND-like: 1 with the bytes in *ret (owned, checked), 0 when there is none or the file was
 * damaged (it is removed then), -1. */
int vf_summary_cache_load(int store_fd, const char *key, struct vf_buf *ret,
                          struct vf_error *err) VF_MUST_CHECK;
/* Replaces it at once, as vf_replace_file does.  The bytes are checked first (VF_ERR_FORMAT). */
int vf_summary_cache_save(int store_fd, const char *key, const void *data, size_t len,
                          struct vf_error *err) VF_MUST_CHECK;

#endif
