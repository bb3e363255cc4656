/* formats/qcow2_header.c - parser of the qcow2 header (declared in qcow2_layout.h). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/be.h"
#include "core/block.h"
#include "core/checked.h"
#include "core/fdio.h"
#include "formats/qcow2_layout.h"

#define MAGIC          UINT32_C(0x514649fb)
#define V2_LEN         72u
#define V3_LEN         104u
#define COMPRESSION_AT 104u /* one byte, present when the header is longer than V3_LEN */

#define EXT_END            UINT32_C(0)
#define EXT_BACKING_FORMAT UINT32_C(0xe2792aca)
#define EXT_DATA_FILE      UINT32_C(0x44415441)

static int bad(struct vf_error *err, const char *what)
{
    return vf_error_set(err, VF_ERR_FORMAT, 0, "qcow2 header: %s", what);
}

/* Copies n bytes of text to ret (room for max and a zero). */
static int copy_text(const uint8_t *p, uint64_t n, size_t max, char *ret)
{
    if (n > max || memchr(p, 0, (size_t)n))
        return -1;
    memcpy(ret, p, (size_t)n);
    ret[n] = 0;
    return 0;
}

static int parse_backing(const uint8_t *p, size_t len, struct vf_qcow2_header *h,
                         struct vf_error *err)
{
    uint64_t off = vf_be64(p + 8);
    uint32_t n = vf_be32(p + 16);

    if (off == 0)
        return 0;
    if (off > len || n > len - off || off + n > UINT64_C(1) << h->cluster_bits)
        return bad(err, "the backing file's name lies outside the first cluster");
    if (copy_text(p + off, n, VF_QCOW2_NAME_MAX, h->backing) < 0)
        return bad(err, "the backing file's name is malformed");
    h->has_backing = n > 0;
    return 0;
}

/* end: where extensions must stop. */
static int parse_extensions(const uint8_t *p, size_t at, size_t end, struct vf_qcow2_header *h,
                            struct vf_error *err)
{
    while (end - at >= 8) {
        uint32_t type = vf_be32(p + at), n = vf_be32(p + at + 4);
        size_t padded;

        at += 8;
        if (type == EXT_END)
            return 0;
        if (n > end - at)
            return bad(err, "an extension is longer than its cluster");
        if (type == EXT_BACKING_FORMAT &&
            copy_text(p + at, n, sizeof h->backing_format - 1, h->backing_format) < 0)
            return bad(err, "the backing file's format is malformed");
        if (type == EXT_DATA_FILE && copy_text(p + at, n, VF_QCOW2_NAME_MAX, h->data_file) < 0)
            return bad(err, "the data file's name is malformed");
        padded = ((size_t)n + 7) & ~(size_t)7;
        if (padded > end - at)
            return 0; /* the last one, unpadded */
        at += padded;
    }
    return 0;
}

/* Sizes and tables; needs version, cluster_bits and incompatible. */
static int parse_tables(const uint8_t *p, uint64_t file_size, struct vf_qcow2_header *h,
                        struct vf_error *err)
{
    /* An extended L2 entry has 16 bytes. */
    uint32_t l2_bits = h->cluster_bits - (h->incompatible & VF_QCOW2_EXTENDED_L2 ? 4u : 3u);
    uint32_t reach = h->cluster_bits + l2_bits; /* log2 of the bytes behind an L1 entry */
    uint64_t need;

    h->size = vf_be64(p + 24);
    h->l1_entries = vf_be32(p + 36);
    h->l1_off = vf_be64(p + 40);
    if (h->size > VF_MAX_BLOCKS * VF_BLOCK)
        return bad(err, "the image is too large");
    need = (h->size >> reach) + ((h->size & ((UINT64_C(1) << reach) - 1)) != 0);
    if (h->l1_entries > VF_QCOW2_L1_MAX || need > VF_QCOW2_L1_MAX)
        return bad(err, "the L1 table is too large");
    if (need > h->l1_entries)
        return bad(err, "the L1 table is too small");
    if (need == 0)
        return 0;
    if (h->l1_off == 0 || h->l1_off & ((UINT64_C(1) << h->cluster_bits) - 1))
        return bad(err, "the L1 table is not aligned");
    if (h->l1_off > file_size || (uint64_t)h->l1_entries * 8 > file_size - h->l1_off)
        return bad(err, "the L1 table lies outside the file");
    return 0;
}

