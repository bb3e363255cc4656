/* cmd/origin.h - an image on this machine, and what the index knows of it.
 *
 * Thread rules: belongs to the main thread; image and map as their interfaces say. */
#ifndef VF_CMD_ORIGIN_H
#define VF_CMD_ORIGIN_H

#include "cmd/opts.h"
#include "core/engine/engine.h"
#include "formats/format.h"
#include "index/index.h"

/* Opens the content by another way than the file; desc says what the file is.  NULL on error. */
typedef struct vf_image *vf_origin_busy_fn(void *ctx, const char *path,
                                           const struct vf_image_desc *desc, struct vf_error *err);

struct vf_origin_opts {
    const char *format; /* --format */
    struct vf_opt_list allow_backing;
    bool allow_busy; /* open it although a running QEMU has it open for writing */
    /* What to do instead with one that a running QEMU has open; NULL: it fails. */
    vf_origin_busy_fn *open_busy;
    void *busy_ctx;
};

struct vf_origin {
    char *path; /* absolute, no links in it */
    struct vf_image *image;
    struct vf_image_desc desc;
    struct vf_map *map;         /* stored and fresh; NULL: there is none */
    struct vf_image_record rec; /* what the index would say of the image as it is now: path, format,
                                   group, cluster size, stat; the group is the known one, else "" */
    bool known;                 /* the index has a record, fresh or not */
};

/* The options of verbs that open an image, as entries of a table. */
#define VF_ORIGIN_OPTS(type, field)                                                                \
    {"format",    0,                                                                               \
     VF_OPT_TEXT, offsetof(type, field.format),                                                    \
     "FORMAT",    "format of the image: raw, qcow2, ...",                                          \
     0,           0,                                                                               \
     NULL},                                                                                        \
    {                                                                                              \
        "allow-backing", 0, VF_OPT_LIST, offsetof(type, field.allow_backing), "PATH",              \
            "a file or directory that the image may depend on", 0, 0, NULL                         \
    }

/* Opens the image at path and looks it up.  0, or -1. */
int vf_origin_open(struct vf_index *index, const char *path, const struct vf_origin_opts *opts,
                   struct vf_origin *ret, struct vf_error *err) VF_MUST_CHECK;
void vf_origin_close(struct vf_origin *src); /* a zeroed one is fine */

/* Reads the image and stores its map.  0, or -1. */
int vf_origin_scan(struct vf_index *index, const struct vf_origin *src,
                   const struct vf_send_opts *opts, struct vf_error *err) VF_MUST_CHECK;

/* A sink for a new map of the image; NULL on error. */
struct vf_map_sink *vf_origin_sink(struct vf_index *index, const struct vf_origin *src,
                                   struct vf_error *err);

/* The record of the image that a person calls `name`: a path, or a path inside the store.
 * VF_FOUND, VF_ABSENT or -1. */
int vf_origin_find(struct vf_index *index, const char *name, struct vf_image_record *ret,
                   struct vf_error *err) VF_MUST_CHECK;

#endif
