/* Resident images: find and shared against brute force, groups, donors that go away. */
#include <unistd.h>

#include "index/residents.h"
#include "tests/index/synth.h"

#define IMAGES 6u

struct world {
    struct vf_index *ix;
    struct synth image[IMAGES];
    char path[IMAGES][32];
};

/* Six images, each a file so that it is fresh.  They share runs of content; 4 is in another group,
 * 5 has nothing in common with the others. */
static void world_make(struct world *w, const char *name)
{
    struct vf_error err;
    char file[4096];

    memset(w, 0, sizeof *w);
    w->ix = vf_index_open(synth_dir(name), VF_INDEX_CREATE, &err);
    CHECK_OK(w->ix, &err);
    for (uint64_t i = 0; i < IMAGES; i++) {
        struct vf_image_record rec;
        struct synth *s = &w->image[i];
        struct synth_rng rng = {i + 100};
        uint64_t at = synth_below(&rng, 50);

        while (at < 40000) {
            /* One of 300 pieces of common content, or something of its own. */
            bool own = i == 5 || synth_below(&rng, 4) == 0;
            uint64_t piece = synth_below(&rng, 300), n = 20 + piece % 180;

            synth_run(s, at, n, own ? synth_next(&rng) : piece * 1000);
            at += n + (synth_below(&rng, 2) ? 0 : 1 + synth_below(&rng, 60));
        }
        s->size = (at + 10) * VF_BLOCK;
        synth_cut(s);
        snprintf(w->path[i], sizeof w->path[i], "i%u.raw", (unsigned)i);
        snprintf(file, sizeof file, "%s/%s", vf_test_path(name), w->path[i]);
        vf_test_write_file(file, file, strlen(file));
        rec = synth_record(w->path[i], i == 4 ? "other" : "");
        CHECK_OK(vf_index_stat(w->ix, w->path[i], &rec.st, &err), &err);
        CHECK_OK(synth_store_record(w->ix, s, &rec, &err), &err);
    }
}

static void world_free(struct world *w)
{
    vf_index_close(w->ix);
    for (size_t i = 0; i < IMAGES; i++)
        synth_free(&w->image[i]);
}

/* Which synthetic image is number `image` of the set? */
static size_t which(const struct world *w, struct vf_residents *r, uint32_t image)
{
    struct vf_map_info info;
    struct vf_error err;
    const char *name;
    bool fresh;

    CHECK_OK(r->ops->describe(r, image, &name, &info, &fresh, &err), &err);
    for (size_t i = 0; i < IMAGES; i++)
        if (strcmp(name, w->path[i]) == 0) {
            CHECK_MEM(info.root, w->image[i].info.root, VF_SHA_LEN);
            return i;
        }
    CHECK_STR(name, "one of ours");
    return 0;
}

static struct vf_residents *residents(struct world *w, const char *exclude)
{
    struct vf_error err;
    struct vf_residents *r = vf_index_residents(w->ix, "", exclude, NULL, NULL, &err);

    CHECK_OK(r, &err);
    return r;
}

/* All nodes of a level of an image. */
static struct vf_node *all_nodes(struct world *w, size_t image, unsigned level, size_t *ret_n)
{
    const size_t n = (size_t)w->image[image].info.nodes[level];
    struct vf_node *nodes = calloc(n ? n : 1, sizeof *nodes);
    struct vf_error err;
    struct vf_map *map = vf_index_map(w->ix, w->path[image], &err);

    CHECK_OK(map, &err);
    CHECK(nodes != NULL);
    CHECK_OK(map->ops->nodes(map, level, 0, n, nodes, &err), &err);
    map->ops->close(map);
    *ret_n = n;
    return nodes;
}

