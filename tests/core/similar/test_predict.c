/* The part of an image that a node lacks decides how well what travels compresses. */
#include "core/similar/predict.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/literals/literals.h"
#include "tests/core/similar/sketches.h"
#include "tests/lib/mem_image.h"

#define BLOCKS 90000u /* a quarter random, a quarter zero, half text */
#define FEW    2000u

#define SEG 100u /* blocks in a segment at most */

/* A map of an image in memory, with segments and nothing above them. */
struct mem_map {
    struct vf_map base;
    uint64_t blocks, zero, nsegs;
    uint8_t (*md5)[VF_MD5_LEN];
    struct vf_node *seg;
    uint64_t asked; /* digests */
};

static int map_info(struct vf_map *base, struct vf_map_info *ret, struct vf_error *err)
{
    const struct mem_map *m = (const struct mem_map *)base;

    (void)err;
    *ret = (struct vf_map_info){.size = m->blocks * VF_BLOCK,
                                .blocks = m->blocks,
                                .zero_blocks = m->zero,
                                .top = m->nsegs > 0,
                                .nodes = {m->blocks - m->zero, m->nsegs}};
    return 0;
}

static int map_nodes(struct vf_map *base, unsigned level, uint64_t from, size_t n,
                     struct vf_node *ret, struct vf_error *err)
{
    const struct mem_map *m = (const struct mem_map *)base;

    (void)err;
    CHECK(level == 1 && from + n <= m->nsegs);
    memcpy(ret, m->seg + from, n * sizeof *ret);
    return 0;
}

static int map_digests(struct vf_map *base, uint64_t first, size_t n, uint8_t (*ret)[VF_MD5_LEN],
                       struct vf_error *err)
{
    struct mem_map *m = (struct mem_map *)base;

    (void)err;
    CHECK(n > 0 && first + n <= m->blocks);
    memcpy(ret, m->md5 + first, n * VF_MD5_LEN);
    m->asked += n;
    return 0;
}

static const struct vf_map_ops map_ops = {
    .info = map_info, .nodes = map_nodes, .digests = map_digests};

struct world {
    struct vf_image *image;
    struct mem_map map;
    struct vf_sketch sketch;
    struct vf_print *print;
};

/* The sketch of the blocks [from, to), which are all different. */
static struct vf_sketch sketch_blocks(struct world *w, unsigned from, unsigned to)
{
    struct made m = {w->print, 0, 0};
    struct vf_sketch s;
    struct vf_error err;

    for (unsigned i = from; i < to; i++) {
        uint64_t fp = 0;

        for (unsigned k = 0; k < 8; k++)
            fp = fp << 8 | w->map.md5[i][k];
        if (memcmp(w->map.md5[i], vf_zero_md5, VF_MD5_LEN) != 0)
            w->print[m.n++] = (struct vf_print){fp, 1};
    }
    qsort(w->print, m.n, sizeof *w->print, made_order);
    CHECK_OK(vf_sketch_make(made_next, &m, 0, &s, &err), &err);
    return s;
}

static void add_to_segments(struct mem_map *m, uint64_t block)
{
    struct vf_node *last = m->nsegs ? &m->seg[m->nsegs - 1] : NULL;

    if (last && last->first + last->span == block && last->span < SEG)
        last->span++;
    else
        m->seg[m->nsegs++] = (struct vf_node){.first = block, .span = 1};
}

static struct world *world_of(unsigned blocks, void (*fill)(uint8_t *data, size_t len))
{
    struct world *w = calloc(1, sizeof *w);
    uint8_t *data;

    CHECK(w != NULL);
    w->image = vf_mem_image((uint64_t)blocks * VF_BLOCK, &data);
    fill(data, (size_t)blocks * VF_BLOCK);
    w->map.base.ops = &map_ops;
    w->map.blocks = blocks;
    w->map.md5 = calloc(blocks, VF_MD5_LEN);
    w->print = calloc(blocks, sizeof *w->print);
    w->map.seg = calloc(blocks, sizeof *w->map.seg);
    CHECK(w->map.md5 != NULL && w->print != NULL && w->map.seg != NULL);
    for (unsigned i = 0; i < blocks; i++) {
        CHECK(EVP_Digest(data + (size_t)i * VF_BLOCK, VF_BLOCK, w->map.md5[i], NULL, EVP_md5(),
                         NULL));
        if (memcmp(w->map.md5[i], vf_zero_md5, VF_MD5_LEN) == 0)
            w->map.zero++;
        else
            add_to_segments(&w->map, i);
    }
    w->sketch = sketch_blocks(w, 0, blocks);
    return w;
}

