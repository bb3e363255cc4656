/* Images and their records: names, listing, renaming, removing, opening. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/index/synth.h"

static struct vf_index *open_new(const char *name)
{
    struct vf_error err;
    struct vf_index *ix = vf_index_open(synth_dir(name), VF_INDEX_CREATE, &err);

    CHECK_OK(ix, &err);
    return ix;
}

static void store(struct vf_index *ix, const char *path, uint64_t seed)
{
    struct synth s = synth_random(seed, 300, 1000, 0);
    struct vf_error err;

    CHECK_OK(synth_store(ix, &s, path, "", &err), &err);
    synth_free(&s);
}

static bool known(struct vf_index *ix, const char *path)
{
    struct vf_image_record rec;
    struct vf_error err;
    int rc = vf_index_get(ix, path, &rec, &err);

    CHECK(rc >= 0);
    if (rc == VF_FOUND)
        vf_image_record_clear(&rec);
    return rc == VF_FOUND;
}

TEST(opening)
{
    struct vf_error err;
    const char *dir = vf_test_path("opening");
    struct vf_index *ix;

    CHECK_FAIL(vf_index_open(dir, 0, &err), &err, VF_ERR_NOTFOUND);
    CHECK_FAIL(vf_index_open(dir, VF_INDEX_READONLY, &err), &err, VF_ERR_NOTFOUND);
    ix = vf_index_open(dir, VF_INDEX_CREATE, &err);
    CHECK_OK(ix, &err);
    vf_index_close(ix);
    ix = vf_index_open(dir, 0, &err);
    CHECK_OK(ix, &err);
    store(ix, "a", 1);
    vf_index_close(ix);
    ix = vf_index_open(dir, VF_INDEX_READONLY, &err);
    CHECK_OK(ix, &err);
    CHECK(known(ix, "a"));
    CHECK_FAIL(vf_index_remove(ix, "a", &err), &err, VF_ERR_DENIED);
    {
        struct vf_image_record rec = synth_record("b", "");

        CHECK_FAIL(vf_index_begin(ix, &rec, &err), &err, VF_ERR_DENIED);
    }
    vf_index_close(ix);
    vf_index_close(NULL);
}

/* Nothing of the index is open in programs that are started while it is. */
TEST(nothing_inherited)
{
    struct vf_index *ix = open_new("inherit");
    DIR *d = opendir("/proc/self/fd");
    struct dirent *e;
    unsigned seen = 0;

    if (!d)
        SKIP("no /proc");
    while ((e = readdir(d))) {
        char target[4096];
        ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof target - 1);

        if (n <= 0)
            continue;
        target[n] = 0;
        if (!strstr(target, "/inherit"))
            continue;
        seen++;
        CHECK(fcntl(atoi(e->d_name), F_GETFD) & FD_CLOEXEC);
    }
    closedir(d);
    CHECK(seen >= 3);
    vf_index_close(ix);
}

TEST(three_answers)
{
    struct vf_index *ix = open_new("three");
    struct vf_image_record rec;
    struct vf_error err;

    store(ix, "images/x", 1);
    CHECK_EQ_I64(vf_index_get(ix, "images/x", &rec, &err), VF_FOUND);
    CHECK_STR(rec.path, "images/x");
    CHECK_STR(rec.format, "raw");
    CHECK_EQ_U64(rec.info.blocks, 300);
    vf_image_record_clear(&rec);
    CHECK_EQ_I64(vf_index_get(ix, "images/y", &rec, &err), VF_ABSENT);
    CHECK_FAIL(vf_index_get(ix, "../y", &rec, &err), &err, VF_ERR_USAGE);
    CHECK_FAIL(vf_index_get(ix, "", &rec, &err), &err, VF_ERR_USAGE);
    vf_index_close(ix);
}

/* A path below the store is the same image, whether it is written absolute or not. */
TEST(names)
{
    struct vf_index *ix = open_new("names");
    struct vf_error err;
    char path[4096], *real;

    store(ix, "images/x", 1);
    snprintf(path, sizeof path, "%s/images/x", vf_test_path("names"));
    CHECK(known(ix, path));
    real = realpath(vf_test_path("names"), NULL);
    CHECK(real != NULL);
    snprintf(path, sizeof path, "%s//images/y", real);
    store(ix, path, 2);
    free(real);
    CHECK(known(ix, "images/y"));
    snprintf(path, sizeof path, "%sx/images/y", vf_test_path("names"));
    CHECK(!known(ix, path));
    CHECK_EQ_I64(vf_index_remove(ix, "images/y", &err), VF_FOUND);
    CHECK_EQ_I64(vf_index_remove(ix, "images/y", &err), VF_ABSENT);
    vf_index_close(ix);
}

