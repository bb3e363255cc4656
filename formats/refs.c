/* formats/refs.c - which other files an image's metadata names. */
#include "formats/refs.h"

#include <inttypes.h>
#include <string.h>

#include "core/be.h"
#include "core/fdio.h"
#include "formats/raw.h"

#define QCOW_LEN 48u
#define QED_LEN  64u
#define VHD_LEN  512u

#define QED_BACKING     UINT64_C(1)
#define QED_BACKING_RAW UINT64_C(4)

#define VHD_DIFFERENCING 4u

uint64_t vf_stamp_mix(uint64_t seed, const struct stat *st)
{
    const uint64_t parts[] = {
        (uint64_t)st->st_dev,          (uint64_t)st->st_ino,          (uint64_t)st->st_size,
        (uint64_t)st->st_mtim.tv_sec,  (uint64_t)st->st_mtim.tv_nsec, (uint64_t)st->st_ctim.tv_sec,
        (uint64_t)st->st_ctim.tv_nsec,
    };

    /* FNV-1a over 64-bit words with a final mix: it only has to tell changes, not to resist. */
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        seed = (seed ^ parts[i]) * UINT64_C(0x100000001b3);
        seed ^= seed >> 29;
    }
    return seed;
}

static int encrypted(struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                        "the image is encrypted, so its content cannot be read; the file itself "
                        "can be moved with --format raw");
}

/* n bytes at off, the name of a file, to ret (room for VF_QCOW2_NAME_MAX and a zero). */
static int read_name(int fd, uint64_t size, uint64_t off, uint32_t n, char *ret,
                     struct vf_error *err)
{
    if (n > VF_QCOW2_NAME_MAX || off > size || n > size - off)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "the backing file's name lies outside the file");
    if (vf_pread_full(fd, ret, n, off, err) < 0)
        return -1;
    ret[n] = 0;
    if (strlen(ret) != n)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "the backing file's name is malformed");
    return 0;
}

static int read_head(int fd, uint64_t size, uint8_t *ret, size_t len, struct vf_error *err)
{
    if (size < len)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "the file is too short for its header");
    return vf_pread_full(fd, ret, len, 0, err);
}

static int refs_qcow2(int fd, uint64_t size, struct vf_refs *ret, struct vf_error *err)
{
    struct vf_qcow2_header *h = &ret->qcow2;

    if (vf_qcow2_header_read(fd, size, h, err) < 0)
        return -1;
    if (h->crypt)
        return encrypted(err);
    if (h->incompatible & VF_QCOW2_CORRUPT)
        return vf_error_set(err, VF_ERR_FORMAT, 0,
                            "the image is marked as corrupt; repair it with qemu-img check");
    if (h->incompatible & ~VF_QCOW2_KNOWN)
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                            "the image needs unknown qcow2 features (%#" PRIx64 ")",
                            h->incompatible & ~VF_QCOW2_KNOWN);
    if (h->has_data_file && !h->data_file[0])
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                            "the image does not say where its data file is");
    memcpy(ret->backing, h->backing, sizeof ret->backing);
    memcpy(ret->backing_format, h->backing_format, sizeof ret->backing_format);
    if (h->has_data_file)
        memcpy(ret->data_file, h->data_file, sizeof ret->data_file);
    return 0;
}

static int refs_qcow(int fd, uint64_t size, struct vf_refs *ret, struct vf_error *err)
{
    uint8_t h[QCOW_LEN];

    if (read_head(fd, size, h, sizeof h, err) < 0)
        return -1;
    if (vf_detect_magic(h, sizeof h)->id != VF_FMT_QCOW)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "no qcow header of version 1");
    if (vf_be32(h + 36))
        return encrypted(err);
    if (vf_be64(h + 8) == 0)
        return 0;
    return read_name(fd, size, vf_be64(h + 8), vf_be32(h + 16), ret->backing, err);
}

static int refs_qed(int fd, uint64_t size, struct vf_refs *ret, struct vf_error *err)
{
    uint8_t h[QED_LEN];

    if (read_head(fd, size, h, sizeof h, err) < 0)
        return -1;
    if (vf_detect_magic(h, sizeof h)->id != VF_FMT_QED)
        return vf_error_set(err, VF_ERR_FORMAT, 0, "no qed header");
    if (!(vf_le64(h + 16) & QED_BACKING))
        return 0;
    if (vf_le64(h + 16) & QED_BACKING_RAW)
        memcpy(ret->backing_format, "raw", sizeof "raw");
    return read_name(fd, size, vf_le32(h + 56), vf_le32(h + 60), ret->backing, err);
}

/* QEMU reads a differencing disk as if it had no parent: wrong bytes, so it must be refused here.
 * The footer is at the end, and except for disks of fixed size also at the beginning. */
static int refs_vpc(int fd, uint64_t size, struct vf_error *err)
{
    const uint64_t places[] = {0, size < VHD_LEN ? 0 : size - VHD_LEN};
    uint8_t h[VHD_LEN];

    if (read_head(fd, size, h, sizeof h, err) < 0)
        return -1;
    for (size_t i = 0; i < 2; i++) {
        if (vf_pread_full(fd, h, sizeof h, places[i], err) < 0)
            return -1;
        if (memcmp(h, "conectix", 8) == 0 && vf_be32(h + 60) == VHD_DIFFERENCING)
            return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                                "differencing VHD images depend on a parent and cannot be read");
    }
    return 0;
}

int vf_refs_read(const struct vf_fmt *fmt, int fd, int dirfd, struct vf_refs *ret,
                 struct vf_error *err)
{
    uint64_t size;

    memset(ret, 0, sizeof *ret);
    if (vf_raw_size(fd, &size, err) < 0)
        return -1;
    switch (fmt->id) {
    case VF_FMT_QCOW2:
        return refs_qcow2(fd, size, ret, err);
    case VF_FMT_QCOW:
        return refs_qcow(fd, size, ret, err);
    case VF_FMT_QED:
        return refs_qed(fd, size, ret, err);
    case VF_FMT_VMDK:
        return vf_vmdk_refs(fd, size, dirfd, ret, err);
    case VF_FMT_VPC:
        return refs_vpc(fd, size, err);
    case VF_FMT_LUKS:
        return encrypted(err);
    case VF_FMT_RAW:
    case VF_FMT_VDI:
    case VF_FMT_VHDX:
    case VF_FMT_PARALLELS:
    case VF_FMT_COUNT_:
        break; /* alone by nature, or QEMU refuses those that are not */
    }
    return 0;
}
