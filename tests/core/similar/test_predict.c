/* The part of an image that a node lacks decides how well what travels compresses. */
#include "core/similar/predict.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/core/similar/sketches.h"
#include "tests/lib/mem_image.h"

#define BLOCKS 8000u /* a quarter random, a quarter zero, half text */

/* A map of an image in memory, without a tree. */
struct mem_map {
    struct vf_map base;
    uint8_t (*md5)[VF_MD5_LEN];
};

static int map_info(struct vf_map *base, struct vf_map_info *ret, struct vf_error *err)
{
    (void)base;
    (void)err;
    *ret = (struct vf_map_info){.size = BLOCKS * VF_BLOCK, .blocks = BLOCKS};
    return 0;
}

static int map_digests(struct vf_map *base, uint64_t first, size_t n, uint8_t (*ret)[VF_MD5_LEN],
                       struct vf_error *err)
{
    (void)err;
    memcpy(ret, ((struct mem_map *)base)->md5 + first, n * VF_MD5_LEN);
    return 0;
}

static const struct vf_map_ops map_ops = {.info = map_info, .digests = map_digests};

struct world {
    struct vf_image *image;
    struct mem_map map;
    struct vf_sketch sketch;
    struct vf_print print[BLOCKS];
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

static struct world *world(void)
{
    struct world *w = calloc(1, sizeof *w);
    uint8_t *data;
    char line[64];

    CHECK(w != NULL);
    w->image = vf_mem_image(BLOCKS * VF_BLOCK, &data);
    vf_test_random(1, data, BLOCKS / 4 * VF_BLOCK);
    for (size_t at = BLOCKS / 2 * VF_BLOCK; at < BLOCKS * VF_BLOCK; at += 32) {
        snprintf(line, sizeof line, "%032zu", at / VF_BLOCK * 7919);
        memcpy(data + at, line, 32);
    }
    w->map.base.ops = &map_ops;
    w->map.md5 = calloc(BLOCKS, VF_MD5_LEN);
    CHECK(w->map.md5 != NULL);
    for (unsigned i = 0; i < BLOCKS; i++)
        CHECK(EVP_Digest(data + i * VF_BLOCK, VF_BLOCK, w->map.md5[i], NULL, EVP_md5(), NULL));
    w->sketch = sketch_blocks(w, 0, BLOCKS);
    return w;
}

static void world_free(struct world *w)
{
    vf_image_close(w->image);
    free(w->map.md5);
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
        CHECK(p.piece[i].packed <= p.piece[i].raw && p.piece[i].raw > 0);
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

TESTS(by_what_is_missing, edges)
