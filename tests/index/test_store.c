/* The database itself: a map that grows, a disk that fills up, a file that was damaged. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/index/synth.h"

static const struct vf_index_limits tiny = {1u << 20, 1u << 18};

static void check_stored(struct vf_index *ix, const struct synth *s, const char *path)
{
    struct vf_error err;
    struct vf_map *map = vf_index_map(ix, path, &err);

    CHECK_OK(map, &err);
    synth_check_map(s, map);
    map->ops->close(map);
    CHECK_OK(vf_index_verify(ix, path, &err), &err);
}

/* Runs fn in a process of its own; returns what waitpid says. */
static int in_child(void (*fn)(void *), void *arg)
{
    int status;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        fn(arg);
        fflush(NULL);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

TEST(map_grows)
{
    struct vf_error err;
    struct vf_index *ix = vf_index_open_with(synth_dir("grow"), VF_INDEX_CREATE, &tiny, &err);
    struct synth s[3];
    char path[8];

    CHECK_OK(ix, &err);
    for (uint64_t i = 0; i < 3; i++) {
        s[i] = synth_random(i, 150000, 1u << 30, 0);
        snprintf(path, sizeof path, "%u", (unsigned)i);
        CHECK_OK(synth_store(ix, &s[i], path, "", &err), &err);
    }
    for (uint64_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%u", (unsigned)i);
        check_stored(ix, &s[i], path);
        synth_free(&s[i]);
    }
    vf_index_close(ix);
}

/* Another process makes the file larger than our map. */
struct pair {
    int go, ready; /* pipes */
    const char *dir;
    struct synth *a, *b;
};

static void read_while_it_grows(void *arg)
{
    struct pair *p = arg;
    struct vf_error err;
    struct vf_index *ix = vf_index_open_with(p->dir, 0, &tiny, &err);
    char c = 0;

    CHECK_OK(ix, &err);
    check_stored(ix, p->a, "a");
    CHECK(write(p->ready, &c, 1) == 1);
    CHECK(read(p->go, &c, 1) == 1);
    check_stored(ix, p->a, "a");
    check_stored(ix, p->b, "b");
    vf_index_close(ix);
}

TEST(map_grown_elsewhere)
{
    struct synth a = synth_random(1, 2000, 1u << 30, 0), b = synth_random(2, 200000, 1u << 30, 0);
    struct pair p = {.dir = synth_dir("elsewhere"), .a = &a, .b = &b};
    struct vf_error err;
    struct vf_index *ix = vf_index_open_with(p.dir, VF_INDEX_CREATE, &tiny, &err);
    int go[2], ready[2], status;
    pid_t pid;
    char c = 0;

    CHECK_OK(ix, &err);
    CHECK_OK(synth_store(ix, &a, "a", "", &err), &err);
    CHECK_OK(synth_store(ix, &b, "dummy", "", &err), &err); /* so that info.distinct is known */
    CHECK_EQ_I64(vf_index_remove(ix, "dummy", &err), VF_FOUND);
    vf_index_close(ix);
    CHECK(unlink(vf_test_path("elsewhere/index/data.mdb")) == 0);
    CHECK(unlink(vf_test_path("elsewhere/index/lock.mdb")) == 0);
    ix = vf_index_open_with(p.dir, VF_INDEX_CREATE, &tiny, &err);
    CHECK_OK(ix, &err);
    CHECK_OK(synth_store(ix, &a, "a", "", &err), &err);
    vf_index_close(ix);

    CHECK(pipe(go) == 0 && pipe(ready) == 0);
    fflush(NULL);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(go[1]);
        p.go = go[0];
        p.ready = ready[1];
        read_while_it_grows(&p);
        _exit(0);
    }
    close(go[0]);
    close(ready[1]);
    CHECK(read(ready[0], &c, 1) == 1);
    ix = vf_index_open(p.dir, 0, &err);
    CHECK_OK(ix, &err);
    CHECK_OK(synth_store(ix, &b, "b", "", &err), &err);
    CHECK(write(go[1], &c, 1) == 1);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_EQ_I64(status, 0);
    vf_index_close(ix);
    close(go[1]);
    close(ready[0]);
    synth_free(&a);
    synth_free(&b);
}

/* ---- a full disk ---- */

