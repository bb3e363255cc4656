/* The literal stream as a receiver takes it apart: plain and compressed, cut into pieces of
 * changing length. */
#include <stdint.h>
#include <string.h>

#include "core/literals/literals.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool base(void *ctx, uint32_t batch, uint64_t *ret_first)
{
    (void)ctx;
    *ret_first = batch * 4096u;
    return batch < 16;
}
static int runs(void *ctx, uint32_t batch, const struct vf_lit_run *r, size_t n,
                struct vf_error *err)
{
    (void)ctx;
    for (size_t i = 0; i < n; i++) {
        if (r[i].run.n == 0 || r[i].run.first < batch * 4096u || r[i].back > r[i].run.first)
            __builtin_trap(); /* the unpacker promised otherwise */
        if (r[i].run.first + r[i].run.n > (batch + 1) * 4096u)
            return vf_error_set(err, VF_ERR_PROTOCOL, 0, "outside");
    }
    return 0;
}
static int blocks(void *ctx, uint32_t batch, uint64_t first, size_t n, const uint8_t *data,
                  struct vf_error *err)
{
    uint8_t *image = ctx;

    (void)err;
    if (first < batch * 4096u || first + n > (batch + 1) * 4096u)
        __builtin_trap();
    for (size_t i = 0; i < n; i++)
        image[(first + i) % 64] ^= data[i * VF_BLOCK]; /* reads every block */
    return 0;
}
static int again(void *ctx, uint32_t batch, struct vf_run run, uint64_t back, struct vf_error *err)
{
    (void)ctx, (void)err;
    if (back == 0 || back > run.first || run.first < batch * 4096u)
        __builtin_trap();
    return 0;
}
static int quoted(void *ctx, uint32_t batch, uint64_t from, uint8_t *to, size_t len,
                  struct vf_error *err)
{
    (void)ctx, (void)err;
    if (len == 0 || from + len > (batch + 1) * 4096u * (uint64_t)VF_BLOCK)
        __builtin_trap();
    memset(to, (int)from, len);
    return 0;
}
static int seal(void *ctx, uint32_t batch, const uint8_t sha[VF_SHA_LEN], struct vf_error *err)
{
    (void)ctx, (void)batch, (void)sha, (void)err;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct vf_unpack_ops ops = {base, runs, blocks, again, quoted, seal};
    uint8_t image[64] = {0};
    struct vf_unpacker *u = vf_unpacker_new(20, &ops, image, NULL);
    size_t piece = len ? data[len - 1] + 1u : 1;

    if (!u)
        return 0;
    for (size_t at = 0, n; at < len; at += n) {
        n = len - at < piece ? len - at : piece;
        if (vf_unpacker_feed(u, data + at, n, NULL) < 0)
            break;
    }
    vf_unpacker_free(u);
    return 0;
}
