/* Summaries: what goes in comes out, the same bytes each time; hostile bytes are refused. */
#include "core/similar/summary.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/hash/digest.h"
#include "core/similar/delta.h"
#include "tests/core/similar/sketches.h"

static const uint8_t id[VF_STORE_ID_LEN] = {1, 2, 3};

struct image {
    const char *name, *group;
    uint64_t from, to; /* contents */
    bool fresh;
};

static const struct image some[] = {
    {"images/b", "", 0, 50000, true},
    {"images/a", "", 40000, 90000, true},
    {"old", "", 500000, 520000, false},
    {"t", "tenant", 1000000, 1030000, true},
};
#define SOME (sizeof some / sizeof *some)

static uint32_t repeats(uint64_t content) { return content % 97 == 0 ? 20 : 1; }

static struct vf_summary_image make_image(const struct image *im)
{
    union {
        const char *in;
        char *out;
    } name = {im->name}, group = {im->group};
    struct vf_summary_image ret = {.name = name.out, .group = group.out, .fresh = im->fresh};

    ret.sketch = sketch_of(im->from, im->to, repeats, 100);
    ret.sketched = true;
    ret.zero_blocks = 100;
    ret.blocks = vf_sketch_blocks(&ret.sketch) + 100;
    ret.size = ret.blocks * VF_BLOCK;
    ret.distinct_blocks = im->to - im->from + 1;
    memset(ret.root, (int)(im->from % 251), sizeof ret.root);
    return ret;
}

/* A summary of the images, taken from the first or from the last on. */
static struct vf_buf make(const struct image *im, size_t n, enum vf_summary_size size,
                          uint64_t generation, bool backwards)
{
    static const char *const groups[] = {"tenant", "", "nobody", ""};
    struct vf_summary_builder *b;
    struct vf_buf ret = VF_BUF_INIT;
    struct vf_error err;

    CHECK_OK((b = vf_summary_builder_new(size, groups, 4, n, &err)), &err);
    for (size_t i = 0; i < n; i++) {
        struct vf_summary_image image = make_image(&im[backwards ? n - 1 - i : i]);

        CHECK_OK(vf_summary_builder_add(b, &image, &err), &err);
        vf_sketch_free(&image.sketch);
    }
    CHECK_OK(vf_summary_builder_finish(b, id, generation, &ret, &err), &err);
    vf_summary_builder_free(b);
    return ret;
}

TEST(in_and_out)
{
    struct vf_buf full = make(some, SOME, VF_SUMMARY_FULL, 77, false),
                  again = make(some, SOME, VF_SUMMARY_FULL, 77, true),
                  brief = make(some, SOME, VF_SUMMARY_BRIEF, 78, false);
    const struct vf_summary_group *g;
    struct vf_summary_head head;
    struct vf_summary s;
    struct vf_error err;

    CHECK_EQ_U64(full.len, again.len); /* whatever the order */
    CHECK_MEM(full.data, again.data, full.len);
    CHECK(brief.len < full.len);
    CHECK_OK(vf_summary_head(full.data, full.len, &head, &err), &err);
    CHECK_EQ_U64(head.generation, 77);
    CHECK_EQ_U64(head.size, VF_SUMMARY_FULL);
    CHECK_MEM(head.store_id, id, sizeof id);
    CHECK_OK(vf_summary_parse(full.data, full.len, &s, &err), &err);
    CHECK_EQ_U64(s.groups, 3);
    CHECK_STR(s.group[0].name, "");
    CHECK_STR(s.group[1].name, "nobody");
    CHECK_EQ_U64(s.images, 4);
    CHECK_STR(s.image[0].name, "images/a");
    CHECK_STR(s.image[2].name, "old");
    CHECK(!s.image[2].fresh && !s.image[2].used && s.image[2].sketched && s.image[0].fresh);
    CHECK_STR(s.image[3].group, "tenant");
    CHECK_EQ_U64(s.image[0].distinct_blocks, 50001);
    CHECK(s.image[0].sketch.n > 4096 && s.image[0].sketch.n <= 8192);
    g = vf_summary_group(&s, "");
    CHECK(g && g->held.images == 2 && g->held.resident == 100000 && g->held.has_zero);
    CHECK(g->held.n > 8192 && g->held.n <= VF_SUMMARY_UNION);
    CHECK(g->held.heavy_n > 200);
    CHECK(vf_summary_group(&s, "nobody")->held.images == 0);
    CHECK(vf_summary_group(&s, "other") == NULL);
    CHECK(vf_summary_same(&s, "", s.image[1].root) == &s.image[1]);
    CHECK(vf_summary_same(&s, "", s.image[2].root) == NULL); /* not fresh */
    CHECK(vf_summary_same(&s, "tenant", s.image[1].root) == NULL);
    vf_summary_free(&s);
    CHECK_OK(vf_summary_parse(brief.data, brief.len, &s, &err), &err);
    CHECK(!s.image[0].sketched);
    CHECK_EQ_U64(s.group[0].held.images, 2);
    vf_summary_free(&s);
    vf_buf_free(&full);
    vf_buf_free(&again);
    vf_buf_free(&brief);
}