/* n ids from everywhere, some that nobody has; the answers are checked one by one. */
static void check_find(struct world *w, struct vf_residents *r, unsigned level, size_t n,
                       uint64_t seed)
{
    struct vf_node *nodes[IMAGES];
    size_t count[IMAGES];
    struct synth_rng rng = {seed};
    uint8_t(*ids)[VF_ID_LEN] = calloc(n, sizeof *ids);
    struct vf_place(*got)[VF_PLACES] = calloc(n, sizeof *got);
    struct vf_error err;
    size_t found = 0;

    CHECK(ids && got);
    for (size_t i = 0; i < IMAGES; i++)
        nodes[i] = all_nodes(w, i, level, &count[i]);
    for (size_t i = 0; i < n; i++) {
        size_t from = synth_below(&rng, IMAGES);

        vf_test_random(seed + i, ids[i], VF_ID_LEN);
        if (synth_below(&rng, 5) && count[from])
            memcpy(ids[i], nodes[from][synth_below(&rng, count[from])].sha, VF_ID_LEN);
    }
    CHECK_OK(r->ops->find(r, level, (const void *)ids, n, got, &err), &err);
    for (size_t i = 0; i < n; i++) {
        unsigned images = 0, all = 0, places = 0, in = 0;
        bool seen[IMAGES] = {false};

        for (size_t k = 0; k < VF_PLACES && got[i][k].span; k++, places++) {
            const struct vf_place *p = &got[i][k];
            size_t im = which(w, r, p->image);

            CHECK(p->node < count[im]);
            CHECK_MEM(nodes[im][p->node].sha, ids[i], VF_ID_LEN);
            CHECK_EQ_U64(p->first, nodes[im][p->node].first);
            CHECK_EQ_U64(p->span, nodes[im][p->node].span);
            for (size_t o = 0; o < k; o++)
                CHECK(got[i][o].image != p->image || got[i][o].node != p->node);
            in += !seen[im];
            seen[im] = true;
        }
        for (size_t k = places; k < VF_PLACES; k++)
            CHECK_EQ_U64(got[i][k].span, 0);
        for (uint32_t m = 0; m < r->ops->count(r); m++) {
            size_t im = which(w, r, m);
            unsigned here = 0;

            for (size_t k = 0; k < count[im]; k++)
                here += memcmp(nodes[im][k].sha, ids[i], VF_ID_LEN) == 0;
            images += here > 0;
            all += here;
        }
        CHECK_EQ_U64(places, all < VF_PLACES ? all : VF_PLACES);
        CHECK_EQ_U64(in, images < VF_PLACES ? images : VF_PLACES); /* as many donors as can be */
        found += places > 0;
    }
    CHECK(found > 0);
    for (size_t i = 0; i < IMAGES; i++)
        free(nodes[i]);
    free(ids);
    free(got);
}

TEST(find)
{
    struct world w;
    struct vf_residents *r;
    struct vf_place got[1][VF_PLACES];
    struct vf_error err;
    uint8_t id[1][VF_ID_LEN] = {{0}};

    world_make(&w, "find");
    r = residents(&w, NULL);
    CHECK_EQ_U64(r->ops->count(r), 5);
    check_find(&w, r, 1, 1500, 1);
    check_find(&w, r, 1, 3, 2);
    check_find(&w, r, 2, 300, 3);
    CHECK_OK(r->ops->find(r, 1, (const void *)id, 0, got, &err), &err);
    CHECK_OK(r->ops->find(r, VF_LEVELS - 1, (const void *)id, 1, got, &err), &err);
    CHECK_EQ_U64(got[0][0].span, 0);
    CHECK_FAIL(r->ops->find(r, 0, (const void *)id, 1, got, &err), &err, VF_ERR_RANGE);
    CHECK_FAIL(r->ops->find(r, VF_LEVELS, (const void *)id, 1, got, &err), &err, VF_ERR_RANGE);
    r->ops->close(r);
    world_free(&w);
}