struct listing {
    struct vf_index *ix;
    char last[5000];
    unsigned n, stop;
};

static int list_one(void *ctx, const struct vf_image_record *rec, struct vf_error *err)
{
    struct listing *l = ctx;

    CHECK(strcmp(rec->path, l->last) > 0);
    snprintf(l->last, sizeof l->last, "%s", rec->path);
    l->n++;
    CHECK(known(l->ix, rec->path)); /* calls back into the index */
    if (l->stop && l->n == l->stop)
        return vf_error_set(err, VF_ERR_CANCELLED, 0, "stopped");
    return 0;
}

TEST(listing)
{
    struct vf_index *ix = open_new("listing");
    struct listing l = {.ix = ix};
    struct vf_error err;
    char path[32];

    CHECK_OK(vf_index_each(ix, list_one, &l, &err), &err);
    CHECK_EQ_U64(l.n, 0);
    for (unsigned i = 0; i < 200; i++) {
        snprintf(path, sizeof path, "images/%03u", i * 7 % 200);
        store(ix, path, i);
    }
    CHECK_OK(vf_index_each(ix, list_one, &l, &err), &err);
    CHECK_EQ_U64(l.n, 200);
    l = (struct listing){.ix = ix, .stop = 70};
    CHECK_FAIL(vf_index_each(ix, list_one, &l, &err), &err, VF_ERR_CANCELLED);
    CHECK_EQ_U64(l.n, 70);
    vf_index_close(ix);
}

/* Paths longer than LMDB's keys, many of which begin alike. */
TEST(long_paths)
{
    struct vf_index *ix = open_new("long");
    struct listing l = {.ix = ix};
    struct vf_image_record rec;
    struct vf_error err;
    char path[VF_INDEX_PATH_MAX + 2];
    const size_t lens[] = {479, 480, 481, 511, 600, 4095};

    for (unsigned i = 0; i < 6; i++)
        for (char c = 'a'; c < 'e'; c++) {
            memset(path, 'p', lens[i]);
            path[lens[i]] = 0;
            path[lens[i] - 1] = c;
            store(ix, path, (uint64_t)c);
        }
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 6; i++)
            for (char c = 'a'; c < 'e'; c++) {
                memset(path, 'p', lens[i]);
                path[lens[i]] = 0;
                path[lens[i] - 1] = c;
                CHECK(known(ix, path) == (round == 0 || c != 'b'));
                CHECK_EQ_I64(vf_index_get(ix, path, &rec, &err),
                             round == 0 || c != 'b' ? VF_FOUND : VF_ABSENT);
                if (round == 0 || c != 'b') {
                    CHECK_STR(rec.path, path);
                    vf_image_record_clear(&rec);
                }
            }
        for (unsigned i = 0; round == 0 && i < 6; i++) { /* holes among those that begin alike */
            memset(path, 'p', lens[i]);
            path[lens[i]] = 0;
            path[lens[i] - 1] = 'b';
            CHECK_EQ_I64(vf_index_remove(ix, path, &err), VF_FOUND);
        }
    }
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = 0;
    CHECK_FAIL(vf_index_get(ix, path, &rec, &err), &err, VF_ERR_USAGE);
    (void)l;
    vf_index_close(ix);
}

