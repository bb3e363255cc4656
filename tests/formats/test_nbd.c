/* Tests of formats/nbd.c and formats/qemu.c with the real qemu-nbd: every format that libqcow does
 * not read, compared with qemu-img. */
#include "formats/nbd.h"

#include <errno.h>
#include <signal.h>
#include <sys/un.h>
#include <time.h>

#include "formats/chain.h"
#include "tests/formats/util.h"

#define MIB (UINT64_C(1) << 20)

/* Is the image read through QEMU?  Then compares it. */
static void check_nbd(const char *name, const char *format)
{
    struct vf_error err;
    struct vf_image *im = util_open(name, NULL, NULL, &err);

    CHECK_OK(im, &err);
    CHECK_STR(im->ops->name, "nbd");
    vf_image_close(im);
    util_same_as_qemu(name, format, NULL);
}

/* Converts a.raw to name; opts as for qemu-img. */
static void convert_to(const char *name, const char *format, const char *opts)
{
    SH("rm -f '%s'; qemu-img convert -f raw -O %s %s a.raw '%s'", name, format, opts, name);
}

TEST(qcow2_that_libqcow_cannot_read)
{
    NEED("qemu-nbd");
    util_make_raw("a.raw", 7 * MIB + 512, 1);
    convert_to("zstd.qcow2", "qcow2", "-c -o compression_type=zstd");
    check_nbd("zstd.qcow2", "qcow2");
    convert_to("ext.qcow2", "qcow2", "-o extended_l2=on,cluster_size=128k");
    SH("qemu-io -c 'write -z 1M 20k' -c 'write -P 3 2M 2k' ext.qcow2");
    check_nbd("ext.qcow2", "qcow2");
}

TEST(data_file)
{
    struct vf_image_desc d;
    struct vf_error err;

    NEED("qemu-nbd");
    util_make_raw("a.raw", 3 * MIB, 2);
    convert_to("df.qcow2", "qcow2", "-o data_file=df.data,data_file_raw=on");
    check_nbd("df.qcow2", "qcow2");
    CHECK_OK(vf_format_stat(AT_FDCWD, vf_test_path("df.qcow2"), NULL, &d, &err), &err);
    CHECK_EQ_U64(d.files, 2);
}

TEST(other_formats)
{
    NEED("qemu-nbd");
    util_make_raw("a.raw", 7 * MIB + 512, 3);
    convert_to("a.vdi", "vdi", "");
    check_nbd("a.vdi", "vdi");
    convert_to("a.vhdx", "vhdx", "");
    check_nbd("a.vhdx", "vhdx");
    convert_to("a.qed", "qed", "");
    check_nbd("a.qed", "qed");
    convert_to("a.qcow", "qcow", "");
    check_nbd("a.qcow", "qcow");
    convert_to("a.hdd", "parallels", "");
    check_nbd("a.hdd", "parallels");
    convert_to("dyn.vhd", "vpc", "");
    check_nbd("dyn.vhd", "vpc");
    convert_to("fix.vhd", "vpc", "-o subformat=fixed,force_size=on");
    check_nbd("fix.vhd", "vpc");
}

TEST(vmdk)
{
    NEED("qemu-nbd");
    util_make_raw("a.raw", 7 * MIB, 4);
    convert_to("sparse.vmdk", "vmdk", "");
    check_nbd("sparse.vmdk", "vmdk");
    convert_to("stream.vmdk", "vmdk", "-o subformat=streamOptimized");
    check_nbd("stream.vmdk", "vmdk");
    convert_to("flat x\\.vmdk", "vmdk", "-o subformat=monolithicFlat");
    check_nbd("flat x\\.vmdk", "vmdk");
    SH("rm -f big.raw; truncate -s 5G big.raw && printf hello | dd of=big.raw bs=1M seek=4500 "
       "conv=notrunc && qemu-img convert -f raw -O vmdk -o subformat=twoGbMaxExtentSparse big.raw "
       "split.vmdk");
    {
        struct vf_error err;
        struct vf_image *im = util_open("split.vmdk", NULL, NULL, &err);
        char buf[6] = "";

        CHECK_OK(im, &err);
        CHECK_EQ_U64(im->size, UINT64_C(5) << 30);
        CHECK_OK(vf_image_read(im, buf, 5, 4500 * MIB, &err), &err);
        CHECK_STR(buf, "hello");
        CHECK(util_zero_bytes(im) >= (UINT64_C(5) << 30) - MIB);
        vf_image_close(im);
    }
}