/* The prints of one image against the others. */
static void check_shared(struct world *w, size_t target, struct vf_residents *r)
{
    struct vf_shared each[IMAGES], all, want_all = {0, 0}, want[IMAGES] = {{0, 0}};
    uint64_t *v = synth_sorted(&w->image[target]), *other[IMAGES];
    const uint64_t n = w->image[target].data;
    struct vf_error err;
    struct vf_map *map = vf_index_map(w->ix, w->path[target], &err);
    struct vf_index_prints *prints;
    const uint32_t images = r->ops->count(r);

    CHECK_OK(map, &err);
    prints = vf_index_prints_new(map, &err);
    CHECK_OK(prints, &err);
    CHECK_OK(r->ops->shared(r, vf_index_prints_next, prints, each, &all, &err), &err);
    vf_index_prints_free(prints);
    map->ops->close(map);
    for (uint32_t m = 0; m < images; m++)
        other[m] = synth_sorted(&w->image[which(w, r, m)]);
    for (uint64_t i = 0; i < n; i++) {
        bool first = i == 0 || v[i] != v[i - 1], any = false;

        for (uint32_t m = 0; m < images; m++) {
            const struct synth *s = &w->image[which(w, r, m)];
            bool in = bsearch(&v[i], other[m], s->data, 8, synth_compare_u64) != NULL;

            want[m].blocks += in;
            want[m].distinct += in && first;
            any = any || in;
        }
        want_all.blocks += any;
        want_all.distinct += any && first;
    }
    for (uint32_t m = 0; m < images; m++) {
        CHECK_EQ_U64(each[m].blocks, want[m].blocks);
        CHECK_EQ_U64(each[m].distinct, want[m].distinct);
        free(other[m]);
    }
    CHECK_EQ_U64(all.blocks, want_all.blocks);
    CHECK_EQ_U64(all.distinct, want_all.distinct);
    CHECK(all.blocks > 0 || target == 5);
    free(v);
}

TEST(shared)
{
    struct world w;

    world_make(&w, "shared");
    for (size_t i = 0; i < IMAGES; i++) {
        struct vf_residents *r = residents(&w, w.path[i]);

        CHECK_EQ_U64(r->ops->count(r), i == 4 ? 5 : 4);
        check_shared(&w, i, r);
        r->ops->close(r);
    }
    world_free(&w);
}

/* The example of the paper: 0 1 2 1 0 4 4 4 3 5 against 1 2 3 4 (design: 7 and 4 of 10). */
struct example {
    struct vf_print print[6];
    size_t n, at;
};
static long next_example(void *ctx, struct vf_print *ret, size_t max, struct vf_error *err)
{
    struct example *e = ctx;
    size_t n = 0;

    (void)err;
    for (; n < max && n < 2 && e->at < e->n; n++) /* in small pieces */
        ret[n] = e->print[e->at++];
    return (long)n;
}
static int by_fp(const void *a, const void *b)
{
    const struct vf_print *x = a, *y = b;

    return x->fp < y->fp ? -1 : x->fp > y->fp;
}

TEST(paper)
{
    const uint32_t times[6] = {2, 2, 1, 1, 3, 1};
    struct synth s = {.size = 4 * VF_BLOCK};
    struct vf_error err;
    struct vf_index *ix = vf_index_open(synth_dir("paper"), VF_INDEX_CREATE, &err);
    struct vf_image_record rec = synth_record("c", "");
    struct vf_residents *r;
    struct vf_shared each, all;
    struct example e = {.n = 6};
    uint8_t md5[VF_MD5_LEN];

    CHECK_OK(ix, &err);
    synth_run(&s, 0, 4, 1);
    synth_cut(&s);
    vf_test_write_file(vf_test_path("paper/c"), "c", 1);
    CHECK_OK(vf_index_stat(ix, "c", &rec.st, &err), &err);
    CHECK_OK(synth_store_record(ix, &s, &rec, &err), &err);
    for (uint64_t i = 0; i < 6; i++) {
        synth_md5(i, md5);
        e.print[i] = (struct vf_print){synth_fp(md5), times[i]};
    }
    qsort(e.print, 6, sizeof e.print[0], by_fp);
    r = vf_index_residents(ix, "", NULL, NULL, NULL, &err);
    CHECK_OK(r, &err);
    CHECK_OK(r->ops->shared(r, next_example, &e, &each, &all, &err), &err);
    CHECK_EQ_U64(each.blocks, 7);
    CHECK_EQ_U64(each.distinct, 4);
    CHECK_EQ_U64(all.blocks, 7);
    CHECK_EQ_U64(all.distinct, 4);
    r->ops->close(r);
    vf_index_close(ix);
    synth_free(&s);
}