static void fill_file(void *arg)
{
    const char *dir = arg;
    struct synth a = synth_random(1, 50000, 1u << 30, 0), b = synth_random(2, 50000, 1u << 30, 0);
    const struct vf_index_limits limits = {VF_STORE_MAP_SIZE, 1u << 18};
    struct rlimit small, was;
    struct vf_error err;
    struct vf_index *ix = vf_index_open_with(dir, VF_INDEX_CREATE, &limits, &err);
    char path[4096];
    struct stat st;

    CHECK_OK(ix, &err);
    CHECK_OK(synth_store(ix, &a, "x", "", &err), &err);
    CHECK_OK(synth_store(ix, &b, "y", "", &err), &err); /* how it comes out when there is room */
    CHECK_EQ_I64(vf_index_remove(ix, "y", &err), VF_FOUND);
    snprintf(path, sizeof path, "%s/index/data.mdb", dir);
    CHECK(stat(path, &st) == 0);
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    CHECK(getrlimit(RLIMIT_FSIZE, &was) == 0);
    /* Limits from below what is there to more than is needed: fails at ever later places. */
    for (rlim_t room = 0, failures = 0;; room += 100000) {
        int rc;

        small = was;
        small.rlim_cur = (rlim_t)st.st_size / 2 + room;
        CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
        rc = synth_store(ix, &b, "x", "", &err);
        CHECK(setrlimit(RLIMIT_FSIZE, &was) == 0);
        if (rc == 0) {
            CHECK(failures > 2);
            break;
        }
        CHECK_EQ_U64(err.code, VF_ERR_SPACE);
        check_stored(ix, &a, "x");
        failures++;
    }
    check_stored(ix, &b, "x");
    vf_index_close(ix);
    synth_free(&a);
    synth_free(&b);
}

TEST(file_limit) { CHECK_EQ_I64(in_child(fill_file, (void *)(uintptr_t)synth_dir("limit")), 0); }

/* A real file system with 6 MB. */
static void fill_disk(void *arg)
{
    const char *dir = arg;
    struct synth a = synth_random(1, 40000, 1u << 30, 0), b = synth_random(2, 400000, 1u << 30, 0);
    struct vf_error err;
    struct vf_index *ix;

    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        _exit(77);
    if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 || mkdir(dir, 0700) != 0 ||
        mount("none", dir, "tmpfs", 0, "size=6m") != 0)
        _exit(77);
    ix = vf_index_open(dir, VF_INDEX_CREATE, &err);
    CHECK_OK(ix, &err);
    CHECK_OK(synth_store(ix, &a, "x", "", &err), &err);
    for (int i = 0; i < 3; i++) {
        CHECK_FAIL(synth_store(ix, &b, "x", "", &err), &err, VF_ERR_SPACE);
        check_stored(ix, &a, "x");
    }
    CHECK_OK(synth_store(ix, &a, "y", "", &err), &err);
    vf_index_close(ix);
    synth_free(&a);
    synth_free(&b);
}

TEST(full_disk)
{
    int status = in_child(fill_disk, (void *)(uintptr_t)vf_test_path("disk"));

    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        SKIP("no right to mount a small file system");
    CHECK_EQ_I64(status, 0);
}

/* ---- damage ---- */

struct damage {
    const char *dir;
    const uint8_t *file;
    size_t len;
    uint64_t seed;
};

static int verify_one(void *ctx, const struct vf_image_record *rec, struct vf_error *err)
{
    return vf_index_verify(ctx, rec->path, err);
}

/* Uses the index for all sorts of things.  Anything may fail, but only as said: with VF_ERR_FORMAT,
 * or because something is not found. */
static void use_damaged(void *arg)
{
    const struct damage *d = arg;
    struct vf_error err = VF_ERROR_INIT;
    struct vf_index *ix = vf_index_open(d->dir, 0, &err);
    struct vf_residents *r;
    struct synth s = {.size = 5000};
    bool ok = ix != NULL;

    if (ix) {
        ok = vf_index_each(ix, verify_one, ix, &err) == 0;
        r = vf_index_residents(ix, "", NULL, NULL, NULL, ok ? &err : NULL);
        if (r) {
            struct vf_place got[64][VF_PLACES];
            uint8_t ids[64][VF_ID_LEN];

            vf_test_random(d->seed, ids, sizeof ids);
            if (r->ops->find(r, 1, (const void *)ids, 64, got, ok ? &err : NULL) < 0)
                ok = false;
            r->ops->close(r);
        }
        if (ok && synth_store(ix, &s, "new", "", &err) < 0)
            ok = false;
        if (ok && vf_index_remove(ix, "a", &err) < 0)
            ok = false;
        if (ok && vf_index_remove(ix, "b", &err) < 0)
            ok = false;
        vf_index_close(ix);
    }
    if (!ok && err.code != VF_ERR_FORMAT && err.code != VF_ERR_NOTFOUND) {
        fprintf(stderr, "seed %llu: %s: %s\n", (unsigned long long)d->seed, vf_err_name(err.code),
                err.msg);
        _exit(3);
    }
    if (!ok && err.code == VF_ERR_FORMAT && !strstr(err.msg, "index add")) {
        fprintf(stderr, "seed %llu: no advice in '%s'\n", (unsigned long long)d->seed, err.msg);
        _exit(4);
    }
    _exit(ok ? 0 : 1);
}

