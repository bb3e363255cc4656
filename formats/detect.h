/* formats/detect.h - the table of formats, and how a file's format is decided.
 *
 * Pure functions over a name and a few bytes; any thread.
 *
 * The first bytes of a raw image are the guest's to write, so they prove nothing alone: a format is
 * believed only when the file's name agrees with them. */
#ifndef VF_FORMATS_DETECT_H
#define VF_FORMATS_DETECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

enum vf_fmt_id {
    VF_FMT_RAW,
    VF_FMT_QCOW2,
    VF_FMT_QCOW, /* version 1 */
    VF_FMT_VMDK,
    VF_FMT_VDI,
    VF_FMT_VHDX,
    VF_FMT_VPC, /* Microsoft's older VHD, by QEMU's name for it */
    VF_FMT_QED,
    VF_FMT_PARALLELS,
    VF_FMT_LUKS, /* known only to be refused */
    VF_FMT_COUNT_
};

struct vf_fmt {
    enum vf_fmt_id id;
    const char *name;        /* ours, and QEMU's driver */
    const char *suffixes[4]; /* lower case, with the dot; NULL-terminated */
    bool has_backing;        /* QEMU's driver knows backing files */
    bool can_write;          /* formats/writer.h can make one */
};

/* Bytes that vf_detect looks at: at the start of the file, and (VHD of fixed size) at its end. */
#define VF_DETECT_HEAD 128u
#define VF_DETECT_TAIL 512u

const struct vf_fmt *vf_fmt(enum vf_fmt_id id);

/* By its name ("raw", "qcow2", ...; also "vhd" for vpc).  NULL with *err USAGE, listing the names,
 * for an unknown one. */
const struct vf_fmt *vf_fmt_by_name(const char *name, struct vf_error *err);

/* What the head looks like; raw when like nothing known. */
const struct vf_fmt *vf_detect_magic(const uint8_t *head, size_t len);

/* Decides for a file called name (a path is fine) with these bytes; tail may be NULL.  NULL with
 * *err USAGE when name and content do not agree, which asks for --format. */
const struct vf_fmt *vf_detect(const char *name, const uint8_t *head, size_t head_len,
                               const uint8_t *tail, size_t tail_len, struct vf_error *err);

#endif