static void fill_mixed(uint8_t *data, size_t len)
{
    char line[64];

    vf_test_random(1, data, len / 4);
    for (size_t at = len / 2; at < len; at += 32) {
        snprintf(line, sizeof line, "%032zu", at / VF_BLOCK * 7919);
        memcpy(data + at, line, 32);
    }
}

static struct world *world(void) { return world_of(BLOCKS, fill_mixed); }

static void world_free(struct world *w)
{
    vf_image_close(w->image);
    free(w->map.md5);
    free(w->map.seg);
    free(w->print);
    vf_sketch_free(&w->sketch);
    free(w);
}

TEST(by_what_is_missing)
{
    struct world *w = world();
    struct vf_sketch noise = sketch_blocks(w, 0, BLOCKS / 2),
                     text = sketch_blocks(w, BLOCKS / 2, BLOCKS);
    struct vf_sketch_set holds_noise = vf_sketch_as_set(&noise),
                         holds_text = vf_sketch_as_set(&text),
                         holds_all = vf_sketch_as_set(&w->sketch);
    struct vf_pieces p;
    struct vf_error err;
    double all, of_text, of_noise, rest;

    CHECK_OK(vf_pieces_read(w->image, &w->map.base, &w->sketch, NULL, &p, &err), &err);
    CHECK_EQ_U64(p.n, VF_PIECES_MAX);
    for (size_t i = 0; i < p.n; i++)
        CHECK(p.piece[i].raw > 0 && p.piece[i].near > 0 && p.piece[i].far > 0);
    all = vf_pieces_ratio(&p, NULL);
    of_text = vf_pieces_ratio(&p, &holds_noise);
    of_noise = vf_pieces_ratio(&p, &holds_text);
    rest = vf_pieces_ratio(&p, &holds_all);
    CHECK(of_text < 0.2 && of_noise > 0.8 && of_noise <= 1);
    CHECK(of_text < all && all < of_noise);
    CHECK(rest > all - 0.01 && rest < all + 0.01); /* nothing is missing: as all of it */
    vf_pieces_free(&p);
    vf_sketch_free(&noise);
    vf_sketch_free(&text);
    world_free(w);
}

TEST(edges)
{
    struct world *w = world();
    struct vf_sketch empty = VF_SKETCH_INIT;
    struct vf_pieces p;
    struct vf_error err;
    volatile int stop = 1;

    CHECK_FAIL(vf_pieces_read(w->image, &w->map.base, &w->sketch, &stop, &p, &err), &err,
               VF_ERR_CANCELLED);
    stop = 0;
    CHECK_OK(vf_pieces_read(w->image, &w->map.base, &empty, &stop, &p, &err), &err);
    CHECK_EQ_U64(p.n, 0);
    CHECK(vf_pieces_ratio(&p, NULL) >= 1);
    vf_pieces_free(&p);
    w->image->size = 1000 * VF_BLOCK; /* it shrank */
    CHECK_FAIL(vf_pieces_read(w->image, &w->map.base, &w->sketch, &stop, &p, &err), &err,
               VF_ERR_CHANGED);
    w->image->size = BLOCKS * VF_BLOCK;
    world_free(w);
}

/* ---- against the stream itself ---- */

static int count_bytes(void *ctx, uint8_t **bytes, size_t len, struct vf_error *err)
{
    uint64_t *n = ctx;

    (void)bytes;
    (void)err;
    *n += len;
    return 0;
}