/* A page of the trees or the heads, not of the values: there is more to break there. */
static size_t pick_place(const struct damage *d, struct synth_rng *rng)
{
    for (unsigned tries = 0; tries < 100000; tries++) {
        size_t page = synth_below(rng, d->len / 4096) * 4096;
        unsigned flags = d->file[page + 10];

        if (page < 8192)
            return synth_below(rng, 4) ? page + synth_below(rng, 160)
                                       : page + synth_below(rng, 4096);
        if (d->file[page + 11] == 0 && (flags == 1 || flags == 2) &&
            page / 4096 == *(const uint32_t *)(const void *)(d->file + page))
            return synth_below(rng, 3) ? page + synth_below(rng, 64)
                                       : page + synth_below(rng, 4096);
        if (synth_below(rng, 200) == 0)
            return page + synth_below(rng, 4096);
    }
    return 0;
}

static uint8_t *make_index(const char *name, size_t *ret_len)
{
    const struct vf_index_limits limits = {VF_STORE_MAP_SIZE, 1u << 17};
    struct vf_error err;
    struct vf_index *ix = vf_index_open_with(synth_dir(name), VF_INDEX_CREATE, &limits, &err);
    char path[4096];
    uint8_t *bytes;
    struct stat st;
    int fd;

    CHECK_OK(ix, &err);
    for (uint64_t i = 0; i < 70; i++) {
        struct synth s = synth_random(i, i < 2 ? 3000 : 60, 1u << 30, 0);

        snprintf(path, sizeof path, i == 0 ? "a" : i == 1 ? "b" : "images/number %u", (unsigned)i);
        CHECK_OK(synth_store(ix, &s, path, "", &err), &err);
        synth_free(&s);
    }
    CHECK_EQ_I64(vf_index_remove(ix, "images/number 7", &err), VF_FOUND);
    vf_index_close(ix);
    snprintf(path, sizeof path, "%s/index/data.mdb", vf_test_path(name));
    fd = open(path, O_RDONLY);
    CHECK(fd >= 0 && fstat(fd, &st) == 0);
    *ret_len = (size_t)st.st_size;
    bytes = malloc(*ret_len);
    CHECK(bytes && read(fd, bytes, *ret_len) == (ssize_t)*ret_len);
    close(fd);
    return bytes;
}

/* VF_TEST_DAMAGE=n: so many trials. */
TEST(flipped_bytes)
{
    const char *more = getenv("VF_TEST_DAMAGE");
    const uint64_t trials = more ? strtoull(more, NULL, 10) : 60;
    struct damage d = {.dir = vf_test_path("flip")};
    uint8_t *good = make_index("flip", &d.len), *bad = malloc(d.len);
    const char *path = vf_test_path("flip/index/data.mdb");
    unsigned harmless = 0;

    CHECK(bad != NULL);
    d.file = good;
    for (d.seed = 1; d.seed <= trials; d.seed++) {
        struct synth_rng rng = {d.seed};
        unsigned n = 1 + (unsigned)synth_below(&rng, 3);
        int status;

        memcpy(bad, good, d.len);
        while (n--)
            bad[pick_place(&d, &rng)] ^= (uint8_t)(1u << synth_below(&rng, 8));
        vf_test_write_file(path, bad, d.len);
        status = in_child(use_damaged, &d);
        if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) {
            fprintf(stderr, "seed %llu ends with status %x\n", (unsigned long long)d.seed,
                    (unsigned)status);
            CHECK_EQ_I64(status, 0);
        }
        harmless += WEXITSTATUS(status) == 0;
    }
    CHECK(harmless < trials);
    if (more)
        fprintf(stderr, "%u of %llu harmless\n", harmless, (unsigned long long)trials);
    free(good);
    free(bad);
}