TEST(update)
{
    struct vf_index *ix = open_new("update");
    struct vf_image_record rec, again;
    struct vf_error err;
    struct vf_map *map;
    static char to[] = "images/new", group[] = "g";
    char *was;

    store(ix, "images/old", 1);
    store(ix, "images/new", 2);
    CHECK_EQ_I64(vf_index_get(ix, "images/old", &rec, &err), VF_FOUND);
    map = vf_index_map(ix, "images/old", &err);
    CHECK_OK(map, &err);

    /* In place. */
    rec.state = VF_IMAGE_MOVING;
    rec.st.mtime_ns = 5;
    CHECK_OK(vf_index_update(ix, "images/old", &rec, &err), &err);
    CHECK_EQ_I64(vf_index_get(ix, "images/old", &again, &err), VF_FOUND);
    CHECK_EQ_I64(again.state, VF_IMAGE_MOVING);
    CHECK_EQ_I64(again.st.mtime_ns, 5);
    vf_image_record_clear(&again);

    /* To another name, which is taken. */
    was = rec.path;
    rec.path = to;
    free(rec.group);
    rec.group = group;
    CHECK_OK(vf_index_update(ix, "images/old", &rec, &err), &err);
    CHECK(!known(ix, "images/old"));
    CHECK_EQ_I64(vf_index_get(ix, "images/new", &again, &err), VF_FOUND);
    CHECK_EQ_U64(again.generation, rec.generation);
    CHECK_STR(again.group, "g");
    CHECK_MEM(again.info.root, rec.info.root, VF_SHA_LEN);
    vf_image_record_clear(&again);
    CHECK_OK(map->ops->info(map, &again.info, &err), &err); /* the map is the same one */
    map->ops->close(map);
    CHECK_OK(vf_index_verify(ix, "images/new", &err), &err);

    /* Not what is there any more. */
    CHECK_FAIL(vf_index_update(ix, "images/old", &rec, &err), &err, VF_ERR_NOTFOUND);
    store(ix, "images/new", 3);
    CHECK_FAIL(vf_index_update(ix, "images/new", &rec, &err), &err, VF_ERR_CHANGED);
    rec.path = was;
    rec.group = NULL;
    vf_image_record_clear(&rec);
    vf_index_close(ix);
}

TEST(freshness)
{
    struct vf_index *ix = open_new("fresh");
    struct vf_image_record rec = synth_record("f", "");
    struct vf_error err;
    char path[4096];
    struct timespec times[2] = {{1000, 5}, {1000, 5}};

    snprintf(path, sizeof path, "%s/f", vf_test_path("fresh"));
    vf_test_write_file(path, "abc", 3);
    CHECK_OK(vf_index_stat(ix, "f", &rec.st, &err), &err);
    CHECK_EQ_U64(rec.st.size, 3);
    CHECK(vf_index_fresh(ix, &rec));
    rec.st.dev++;
    CHECK(vf_index_fresh(ix, &rec)); /* device numbers change over reboots */
    rec.st.ctime_ns--;
    CHECK(!vf_index_fresh(ix, &rec));
    CHECK_OK(vf_index_stat(ix, path, &rec.st, &err), &err);
    CHECK(vf_index_fresh(ix, &rec));
    CHECK(utimensat(AT_FDCWD, path, times, 0) == 0);
    CHECK(!vf_index_fresh(ix, &rec));
    CHECK(unlink(path) == 0);
    CHECK(!vf_index_fresh(ix, &rec));
    CHECK_FAIL(vf_index_stat(ix, "f", &rec.st, &err), &err, VF_ERR_NOTFOUND);
    rec = synth_record("/dev/null", "");
    CHECK_OK(vf_index_stat(ix, "/dev/null", &rec.st, &err), &err);
    CHECK(!vf_index_fresh(ix, &rec)); /* nothing proves that a device was not written to */
    vf_index_close(ix);
}

/* Replacing an image many times must not make the file grow. */
TEST(space_is_used_again)
{
    const struct vf_index_limits limits = {VF_STORE_MAP_SIZE, 1u << 20};
    struct vf_error err;
    struct vf_index *ix = vf_index_open_with(synth_dir("space"), VF_INDEX_CREATE, &limits, &err);
    char path[4096];
    struct stat st;
    off_t first = 0;

    CHECK_OK(ix, &err);
    snprintf(path, sizeof path, "%s/index/data.mdb", vf_test_path("space"));
    for (uint64_t i = 0; i < 12; i++) {
        struct synth s = synth_random(i, 150000, 1u << 30, 0);

        if (i % 4 == 3)
            CHECK_EQ_I64(vf_index_remove(ix, "x", &err), VF_FOUND);
        CHECK_OK(synth_store(ix, &s, "x", "", &err), &err);
        synth_free(&s);
        CHECK(stat(path, &st) == 0);
        if (i == 0)
            first = st.st_size;
    }
    CHECK(st.st_size < 3 * first);
    vf_index_close(ix);
}

TESTS(opening, nothing_inherited, three_answers, names, listing, long_paths, update, freshness,
      space_is_used_again)