static bool inside(uint64_t v, const struct vf_bounded *b) { return b->low <= v && v <= b->high; }

TEST(comparing)
{
    struct vf_buf b = make(some, SOME, VF_SUMMARY_BRIEF, 1, false);
    struct vf_sketch t = sketch_of(20000, 120000, repeats, 5);
    struct vf_summary s;
    struct vf_likeness quick, slow;
    uint8_t root[VF_SHA_LEN];
    struct vf_error err;

    CHECK(vf_summary_compare(b.data, b.len, "", &t, NULL, &quick, &err) == VF_SUMMARY_COMPARED);
    CHECK_OK(vf_summary_parse(b.data, b.len, &s, &err), &err);
    vf_sketch_compare(&t, &vf_summary_group(&s, "")->held, &slow);
    CHECK_MEM(&quick, &slow, sizeof quick);
    CHECK(inside(70000, &quick.shared_distinct));
    CHECK(inside(30000, &quick.literals));
    CHECK(quick.has_zero);
    CHECK(vf_summary_compare(b.data, b.len, "nobody", &t, NULL, &quick, &err) ==
          VF_SUMMARY_COMPARED);
    CHECK_EQ_U64(quick.shared.high, 0);
    CHECK(vf_summary_compare(b.data, b.len, "else", &t, NULL, &quick, &err) == VF_SUMMARY_NO_GROUP);
    memset(root, 40000 % 251, sizeof root);
    CHECK(vf_summary_compare(b.data, b.len, "", &t, root, &quick, &err) == VF_SUMMARY_COMPARED);
    CHECK_EQ_U64(quick.literals.high, 0);
    CHECK(vf_summary_compare(b.data, b.len, "tenant", &t, root, &quick, &err) ==
          VF_SUMMARY_COMPARED);
    CHECK(quick.literals.low > 90000);
    vf_summary_free(&s);
    vf_sketch_free(&t);
    vf_buf_free(&b);
}

/* A disk that a guest writes: in the union, but not the same as another of that root. */
TEST(used_though_not_fresh)
{
    static const char *const groups[] = {""};
    const struct image moving = {"x", "", 0, 1000, false};
    struct vf_summary_image im = make_image(&moving);
    struct vf_summary_builder *b;
    struct vf_buf bytes;
    struct vf_summary s;
    struct vf_error err;

    im.used = true;
    CHECK_OK((b = vf_summary_builder_new(VF_SUMMARY_BRIEF, groups, 1, 5, &err)), &err);
    CHECK_OK(vf_summary_builder_add(b, &im, &err), &err);
    CHECK_OK(vf_summary_builder_finish(b, id, 1, &bytes, &err), &err);
    CHECK_OK(vf_summary_parse(bytes.data, bytes.len, &s, &err), &err);
    CHECK(!s.image[0].fresh && s.image[0].used);
    CHECK_EQ_U64(s.group[0].held.images, 1);
    CHECK_EQ_U64(s.group[0].held.n, 1000);
    CHECK(vf_summary_same(&s, "", im.root) == NULL);
    vf_sketch_free(&im.sketch);
    vf_summary_builder_free(b);
    vf_summary_free(&s);
    vf_buf_free(&bytes);
}

TEST(refused_images)
{
    static const char *const groups[] = {"a"};
    const struct image other = {"x", "b", 0, 10, true}, fresh = {"x", "a", 0, 10, true};
    struct vf_summary_image im;
    struct vf_summary_builder *b;
    struct vf_error err;

    CHECK_OK((b = vf_summary_builder_new(VF_SUMMARY_BRIEF, groups, 1, 5, &err)), &err);
    im = make_image(&other);
    CHECK_FAIL(vf_summary_builder_add(b, &im, &err), &err, VF_ERR_RANGE);
    vf_sketch_free(&im.sketch);
    im = make_image(&fresh);
    vf_sketch_free(&im.sketch);
    im.sketched = false;
    CHECK_FAIL(vf_summary_builder_add(b, &im, &err), &err, VF_ERR_RANGE);
    im.fresh = false;
    CHECK_OK(vf_summary_builder_add(b, &im, &err), &err);
    vf_summary_builder_free(b);
    vf_summary_builder_free(NULL);
}

/* Every changed byte is found, by the checksum or before. */
TEST(damage)
{
    struct vf_buf b = make(some, SOME, VF_SUMMARY_FULL, 9, false);
    struct vf_summary s;
    struct vf_error err;
    uint8_t *cut;

    for (size_t at = 0; at < b.len; at += 1 + at / 40) {
        b.data[at] ^= 0x20;
        CHECK_FAIL(vf_summary_parse(b.data, b.len, &s, &err), &err, VF_ERR_FORMAT);
        b.data[at] ^= 0x20;
        CHECK_OK((cut = malloc(at + 1)), &err);
        memcpy(cut, b.data, at);
        CHECK_FAIL(vf_summary_parse(cut, at, &s, &err), &err, VF_ERR_FORMAT);
        free(cut);
    }
    b.data[4]++;
    CHECK_FAIL(vf_summary_parse(b.data, b.len, &s, &err), &err, VF_ERR_FORMAT);
    CHECK_HAS(err.msg, "version");
    vf_buf_free(&b);
}