TEST(cut_short)
{
    struct damage d = {.dir = vf_test_path("cut")};
    uint8_t *good = make_index("cut", &d.len);
    const char *path = vf_test_path("cut/index/data.mdb");
    struct synth_rng rng = {4};
    struct vf_error err;

    for (unsigned i = 0; i < 25; i++) {
        size_t len = i < 5 ? 1 + i * 2047 : synth_below(&rng, d.len);
        int status;

        vf_test_write_file(path, good, len);
        status = in_child(use_damaged, &d);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
    }
    vf_test_write_file(path, good, 4096);
    CHECK_FAIL(vf_index_open(d.dir, 0, &err), &err, VF_ERR_FORMAT);
    CHECK_HAS(err.msg, "vmferry index add");
    vf_test_write_file(path, "something else altogether, and not short", 40);
    CHECK_FAIL(vf_index_open(d.dir, 0, &err), &err, VF_ERR_FORMAT);
    vf_test_write_file(path, "", 0);
    CHECK_FAIL(vf_index_open(d.dir, 0, &err), &err, VF_ERR_NOTFOUND);
    free(good);
}

/* ---- versions ---- */

static int put_value(struct vf_txn *t, void *ctx, struct vf_error *err)
{
    const struct vf_buf *b = ctx;
    const struct vf_key key = vf_key_version();

    return vf_txn_put(t, vf_key_bytes(&key), (struct vf_bytes){b->data, b->len}, err);
}

static int del_version(struct vf_txn *t, void *ctx, struct vf_error *err)
{
    const struct vf_key key = vf_key_version();

    (void)ctx;
    return vf_txn_del(t, vf_key_bytes(&key), err) == VF_FOUND ? 0 : -1;
}

TEST(other_versions)
{
    const struct vf_version_record rec = {VF_INDEX_VERSION + 1, 1};
    struct synth s = {.size = 1};
    struct vf_buf b = VF_BUF_INIT;
    struct vf_error err;
    struct vf_index *ix = vf_index_open(synth_dir("version"), VF_INDEX_CREATE, &err);

    CHECK_OK(ix, &err);
    CHECK_OK(synth_store(ix, &s, "x", "", &err), &err);
    CHECK_OK(vf_version_encode(&b, &rec, &err), &err);
    CHECK_OK(vf_store_write(&ix->store, put_value, &b, &err), &err);
    vf_index_close(ix);
    CHECK_FAIL(vf_index_open(vf_test_path("version"), VF_INDEX_READONLY, &err), &err,
               VF_ERR_FORMAT);
    CHECK_HAS(err.msg, "version 2");
    CHECK_HAS(err.msg, "vmferry index add");
    CHECK_FAIL(vf_index_open(vf_test_path("version"), VF_INDEX_CREATE, &err), &err, VF_ERR_FORMAT);

    ix = vf_index_open(synth_dir("version"), VF_INDEX_CREATE, &err);
    CHECK_OK(ix, &err);
    CHECK_OK(synth_store(ix, &s, "x", "", &err), &err);
    CHECK_OK(vf_store_write(&ix->store, del_version, NULL, &err), &err);
    vf_index_close(ix);
    CHECK_FAIL(vf_index_open(vf_test_path("version"), 0, &err), &err, VF_ERR_FORMAT);
    vf_buf_free(&b);
}

/* Little address space: a smaller map does. */
static void few_addresses(void *arg)
{
    struct rlimit lim = {UINT64_C(2) << 30, UINT64_C(2) << 30};
    struct synth s = synth_random(1, 9000, 1u << 30, 0);
    struct vf_error err;
    struct vf_index *ix;

    CHECK(setrlimit(RLIMIT_AS, &lim) == 0);
    ix = vf_index_open(arg, VF_INDEX_CREATE, &err);
    CHECK_OK(ix, &err);
    CHECK_OK(synth_store(ix, &s, "x", "", &err), &err);
    check_stored(ix, &s, "x");
    vf_index_close(ix);
    synth_free(&s);
}

TEST(short_of_addresses)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    SKIP("a sanitizer needs all addresses");
#endif
    CHECK_EQ_I64(in_child(few_addresses, (void *)(uintptr_t)synth_dir("addresses")), 0);
}

TESTS(map_grows, map_grown_elsewhere, file_limit, full_disk, flipped_bytes, cut_short,
      other_versions, short_of_addresses)
