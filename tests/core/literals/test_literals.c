/* core/literals_*.c: what is packed is unpacked, whatever way the bytes are cut; hostile streams
 * fail cleanly. */
#include "core/literals/literals.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "core/buf.h"
#include "core/literals/literals_impl.h"
#include "tests/lib/check.h"

#define BLOCKS 100000u

struct copy {
    struct vf_buf stream;
    uint8_t *data; /* the image as it comes out */
    uint64_t runs, backs, seals, quoted;
    uint8_t sha[VF_SHA_LEN];
};

static int keep(void *ctx, uint8_t **buffer, size_t len, struct vf_error *err)
{
    return vf_buf_add(ctx, *buffer, len, err);
}

static bool base(void *ctx, uint32_t batch, uint64_t *ret_first)
{
    (void)ctx;
    *ret_first = batch * 1000u;
    return batch < 100;
}
static int runs(void *ctx, uint32_t batch, const struct vf_lit_run *r, size_t n,
                struct vf_error *err)
{
    struct copy *c = ctx;

    (void)batch;
    for (size_t i = 0; i < n; i++) {
        if (r[i].run.first + r[i].run.n > BLOCKS)
            return vf_error_set(err, VF_ERR_PROTOCOL, 0, "outside");
        c->runs++;
        c->backs += r[i].back != 0;
    }
    return 0;
}
static int blocks(void *ctx, uint32_t batch, uint64_t first, size_t n, const uint8_t *data,
                  struct vf_error *err)
{
    struct copy *c = ctx;

    (void)batch, (void)err;
    CHECK(first + n <= BLOCKS);
    memcpy(c->data + first * VF_BLOCK, data, n * VF_BLOCK);
    return 0;
}
static int again(void *ctx, uint32_t batch, struct vf_run run, uint64_t back, struct vf_error *err)
{
    struct copy *c = ctx;

    (void)batch, (void)err;
    CHECK(back <= run.first);
    for (uint64_t i = 0; i < run.n * VF_BLOCK; i++)
        c->data[run.first * VF_BLOCK + i] = c->data[(run.first - back) * VF_BLOCK + i];
    return 0;
}
static int quoted(void *ctx, uint32_t batch, uint64_t from, uint8_t *to, size_t len,
                  struct vf_error *err)
{
    struct copy *c = ctx;

    (void)batch, (void)err;
    c->quoted += len;
    memcpy(to, c->data + from, len);
    return 0;
}
static int seal(void *ctx, uint32_t batch, const uint8_t sha[VF_SHA_LEN], struct vf_error *err)
{
    struct copy *c = ctx;

    (void)batch, (void)err;
    c->seals++;
    memcpy(c->sha, sha, VF_SHA_LEN);
    return 0;
}
static const struct vf_unpack_ops ops = {base, runs, blocks, again, quoted, seal};

/* Packs three batches of random and repeating blocks; want gets the image. */
static void pack(int level, struct vf_buf *out, uint8_t *want)
{
    static uint8_t data[900 * VF_BLOCK];
    uint8_t sha[VF_SHA_LEN];
    struct vf_error err;
    struct vf_pack_opts o = {.level = level, .most = 19, .window_log = 24, .rich = level == 1};
    struct vf_packer *p = vf_packer_new(&o, keep, out, &err);

    CHECK_OK(p, &err);
    for (uint32_t b = 0; b < 3; b++) {
        struct vf_lit_run r[] = {
            {{b * 1000u + 5, 400}, 0}, {{b * 1000u + 405, 3}, 7}, {{b * 1000u + 500, 500}, 0}};

        struct vf_quote q[] = {{300, 1000, 1005 * VF_BLOCK + 77}, {400 * VF_BLOCK, 90000, 17}};
        struct vf_pack_runs record = {
            .batch = b, .n = 3, .runs = r, .data = data, .len = sizeof data};

        vf_test_random(b, data, sizeof data);
        memset(data + 100 * VF_BLOCK, (int)b + 1, 300 * VF_BLOCK);
        memcpy(want + r[0].run.first * VF_BLOCK, data, 400 * VF_BLOCK);
        memcpy(want + r[2].run.first * VF_BLOCK, data + 400 * VF_BLOCK, 500 * VF_BLOCK);
        memcpy(want + r[1].run.first * VF_BLOCK, want + (r[1].run.first - 7) * VF_BLOCK,
               3 * VF_BLOCK);
        if (b ==
            2) { /* 1000 bytes of the first run, then the last byte of it on, are from batch 1 */
            memcpy(data + 300, want + 1005 * VF_BLOCK + 77, 1000);
            memcpy(data + 400 * VF_BLOCK, want + 17, 90000);
            memcpy(want + r[0].run.first * VF_BLOCK, data, 400 * VF_BLOCK);
            memcpy(want + r[2].run.first * VF_BLOCK, data + 400 * VF_BLOCK, 500 * VF_BLOCK);
            memmove(data + 300, data + 1300, sizeof data - 1300);
            memmove(data + 400 * VF_BLOCK - 1000, data + 400 * VF_BLOCK - 1000 + 90000,
                    500 * VF_BLOCK - 90000);
            record.quotes = q;
            record.nquotes = 2;
            record.len -= 91000;
        }
        CHECK_OK(vf_packer_runs(p, b * 1000u, &record, &err), &err);
        memset(sha, (int)b, sizeof sha);
        CHECK_OK(vf_packer_seal(p, b, sha, &err), &err);
        if (b == 1)
            CHECK_OK(vf_packer_flush(p, &err), &err);
    }
    CHECK_OK(vf_packer_flush(p, &err), &err);
    vf_packer_free(p);
}

