/* Tests of formats/detect.c. */
#include "formats/detect.h"

#include <string.h>

#include "tests/lib/check.h"

static const char *decide(const char *name, const char *head, size_t len, struct vf_error *err)
{
    uint8_t buf[VF_DETECT_HEAD] = {0};
    const struct vf_fmt *f;

    memcpy(buf, head, len);
    f = vf_detect(name, buf, sizeof buf, NULL, 0, err);
    return f ? f->name : NULL;
}

#define QCOW2 "QFI\xfb\0\0\0\3", 8
#define QCOW1 "QFI\xfb\0\0\0\1", 8
#define NONE  "", 0

TEST(name_and_content_agree)
{
    struct vf_error err;

    CHECK_STR(decide("a.qcow2", QCOW2, &err), "qcow2");
    CHECK_STR(decide("/x.raw/a.QCOW2", QCOW2, &err), "qcow2");
    CHECK_STR(decide("a.qcow", QCOW2, &err), "qcow2");
    CHECK_STR(decide("a.qcow", QCOW1, &err), "qcow");
    CHECK_STR(decide("a.vmdk", "KDMV", 4, &err), "vmdk");
    CHECK_STR(decide("a.vmdk", "# Disk DescriptorFile\n", 22, &err), "vmdk");
    CHECK_STR(decide("a.vhdx", "vhdxfile", 8, &err), "vhdx");
    CHECK_STR(decide("a.vhd", "conectix", 8, &err), "vpc");
    CHECK_STR(decide("a.qed", "QED\0", 4, &err), "qed");
    CHECK_STR(decide("a.hdd", "WithoutFreeSpace", 16, &err), "parallels");
}

TEST(nothing_known_is_raw)
{
    struct vf_error err;

    CHECK_STR(decide("a.raw", NONE, &err), "raw");
    CHECK_STR(decide("a.img", NONE, &err), "raw");
    CHECK_STR(decide("a.IMG", "MZ", 2, &err), "raw");
    CHECK_STR(decide("a", NONE, &err), "raw");
    CHECK_STR(decide(".qcow2", NONE, &err), "raw"); /* a hidden file, no suffix */
    CHECK_STR(decide("/dev/vg/disk", NONE, &err), "raw");
    CHECK_STR(decide("dir.qcow2/a", NONE, &err), "raw");
    CHECK_STR(decide("a.old", NONE, &err), "raw");
}

TEST(disagreement_asks)
{
    struct vf_error err;

    CHECK_FAIL(decide("a.raw", QCOW2, &err), &err, VF_ERR_USAGE);
    CHECK_HAS(err.msg, "--format");
    CHECK_FAIL(decide("a", QCOW2, &err), &err, VF_ERR_USAGE);
    CHECK_FAIL(decide("a.qcow2.bak", QCOW2, &err), &err, VF_ERR_USAGE);
    CHECK_FAIL(decide("a.qcow2", NONE, &err), &err, VF_ERR_USAGE);
    CHECK_HAS(err.msg, "named like qcow2");
    CHECK_FAIL(decide("a.qcow2", QCOW1, &err), &err, VF_ERR_USAGE);
    CHECK_FAIL(decide("a.vmdk", QCOW2, &err), &err, VF_ERR_USAGE);
    CHECK_FAIL(decide("a.img", "LUKS\xba\xbe", 6, &err), &err, VF_ERR_USAGE);
}

TEST(vdi_magic_is_inside)
{
    uint8_t head[VF_DETECT_HEAD] = {0};
    struct vf_error err;

    memcpy(head + 64, "\x7f\x10\xda\xbe", 4);
    CHECK_STR(vf_detect_magic(head, sizeof head)->name, "vdi");
    CHECK_STR(vf_detect_magic(head, 66)->name, "raw"); /* a short file */
    CHECK_FAIL(vf_detect("a.img", head, sizeof head, NULL, 0, &err), &err, VF_ERR_USAGE);
    CHECK_OK(vf_detect("a.vdi", head, sizeof head, NULL, 0, &err), &err);
}

TEST(only_a_vhd_is_looked_at_from_behind)
{
    uint8_t head[8] = {0}, tail[VF_DETECT_TAIL] = "conectix";
    struct vf_error err;

    CHECK_STR(vf_detect("a.vhd", head, sizeof head, tail, sizeof tail, &err)->name, "vpc");
    CHECK_STR(vf_detect("a.raw", head, sizeof head, tail, sizeof tail, &err)->name, "raw");
    CHECK_FAIL(vf_detect("a.vhd", head, sizeof head, NULL, 0, &err), &err, VF_ERR_USAGE);
}

TEST(names)
{
    struct vf_error err;

    CHECK_STR(vf_fmt_by_name("vhd", &err)->name, "vpc");
    for (int i = 0; i < VF_FMT_COUNT_; i++) {
        const struct vf_fmt *f = vf_fmt((enum vf_fmt_id)i);

        CHECK_EQ_I64(f->id, i);
        CHECK(vf_fmt_by_name(f->name, &err) == f);
    }
    CHECK_FAIL(vf_fmt_by_name("floppy", &err), &err, VF_ERR_USAGE);
    CHECK_HAS(err.msg, "qcow2");
}

TESTS(name_and_content_agree, nothing_known_is_raw, disagreement_asks, vdi_magic_is_inside,
      only_a_vhd_is_looked_at_from_behind, names)