TEST(backing_chains)
{
    struct vf_image_desc d;
    struct vf_error err;

    NEED("qemu-nbd");
    util_make_raw("base.raw", 6 * MIB + 1024, 5);
    SH("rm -f mid.qcow2 top.qcow2; qemu-img create -f qcow2 -b base.raw -F raw mid.qcow2 && "
       "qemu-io -c 'write -P 5 100k 1M' -c 'write -z 3M 64k' mid.qcow2 && "
       "qemu-img create -f qcow2 -b mid.qcow2 -F qcow2 top.qcow2 8M && "
       "qemu-io -c 'write -P 6 1001k 3k' top.qcow2");
    check_nbd("top.qcow2", "qcow2");
    CHECK_OK(vf_format_stat(AT_FDCWD, vf_test_path("top.qcow2"), NULL, &d, &err), &err);
    CHECK(d.backing && d.files == 3);
    SH("rm -f top.qed; qemu-img create -f qed -b base.raw -F raw top.qed && "
       "qemu-io -f qed -c 'write -P 6 1001k 3k' top.qed");
    check_nbd("top.qed", "qed");
}

/* A qcow2 image on a block device, as volume managers have them. */
TEST(on_a_block_device)
{
    struct vf_open_opts o = {.format = "qcow2"};
    char loop[64] = "";
    struct vf_error err;
    struct vf_image *im;
    bool same = false;
    FILE *f;

    NEED("qemu-nbd");
    util_make_raw("a.raw", 3 * MIB, 8);
    convert_to("b.qcow2", "qcow2", "-c -o compression_type=zstd");
    if (util_try("losetup -r -f --show b.qcow2 > loop") != 0)
        SKIP("no loop devices here");
    f = fopen(vf_test_path("loop"), "re");
    CHECK(f && fgets(loop, sizeof loop, f));
    (void)fclose(f);
    loop[strcspn(loop, "\n")] = 0;
    im = vf_format_open(AT_FDCWD, loop, &o, NULL, &err);
    if (im) {
        util_compare(im, vf_test_path("a.raw"));
        same = true;
    }
    vf_image_close(im);
    SH("losetup -d %s", loop);
    if (!same)
        printf("%s\n", err.msg);
    CHECK(same);
}

/* Those that have a file of this test open: others may run beside it. */
static int count_servers(void)
{
    char command[1024];
    FILE *f;
    int n = -1;

    snprintf(command, sizeof command,
             "for p in $(pgrep -x qemu-nbd); do find /proc/$p/fd -lname \"$(realpath '%s')/*\" "
             "-print -quit; done 2>/dev/null | wc -l",
             vf_test_path("."));
    f = popen(command, "re");
    CHECK(f != NULL);
    CHECK(fscanf(f, "%d", &n) == 1);
    (void)pclose(f);
    return n;
}

/* The socket's directory is gone while the image is still open, and the server after closing. */
TEST(leaves_nothing_behind)
{
    struct vf_error err;
    struct vf_image *im;
    int before;

    NEED("qemu-nbd");
    SH("mkdir -p tmp; rm -f l.vdi; qemu-img create -f vdi l.vdi 1M");
    CHECK(setenv("TMPDIR", vf_test_path("tmp"), 1) == 0);
    before = count_servers();
    im = util_open("l.vdi", NULL, NULL, &err);
    CHECK(unsetenv("TMPDIR") == 0);
    CHECK_OK(im, &err);
    CHECK_EQ_I64(count_servers(), before + 1);
    SH("[ -z \"$(ls tmp)\" ]");
    vf_image_close(im);
    CHECK_EQ_I64(count_servers(), before);
}