static void round_trip(int level, size_t cut)
{
    struct copy c = {.data = calloc(BLOCKS, VF_BLOCK)};
    uint8_t *want = calloc(BLOCKS, VF_BLOCK);
    struct vf_error err;
    struct vf_unpacker *u = vf_unpacker_new(27, &ops, &c, &err);

    CHECK(c.data && want && u);
    pack(level, &c.stream, want);
    for (size_t at = 0; at < c.stream.len; at += cut) {
        size_t n = c.stream.len - at < cut ? c.stream.len - at : cut;

        CHECK_OK(vf_unpacker_feed(u, c.stream.data + at, n, &err), &err);
    }
    CHECK_MEM(c.data, want, (size_t)BLOCKS * VF_BLOCK);
    CHECK_EQ_U64(c.runs, 9);
    CHECK_EQ_U64(c.backs, 3);
    CHECK_EQ_U64(c.seals, 3);
    CHECK_EQ_U64(c.quoted, 91000);
    CHECK_EQ_U64(c.sha[31], 2);
    vf_unpacker_free(u);
    vf_buf_free(&c.stream);
    free(c.data);
    free(want);
}

TEST(round_trips)
{
    static const size_t cuts[] = {1, 7, 511, 512, 513, 4096, 65536, 1u << 24};

    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++)
        for (int level = -1; level <= 3; level += 2)
            round_trip(level < 0 ? 0 : level == 1 ? VF_LEVEL_AUTO : level, cuts[i]);
}

/* Appends a frame that does not say how much it holds, as the packer's do. */
static void add_frame(struct vf_buf *to, int window_log, const uint8_t *data, size_t len)
{
    ZSTD_CCtx *z = ZSTD_createCCtx();
    ZSTD_inBuffer in = {data, len, 0};
    ZSTD_outBuffer out = {malloc(ZSTD_compressBound(len)), ZSTD_compressBound(len), 0};
    ZSTD_inBuffer nothing = {NULL, 0, 0};
    struct vf_error err;

    CHECK(z && out.dst);
    ZSTD_CCtx_setParameter(z, ZSTD_c_windowLog, window_log);
    while (in.pos < in.size)
        CHECK(!ZSTD_isError(ZSTD_compressStream2(z, &out, &in, ZSTD_e_continue)));
    CHECK(ZSTD_compressStream2(z, &out, &nothing, ZSTD_e_end) == 0);
    CHECK_OK(vf_buf_add(to, out.dst, out.pos, &err), &err);
    free(out.dst);
    ZSTD_freeCCtx(z);
}

/* A new level is a new frame: what a large window took is given back with the frame that had it. */
TEST(frames)
{
    const size_t large = (size_t)1100 << 10, small = 1000;
    struct copy c = {.data = calloc(BLOCKS, VF_BLOCK)};
    uint8_t *want = calloc(BLOCKS, VF_BLOCK);
    struct vf_buf plain = VF_BUF_INIT;
    struct vf_error err;
    const uint8_t coding = CODE_ZSTD;
    struct vf_unpacker *u = vf_unpacker_new(27, &ops, &c, &err);
    size_t before;

    CHECK(c.data && want && u);
    pack(0, &plain, want);
    CHECK(plain.len > 1 + large + 2 * small);
    before = mallinfo2().hblkhd;
    CHECK_OK(vf_buf_add(&c.stream, &coding, 1, &err), &err);
    add_frame(&c.stream, 27, plain.data + 1, large);
    add_frame(&c.stream, 20, plain.data + 1 + large, small);
    CHECK_OK(vf_unpacker_feed(u, c.stream.data, c.stream.len, &err), &err);
    CHECK(mallinfo2().hblkhd < before + (16u << 20));
    vf_buf_clear(&c.stream);
    add_frame(&c.stream, 20, plain.data + 1 + large + small, plain.len - 1 - large - small);
    CHECK_OK(vf_unpacker_feed(u, c.stream.data, c.stream.len, &err), &err);
    CHECK_MEM(c.data, want, (size_t)BLOCKS * VF_BLOCK);
    CHECK_EQ_U64(c.seals, 3);
    vf_unpacker_free(u);
    vf_buf_free(&c.stream);
    vf_buf_free(&plain);
    free(c.data);
    free(want);
}