/* What all blocks take as literals, for each byte of them. */
static double packed(struct world *w)
{
    const struct vf_pack_opts opts = {.level = 3, .window_log = 27};
    uint8_t *data = calloc(VF_PIECE_BLOCKS, VF_BLOCK);
    struct vf_error err = VF_ERROR_INIT;
    uint64_t bytes = 0;
    struct vf_packer *p = vf_packer_new(&opts, count_bytes, &bytes, &err);

    CHECK(p && data);
    for (uint64_t at = 0, n; at < w->map.blocks; at += n) {
        struct vf_lit_run run = {.run = {at, 0}};
        struct vf_pack_runs r = {.n = 1, .runs = &run, .data = data};

        n = w->map.blocks - at < VF_PIECE_BLOCKS ? w->map.blocks - at : VF_PIECE_BLOCKS;
        run.run.n = n;
        r.len = (size_t)n * VF_BLOCK;
        CHECK_OK(vf_image_read(w->image, data, r.len, at * VF_BLOCK, &err), &err);
        CHECK_OK(vf_packer_runs(p, 0, &r, &err), &err);
    }
    CHECK_OK(vf_packer_flush(p, &err), &err);
    vf_packer_free(p);
    free(data);
    return (double)bytes / (double)(w->map.blocks * VF_BLOCK);
}

static void compare(struct world *w)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_pieces p;
    double is = packed(w), said;

    CHECK_OK(vf_pieces_read(w->image, &w->map.base, &w->sketch, NULL, &p, &err), &err);
    said = vf_pieces_ratio(&p, NULL);
    printf("%zu pieces, density %.3f: said %.3f, is %.3f\n", p.n, p.density, said, is);
    CHECK(said > is * 0.85 && said < is * 1.15);
    vf_pieces_free(&p);
    world_free(w);
}

static void fill_digits(uint8_t *data, size_t len)
{
    vf_test_random(2, data, len);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t) "0123456789abcdef"[data[i] & 15];
}

/* A log, a database: nothing is gained by remembering more than what stands beside it. */
TEST(nothing_far)
{
    compare(world_of(60000, fill_digits));
    compare(world_of(FEW, fill_digits));
}

/* Half of it repeats what stands 16 MB before, not at the edge of blocks: upgraded programs. */
static void fill_again(uint8_t *data, size_t len)
{
    vf_test_random(3, data, len / 2);
    for (size_t at = 0; at + 16384 <= len / 2; at += 16384)
        memmove(data + len / 2 + at, data + at + 100, 16384);
}

TEST(much_far) { compare(world_of(65536, fill_again)); }

/* Programs: each function has been seen before, with other addresses in it. */
static void fill_code(uint8_t *data, size_t len)
{
    uint8_t body[64][96];
    uint32_t random;

    vf_test_random(4, body, sizeof body);
    vf_test_random(5, data, len);
    for (size_t at = 0; at + 112 <= len; at += 112) {
        memcpy(&random, data + at, sizeof random);
        memcpy(data + at + 16, body[random % 64], 96);
    }
}

TEST(much_near)
{
    compare(world_of(60000, fill_code));
    compare(world_of(FEW, fill_code));
}

static void fill_ends(uint8_t *data, size_t len)
{
    vf_test_random(6, data, 4096 * VF_BLOCK);
    vf_test_random(7, data + len - 4096 * VF_BLOCK, 4096 * VF_BLOCK);
    vf_test_random(8, data + len / 2, 1000);
}

/* A hole costs nothing, however large it is; the samples behind it are found all the same. */
TEST(holes)
{
    struct world *w = world_of(400000, fill_ends);
    struct vf_error err;
    struct vf_pieces p;

    CHECK_OK(vf_pieces_read(w->image, &w->map.base, &w->sketch, NULL, &p, &err), &err);
    CHECK(p.n > 0 && w->map.asked <= 2 * 4096 + 2);
    for (size_t i = 0; i < p.n; i++)
        CHECK(p.piece[i].raw > 0);
    vf_pieces_free(&p);
    w->map.seg[w->map.nsegs - 1].span = 101; /* behind the end */
    CHECK_FAIL(vf_pieces_read(w->image, &w->map.base, &w->sketch, NULL, &p, &err), &err,
               VF_ERR_FORMAT);
    world_free(w);
}

TESTS(by_what_is_missing, edges, holes, nothing_far, much_far, much_near)