TEST(digests)
{
    struct world w;
    struct vf_residents *r;
    struct vf_error err;
    uint8_t got[90][VF_MD5_LEN], want[VF_MD5_LEN];

    world_make(&w, "digests");
    r = residents(&w, NULL);
    for (uint32_t m = 0; m < r->ops->count(r); m++) {
        const struct synth *s = &w.image[which(&w, r, m)];
        const int64_t blocks = (int64_t)vf_blocks_of(s->size);

        for (int64_t from = -130;
             from<blocks + 130; from += from> 200 && from < blocks - 200 ? 777 : 13) {
            CHECK_OK(r->ops->digests(r, m, from, 90, got, &err), &err);
            for (int64_t k = 0; k < 90; k++) {
                if (from + k < 0 || from + k >= blocks)
                    memcpy(want, vf_zero_md5, VF_MD5_LEN);
                else
                    (void)synth_block(s, (uint64_t)(from + k), want);
                CHECK_MEM(got[k], want, VF_MD5_LEN);
            }
        }
        CHECK_OK(r->ops->digests(r, m, INT64_MIN, 90, got, &err), &err);
        CHECK_MEM(got[89], vf_zero_md5, VF_MD5_LEN);
        CHECK_OK(r->ops->digests(r, m, INT64_MAX, 90, got, &err), &err);
    }
    CHECK_FAIL(r->ops->digests(r, 5, 0, 1, got, &err), &err, VF_ERR_RANGE);
    r->ops->close(r);
    world_free(&w);
}

TEST(segments)
{
    struct world w;
    struct vf_residents *r;
    struct vf_error err;
    struct vf_node got[64];

    world_make(&w, "segments");
    r = residents(&w, NULL);
    for (uint32_t m = 0; m < r->ops->count(r); m++) {
        const struct synth *s = &w.image[which(&w, r, m)];

        for (unsigned level = 1; level <= s->info.top; level++) {
            uint64_t at = 0;

            for (uint64_t i = 0; i < s->info.nodes[level]; i++) {
                long n = r->ops->segments(r, m, level, i, 0, got, 0, &err);

                CHECK(n > 0);
                for (long skip = 0; skip < n; skip += 64) {
                    CHECK_EQ_I64(r->ops->segments(r, m, level, i, (size_t)skip, got, 64, &err), n);
                    for (long k = 0; k < 64 && skip + k < n; k++)
                        CHECK_MEM(got[k].sha, s->seg[at + (uint64_t)(skip + k)].sha, VF_SHA_LEN);
                }
                CHECK_EQ_I64(r->ops->segments(r, m, level, i, (size_t)n + 5, got, 64, &err), n);
                at += (uint64_t)n;
            }
            CHECK_EQ_U64(at, s->segs);
        }
        CHECK_FAIL(r->ops->segments(r, m, 1, s->segs, 0, got, 1, &err), &err, VF_ERR_RANGE);
        CHECK_FAIL(r->ops->segments(r, m, 0, 0, 0, got, 1, &err), &err, VF_ERR_RANGE);
        CHECK_FAIL(r->ops->segments(r, m, s->info.top + 1, 0, 0, got, 1, &err), &err, VF_ERR_RANGE);
    }
    r->ops->close(r);
    world_free(&w);
}

