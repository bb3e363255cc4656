/* Tests of formats/format.c: which format, and what may be opened at all. */
#include "formats/format.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "tests/formats/util.h"

#define MIB (UINT64_C(1) << 20)

static void fails(const char *name, const struct vf_open_opts *o, enum vf_err code,
                  const char *text)
{
    struct vf_image_desc d;
    struct vf_error err;

    CHECK_FAIL(util_open(name, o, NULL, &err), &err, code);
    CHECK_HAS(err.msg, text);
    if (code != VF_ERR_BUSY)
        CHECK_FAIL(vf_format_stat(AT_FDCWD, vf_test_path(name), o, &d, &err), &err, code);
}

TEST(wrong_names)
{
    struct vf_open_opts raw = {.format = "raw"}, qcow2 = {.format = "qcow2"};
    struct vf_open_opts trusted = {.trusted_format = "qcow2"}, bad = {.format = "floppy"};
    struct vf_image_desc d;
    struct vf_error err;
    struct vf_image *im;

    NEED("qemu-img");
    util_make_raw("a.raw", 2 * MIB, 1);
    SH("rm -f a.qcow2; qemu-img convert -f raw -O qcow2 a.raw a.qcow2; cp a.qcow2 b.img; "
       "cp a.raw c.qcow2; cp a.qcow2 d; cp a.qcow2 e.vmdk");
    fails("b.img", NULL, VF_ERR_USAGE, "--format");
    fails("c.qcow2", NULL, VF_ERR_USAGE, "--format");
    fails("d", NULL, VF_ERR_USAGE, "--format");
    fails("e.vmdk", NULL, VF_ERR_USAGE, "--format");
    fails("b.img", &bad, VF_ERR_USAGE, "floppy");
    fails("a.raw", &qcow2, VF_ERR_FORMAT, "no qcow2 header");
    /* Asked for: the bytes of the file, whatever they look like. */
    im = util_open("b.img", &raw, &d, &err);
    CHECK_OK(im, &err);
    CHECK_STR(d.format, "raw");
    util_compare(im, vf_test_path("a.qcow2"));
    vf_image_close(im);
    im = util_open("b.img", &qcow2, &d, &err);
    CHECK_OK(im, &err);
    util_compare(im, vf_test_path("a.raw"));
    vf_image_close(im);
    im = util_open("d", &trusted, &d, &err);
    CHECK_OK(im, &err);
    CHECK_STR(d.format, "qcow2");
    vf_image_close(im);
    CHECK_STR(vf_format_name("vhd", &err), "vpc");
    CHECK_FAIL(vf_format_name("x", &err), &err, VF_ERR_USAGE);
}

TEST(what_is_no_image)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct vf_error err;

    SH("mkdir -p dir; rm -f fifo sock; mkfifo fifo");
    (void)snprintf(sa.sun_path, sizeof sa.sun_path, "%s", vf_test_path("sock"));
    CHECK(s >= 0 && bind(s, (struct sockaddr *)&sa, sizeof sa) == 0);
    fails("fifo", NULL, VF_ERR_UNSUPPORTED, "FIFO");
    fails("dir", NULL, VF_ERR_UNSUPPORTED, "directory");
    fails("sock", NULL, VF_ERR_UNSUPPORTED, "socket");
    fails("nothing", NULL, VF_ERR_NOTFOUND, "nothing");
    CHECK_FAIL(vf_format_open(AT_FDCWD, "/dev/null", NULL, NULL, &err), &err, VF_ERR_UNSUPPORTED);
    CHECK_FAIL(vf_format_open(AT_FDCWD, "", NULL, NULL, &err), &err, VF_ERR_USAGE);
    (void)close(s);
}

