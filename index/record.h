/* index/record.h - the small records of the index: structs to bytes and back (FORMAT.md,
 * "Records").
 *
 * Pure functions; any thread.  Decoding treats its bytes as hostile: what it accepts is within all
 * limits and consistent in itself; everything else is VF_ERR_FORMAT. */
#ifndef VF_INDEX_RECORD_H
#define VF_INDEX_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "index/index.h"

#define VF_INDEX_VERSION 1u

/* The record that every index begins with. */
struct vf_version_record {
    uint32_t version;
    uint64_t next_generation; /* numbers are never used again */
};

enum vf_generation_state {
    VF_GEN_BUILDING = 1, /* its pages are being written; doomed when the writer is dead */
    VF_GEN_LIVE = 2,     /* the map of an image */
    VF_GEN_DOOMED = 3    /* to be deleted */
};

/* Checksum of the values: catches damage, proves nothing against malice. */
uint32_t vf_index_checksum(const void *data, size_t len);

/* The rules for a path: not empty, not too long; a relative one without empty, "." and ".." parts.
 * 0, or -1 with VF_ERR_USAGE. */
int vf_record_check_path(const char *path, struct vf_error *err) VF_MUST_CHECK;

/* Do the numbers agree with each other and with the limits?  0, or -1 with VF_ERR_FORMAT. */
int vf_map_info_check(const struct vf_map_info *info, struct vf_error *err) VF_MUST_CHECK;

/* Each encode appends to an empty buffer.  0 or -1. */
int vf_id_encode(struct vf_buf *ret, const uint8_t id[VF_STORE_ID_LEN],
                 struct vf_error *err) VF_MUST_CHECK;
int vf_version_encode(struct vf_buf *ret, const struct vf_version_record *rec,
                      struct vf_error *err) VF_MUST_CHECK;
int vf_generation_encode(struct vf_buf *ret, enum vf_generation_state state,
                         struct vf_error *err) VF_MUST_CHECK;
/* VF_ERR_USAGE when the record breaks a limit. */
int vf_image_record_encode(struct vf_buf *ret, const struct vf_image_record *rec,
                           struct vf_error *err) VF_MUST_CHECK;

/* 0, or -1 with *ret unchanged.  A version that this program does not know is VF_ERR_FORMAT too,
 * with both versions in the message. */
int vf_version_decode(const void *data, size_t len, struct vf_version_record *ret,
                      struct vf_error *err) VF_MUST_CHECK;
int vf_id_decode(const void *data, size_t len, uint8_t ret[VF_STORE_ID_LEN],
                 struct vf_error *err) VF_MUST_CHECK;
int vf_generation_decode(const void *data, size_t len, enum vf_generation_state *ret,
                         struct vf_error *err) VF_MUST_CHECK;
/* *ret is owned: vf_image_record_clear. */
int vf_image_record_decode(const void *data, size_t len, struct vf_image_record *ret,
                           struct vf_error *err) VF_MUST_CHECK;

/* A copy with strings of its own. */
int vf_image_record_copy(const struct vf_image_record *rec, struct vf_image_record *ret,
                         struct vf_error *err) VF_MUST_CHECK;

#endif