/* An image that is not fresh: listed last, gives no places, counts alone but not in the sum. */
TEST(stale)
{
    struct world w;
    struct vf_residents *r;
    struct vf_error err;
    struct vf_map_info info;
    struct vf_shared each[IMAGES], all;
    struct vf_place got[1][VF_PLACES];
    uint8_t id[1][VF_ID_LEN];
    struct vf_index_prints *p;
    struct vf_map *map;
    const char *name;
    bool fresh;
    uint64_t sum = 0;

    world_make(&w, "stale");
    vf_test_write_file(vf_test_path("stale/i0.raw"), "changed", 7);
    r = residents(&w, NULL);
    CHECK_EQ_U64(r->ops->count(r), 5);
    CHECK_EQ_U64(which(&w, r, 4), 0);
    for (uint32_t m = 0; m < 5; m++) {
        CHECK_OK(r->ops->describe(r, m, &name, &info, &fresh, &err), &err);
        CHECK(fresh == (m < 4));
    }
    map = vf_index_map(w.ix, w.path[0], &err);
    CHECK_OK(map, &err);
    p = vf_index_prints_new(map, &err);
    CHECK_OK(p, &err);
    CHECK_OK(r->ops->shared(r, vf_index_prints_next, p, each, &all, &err), &err);
    CHECK_EQ_U64(each[4].blocks, w.image[0].data);
    CHECK(all.blocks < w.image[0].data);
    vf_index_prints_free(p);
    map->ops->close(map);
    for (size_t i = 0; i < w.image[0].segs; i++) { /* some of its segments nobody else has */
        memcpy(id[0], w.image[0].seg[i].sha, VF_ID_LEN);
        CHECK_OK(r->ops->find(r, 1, (const void *)id, 1, got, &err), &err);
        for (size_t k = 0; k < VF_PLACES && got[0][k].span; k++)
            CHECK(got[0][k].image != 4);
        sum += got[0][0].span == 0;
    }
    CHECK(sum > 0);
    r->ops->close(r);
    world_free(&w);
}

/* Removed or replaced behind the set's back: a donor less, not a failure. */
TEST(donor_goes_away)
{
    struct world w;
    struct vf_residents *r;
    struct vf_error err;
    struct vf_shared each[IMAGES], all;
    struct vf_place got[1][VF_PLACES];
    struct vf_index_prints *p;
    uint8_t md5[1][VF_MD5_LEN];
    uint8_t id[1][VF_ID_LEN];
    struct vf_node node;
    struct vf_map *map;

    world_make(&w, "away");
    r = residents(&w, NULL);
    map = vf_index_map(w.ix, w.path[5], &err);
    CHECK_OK(map, &err);
    p = vf_index_prints_new(map, &err);
    CHECK_OK(p, &err);
    memcpy(id[0], w.image[5].seg[0].sha, VF_ID_LEN);
    CHECK_OK(r->ops->find(r, 1, (const void *)id, 1, got, &err), &err);
    CHECK(got[0][0].span > 0);
    CHECK_EQ_U64(got[0][0].image, 4);
    CHECK_OK(r->ops->shared(r, vf_index_prints_next, p, each, &all, &err), &err);
    CHECK_EQ_U64(each[4].blocks, w.image[5].data);
    vf_index_prints_free(p);
    p = vf_index_prints_new(map, &err);
    CHECK_OK(p, &err);

    CHECK_EQ_I64(vf_index_remove(w.ix, w.path[5], &err), VF_FOUND);
    CHECK_OK(r->ops->find(r, 1, (const void *)id, 1, got, &err), &err);
    CHECK_EQ_U64(got[0][0].span, 0);
    CHECK_FAIL(r->ops->digests(r, 4, 0, 1, md5, &err), &err, VF_ERR_NOTFOUND);
    CHECK_FAIL(r->ops->segments(r, 4, 1, 0, 0, &node, 1, &err), &err, VF_ERR_NOTFOUND);
    CHECK_FAIL(vf_index_prints_next(p, &(struct vf_print){0, 0}, 1, &err), &err, VF_ERR_NOTFOUND);
    CHECK_FAIL(map->ops->nodes(map, 1, 0, 1, &node, &err), &err, VF_ERR_NOTFOUND);
    CHECK_FAIL(map->ops->info(map, &w.image[5].info, &err), &err, VF_ERR_NOTFOUND);
    CHECK_FAIL(map->ops->digests(map, 0, 1, md5, &err), &err, VF_ERR_NOTFOUND);
    vf_index_prints_free(p);
    map->ops->close(map);
    map = vf_index_map(w.ix, w.path[0], &err);
    CHECK_OK(map, &err);
    p = vf_index_prints_new(map, &err);
    CHECK_OK(p, &err);
    CHECK_OK(r->ops->shared(r, vf_index_prints_next, p, each, &all, &err), &err);
    CHECK_EQ_U64(each[4].blocks, 0);
    CHECK_EQ_U64(all.blocks, w.image[0].data);
    vf_index_prints_free(p);
    map->ops->close(map);
    r->ops->close(r);
    world_free(&w);
}