/* When the program is killed, its servers go too. */
TEST(dies_with_us)
{
    int before, fds[2], n;
    char ch;
    pid_t pid;

    NEED("qemu-nbd");
    SH("rm -f k.vdi; qemu-img create -f vdi k.vdi 1M");
    before = count_servers();
    CHECK(pipe(fds) == 0);
    pid = fork();
    if (pid == 0) {
        struct vf_error err;

        if (util_open("k.vdi", NULL, NULL, &err))
            (void)!write(fds[1], "x", 1);
        (void)pause();
        _exit(0);
    }
    (void)close(fds[1]);
    CHECK(read(fds[0], &ch, 1) == 1);
    CHECK_EQ_I64(count_servers(), before + 1);
    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(waitpid(pid, NULL, 0) == pid);
    for (n = 0; n < 500 && count_servers() != before; n++)
        (void)usleep(10000);
    CHECK_EQ_I64(count_servers(), before);
    (void)close(fds[0]);
}

TEST(errors_are_clear)
{
    struct vf_open_opts vdi = {.format = "vdi"};
    struct vf_error err;
    char *path;

    NEED("qemu-nbd");
    util_make_raw("x.raw", MIB, 7);
    CHECK_FAIL(util_open("x.raw", &vdi, NULL, &err), &err, VF_ERR_IO);
    CHECK_HAS(err.msg, "VDI");
    CHECK(!strchr(err.msg, '{')); /* not QEMU's block graph */
    SH("rm -f y.vdi; qemu-img create -f vdi y.vdi 1M");
    path = strdup(getenv("PATH"));
    CHECK(path && setenv("PATH", "/nonexistent", 1) == 0);
    CHECK_FAIL(util_open("y.vdi", NULL, NULL, &err), &err, VF_ERR_UNSUPPORTED);
    CHECK(setenv("PATH", path, 1) == 0);
    free(path);
    CHECK_HAS(err.msg, "qemu-utils");
}

TEST(threads)
{
    struct vf_open_opts o = {.readers = 3};
    struct vf_error err;
    struct vf_image *im;

    NEED("qemu-nbd");
    util_make_raw("a.raw", 8 * MIB, 12);
    convert_to("m.vdi", "vdi", "");
    im = util_open("m.vdi", &o, NULL, &err);
    CHECK_OK(im, &err);
    util_read_in_threads(im, vf_test_path("a.raw"));
    vf_image_close(im);
}

/* A server that is not ours, by its socket. */
TEST(foreign_server)
{
    struct vf_error err;
    struct vf_image *im = NULL;
    char *sock = strdup(vf_test_path("f.sock"));

    NEED("qemu-nbd");
    util_make_raw("a.raw", 2 * MIB, 13);
    CHECK_FAIL(vf_nbd_connect(sock, "", false, 1, &err), &err, VF_ERR_UNREACHABLE);
    SH("qemu-nbd --fork -f raw -x disk0 -r -e 2 -k \"$PWD/f.sock\" a.raw");
    im = vf_nbd_connect(sock, "disk0", false, 2, &err);
    CHECK_OK(im, &err);
    util_compare(im, vf_test_path("a.raw"));
    vf_image_close(im);
    free(sock);
}

/* A server that ends while the image is in use: an error, neither a crash nor a hang. */
TEST(lost_server)
{
    struct vf_error err;
    struct vf_image *im;
    uint8_t buf[512];

    NEED("qemu-nbd");
    SH("rm -f g.vdi; qemu-img create -f vdi g.vdi 1M && "
       "qemu-nbd --fork --pid-file=g.pid -f vdi -k \"$PWD/g.sock\" g.vdi");
    im = vf_nbd_connect(vf_test_path("g.sock"), "", true, 1, &err);
    CHECK_OK(im, &err);
    CHECK_OK(vf_image_write(im, "x", 1, 0, &err), &err);
    SH("kill -9 $(cat g.pid)");
    CHECK_FAIL(vf_image_read(im, buf, sizeof buf, 0, &err), &err, VF_ERR_IO);
    CHECK_FAIL(vf_image_write(im, buf, sizeof buf, 0, &err), &err, VF_ERR_IO);
    CHECK_FAIL(vf_image_flush(im, &err), &err, VF_ERR_IO);
    vf_image_close(im);
}

TESTS(qcow2_that_libqcow_cannot_read, data_file, other_formats, vmdk, backing_chains,
      on_a_block_device, leaves_nothing_behind, dies_with_us, errors_are_clear, threads,
      foreign_server, lost_server)