/* One image more or less: a small delta. */
TEST(brought_up_to_date)
{
    struct image im[20];
    char name[20][16];
    struct vf_buf old, new, sig = VF_BUF_INIT, delta = VF_BUF_INIT, got = VF_BUF_INIT;
    uint8_t sha[VF_SHA_LEN];
    struct vf_sha *hash;
    struct vf_error err;

    for (unsigned i = 0; i < 20; i++) {
        snprintf(name[i], sizeof name[i], "image%02u", i);
        im[i] = (struct image){name[i], "", i * 20000, i * 20000 + 60000, true};
    }
    old = make(im, 19, VF_SUMMARY_FULL, 1, false);
    new = make(im + 1, 19, VF_SUMMARY_FULL, 2, false);
    CHECK_OK((hash = vf_sha_new(&err)), &err);
    CHECK_OK(vf_sha_of(hash, new.data, new.len, sha, &err), &err);
    CHECK_OK(vf_delta_signature(old.data, old.len, &sig, &err), &err);
    CHECK_OK(vf_delta_make(sig.data, sig.len, new.data, new.len, new.len, &delta, &err), &err);
    CHECK_OK(vf_delta_apply(old.data, old.len, delta.data, delta.len, VF_SUMMARY_BYTES_MAX, sha,
                            &got, &err),
             &err);
    CHECK_MEM(got.data, new.data, new.len);
    /* The union and one sketch out of 19 are new. */
    CHECK(delta.len + sig.len < new.len / 3);
    vf_sha_free(hash);
    vf_buf_free(&old);
    vf_buf_free(&new);
    vf_buf_free(&sig);
    vf_buf_free(&delta);
    vf_buf_free(&got);
}

TEST(cache)
{
    const char *dir = vf_test_path("store");
    struct vf_buf a = make(some, SOME, VF_SUMMARY_FULL, 3, false),
                  b = make(some, 1, VF_SUMMARY_BRIEF, 4, false), got = VF_BUF_INIT;
    struct vf_error err;
    char path[4096], line[64], *file;
    size_t files = 0;
    FILE *ls;
    int fd;

    CHECK(mkdir(dir, 0700) == 0);
    fd = open(dir, O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0);
    CHECK(vf_summary_cache_load(fd, "ssh://a", &got, &err) == 0);
    CHECK_OK(vf_summary_cache_save(fd, "ssh://a", a.data, a.len, &err), &err);
    CHECK_OK(vf_summary_cache_save(fd, "ssh://b", a.data, a.len, &err), &err);
    CHECK_OK(vf_summary_cache_save(fd, "ssh://b", b.data, b.len, &err), &err);
    CHECK(vf_summary_cache_load(fd, "ssh://a", &got, &err) == 1);
    CHECK_EQ_U64(got.len, a.len);
    CHECK_MEM(got.data, a.data, a.len);
    vf_buf_free(&got);
    CHECK(vf_summary_cache_load(fd, "ssh://b", &got, &err) == 1);
    CHECK_EQ_U64(got.len, b.len);
    vf_buf_free(&got);
    CHECK(vf_summary_cache_load(fd, "ssh://c", &got, &err) == 0);
    b.data[50] ^= 1;
    CHECK_FAIL(vf_summary_cache_save(fd, "ssh://b", b.data, b.len, &err), &err, VF_ERR_FORMAT);
    /* A damaged file is dropped, and the next one is kept. */
    snprintf(path, sizeof path, "ls %s/cache/summaries", dir);
    ls = popen(path, "r");
    CHECK(ls != NULL);
    while (fgets(line, sizeof line, ls)) {
        line[strcspn(line, "\n")] = 0;
        snprintf(path, sizeof path, "%s/cache/summaries/%s", dir, line);
        CHECK_OK((file = strdup(path)), &err);
        vf_test_write_file(file, "damaged", files ? 7 : 0);
        free(file);
        files++;
    }
    pclose(ls);
    CHECK_EQ_U64(files, 2);
    CHECK(vf_summary_cache_load(fd, "ssh://a", &got, &err) == 0);
    CHECK(vf_summary_cache_load(fd, "ssh://b", &got, &err) == 0);
    CHECK(access(path, F_OK) != 0);
    CHECK_OK(vf_summary_cache_save(fd, "ssh://a", a.data, a.len, &err), &err);
    CHECK(vf_summary_cache_load(fd, "ssh://a", &got, &err) == 1);
    vf_buf_free(&got);
    close(fd);
    vf_buf_free(&a);
    vf_buf_free(&b);
}

TESTS(in_and_out, comparing, used_though_not_fresh, refused_images, damage, brought_up_to_date,
      cache)