/* ---- opening the content ---- */

static void close_plain(struct vf_image *im) { free(im); }
static const struct vf_image_ops plain_ops = {.name = "test", .close = close_plain};

static struct vf_image *open_plain(void *ctx, const struct vf_image_record *rec, const char *file,
                                   struct vf_error *err)
{
    struct vf_image *im = calloc(1, sizeof *im);

    (void)err;
    CHECK(im != NULL);
    CHECK_STR(rec->format, "raw");
    CHECK(access(file, R_OK) == 0);
    im->ops = &plain_ops;
    im->size = rec->info.size;
    ++*(int *)ctx;
    return im;
}

TEST(open_content)
{
    struct world w;
    struct vf_error err;
    struct vf_residents *r;
    struct vf_image *im;
    int opened = 0;

    world_make(&w, "open");
    r = vf_index_residents(w.ix, "", w.path[1], open_plain, &opened, &err);
    CHECK_OK(r, &err);
    im = r->ops->open(r, 0, &err);
    CHECK_OK(im, &err);
    CHECK_EQ_U64(im->size, w.image[0].size);
    im->ops->close(im);
    vf_test_write_file(vf_test_path("open/i0.raw"), "other", 5);
    CHECK_FAIL(r->ops->open(r, 0, &err), &err, VF_ERR_CHANGED);
    CHECK(unlink(vf_test_path("open/i0.raw")) == 0);
    CHECK_FAIL(r->ops->open(r, 0, &err), &err, VF_ERR_NOTFOUND);
    CHECK_EQ_I64(vf_index_remove(w.ix, w.path[2], &err), VF_FOUND);
    CHECK_FAIL(r->ops->open(r, 1, &err), &err, VF_ERR_NOTFOUND);
    CHECK_FAIL(r->ops->open(r, 4, &err), &err, VF_ERR_RANGE);
    CHECK_EQ_I64(opened, 1);
    r->ops->close(r);
    r = residents(&w, NULL);
    CHECK_FAIL(r->ops->open(r, 0, &err), &err, VF_ERR_UNSUPPORTED);
    r->ops->close(r);
    world_free(&w);
}

struct asked {
    unsigned times;
    bool answer;
    char file[4096];
};

static bool is_live(void *ctx, const struct vf_image_record *rec, const char *file)
{
    struct asked *a = ctx;

    CHECK_STR(rec->format, "qcow2");
    a->times++;
    snprintf(a->file, sizeof a->file, "%s", file);
    return a->answer;
}

/* What a guest was writing when it was indexed: raw images are used as long as they are the same
 * file of the same size; others only if somebody says that they can be read, whatever their size.
 */
