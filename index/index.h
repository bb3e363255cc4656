/* index/index.h - the block maps of a node's images, kept in LMDB under STORE/index/.
 *
 * One struct vf_index per process and store: LMDB must not be opened twice by one process.  It does
 * not survive a fork.  Several processes may use one index at the same time.  The layout on disk is
 * in index/FORMAT.md.
 *
 * An image is known by its path: bytes without NUL, at most VF_INDEX_PATH_MAX of them, absolute, or
 * relative to the store.  An absolute path below the store is turned into a relative one, so that a
 * store can be moved.  Links and ".." are the caller's to resolve.
 *
 * Thread rules: a struct vf_index may be used by several threads at the same time; each call is
 * atomic.  Iterators and sinks belong to one thread at a time.  No callback runs inside a database
 * transaction: it may call the index.
 *
 * Errors that every call may give: VF_ERR_FORMAT when the index is damaged or of another version
 * (the message says how to rebuild it), VF_ERR_SPACE when the disk or the address space is full
 * (the index is then as it was before the call), VF_ERR_IO, VF_ERR_NOMEM, VF_ERR_BUSY when too many
 * processes read it. */
#ifndef VF_INDEX_INDEX_H
#define VF_INDEX_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/image.h"
#include "core/map.h"
#include "core/similar/sketch.h"
#include "core/similar/summary.h"

#define VF_INDEX_PATH_MAX   4095u /* bytes of a path */
#define VF_INDEX_FORMAT_MAX 31u   /* bytes of a format name */
#define VF_INDEX_GROUP_MAX  255u  /* bytes of a sharing group's name */

struct vf_index;

/* ---- opening ---- */

enum {
    VF_INDEX_READONLY = 1, /* nothing is changed; an index that does not exist is VF_ERR_NOTFOUND */
    VF_INDEX_CREATE = 2    /* make STORE/index/ (and STORE) if it is not there */
};

/* Opens STORE/index/.  Checks its structure, adopts readers and half-written maps of processes that
 * died (unless read-only).  Returns owned, or NULL. */
struct vf_index *vf_index_open(const char *store_dir, unsigned flags, struct vf_error *err);

/* Nothing made from it may be in use any more.  NULL is fine. */
void vf_index_close(struct vf_index *ix);

/* ---- what is known of an image ---- */

enum vf_image_state {
    VF_IMAGE_COMPLETE = 0, /* an ordinary image */
    VF_IMAGE_PARTIAL = 1,  /* the .part of an interrupted transfer */
    VF_IMAGE_MOVING = 2    /* a guest was writing it while it was read */
};

/* The file behind an image, as stat(2) saw it. */
struct vf_image_stat {
    uint64_t dev, ino, size;    /* size in bytes of the file, not of the content */
    int64_t mtime_ns, ctime_ns; /* since 1970 */
    bool regular;               /* an ordinary file: only of these can freshness be proved */
    bool device;                /* a block device; not stored */
};

struct vf_image_record {
    char *path;            /* never NULL in a record that the index gave */
    char *format, *group;  /* "raw", ...; sharing group, "" is the default one */
    uint32_t cluster_size; /* of the file format, 0: none */
    enum vf_image_state state;
    struct vf_image_stat st; /* taken before the content was read */
    int64_t indexed_at;      /* seconds since 1970 */
    uint64_t generation;     /* of the map; set by the index */
    struct vf_map_info info; /* set by the index from what commit was given */
};

/* Releases the strings and zeroes all. */
void vf_image_record_clear(struct vf_image_record *rec);

enum { VF_ABSENT = 0, VF_FOUND = 1 };

/* VF_FOUND with *ret owned (vf_image_record_clear), VF_ABSENT, or -1. */
int vf_index_get(struct vf_index *ix, const char *path, struct vf_image_record *ret,
                 struct vf_error *err) VF_MUST_CHECK;

/* Calls fn for every image, ordered by path; rec is valid during the call.  A result of fn that is
 * not 0 ends the walk and is returned (-1: *err is fn's); 0 at the end.  Images that come or go
 * meanwhile may or may not be seen. */