/* The directory is part of the name. */
TEST(not_allowed)
{
    uid_t was = geteuid();
    struct vf_open_opts raw = {.format = "raw"};
    struct vf_image_desc d;
    struct vf_error err;
    int dir;

    SH("chmod 755 .; mkdir -m 755 sub; echo secret >sub/secret.raw; chmod 0 sub/secret.raw");
    dir = open(vf_test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(dir >= 0);
    if (was == 0)
        CHECK(seteuid(65534) == 0);
    CHECK_FAIL(vf_format_open(dir, "sub/secret.raw", &raw, &d, &err), &err, VF_ERR_DENIED);
    CHECK_HAS(err.msg, "'sub/secret.raw'");
    CHECK(seteuid(was) == 0);
    close(dir);
}

TEST(encrypted)
{
    struct vf_open_opts raw = {.format = "raw"}, luks = {.format = "luks"};
    struct vf_error err;
    struct vf_image *im;

    NEED("qemu-img");
    /* QEMU's AES, and headers as LUKS has them: making real ones takes 5 s each. */
    SH("rm -f l.qcow2 m.qcow2; qemu-img create --object secret,id=s,data=abc -f qcow2 "
       "-o encrypt.format=aes,encrypt.key-secret=s l.qcow2 1M && cp l.qcow2 m.qcow2 && "
       "printf '\\002' | dd of=m.qcow2 bs=1 seek=35 conv=notrunc && truncate -s 1M l.img && "
       "printf 'LUKS\\272\\276\\0\\1' | dd of=l.img conv=notrunc && cp l.img l.luks");
    fails("m.qcow2", NULL, VF_ERR_UNSUPPORTED, "encrypted");
    fails("l.qcow2", NULL, VF_ERR_UNSUPPORTED, "encrypted");
    fails("l.luks", NULL, VF_ERR_UNSUPPORTED, "encrypted");
    fails("l.img", &luks, VF_ERR_UNSUPPORTED, "encrypted");
    fails("l.img", NULL, VF_ERR_USAGE, "--format");
    im = util_open("l.img", &raw, NULL, &err); /* a guest may encrypt its own whole disk */
    CHECK_OK(im, &err);
    util_compare(im, vf_test_path("l.img"));
    vf_image_close(im);
}

/* ---- backing and data files ---- */

/* An overlay in in/ that names ref. */
static void make_overlay(const char *name, const char *ref, const char *format)
{
    SH("mkdir -p in out; [ -e out/base.raw ] || truncate -s 1M out/base.raw in/base.raw; "
       "rm -f in/%s; qemu-img create -f qcow2 in/%s 1M && "
       "qemu-img rebase -u -f qcow2 -b '%s' -F %s in/%s",
       name, name, ref, format, name);
}

TEST(backing_outside_is_refused)
{
    static const char *const outside[] = {
        "../out/base.raw",         "/etc/hostname",    "link.raw",
        "./../in/../out/base.raw", "linkdir/base.raw", "/dev/zero",
        "/proc/self/fd/../mem",    "linklink.raw"};

    NEED("qemu-nbd");
    make_overlay("o.qcow2", "base.raw", "raw");
    SH("ln -sfn ../out/base.raw in/link.raw; ln -sfn ../out in/linkdir; "
       "ln -sfn link.raw in/linklink.raw");
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        struct vf_error err;

        make_overlay("o.qcow2", outside[i], "raw");
        CHECK(!util_open("in/o.qcow2", NULL, NULL, &err));
        CHECK(err.code == VF_ERR_DENIED || (i >= 5 && err.code == VF_ERR_UNSUPPORTED) ||
              (i == 6 && err.code == VF_ERR_NOTFOUND));
    }
}

TEST(pseudo_names_are_refused)
{
    static const char *const names[] = {
        "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}}",
        "nbd://127.0.0.1:1/x", "file:base.raw", "fat:/etc", "ssh://root@localhost/etc/passwd"};

    NEED("qemu-img");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        make_overlay("p.qcow2", names[i], "raw");
        fails("in/p.qcow2", NULL, VF_ERR_DENIED, "not the name of a file");
    }
}

TEST(backing_inside_is_fine)
{
    static const char *const inside[] = {"base.raw", "./base.raw", "../in/base.raw", "in.raw",
                                         "../out/back/base.raw"};
    struct vf_error err;
    struct vf_image *im;
    char *path;

    NEED("qemu-nbd");
    make_overlay("i.qcow2", "base.raw", "raw");
    SH("ln -sfn base.raw in/in.raw; ln -sfn ../in out/back");
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) {
        make_overlay("i.qcow2", inside[i], "raw");
        im = util_open("in/i.qcow2", NULL, NULL, &err);
        CHECK_OK(im, &err);
        vf_image_close(im);
    }
    path = strdup(vf_test_path("in/base.raw"));
    CHECK(path != NULL);
    make_overlay("i.qcow2", path, "raw");
    free(path);
    im = util_open("in/i.qcow2", NULL, NULL, &err);
    CHECK_OK(im, &err);
    vf_image_close(im);
}

