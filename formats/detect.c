/* formats/detect.c - the table of formats, and how a file's format is decided. */
#include "formats/detect.h"

#include <string.h>
#include <strings.h>

#include "core/be.h"

static const struct vf_fmt formats[VF_FMT_COUNT_] = {
    {VF_FMT_RAW, "raw", {".raw", ".img", NULL}, false, true},
    {VF_FMT_QCOW2, "qcow2", {".qcow2", ".qcow", NULL}, true, true},
    {VF_FMT_QCOW, "qcow", {".qcow", NULL}, true, false},
    {VF_FMT_VMDK, "vmdk", {".vmdk", NULL}, true, true},
    {VF_FMT_VDI, "vdi", {".vdi", NULL}, false, true},
    {VF_FMT_VHDX, "vhdx", {".vhdx", NULL}, false, true},
    {VF_FMT_VPC, "vpc", {".vhd", ".vpc", NULL}, false, false},
    {VF_FMT_QED, "qed", {".qed", NULL}, true, true},
    {VF_FMT_PARALLELS, "parallels", {".hdd", ".hds", NULL}, false, false},
    {VF_FMT_LUKS, "luks", {".luks", NULL}, false, false},
};

static const struct magic {
    enum vf_fmt_id id;
    uint8_t off, len;
    const char *bytes;
} magics[] = {
    {VF_FMT_QCOW2, 0, 4, "QFI\xfb"}, /* and qcow: the version tells */
    {VF_FMT_VMDK, 0, 4, "KDMV"},
    {VF_FMT_VMDK, 0, 4, "COWD"},
    {VF_FMT_VMDK, 0, 21, "# Disk DescriptorFile"},
    {VF_FMT_VDI, 64, 4, "\x7f\x10\xda\xbe"},
    {VF_FMT_VHDX, 0, 8, "vhdxfile"},
    {VF_FMT_VPC, 0, 8, "conectix"},
    {VF_FMT_QED, 0, 4, "QED\0"},
    {VF_FMT_PARALLELS, 0, 16, "WithoutFreeSpace"},
    {VF_FMT_PARALLELS, 0, 16, "WithouFreSpacExt"},
    {VF_FMT_LUKS, 0, 6, "LUKS\xba\xbe"},
};

const struct vf_fmt *vf_fmt(enum vf_fmt_id id) { return &formats[id]; }

const struct vf_fmt *vf_fmt_by_name(const char *name, struct vf_error *err)
{
    if (strcmp(name, "vhd") == 0)
        name = "vpc";
    for (size_t i = 0; i < VF_FMT_COUNT_; i++)
        if (strcmp(name, formats[i].name) == 0)
            return &formats[i];
    (void)vf_error_set(err, VF_ERR_USAGE, 0, /* the NULL says it */
                       "unknown image format '%.32s'; known are raw, qcow2, qcow, vmdk, vdi, vhdx, "
                       "vpc, qed and parallels",
                       name);
    return NULL;
}

const struct vf_fmt *vf_detect_magic(const uint8_t *head, size_t len)
{
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++) {
        const struct magic *m = &magics[i];

        if ((size_t)m->off + m->len > len || memcmp(head + m->off, m->bytes, m->len) != 0)
            continue;
        if (m->id == VF_FMT_QCOW2 && len >= 8 && vf_be32(head + 4) == 1)
            return &formats[VF_FMT_QCOW];
        return &formats[m->id];
    }
    return &formats[VF_FMT_RAW];
}

static const char *suffix_of(const char *name)
{
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
    const char *dot = strrchr(base, '.');

    return dot && dot != base ? dot : "";
}

static bool has_suffix(const struct vf_fmt *f, const char *suffix)
{
    for (size_t i = 0; f->suffixes[i]; i++)
        if (strcasecmp(f->suffixes[i], suffix) == 0)
            return true;
    return false;
}

/* What the suffix promises; raw for raw's own suffixes, none and unknown ones. */
static const struct vf_fmt *promised(const char *suffix)
{
    for (size_t i = 0; i < VF_FMT_COUNT_; i++)
        if (has_suffix(&formats[i], suffix))
            return &formats[i];
    return &formats[VF_FMT_RAW];
}

const struct vf_fmt *vf_detect(const char *name, const uint8_t *head, size_t head_len,
                               const uint8_t *tail, size_t tail_len, struct vf_error *err)
{
    const char *suffix = suffix_of(name);
    const struct vf_fmt *want = promised(suffix), *seen = vf_detect_magic(head, head_len);

    /* Only the end of a VHD of fixed size tells, and only its name may make us look there. */
    if (want->id == VF_FMT_VPC && seen->id == VF_FMT_RAW && tail_len >= 8 &&
        memcmp(tail, "conectix", 8) == 0)
        seen = want;
    if (seen == want || has_suffix(seen, suffix))
        return seen;
    if (seen->id == VF_FMT_RAW)
        (void)vf_error_set(err, VF_ERR_USAGE, 0, /* the NULL says it */
                           "it is named like %s but has no header of that format; say what it is "
                           "with --format",
                           want->name);
    else if (want->id == VF_FMT_RAW)
        (void)vf_error_set(err, VF_ERR_USAGE, 0, /* as above */
                           "it begins like %s but is not named so, and a guest can write such a "
                           "beginning into a raw disk; say what it is with --format",
                           seen->name);
    else
        (void)vf_error_set(err, VF_ERR_USAGE, 0, /* as above */
                           "it is named like %s but begins like %s; say what it is with --format",
                           want->name, seen->name);
    return NULL;
}
