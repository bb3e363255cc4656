#include "hypervisor/libvirt_xml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"

static const char domain[] =
    "<domain type='qemu'><name>a&amp;b</name><devices>"
    "<disk type='block' device='disk'><driver name='qemu' type='raw' cache='none'/>"
    "<source dev='/dev/vg/a' index='2'><seclabel model='dac' relabel='no'/></source>"
    "<backingStore type='file'><source file='/old'/></backingStore>"
    "<target dev='vda' bus='virtio'/><address type='pci' slot='0x05'/></disk>"
    "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>"
    "</devices></domain>";

static char *get(struct vf_lv_xml *x, const char *path)
{
    struct vf_error err = VF_ERROR_INIT;
    char *ret = vf_lv_xml_get(x, path, &err);

    CHECK(ret != NULL);
    return ret;
}

static void is(struct vf_lv_xml *x, const char *path, const char *want)
{
    char *have = get(x, path);

    CHECK_STR(have, want);
    free(have);
}

TEST(reads_what_is_there)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_lv_xml *x = vf_lv_xml_parse(domain, &err);
    char *el;

    CHECK(x != NULL);
    is(x, "/domain/name", "a&b");
    is(x, "/domain/@type", "qemu");
    is(x, "/domain/title", "");
    CHECK_EQ_U64(vf_lv_xml_count(x, "/domain/devices/disk"), 2);
    el = vf_lv_xml_element(x, "/domain/devices/disk/address", &err);
    CHECK_STR(el, "<address type=\"pci\" slot=\"0x05\"/>");
    free(el);
    el = vf_lv_xml_nth(x, "/domain/devices/disk/target/@dev", 1, &err);
    CHECK_STR(el, "sda");
    free(el);
    vf_lv_xml_free(x);
}

TEST(changes_one_disk_only)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_lv_xml *x = vf_lv_xml_parse(domain, &err);
    char *text;

    CHECK_OK(vf_lv_xml_set_disk(x, "vda", "/new/<&>.qcow2", "qcow2", &err), &err);
    CHECK_FAIL(vf_lv_xml_set_disk(x, "vdb", "/new", "raw", &err), &err, VF_ERR_NOTFOUND);
    text = vf_lv_xml_text(x, &err);
    vf_lv_xml_free(x);
    x = vf_lv_xml_parse(text, &err);
    free(text);
    is(x, "/domain/devices/disk[1]/@type", "file");
    is(x, "/domain/devices/disk[1]/source/@file", "/new/<&>.qcow2");
    is(x, "/domain/devices/disk[1]/source/@dev", "");
    is(x, "/domain/devices/disk[1]/driver/@type", "qcow2");
    is(x, "/domain/devices/disk[1]/driver/@cache", "none");
    is(x, "/domain/devices/disk[1]/address/@slot", "0x05");
    CHECK_EQ_U64(vf_lv_xml_count(x, "//backingStore"), 0);
    CHECK_EQ_U64(vf_lv_xml_count(x, "//seclabel"), 0);
    CHECK_EQ_U64(vf_lv_xml_count(x, "/domain/devices/disk[2]/source"), 0);
    vf_lv_xml_free(x);
}

TEST(refuses_what_is_no_description)
{
    struct vf_error err = VF_ERROR_INIT;
    char *big = calloc(1, VF_LV_XML_MAX + 2);

    CHECK(!vf_lv_xml_parse("", &err) && err.code == VF_ERR_FORMAT);
    CHECK(!vf_lv_xml_parse("<domain>", &err) && err.code == VF_ERR_FORMAT);
    /* a file of this host, or a text of endless length, through an entity */
    CHECK(!vf_lv_xml_parse("<!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><d>&e;</d>",
                           &err) &&
          err.code == VF_ERR_FORMAT);
    memset(big, ' ', VF_LV_XML_MAX + 1);
    CHECK(!vf_lv_xml_parse(big, &err) && err.code == VF_ERR_RANGE);
    free(big);
}

TEST(escapes)
{
    struct vf_error err = VF_ERROR_INIT;
    char *text = vf_lv_xml_escape("a<'&\">b", &err), *doc;
    struct vf_lv_xml *x;

    doc = malloc(256);
    (void)snprintf(doc, 256, "<d a=\"%s\"/>", text);
    CHECK(strchr(text, '<') == NULL);
    free(text);
    x = vf_lv_xml_parse(doc, &err);
    free(doc);
    CHECK(x != NULL);
    is(x, "/d/@a", "a<'&\">b");
    vf_lv_xml_free(x);
}

TESTS(reads_what_is_there, changes_one_disk_only, refuses_what_is_no_description, escapes)