TEST(allowed_by_name)
{
    const char *file, *dir, *other;
    struct vf_open_opts o = {.n_allow_backing = 1};
    struct vf_error err;
    struct vf_image *im;

    NEED("qemu-nbd");
    make_overlay("a.qcow2", "../out/base.raw", "raw");
    file = strdup(vf_test_path("out/base.raw"));
    dir = strdup(vf_test_path("out"));
    other = strdup(vf_test_path("in/base.raw"));
    o.allow_backing = &other;
    fails("in/a.qcow2", &o, VF_ERR_DENIED, "not allowed by name");
    o.allow_backing = &file;
    im = util_open("in/a.qcow2", &o, NULL, &err);
    CHECK_OK(im, &err);
    vf_image_close(im);
    o.allow_backing = &dir;
    im = util_open("in/a.qcow2", &o, NULL, &err);
    CHECK_OK(im, &err);
    vf_image_close(im);
    free((void *)(uintptr_t)file);
    free((void *)(uintptr_t)dir);
    free((void *)(uintptr_t)other);
}

/* What an allowed file names is judged from where the image lies, not from where that file lies. */
TEST(further_down_the_chain)
{
    const char *mid;
    struct vf_open_opts o = {.n_allow_backing = 1, .allow_backing = &mid};

    NEED("qemu-img");
    SH("mkdir -p in out; truncate -s 1M out/base.raw; rm -f out/mid.qcow2; "
       "qemu-img create -f qcow2 -b base.raw -F raw out/mid.qcow2");
    make_overlay("t.qcow2", "../out/mid.qcow2", "qcow2");
    mid = strdup(vf_test_path("out/mid.qcow2"));
    fails("in/t.qcow2", NULL, VF_ERR_DENIED, "mid.qcow2");
    fails("in/t.qcow2", &o, VF_ERR_DENIED, "base.raw");
    free((void *)(uintptr_t)mid);
}

TEST(data_file_outside_is_refused)
{
    NEED("qemu-img");
    SH("mkdir -p in out; rm -f in/d.qcow2; "
       "qemu-img create -f qcow2 -o data_file=out/d.data in/d.qcow2 1M && truncate -s 1M "
       "out/d.data "
       "&& ln -sfn ../out in/out");
    fails("in/d.qcow2", NULL, VF_ERR_DENIED, "out/d.data");
}

TEST(chains_that_never_end)
{
    NEED("qemu-img");
    make_overlay("l1.qcow2", "l2.qcow2", "qcow2");
    make_overlay("l2.qcow2", "l1.qcow2", "qcow2");
    fails("in/l1.qcow2", NULL, VF_ERR_FORMAT, "loop");
    make_overlay("l1.qcow2", "l1.qcow2", "qcow2");
    fails("in/l1.qcow2", NULL, VF_ERR_FORMAT, "loop");
    make_overlay("c10.qcow2", "c11.qcow2", "qcow2");
    SH("cd in; for i in $(seq 11 80); do sed s/c11.qcow2/c$((i + 1)).qcow2/ c10.qcow2 "
       ">c$i.qcow2; done");
    fails("in/c10.qcow2", NULL, VF_ERR_FORMAT, "images in one chain");
}

/* The backing file's format is proved by the same rule as the image's own. */
TEST(backing_format)
{
    struct vf_error err;
    struct vf_image *im;

    NEED("qemu-nbd");
    make_overlay("f.qcow2", "base.raw", "raw");
    SH("cd in; cp f.qcow2 g.img; cp f.qcow2 h.qcow2; cp f.qcow2 i.qcow2; "
       "qemu-img rebase -u -f qcow2 -b base.raw -F raw g.img; "
       /* Forget the format: extension type 0xe2792aca becomes an unknown one. */
       "for f in h i; do qemu-img rebase -u -f qcow2 -b $([ $f = h ] && echo g.img || "
       "echo base.raw) -F raw $f.qcow2; "
       "printf '\\001' | dd of=$f.qcow2 bs=1 seek=112 conv=notrunc; done");
    fails("in/h.qcow2", NULL, VF_ERR_UNSUPPORTED, "qemu-img rebase -u -F");
    im = util_open("in/i.qcow2", NULL, NULL, &err); /* named .raw, no header: raw */
    CHECK_OK(im, &err);
    vf_image_close(im);
    make_overlay("f.qcow2", "base.raw", "qcow2");
    fails("in/f.qcow2", NULL, VF_ERR_FORMAT, "no qcow2 header");
}

/* ---- VMDK ---- */

static void descriptor(const char *extent)
{
    char text[1024];

    (void)snprintf(text, sizeof text,
                   "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
                   "createType=\"monolithicFlat\"\n%s\n\nddb.adapterType = \"ide\"\n",
                   extent);
    vf_test_write_file(vf_test_path("v.vmdk"), text, strlen(text));
}

