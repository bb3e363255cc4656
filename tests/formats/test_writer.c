/* Tests of formats/writer.c, with the real qemu-img and qemu-nbd. */
#include "formats/writer.h"

#include <signal.h>

#include "tests/formats/util.h"

#define MIB (UINT64_C(1) << 20)

static int test_dir(void)
{
    int fd = open(vf_test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    CHECK(fd >= 0);
    return fd;
}

/* Random writes and zeros, applied to im and to a model in memory, then read back and compared. */
static void scribble(struct vf_image *im, uint8_t *model, uint64_t seed, unsigned rounds)
{
    static uint8_t buf[300000];
    struct vf_error err;

    for (unsigned i = 0; i < rounds; i++) {
        uint64_t r[4], off, len;

        vf_test_random(seed * 100000 + i, r, sizeof r);
        off = r[0] % im->size;
        len = r[1] % sizeof buf;
        if (r[3] & 1) { /* what the engine does: whole blocks */
            off &= ~UINT64_C(511);
            len &= ~UINT64_C(511);
        }
        if (len > im->size - off)
            len = im->size - off;
        if (r[2] % 3 == 0) {
            CHECK_OK(vf_image_zero(im, off, len, &err), &err);
            memset(model + off, 0, (size_t)len);
        } else {
            vf_test_random(r[2], buf, (size_t)len);
            CHECK_OK(vf_image_write(im, buf, (size_t)len, off, &err), &err);
            memcpy(model + off, buf, (size_t)len);
        }
        if (i % 8 == 0) {
            off = r[3] % im->size;
            len = im->size - off < sizeof buf ? im->size - off : sizeof buf;
            CHECK_OK(vf_image_read(im, buf, (size_t)len, off, &err), &err);
            CHECK_MEM(buf, model + off, (size_t)len);
        }
    }
}

/* One format from creation to qemu-img check, compared by our own reading and by QEMU's. */
static void round_trip(const char *format, const char *name, uint64_t size, uint32_t cluster,
                       const char *compat)
{
    struct vf_image_desc like = {.format = format, .virtual_size = size, .cluster_size = cluster};
    struct vf_open_opts o = {.format = format};
    uint8_t *model = calloc(1, size ? size : 1);
    struct vf_error err;
    struct vf_image *im;
    int dir = test_dir();
    struct stat st;

    CHECK(model != NULL);
    (void)snprintf(like.compat, sizeof like.compat, "%s", compat);
    im = vf_writer_create(dir, name, &like, &err);
    CHECK_OK(im, &err);
    CHECK(im->writable);
    CHECK_EQ_U64(im->size, size);
    CHECK(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0);
    CHECK_EQ_U64(st.st_mode & 07777, 0600);
    scribble(im, model, cluster + size, 60);
    CHECK_OK(vf_image_flush(im, &err), &err);
    vf_image_close(im);
    CHECK_OK(vf_writer_check(dir, name, format, &err), &err);
    vf_test_write_file(vf_test_path("model.raw"), model, size);
    im = util_open(name, &o, NULL, &err);
    CHECK_OK(im, &err);
    util_compare(im, vf_test_path("model.raw"));
    vf_image_close(im);
    SH("qemu-img compare -f raw -F %s model.raw %s", format, name);
    free(model);
    (void)close(dir);
}

TEST(raw) { round_trip("raw", "t.raw", 9 * MIB + 513, 0, ""); }
TEST(qcow2)
{
    NEED("qemu-nbd");
    round_trip("qcow2", "t.qcow2", 9 * MIB + 512, 0, "");
    round_trip("qcow2", "t2.qcow2", 9 * MIB, 65536, "0.10");
    round_trip("qcow2", "t3.qcow2", 5 * MIB, 512, "1.1");
    round_trip("qcow2", "t4.qcow2", 20 * MIB, 2u << 20, "1.1");
}
TEST(vmdk)
{
    NEED("qemu-nbd");
    round_trip("vmdk", "t.vmdk", 9 * MIB + 512, 0, "");
}
TEST(vdi)
{
    NEED("qemu-nbd");
    round_trip("vdi", "t.vdi", 9 * MIB + 512, 0, "");
}
TEST(vhdx)
{
    NEED("qemu-nbd");
    round_trip("vhdx", "t.vhdx", 9 * MIB, 0, "");
}
TEST(qed)
{
    NEED("qemu-nbd");
    round_trip("qed", "t.qed", 9 * MIB + 512, 0, "");
}

/* What was never written costs nothing and reads as zeros. */
TEST(sparse)
{
    struct vf_image_desc raw = {.format = "raw", .virtual_size = UINT64_C(1) << 40};
    struct vf_image_desc qcow2 = {.format = "qcow2", .virtual_size = UINT64_C(1) << 40};
    const struct vf_image_desc *both[] = {&raw, &qcow2};
    int dir = test_dir();

    NEED("qemu-nbd");
    for (int i = 0; i < 2; i++) {
        struct vf_error err;
        struct vf_image *im = vf_writer_create(dir, "s", both[i], &err);
        struct stat st;

        CHECK_OK(im, &err);
        CHECK_OK(vf_image_write(im, "end", 3, im->size - 3, &err), &err);
        CHECK_OK(vf_image_zero(im, 512, im->size - 512, &err), &err);
        CHECK_OK(vf_image_write(im, "begin", 5, 0, &err), &err);
        CHECK_OK(vf_image_flush(im, &err), &err);
        CHECK(util_zero_bytes(im) > im->size - 4 * MIB);
        vf_image_close(im);
        CHECK(fstatat(dir, "s", &st, 0) == 0 && st.st_blocks < 3 * 2048);
        CHECK(unlinkat(dir, "s", 0) == 0);
    }
    (void)close(dir);
}

static void refused(const char *name, const char *format, uint64_t size, enum vf_err code)
{
    struct vf_image_desc like = {.format = format, .virtual_size = size};
    struct vf_error err;
    int dir = test_dir();

    CHECK_FAIL(vf_writer_create(dir, name, &like, &err), &err, code);
    (void)close(dir);
}

TEST(what_cannot_be_made)
{
    SH("rm -rf old sub link; echo old >old; mkdir sub; ln -s nowhere link");
    refused("old", "raw", MIB, VF_ERR_EXISTS);
    refused("sub", "raw", MIB, VF_ERR_EXISTS);
    refused("link", "raw", MIB, VF_ERR_EXISTS);
    refused("link", "qcow2", MIB, VF_ERR_EXISTS);
    refused("sub/x", "raw", MIB, VF_ERR_USAGE);
    refused("..", "raw", MIB, VF_ERR_USAGE);
    refused("", "raw", MIB, VF_ERR_USAGE);
    refused("new", "qcow2", MIB + 1, VF_ERR_UNSUPPORTED);
    refused("new", "vpc", MIB, VF_ERR_UNSUPPORTED);
    refused("new", "luks", MIB, VF_ERR_UNSUPPORTED);
    refused("new", "floppy", MIB, VF_ERR_USAGE);
    refused("new", "raw", UINT64_MAX, VF_ERR_SPACE);
    SH("[ \"$(cat old)\" = old ] && [ ! -e nowhere ] && [ ! -e new ] && [ -z \"$(ls sub)\" ]");
    CHECK(vf_writer_can("raw") && vf_writer_can("qcow2") && !vf_writer_can("vpc"));
    CHECK(!vf_writer_can("nonsense"));
}

TEST(without_qemu)
{
    char *path = strdup(getenv("PATH"));

    CHECK(path && setenv("PATH", "/nonexistent", 1) == 0);
    refused("new", "qcow2", MIB, VF_ERR_UNSUPPORTED);
    CHECK(setenv("PATH", path, 1) == 0);
    free(path);
    SH("[ ! -e new ]");
}

/* ---- going on with what an earlier run left ---- */

static struct vf_image *reopen(const char *name, const char *format, uint64_t size,
                               uint32_t cluster, struct vf_error *err)
{
    struct vf_image_desc like = {.format = format, .virtual_size = size, .cluster_size = cluster};
    int dir = test_dir();
    struct vf_image *im = vf_writer_reopen(dir, name, &like, err);

    (void)close(dir);
    return im;
}

TEST(reopen_raw)
{
    struct vf_error err;
    struct vf_image *im;
    char buf[4] = "";

    SH("rm -f p; truncate -s 1M p; printf abc | dd of=p conv=notrunc");
    im = reopen("p", "raw", MIB, 0, &err);
    CHECK_OK(im, &err);
    CHECK_OK(vf_image_read(im, buf, 3, 0, &err), &err);
    CHECK_STR(buf, "abc");
    CHECK_OK(vf_image_write(im, "x", 1, 0, &err), &err);
    vf_image_close(im);
    CHECK_FAIL(reopen("p", "raw", MIB + 1, 0, &err), &err, VF_ERR_FORMAT);
    CHECK_FAIL(reopen("p", "qcow2", MIB, 0, &err), &err, VF_ERR_FORMAT);
    CHECK_FAIL(reopen("none", "raw", MIB, 0, &err), &err, VF_ERR_NOTFOUND);
    SH("ln -sfn p l; rm -f h1 h2; truncate -s 1M h1; ln h1 h2; rm -rf d; mkdir d; rm -f f; "
       "mkfifo f");
    CHECK_FAIL(reopen("l", "raw", MIB, 0, &err), &err, VF_ERR_DENIED);
    CHECK_FAIL(reopen("h1", "raw", MIB, 0, &err), &err, VF_ERR_DENIED);
    CHECK_FAIL(reopen("f", "raw", MIB, 0, &err), &err, VF_ERR_DENIED);
    CHECK(!reopen("d", "raw", MIB, 0, &err));
}

TEST(reopen_qcow2)
{
    struct vf_error err;
    struct vf_image *im;
    char buf[4] = "";
    int dir = test_dir();

    NEED("qemu-io");
    SH("rm -f p.part; qemu-img create -f qcow2 p.part 4M && qemu-io -f qcow2 -c 'write -P 65 1M "
       "1M' "
       "p.part");
    im = reopen("p.part", "qcow2", 4 * MIB, 0, &err);
    CHECK_OK(im, &err);
    CHECK_OK(vf_image_read(im, buf, 3, MIB, &err), &err);
    CHECK_STR(buf, "AAA");
    CHECK_OK(vf_image_write(im, "x", 1, 3 * MIB, &err), &err);
    CHECK_OK(vf_image_flush(im, &err), &err);
    vf_image_close(im);
    CHECK_OK(vf_writer_check(dir, "p.part", "qcow2", &err), &err);
    CHECK_FAIL(reopen("p.part", "qcow2", 5 * MIB, 0, &err), &err, VF_ERR_FORMAT);
    CHECK_FAIL(reopen("p.part", "qcow2", 4 * MIB, 4096, &err), &err, VF_ERR_FORMAT);
    CHECK_FAIL(reopen("p.part", "vdi", 4 * MIB, 0, &err), &err, VF_ERR_FORMAT);
    /* A leaked cluster (refcount without user) is repaired; a lost one is not accepted. */
    SH("cp p.part q.part; qemu-io -f qcow2 -c 'write -P 1 0 1M' q.part; "
       "qemu-img snapshot -c s q.part; cp q.part leak.part; "
       "printf '\\0\\0\\0\\0' | dd of=leak.part bs=1 seek=60 conv=notrunc; "
       "! qemu-img check -f qcow2 leak.part");
    im = reopen("leak.part", "qcow2", 4 * MIB, 0, &err);
    CHECK_OK(im, &err);
    vf_image_close(im);
    CHECK_OK(vf_writer_check(dir, "leak.part", "qcow2", &err), &err);
    SH("cp p.part bad.part; dd if=/dev/zero of=bad.part bs=64k seek=2 count=1 conv=notrunc");
    CHECK_FAIL(reopen("bad.part", "qcow2", 4 * MIB, 0, &err), &err, VF_ERR_FORMAT);
    CHECK_FAIL(vf_writer_check(dir, "bad.part", "qcow2", &err), &err, VF_ERR_FORMAT);
    SH("qemu-img rebase -u -f qcow2 -b /etc/hostname -F raw p.part");
    CHECK_FAIL(reopen("p.part", "qcow2", 4 * MIB, 0, &err), &err, VF_ERR_FORMAT);
    (void)close(dir);
}

/* A writer that is killed leaves a file that can be continued or that is refused as damaged; what
 * was flushed is in it. */
TEST(killed_while_writing)
{
    struct vf_image_desc like = {.format = "qcow2", .virtual_size = 64 * MIB};
    struct vf_error err;
    int dir = test_dir();

    NEED("qemu-nbd");
    for (unsigned round = 0; round < 4; round++) {
        char buf[6] = "";
        struct vf_image *im;
        int fds[2];
        pid_t pid;

        SH("rm -f k.part");
        CHECK(pipe(fds) == 0);
        pid = fork();
        if (pid == 0) {
            static uint8_t data[100000];

            im = vf_writer_create(dir, "k.part", &like, &err);
            if (!im || vf_image_write(im, "flush", 5, 32 * MIB, &err) < 0 ||
                vf_image_flush(im, &err) < 0 || write(fds[1], "x", 1) != 1)
                _exit(1);
            for (uint64_t i = 0;; i++)
                if (vf_image_write(im, data, sizeof data, i * 98765 % (30 * MIB), &err) < 0)
                    _exit(1);
        }
        (void)close(fds[1]);
        CHECK(read(fds[0], buf, 1) == 1);
        (void)usleep(3000 + round * 7000);
        CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
        (void)close(fds[0]);
        /* QEMU is being killed too; until then it holds its lock. */
        for (int i = 0; i < 500; i++) {
            im = vf_writer_reopen(dir, "k.part", &like, &err);
            if (im || err.code != VF_ERR_BUSY)
                break;
            (void)usleep(10000);
        }
        CHECK_OK(im, &err);
        CHECK_OK(vf_image_read(im, buf, 5, 32 * MIB, &err), &err);
        CHECK_STR(buf, "flush");
        vf_image_close(im);
        CHECK_OK(vf_writer_check(dir, "k.part", "qcow2", &err), &err);
    }
    (void)close(dir);
}

/* The error that a full disk gives. */
TEST(no_space)
{
    static uint8_t data[1 << 20];
    static const char *const formats[] = {"raw", "qcow2"};
    struct vf_error err;
    int dir;

    NEED("qemu-nbd");
    if (util_try("mkdir -p full && mount -t tmpfs -o size=4m none full") != 0)
        SKIP("no right to mount a small file system");
    dir = open(vf_test_path("full"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    memset(data, 7, sizeof data);
    for (int i = 0; i < 2; i++) {
        struct vf_image_desc like = {.format = formats[i], .virtual_size = 64 * MIB};
        struct vf_image *im = vf_writer_create(dir, "x", &like, &err);
        int rc = 0;

        for (uint64_t off = 0; im && rc == 0 && off < im->size; off += sizeof data)
            rc = vf_image_write(im, data, sizeof data, off, &err);
        vf_image_close(im);
        if (rc == 0 || err.code != VF_ERR_SPACE || unlinkat(dir, "x", 0) < 0)
            break;
    }
    (void)close(dir);
    SH("umount full");
    CHECK_EQ_I64(err.code, VF_ERR_SPACE);
}

TESTS(raw, qcow2, vmdk, vdi, vhdx, qed, sparse, what_cannot_be_made, without_qemu, reopen_raw,
      reopen_qcow2, killed_while_writing, no_space)
