/* formats/qcow2_layout.h - our own reading of a qcow2 file's header and cluster tables.
 *
 * Needed because libqcow offers no allocation query and reads zero clusters wrongly: every read
 * asks this map first.  All of the input is hostile: each offset and size is checked against the
 * file, nothing recurses, and no table is held in memory as a whole.
 *
 * Thread rules: the parser is pure; vf_qcow2_layout_next may be called from several threads on one
 * layout at the same time. */
#ifndef VF_FORMATS_QCOW2_LAYOUT_H
#define VF_FORMATS_QCOW2_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

#define VF_QCOW2_CLUSTER_BITS_MIN 9u
#define VF_QCOW2_CLUSTER_BITS_MAX 21u
#define VF_QCOW2_NAME_MAX         1023u              /* of a backing or data file's name */
#define VF_QCOW2_HEADER_MAX       (1u << 21)         /* header and extensions: one cluster */
#define VF_QCOW2_L1_MAX           ((32u << 20) / 8u) /* entries; QEMU refuses more as well */

/* Incompatible features of version 3. */
#define VF_QCOW2_DIRTY       (UINT64_C(1) << 0) /* refcounts may be wrong; reading is fine */
#define VF_QCOW2_CORRUPT     (UINT64_C(1) << 1)
#define VF_QCOW2_DATA_FILE   (UINT64_C(1) << 2)
#define VF_QCOW2_COMPRESSION (UINT64_C(1) << 3) /* compressed clusters are not zlib's */
#define VF_QCOW2_EXTENDED_L2 (UINT64_C(1) << 4)
#define VF_QCOW2_KNOWN       UINT64_C(0x1f)

struct vf_qcow2_header {
    uint32_t version; /* 2 or 3 */
    uint32_t cluster_bits;
    uint64_t size;  /* bytes of content */
    uint32_t crypt; /* 0 none, 1 AES, 2 LUKS */
    uint32_t snapshots;
    uint64_t l1_off;
    uint32_t l1_entries; /* enough for size */
    uint64_t incompatible;
    uint8_t compression;                   /* 0 zlib, 1 zstd */
    bool has_backing, has_data_file;       /* the latter: the feature is set; the name may be "" */
    char backing[VF_QCOW2_NAME_MAX + 1];   /* as written in the header; "" if none */
    char backing_format[32];               /* "" if not recorded */
    char data_file[VF_QCOW2_NAME_MAX + 1]; /* as above */
};

/* Parses the len bytes at the start of a file of file_size bytes.  len must cover the header, its
 * extensions and the backing file's name as far as they lie inside the file
 * (VF_QCOW2_HEADER_MAX always does).  0, or -1: FORMAT for what is malformed. */
int vf_qcow2_header_parse(const void *data, size_t len, uint64_t file_size,
                          struct vf_qcow2_header *ret, struct vf_error *err) VF_MUST_CHECK;

/* Reads and parses the header of the open file. */
int vf_qcow2_header_read(int fd, uint64_t file_size, struct vf_qcow2_header *ret,
                         struct vf_error *err) VF_MUST_CHECK;

/* Can the tables of such a file be walked here, and its clusters be read with zlib alone?  Not
 * with a backing file, a data file, encryption, extended L2 entries or another compression. */
bool vf_qcow2_header_simple(const struct vf_qcow2_header *h);

enum vf_qcow2_kind {
    VF_QCOW2_ZERO,       /* reads as zeros: unallocated, or a zero cluster */
    VF_QCOW2_PLAIN,      /* content byte off + i is file byte host + i */
    VF_QCOW2_COMPRESSED, /* compressed clusters */
};

struct vf_qcow2_extent {
    uint64_t off, len; /* content */
    enum vf_qcow2_kind kind;
    uint64_t host; /* PLAIN only */
};

struct vf_qcow2_layout;

/* fd is borrowed until vf_qcow2_layout_free; h must be simple.  Memory stays below 1 MiB whatever
 * the image's size. */
struct vf_qcow2_layout *vf_qcow2_layout_new(int fd, uint64_t file_size,
                                            const struct vf_qcow2_header *h, struct vf_error *err);
void vf_qcow2_layout_free(struct vf_qcow2_layout *l);

/* The extent that starts at byte off (off < size) and is at most max bytes long (max > 0): ends
 * where the kind or, for PLAIN, the neighbourhood in the file changes, or earlier.  0, or -1:
 * FORMAT when a table entry points outside the file. */
int vf_qcow2_layout_next(struct vf_qcow2_layout *l, uint64_t off, uint64_t max,
                         struct vf_qcow2_extent *ret, struct vf_error *err) VF_MUST_CHECK;

#endif
