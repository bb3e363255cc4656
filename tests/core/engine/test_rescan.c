/* core/engine/rescan.c: the new map is that of reading everything, and little is read. */
#include "core/engine/rescan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/index.h"
#include "tests/lib/check.h"
#include "tests/lib/mem_image.h"

#define BLOCKS 20000u

static struct vf_error err;
static const struct vf_send_opts opts = {.workers = 1};

struct world {
    struct vf_index *ix;
    uint8_t *data;
    uint64_t size;
    uint64_t seed;
};

static uint64_t below(struct world *w, uint64_t n)
{
    uint64_t r;

    vf_test_random(w->seed++, &r, sizeof r);
    return r % n;
}

/* Data and holes, some of the data repeated. */
static void fill(struct world *w)
{
    uint64_t at = 0;

    while (at < BLOCKS) {
        uint64_t n = 1 + below(w, 900), kind = below(w, 4);

        if (n > BLOCKS - at)
            n = BLOCKS - at;
        if (kind == 0)
            memset(w->data + at * VF_BLOCK, 0, n * VF_BLOCK);
        else
            vf_test_random(kind == 1 ? 7 : w->seed, w->data + at * VF_BLOCK, n * VF_BLOCK);
        w->seed++;
        at += n;
    }
}

static struct vf_map_sink *begin(struct world *w, const char *path)
{
    char text[64], raw[] = "raw", group[] = "";
    struct vf_image_record rec = {.path = text, .format = raw, .group = group};
    struct vf_map_sink *sink;

    snprintf(text, sizeof text, "%s", path);
    sink = vf_index_begin(w->ix, &rec, &err);
    CHECK_OK(sink, &err);
    return sink;
}

/* A copy of what is there now. */
static struct vf_image *image_of(struct world *w, uint64_t size)
{
    uint8_t *to;
    struct vf_image *im = vf_mem_image(size, &to);

    memcpy(to, w->data, size);
    return im;
}

static void index_all(struct world *w, const char *path, struct vf_map_info *ret)
{
    struct vf_image *im = image_of(w, w->size);

    CHECK_OK(vf_index_image(im, begin(w, path), &opts, ret, &err), &err);
    vf_image_close(im);
}

/* Indexes again what has changed, and compares with reading everything. */
static uint64_t again(struct world *w, const struct vf_run *changed, size_t n)
{
    struct vf_image *im = image_of(w, w->size);
    struct vf_map *old = vf_index_map(w->ix, "a", &err);
    struct vf_map_info got, want;
    uint64_t read = 0;

    CHECK_OK(old, &err);
    CHECK_OK(vf_index_changed(im, old, changed, n, begin(w, "a"), &opts, &got, &read, &err), &err);
    old->ops->close(old);
    vf_image_close(im);
    index_all(w, "b", &want);
    CHECK_MEM(got.root, want.root, VF_SHA_LEN);
    CHECK_EQ_U64(got.zero_blocks, want.zero_blocks);
    CHECK_EQ_U64(got.distinct_blocks, want.distinct_blocks);
    CHECK_EQ_U64(got.top, want.top);
    for (unsigned i = 0; i <= got.top; i++)
        CHECK_EQ_U64(got.nodes[i], want.nodes[i]);
    CHECK_OK(vf_index_verify(w->ix, "a", &err), &err);
    return read;
}

static void make(struct world *w, const char *name, uint64_t seed)
{
    *w = (struct world){.size = BLOCKS * (uint64_t)VF_BLOCK, .seed = seed};
    w->data = calloc(BLOCKS, VF_BLOCK);
    CHECK(w->data != NULL);
    w->ix = vf_index_open(vf_test_path(name), VF_INDEX_CREATE, &err);
    CHECK_OK(w->ix, &err);
}

static void end(struct world *w)
{
    vf_index_close(w->ix);
    free(w->data);
}

