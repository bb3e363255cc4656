/* formats/nbd_dirty.c with the real qemu-nbd: what a bitmap marks, and that there may be none. */
#include "formats/nbd.h"
#include "tests/formats/util.h"

#define MIB (UINT64_C(1) << 20)

struct piece {
    uint64_t off, len;
};

struct pieces {
    size_t n, most;
    struct piece at[16];
};

static int note(void *ctx, uint64_t off, uint64_t len, struct vf_error *err)
{
    struct pieces *p = ctx;

    if (p->n == p->most)
        return vf_error_set(err, VF_ERR_RANGE, 0, "enough");
    p->at[p->n++] = (struct piece){off, len};
    return 0;
}

static void check_piece(const struct pieces *p, size_t i, uint64_t off, uint64_t len)
{
    CHECK(i < p->n);
    CHECK_EQ_U64(p->at[i].off, off);
    CHECK_EQ_U64(p->at[i].len, len);
}

TEST(what_a_bitmap_marks)
{
    struct pieces p = {.most = 16};
    struct vf_error err;
    const char *socket = vf_test_path("sock");

    NEED("qemu-nbd");
    NEED("qemu-io");
    SH("qemu-img create -f qcow2 a.qcow2 3G; qemu-io -c 'write -P 9 5M 1M' a.qcow2;"
       "qemu-img bitmap --add -g 65536 a.qcow2 b0;"
       "qemu-io -c 'write -P 1 0 64k' -c 'write -P 2 1M 128k' -c 'write -P 3 2500M 100' a.qcow2");
    SH("qemu-nbd -r -f qcow2 -B b0 -x e -k '%s' -t --fork --pid-file=pid a.qcow2", socket);
    CHECK_OK(vf_nbd_dirty(socket, "e", "b0", note, &p, &err), &err);
    CHECK_EQ_U64(p.n, 3);
    check_piece(&p, 0, 0, 65536);
    check_piece(&p, 1, MIB, 131072);
    check_piece(&p, 2, 2500 * MIB, 65536);
    p = (struct pieces){.most = 1};
    CHECK_FAIL(vf_nbd_dirty(socket, "e", "b0", note, &p, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(vf_nbd_dirty(socket, "e", "other", note, &p, &err), &err, VF_ERR_UNSUPPORTED);
    SH("kill $(cat pid)");
    CHECK_FAIL(vf_nbd_dirty(vf_test_path("nobody"), "e", "b0", note, &p, &err), &err,
               VF_ERR_UNREACHABLE);
}

TESTS(what_a_bitmap_marks)