TEST(vmdk_descriptors)
{
    static const char *const bad[] = {
        "RW 2048 FLAT \"/etc/hostname\" 0",
        "RW 2048 FLAT \"../x-flat.vmdk\" 0",
        "RW\n2048\nFLAT\n\"/etc/hostname\" 0",
        "  RW 2048FLAT \"/etc/hostname\" 0",
        "RW -1 VMFS \"json:{}\" 0",
        "RW 2048 VMFSSPARSE\"nbd:x:1\"",
        "RW 2048 FLAT \"link-flat.vmdk\" 0",
        "RW 2048 FLAT \"..\" 0",
        "RW 2048 FLAT \"fifo\" 0",
    };
    struct vf_error err;
    struct vf_image *im;

    NEED("qemu-nbd");
    SH("truncate -s 1M x-flat.vmdk; ln -sfn x-flat.vmdk link-flat.vmdk; [ -e fifo ] || mkfifo "
       "fifo");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        descriptor(bad[i]);
        CHECK(!util_open("v.vmdk", NULL, NULL, &err));
        CHECK(err.code == VF_ERR_DENIED || (i == 6 && err.code == VF_ERR_IO));
    }
    descriptor("RW 2048 FLAT \"x-flat.vmdk\" 0");
    im = util_open("v.vmdk", NULL, NULL, &err);
    CHECK_OK(im, &err);
    CHECK_EQ_U64(im->size, MIB);
    vf_image_close(im);
    descriptor("parentFileNameHint=\"/etc/hostname\"\nRW 2048 FLAT \"x-flat.vmdk\" 0");
    fails("v.vmdk", NULL, VF_ERR_UNSUPPORTED, "parent");
}

/* A sparse header of capacity 0 makes QEMU read a descriptor out of the file. */
TEST(vmdk_descriptor_in_disguise)
{
    NEED("qemu-img");
    SH("rm -f s.vmdk; qemu-img create -f vmdk s.vmdk 1M && "
       "printf '\\0\\0\\0\\0\\0\\0\\0\\0' | dd of=s.vmdk bs=1 seek=12 conv=notrunc");
    fails("s.vmdk", NULL, VF_ERR_UNSUPPORTED, "embedded list");
    descriptor("RW 2048 SPARSE \"s.vmdk\" 0");
    fails("v.vmdk", NULL, VF_ERR_UNSUPPORTED, "embedded list");
    SH("rm -f p.vmdk q.vmdk; qemu-img create -f vmdk p.vmdk 1M && "
       "qemu-img create -f vmdk -b p.vmdk -F vmdk q.vmdk");
    fails("q.vmdk", NULL, VF_ERR_UNSUPPORTED, "parent");
}

TEST(vhd_children)
{
    NEED("qemu-img");
    SH("rm -f c.vhd; qemu-img create -f vpc c.vhd 4M && "
       "printf '\\004' | dd of=c.vhd bs=1 seek=63 conv=notrunc");
    fails("c.vhd", NULL, VF_ERR_UNSUPPORTED, "parent");
}

/* ---- others who use the file ---- */

TEST(busy)
{
    struct vf_open_opts o = {.allow_busy = true};
    struct vf_image_desc d;
    struct vf_error err;
    struct vf_image *im;

    NEED("qemu-nbd");
    SH("rm -f u.qcow2 v.vdi; qemu-img create -f qcow2 u.qcow2 1M && qemu-img create -f vdi v.vdi "
       "1M "
       "&& for f in u.qcow2 v.vdi; do qemu-nbd --fork --pid-file=$f.pid -f ${f#*.} -t "
       "-k \"$PWD/$f.sock\" $f; done");
    fails("u.qcow2", NULL, VF_ERR_BUSY, "running QEMU");
    fails("v.vdi", NULL, VF_ERR_BUSY, "running QEMU");
    CHECK_OK(vf_format_stat(AT_FDCWD, vf_test_path("u.qcow2"), NULL, &d, &err), &err);
    im = util_open("u.qcow2", &o, NULL, &err);
    CHECK_OK(im, &err);
    vf_image_close(im);
    im = util_open("v.vdi", &o, NULL, &err);
    CHECK_OK(im, &err);
    vf_image_close(im);
    SH("kill $(cat u.qcow2.pid v.vdi.pid); while kill -0 $(cat u.qcow2.pid v.vdi.pid); do "
       "sleep 0.02; done; true");
    im = util_open("u.qcow2", NULL, NULL, &err);
    CHECK_OK(im, &err);
    vf_image_close(im);
}