/* Changes one run in one of several ways; some runs are only said to have changed. */
static void change(struct world *w, const struct vf_run *r)
{
    uint8_t *p = w->data + r->first * VF_BLOCK;

    switch (below(w, 4)) {
    case 0:
        memset(p, 0, r->n * VF_BLOCK);
        break;
    case 1:
        memmove(p, w->data + below(w, BLOCKS - r->n) * VF_BLOCK, r->n * VF_BLOCK);
        break;
    case 2:
        vf_test_random(w->seed++, p, r->n * VF_BLOCK);
        break;
    default:
        break;
    }
}

TEST(random_changes)
{
    struct vf_run run[64];
    struct vf_map_info info;
    struct world w;

    make(&w, "random", 1000);
    for (unsigned round = 0; round < 60; round++) {
        size_t n = 0;
        uint64_t at = 0, most = round % 3 ? 3000 : 40; /* far apart, or dense */

        if (round % 20 == 0) {
            fill(&w);
            index_all(&w, "a", &info);
        }
        for (; n < 64; n++) {
            run[n].first = at + below(&w, most);
            run[n].n = 1 + below(&w, round % 2 ? 8 : 300);
            if (run[n].first + run[n].n > BLOCKS)
                break;
            at = run[n].first + run[n].n;
            change(&w, &run[n]);
        }
        (void)again(&w, run, n);
    }
    end(&w);
}

TEST(edges)
{
    const struct vf_run first = {0, 1}, last = {BLOCKS - 1, 1}, all = {0, BLOCKS};
    struct vf_map_info info;
    struct world w;

    make(&w, "edges", 5);
    index_all(&w, "a", &info); /* nothing but zeros */
    CHECK_EQ_U64(again(&w, NULL, 0), 0);
    w.data[0] = 1;
    CHECK_EQ_U64(again(&w, &first, 1), 1);
    w.data[w.size - 1] = 1;
    CHECK_EQ_U64(again(&w, &last, 1), 1);
    fill(&w);
    CHECK_EQ_U64(again(&w, &all, 1), BLOCKS);
    memset(w.data, 0, w.size);
    (void)again(&w, &all, 1);
    w.size -= 100; /* the last block is not a whole one */
    fill(&w);
    index_all(&w, "a", &info);
    w.data[w.size - 1]++;
    (void)again(&w, &last, 1);
    end(&w);
}

/* One block in much data: about a segment on either side. */
TEST(reads_little)
{
    struct vf_map_info info;
    struct world w;
    uint64_t read = 0;

    make(&w, "little", 77);
    vf_test_random(1, w.data, w.size);
    index_all(&w, "a", &info);
    for (unsigned i = 0; i < 20; i++) {
        struct vf_run one = {below(&w, BLOCKS), 1};

        w.data[one.first * VF_BLOCK]++;
        read += again(&w, &one, 1);
    }
    CHECK(read < 20 * 4 * VF_SEG_MAX);
    end(&w);
}

TEST(refuses)
{
    const struct vf_run bad[][2] = {
        {{5, 0}, {6, 1}}, {{5, 5}, {9, 1}}, {{5, 1}, {BLOCKS, 1}}, {{5, 1}, {6, UINT64_MAX}}};
    struct vf_map_info info;
    struct vf_image *im;
    struct vf_map *old;
    struct world w;

    make(&w, "refuses", 9);
    fill(&w);
    index_all(&w, "a", &info);
    old = vf_index_map(w.ix, "a", &err);
    CHECK_OK(old, &err);
    im = image_of(&w, w.size);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_FAIL(vf_index_changed(im, old, bad[i], 2, begin(&w, "a"), &opts, NULL, NULL, &err),
                   &err, VF_ERR_RANGE);
    vf_image_close(im);
    im = image_of(&w, w.size - VF_BLOCK);
    CHECK_FAIL(vf_index_changed(im, old, NULL, 0, begin(&w, "a"), &opts, NULL, NULL, &err), &err,
               VF_ERR_CHANGED);
    vf_image_close(im);
    old->ops->close(old);
    end(&w);
}

TESTS(random_changes, edges, reads_little, refuses)