typedef int vf_index_each_fn(void *ctx, const struct vf_image_record *rec, struct vf_error *err);
int vf_index_each(struct vf_index *ix, vf_index_each_fn *fn, void *ctx,
                  struct vf_error *err) VF_MUST_CHECK;

/* Forgets the image and its map.  VF_FOUND, VF_ABSENT or -1. */
int vf_index_remove(struct vf_index *ix, const char *path, struct vf_error *err) VF_MUST_CHECK;

/* Replaces what is known of `path`, all but generation and info: rec->path may be another one,
 * which renames (an image that was known by that name is forgotten, as by rename(2)).  rec must
 * carry the generation it was read with.  VF_ERR_NOTFOUND when path is not known, VF_ERR_CHANGED
 * when it has got a new map since. */
int vf_index_update(struct vf_index *ix, const char *path, const struct vf_image_record *rec,
                    struct vf_error *err) VF_MUST_CHECK;

/* ---- files ---- */

/* stat of the file at path (rules above). */
int vf_index_stat(struct vf_index *ix, const char *path, struct vf_image_stat *ret,
                  struct vf_error *err) VF_MUST_CHECK;

/* Is the file still what the record says?  Size, inode and both times must agree, and it must be an
 * ordinary file; the device number may change, as it does over reboots.  A file that cannot be
 * looked at is not fresh.  A write within the same clock tick (4 to 10 ms) as the stat in the
 * record cannot be seen: let a file rest that long before it is looked at.  A moving image is never
 * fresh. */
bool vf_index_fresh(struct vf_index *ix, const struct vf_image_record *rec);

/* Would a set of residents (below) take blocks from it now?  Fresh ones, moving ones whose file is
 * still the same one, and raw block devices. */
bool vf_index_usable(struct vf_index *ix, const struct vf_image_record *rec);

/* Can the content of an image of another format than raw be read that a guest was writing when it
 * was indexed?  file: its path. */
typedef bool vf_index_live_fn(void *ctx, const struct vf_image_record *rec, const char *file);
/* Who can tell; until then: no.  Before other calls and threads use ix. */
void vf_index_set_live(struct vf_index *ix, vf_index_live_fn *fn, void *ctx);

/* ---- maps ---- */

/* Begins a new map of rec->path (its strings are copied; generation and info are ignored).  The map
 * is invisible until commit, which makes it the image's only one; the old one is then deleted.
 * abort, or the death of the process, leaves the old one.  Memory: about 70 MiB until the sink is
 * gone.  Returns owned, or NULL. */
struct vf_map_sink *vf_index_begin(struct vf_index *ix, const struct vf_image_record *rec,
                                   struct vf_error *err);

/* Replaces the record given to vf_index_begin, before commit: a file's times are known only after
 * the last write to it, its name perhaps later still. */
int vf_index_set_record(struct vf_map_sink *sink, const struct vf_image_record *rec,
                        struct vf_error *err) VF_MUST_CHECK;

/* The distinct fingerprints of a new map as they are found, for a thread that compares them beside
 * the one that completes it.  Asked for before complete (or commit), which from then on waits until
 * they are taken or nobody wants them.  Belongs to the caller, who frees it when that call has
 * returned, or will not be made, and the other thread is through; NULL: no memory.
 * vf_index_tap_next is a vf_print_next whose ctx is the struct vf_index_tap; VF_ERR_CANCELLED
 * when the map could not be completed. */
struct vf_index_tap;
struct vf_index_tap *vf_index_tap(struct vf_map_sink *sink, struct vf_error *err);
long vf_index_tap_next(void *tap, struct vf_print *ret, size_t max, struct vf_error *err);
void vf_index_tap_leave(struct vf_index_tap *w); /* no more are wanted */
void vf_index_tap_free(struct vf_index_tap *w);  /* NULL is fine */