static void expect_refused(const uint8_t *bytes, size_t len)
{
    struct copy c = {0};
    struct vf_error err;
    struct vf_unpacker *u = vf_unpacker_new(20, &ops, &c, &err);

    CHECK_FAIL(vf_unpacker_feed(u, bytes, len, &err), &err, VF_ERR_PROTOCOL);
    vf_unpacker_free(u);
}

/* Every single wrong byte: an error or other content, never a crash, never a write outside. */
TEST(damaged)
{
    struct copy c = {.data = calloc(BLOCKS, VF_BLOCK)};
    struct vf_buf head = VF_BUF_INIT;
    struct vf_error err;

    CHECK(c.data);
    pack(0, &head, c.data);
    for (size_t at = 0; at < 200; at++)
        for (unsigned x = 1; x < 256; x += 51) {
            struct vf_unpacker *u = vf_unpacker_new(20, &ops, &c, &err);

            head.data[at] ^= (uint8_t)x;
            if (vf_unpacker_feed(u, head.data, head.len, &err) < 0)
                CHECK(err.code == VF_ERR_PROTOCOL);
            head.data[at] ^= (uint8_t)x;
            vf_unpacker_free(u);
        }
    vf_buf_free(&head);
    free(c.data);
}

TEST(window_too_large)
{
    struct copy c = {.data = calloc(BLOCKS, VF_BLOCK)};
    struct vf_error err;
    struct vf_unpacker *u = vf_unpacker_new(20, &ops, &c, &err);

    CHECK(c.data);
    pack(3, &c.stream, c.data);
    CHECK_FAIL(vf_unpacker_feed(u, c.stream.data, c.stream.len, &err), &err, VF_ERR_PROTOCOL);
    vf_unpacker_free(u);
    vf_buf_free(&c.stream);
    free(c.data);
}

TEST(hostile_records)
{
    expect_refused((const uint8_t[]){9}, 1);                      /* coding */
    expect_refused((const uint8_t[]){0, 9}, 2);                   /* record */
    expect_refused((const uint8_t[]){0, 1, 100, 1, 0, 2}, 6);     /* batch not open */
    expect_refused((const uint8_t[]){0, 1, 0, 0}, 4);             /* no runs */
    expect_refused((const uint8_t[]){0, 1, 0, 0xff, 0xff, 3}, 6); /* too many */
    expect_refused((const uint8_t[]){0, 1, 0, 1, 0, 0}, 6);       /* empty run */
    expect_refused((const uint8_t[]){0, 1, 0, 1, 4, 3, 0}, 7);    /* back 0 */
    expect_refused((const uint8_t[]){0, 1, 0, 1, 4, 3, 5}, 7);    /* back before the image */
}

TEST(hostile_quotes)
{
    /* record 4, batch 1, one run of 4 blocks at 1010, then quotes: number, gap, length, distance */
    expect_refused((const uint8_t[]){0, 4, 1, 1, 10, 8, 0}, 7);                    /* none */
    expect_refused((const uint8_t[]){0, 4, 1, 1, 10, 8, 0x81, 0x20}, 8);           /* 4097 */
    expect_refused((const uint8_t[]){0, 4, 1, 1, 10, 8, 1, 0x80, 0x10, 0, 0}, 11); /* behind */
    expect_refused((const uint8_t[]){0, 4, 1, 1, 10, 8, 1, 0, 0xc1, 0x0f, 0}, 11); /* too long */
    expect_refused((const uint8_t[]){0, 4, 1, 1, 10, 8, 1, 0, 0, 0xff, 0xff, 0x7f},
                   12);                                                      /* before
                                                                                the image */
    expect_refused((const uint8_t[]){0, 4, 0, 1, 0, 8, 1, 0, 0, 0}, 10);     /* nothing is before */
    expect_refused((const uint8_t[]){0, 4, 1, 1, 10, 9, 1, 1, 0, 0, 0}, 11); /* no literals */
    /* two runs of a block each, a quote of 512 bytes 1 byte into the first */
    expect_refused((const uint8_t[]){0, 4, 1, 2, 10, 2, 0, 2, 1, 1, 0xc0, 0x03, 0}, 13);
}

TESTS(round_trips, frames, damaged, window_too_large, hostile_records, hostile_quotes)