TEST(moving)
{
    struct world w;
    struct vf_error err;
    struct vf_image_record rec = {0};
    struct asked asked = {0};
    char file[4096];

    world_make(&w, "moving");
    snprintf(file, sizeof file, "%s/%s", vf_test_path("moving"), w.path[0]);
    CHECK(vf_index_get(w.ix, w.path[0], &rec, &err) == VF_FOUND);
    CHECK(vf_index_usable(w.ix, &rec));
    rec.state = VF_IMAGE_MOVING;
    CHECK(vf_index_usable(w.ix, &rec) && !vf_index_fresh(w.ix, &rec));
    rec.st.mtime_ns--; /* it goes on writing */
    CHECK(vf_index_usable(w.ix, &rec));
    rec.st.size++;
    CHECK(!vf_index_usable(w.ix, &rec));

    free(rec.format);
    rec.format = strdup("qcow2");
    CHECK(rec.format && !vf_index_usable(w.ix, &rec));
    vf_index_set_live(w.ix, is_live, &asked);
    CHECK(!vf_index_usable(w.ix, &rec));
    asked.answer = true;
    CHECK(vf_index_usable(w.ix, &rec) && !vf_index_fresh(w.ix, &rec));
    CHECK_EQ_U64(asked.times, 2);
    CHECK_STR(asked.file, file);
    rec.st.ino++; /* another file: nobody needs to be asked */
    CHECK(!vf_index_usable(w.ix, &rec));
    CHECK_EQ_U64(asked.times, 2);
    rec.st.ino--;
    rec.state = VF_IMAGE_COMPLETE; /* nor for one that stood still */
    CHECK(!vf_index_usable(w.ix, &rec));
    CHECK_EQ_U64(asked.times, 2);
    vf_image_record_clear(&rec);
    world_free(&w);
}

TEST(groups)
{
    struct world w;
    struct vf_error err;
    struct vf_residents *r;

    world_make(&w, "groups");
    r = vf_index_residents(w.ix, "other", NULL, NULL, NULL, &err);
    CHECK_OK(r, &err);
    CHECK_EQ_U64(r->ops->count(r), 1);
    CHECK_EQ_U64(which(&w, r, 0), 4);
    check_find(&w, r, 1, 200, 9);
    r->ops->close(r);
    r = vf_index_residents(w.ix, "nobody", NULL, NULL, NULL, &err);
    CHECK_OK(r, &err);
    CHECK_EQ_U64(r->ops->count(r), 0);
    r->ops->close(r);
    world_free(&w);
}

TEST(prints)
{
    struct world w;
    struct vf_error err;

    world_make(&w, "prints");
    for (size_t i = 0; i < IMAGES; i++) {
        uint64_t *v = synth_sorted(&w.image[i]), at = 0, distinct = 0;
        struct vf_map *map = vf_index_map(w.ix, w.path[i], &err);
        struct vf_index_prints *p;
        struct vf_print got[1000];
        long n;

        CHECK_OK(map, &err);
        p = vf_index_prints_new(map, &err);
        CHECK_OK(p, &err);
        while ((n = vf_index_prints_next(p, got, i * 190 + 1, &err)) > 0)
            for (long k = 0; k < n; k++, distinct++)
                for (uint32_t c = 0; c < got[k].count; c++)
                    CHECK_EQ_U64(v[at++], got[k].fp);
        CHECK_EQ_I64(n, 0);
        CHECK_EQ_I64(vf_index_prints_next(p, got, 5, &err), 0);
        CHECK_EQ_U64(at, w.image[i].data);
        CHECK_EQ_U64(distinct + (w.image[i].info.zero_blocks > 0), w.image[i].info.distinct_blocks);
        vf_index_prints_free(p);
        map->ops->close(map);
        free(v);
    }
    world_free(&w);
}

TESTS(find, shared, paper, digests, segments, stale, donor_goes_away, open_content, moving, groups,
      prints)