/* The fields that only version 3 has; *ret_end is where extensions begin. */
static int parse_v3(const uint8_t *p, size_t len, struct vf_qcow2_header *h, size_t *ret_end,
                    struct vf_error *err)
{
    uint32_t header_len;

    if (len < V3_LEN)
        return bad(err, "the file is too short");
    header_len = vf_be32(p + 100);
    if (header_len < V3_LEN || header_len % 8 || header_len > UINT64_C(1) << h->cluster_bits)
        return bad(err, "its own length is wrong");
    if (header_len > len)
        return bad(err, "the file is too short");
    h->incompatible = vf_be64(p + 72);
    if (header_len > COMPRESSION_AT)
        h->compression = p[COMPRESSION_AT];
    if (!(h->incompatible & VF_QCOW2_COMPRESSION) != !h->compression)
        return bad(err, "compression type and feature bit disagree");
    h->has_data_file = h->incompatible & VF_QCOW2_DATA_FILE;
    *ret_end = header_len;
    return 0;
}

int vf_qcow2_header_parse(const void *data, size_t len, uint64_t file_size,
                          struct vf_qcow2_header *ret, struct vf_error *err)
{
    const uint8_t *p = data;
    struct vf_qcow2_header h;
    size_t at = V2_LEN, end;

    memset(&h, 0, sizeof h);
    if (len < V2_LEN || vf_be32(p) != MAGIC)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "no qcow2 header");
    h.version = vf_be32(p + 4);
    h.cluster_bits = vf_be32(p + 20);
    h.crypt = vf_be32(p + 32);
    h.snapshots = vf_be32(p + 60);
    if (h.version != 2 && h.version != 3)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "no qcow2 header of version 2 or 3 but %" PRIu32,
                            h.version);
    if (h.cluster_bits < VF_QCOW2_CLUSTER_BITS_MIN || h.cluster_bits > VF_QCOW2_CLUSTER_BITS_MAX)
        return bad(err, "the cluster size is out of range");
    if ((h.version == 3 && parse_v3(p, len, &h, &at, err) < 0) ||
        parse_tables(p, file_size, &h, err) < 0 || parse_backing(p, len, &h, err) < 0)
        return -1;
    end = len < 1u << h.cluster_bits ? len : 1u << h.cluster_bits;
    if (h.has_backing && vf_be64(p + 8) < end)
        end = (size_t)vf_be64(p + 8); /* the name comes after the extensions */
    if (end > at && parse_extensions(p, at, end, &h, err) < 0)
        return -1;
    *ret = h;
    return 0;
}

int vf_qcow2_header_read(int fd, uint64_t file_size, struct vf_qcow2_header *ret,
                         struct vf_error *err)
{
    uint8_t head[V2_LEN];
    uint8_t *all = NULL;
    uint32_t bits;
    size_t len;
    int rc = -1;

    if (file_size < sizeof head)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "no qcow2 header");
    if (vf_pread_full(fd, head, sizeof head, 0, err) < 0)
        return -1;
    bits = vf_be32(head + 20);
    if (bits > VF_QCOW2_CLUSTER_BITS_MAX || bits < VF_QCOW2_CLUSTER_BITS_MIN)
        return vf_qcow2_header_parse(head, sizeof head, file_size, ret, err); /* says what */
    len = file_size < UINT64_C(1) << bits ? (size_t)file_size : (size_t)1 << bits;
    all = vf_calloc(len, 1, err);
    if (!all || vf_pread_full(fd, all, len, 0, err) < 0)
        goto out;
    rc = vf_qcow2_header_parse(all, len, file_size, ret, err);
out:
    free(all);
    return rc;
}

bool vf_qcow2_header_simple(const struct vf_qcow2_header *h)
{
    return !(h->incompatible & ~VF_QCOW2_DIRTY) && !h->has_backing && !h->crypt && !h->compression;
}