/* The image's map as it is now: a later commit or removal turns its calls into VF_ERR_NOTFOUND.
 * Returns owned (close by its ops), or NULL: VF_ERR_NOTFOUND when the image is not known. */
struct vf_map *vf_index_map(struct vf_index *ix, const char *path, struct vf_error *err);

/* The distinct fingerprints of a map made by vf_index_map, which it borrows until it is freed.
 * vf_index_prints_next is a vf_print_next whose ctx is the struct vf_index_prints. */
struct vf_index_prints;
struct vf_index_prints *vf_index_prints_new(struct vf_map *map, struct vf_error *err);
long vf_index_prints_next(void *prints, struct vf_print *ret, size_t max, struct vf_error *err);
void vf_index_prints_free(struct vf_index_prints *prints);

/* The sketch of a map made by vf_index_map: the stored one, or one made now from the fingerprints
 * where an older program wrote the map.  *ret is owned (vf_sketch_free). */
int vf_index_sketch(struct vf_map *map, struct vf_sketch *ret, struct vf_error *err) VF_MUST_CHECK;

/* Proves that what is stored of the image is whole: every value decodes and has its checksum, nodes
 * cover exactly the blocks that have digests, the tree and its root follow from the segments, the
 * sorted lists from the digests and the nodes, the sketch from the lists.  Does not read the image.
 * 0, or -1: VF_ERR_FORMAT says what is wrong, VF_ERR_NOTFOUND.  Needs up to 32 MiB and temporary
 * files in STORE/index/. */
int vf_index_verify(struct vf_index *ix, const char *path, struct vf_error *err) VF_MUST_CHECK;

/* ---- what this node tells others about its images (core/similar/summary.h) ---- */

/* The index's own number: random, made when it is first asked for, kept until the index is built
 * anew.  One that was opened for reading only and has none: VF_ERR_NOTFOUND. */
int vf_index_id(struct vf_index *ix, uint8_t ret[VF_STORE_ID_LEN],
                struct vf_error *err) VF_MUST_CHECK;

/* The summary of the images in the n groups, to *ret (owned).  exclude_path: an image that is left
 * out, or NULL.  Looks at every file (is it fresh?), not into them.  Images that come or go
 * meanwhile may or may not be in it; the generation is that of what is in it. */
int vf_index_summary(struct vf_index *ix, enum vf_summary_size size, const char *const *groups,
                     size_t n, const char *exclude_path, struct vf_buf *ret,
                     struct vf_error *err) VF_MUST_CHECK;
/* The generation that this summary would have now: reads records and looks at files only. */
int vf_index_summary_generation(struct vf_index *ix, enum vf_summary_size size,
                                const char *const *groups, size_t n, const char *exclude_path,
                                uint64_t *ret, struct vf_error *err) VF_MUST_CHECK;

/* ---- resident images ---- */

/* Opens the content of an image for reading.  file: the path to open (absolute, or as store_dir was
 * given to vf_index_open). */
typedef struct vf_image *vf_image_opener(void *ctx, const struct vf_image_record *rec,
                                         const char *file, struct vf_error *err);

/* The images of a sharing group as they are now, without exclude_path (may be NULL): those that are
 * fresh first, each part ordered by path.  exclude_path is copied; open may be NULL (then nothing
 * can be opened: VF_ERR_UNSUPPORTED).  Of images that are not fresh, places are not reported by
 * find and they do not count in ret_all of shared; but a moving image whose file is still the same
 * one is used like a fresh one (what is taken from it is verified), while describe says that it is
 * not fresh: a raw one if it has the same size, another one if vf_index_set_live's function says
 * that it can be read.  So is a raw block device, which never tells whether it changed.  An image
 * that is removed or replaced later gives no places and counts nothing any more, its other calls
 * VF_ERR_NOTFOUND.  Returns owned (close by its ops), or NULL. */
struct vf_residents *vf_index_residents(struct vf_index *ix, const char *group,
                                        const char *exclude_path, vf_image_opener *open,
                                        void *open_ctx, struct vf_error *err);

#endif