TEST(beneath)
{
    struct vf_open_opts o = {.beneath = true};
    struct vf_error err;
    struct vf_image *im;
    int dir;

    SH("mkdir -p j/sub; truncate -s 1M j/a.raw j/sub/b.raw o.raw; ln -sfn a.raw j/l.raw; "
       "ln -sfn sub j/ld");
    dir = open(vf_test_path("j"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(dir >= 0);
    im = vf_format_open(dir, "a.raw", &o, NULL, &err);
    CHECK_OK(im, &err);
    vf_image_close(im);
    im = vf_format_open(dir, "sub/b.raw", &o, NULL, &err);
    CHECK_OK(im, &err);
    vf_image_close(im);
    CHECK_FAIL(vf_format_open(dir, "../o.raw", &o, NULL, &err), &err, VF_ERR_DENIED);
    CHECK_FAIL(vf_format_open(dir, "l.raw", &o, NULL, &err), &err, VF_ERR_DENIED);
    CHECK_FAIL(vf_format_open(dir, "../nothing", &o, NULL, &err), &err, VF_ERR_DENIED);
    CHECK_FAIL(vf_format_open(dir, "ld/b.raw", &o, NULL, &err), &err, VF_ERR_DENIED);
    CHECK_FAIL(vf_format_open(dir, vf_test_path("o.raw"), &o, NULL, &err), &err, VF_ERR_DENIED);
    CHECK_FAIL(vf_format_open(dir, "sub/../a.raw", &o, NULL, &err), &err, VF_ERR_DENIED);
    CHECK_FAIL(vf_format_open(dir, "sub/../../o.raw", &o, NULL, &err), &err, VF_ERR_DENIED);
    CHECK_FAIL(vf_format_open(dir, "..", &o, NULL, &err), &err, VF_ERR_DENIED);
    CHECK_FAIL(vf_format_open(dir, "sub", &o, NULL, &err), &err, VF_ERR_UNSUPPORTED);
    CHECK_FAIL(vf_format_open(dir, "a.raw/", &o, NULL, &err), &err, VF_ERR_DENIED);
    CHECK_FAIL(vf_format_open(dir, "sub/none", &o, NULL, &err), &err, VF_ERR_NOTFOUND);
    o.beneath = false;
    im = vf_format_open(dir, "ld/../l.raw", &o, NULL, &err);
    CHECK_OK(im, &err);
    vf_image_close(im);
    (void)close(dir);
}

TEST(stamps)
{
    struct vf_image_desc a, b;
    struct vf_error err;
    const char *top;

    NEED("qemu-img");
    make_overlay("s.qcow2", "base.raw", "raw");
    top = vf_test_path("in/s.qcow2");
    CHECK_OK(vf_format_stat(AT_FDCWD, top, NULL, &a, &err), &err);
    CHECK_OK(vf_format_stat(AT_FDCWD, top, NULL, &b, &err), &err);
    CHECK(a.stamp == b.stamp && memcmp(&a.file, &b.file, sizeof a.file) == 0);
    SH("touch in/base.raw");
    CHECK_OK(vf_format_stat(AT_FDCWD, top, NULL, &b, &err), &err);
    CHECK(a.stamp != b.stamp && memcmp(&a.file, &b.file, sizeof a.file) == 0);
    SH("touch in/s.qcow2");
    CHECK_OK(vf_format_stat(AT_FDCWD, top, NULL, &b, &err), &err);
    CHECK(memcmp(&a.file, &b.file, sizeof a.file) != 0);
}

/* Nothing that was opened stays open, whatever happens. */
TEST(no_descriptor_leaks)
{
    struct vf_error err;
    int before = dup(0), after;

    (void)close(before);
    make_overlay("n.qcow2", "../out/base.raw", "raw");
    CHECK(!util_open("in/n.qcow2", NULL, NULL, &err));
    make_overlay("n.qcow2", "base.raw", "raw");
    vf_image_close(util_open("in/n.qcow2", NULL, NULL, &err));
    vf_image_close(util_open("in/base.raw", NULL, NULL, &err));
    after = dup(0);
    CHECK_EQ_I64(after, before);
    (void)close(after);
}

TESTS(wrong_names, what_is_no_image, not_allowed, encrypted, backing_outside_is_refused,
      pseudo_names_are_refused, backing_inside_is_fine, allowed_by_name, further_down_the_chain,
      data_file_outside_is_refused, chains_that_never_end, backing_format, vmdk_descriptors,
      vmdk_descriptor_in_disguise, vhd_children, busy, beneath, stamps, no_descriptor_leaks)
