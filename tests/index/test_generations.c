/* Old or new, never half: writers that are killed, readers while maps are replaced, two processes.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "index/store_impl.h"
#include "tests/index/synth.h"

static const struct vf_index_limits small = {1u << 20, 1u << 16};

/* Two maps that can be told apart, with what the index finds out about them. */
struct versions {
    struct synth s[2];
};

static void versions_make(struct versions *v, const char *dir)
{
    struct vf_error err;
    struct vf_index *ix = vf_index_open_with(dir, VF_INDEX_CREATE, &small, &err);

    CHECK_OK(ix, &err);
    for (uint64_t i = 0; i < 2; i++) {
        v->s[i] = synth_random(50 + i, 20000, 1u << 30, 0);
        CHECK_OK(synth_store(ix, &v->s[i], "x", "", &err), &err);
    }
    vf_index_close(ix);
}

static void versions_free(struct versions *v)
{
    synth_free(&v->s[0]);
    synth_free(&v->s[1]);
}

/* "x" is one of the two, all of it. */
static void check_whole(struct vf_index *ix, const struct versions *v)
{
    struct vf_error err;
    struct vf_map_info info;
    struct vf_map *map = vf_index_map(ix, "x", &err);
    size_t which;

    CHECK_OK(map, &err);
    CHECK_OK(map->ops->info(map, &info, &err), &err);
    which = memcmp(info.root, v->s[0].info.root, VF_SHA_LEN) != 0;
    synth_check_map(&v->s[which], map);
    map->ops->close(map);
    CHECK_OK(vf_index_verify(ix, "x", &err), &err);
}

/* Generations in the database, and values of pages that belong to none. */
static unsigned count_generations(struct vf_index *ix)
{
    struct vf_error err;
    struct vf_cursor c;
    struct vf_txn t;
    unsigned n = 0;
    uint64_t gens[16];
    int rc;

    CHECK_OK(vf_store_read(&ix->store, &t, &err), &err);
    CHECK_OK(vf_cursor_open(&c, &t, &err), &err);
    for (rc = vf_cursor_seek(&c, (struct vf_bytes){(const uint8_t *)"G", 1}, &err); rc == VF_FOUND;
         rc = vf_cursor_next(&c, &err)) {
        if (c.key.p[0] == 'G') {
            CHECK(n < 16);
            gens[n++] = synth_fp(c.key.p + 1);
        } else if (c.key.p[0] == 'P') {
            bool known = false;

            for (unsigned i = 0; i < n; i++)
                known = known || gens[i] == synth_fp(c.key.p + 1);
            CHECK(known);
        }
    }
    vf_cursor_close(&c);
    vf_txn_end(&t);
    return n;
}

static void write_for_ever(const char *dir, struct versions *v, const char *path)
{
    struct vf_error err;
    struct vf_index *ix = vf_index_open_with(dir, 0, &small, &err);

    if (!ix)
        _exit(2);
    for (unsigned i = 0;; i++)
        if (synth_store(ix, &v->s[i % 2], path, "", &err) < 0)
            _exit(3);
}

TEST(killed_writers)
{
    const char *dir = synth_dir("killed");
    struct synth_rng rng = {11};
    struct versions v;

    versions_make(&v, dir);
    for (unsigned i = 0; i < 30; i++) {
        struct vf_error err;
        struct vf_index *ix;
        int status;
        pid_t pid;

        fflush(NULL);
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
            write_for_ever(dir, &v, "x");
        usleep((useconds_t)(2000 + synth_below(&rng, 60000)));
        CHECK(kill(pid, SIGKILL) == 0);
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        ix = vf_index_open_with(dir, 0, &small, &err);
        CHECK_OK(ix, &err);
        check_whole(ix, &v);
        CHECK_EQ_U64(count_generations(ix), 1); /* what was left over is gone */
        vf_index_close(ix);
    }
    versions_free(&v);
}

/* A map that another process is still writing is not taken for a leftover. */
TEST(living_writer)
{
    const char *dir = synth_dir("living");
    struct versions v;
    struct vf_error err;
    struct vf_index *ix;
    int go[2], ready[2], status;
    pid_t pid;
    char c = 0;

    versions_make(&v, dir);
    CHECK(pipe(go) == 0 && pipe(ready) == 0);
    fflush(NULL);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        struct vf_image_record rec = synth_record("y", "");
        struct vf_map_sink *sink;

        ix = vf_index_open_with(dir, 0, &small, &err);
        sink = ix ? vf_index_begin(ix, &rec, &err) : NULL;
        if (!sink || synth_feed(&v.s[0], sink, &err) < 0 || write(ready[1], &c, 1) != 1 ||
            read(go[0], &c, 1) != 1 || sink->ops->commit(sink, &v.s[0].info, &err) < 0)
            _exit(1);
        vf_index_close(ix);
        _exit(0);
    }
    CHECK(read(ready[0], &c, 1) == 1);
    ix = vf_index_open_with(dir, 0, &small, &err); /* sweeps */
    CHECK_OK(ix, &err);
    CHECK_EQ_U64(count_generations(ix), 2);
    CHECK_OK(synth_store(ix, &v.s[1], "z", "", &err), &err); /* sweeps too */
    CHECK(write(go[1], &c, 1) == 1);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_EQ_I64(status, 0);
    CHECK_OK(vf_index_verify(ix, "y", &err), &err);
    CHECK_OK(vf_index_verify(ix, "z", &err), &err);
    CHECK_EQ_U64(count_generations(ix), 3);
    vf_index_close(ix);
    close(go[0]);
    close(go[1]);
    close(ready[0]);
    close(ready[1]);
    versions_free(&v);
}

/* Nor is one that this process is writing, by another sink. */
TEST(two_sinks)
{
    const char *dir = synth_dir("sinks");
    struct vf_image_record x = synth_record("x", ""), y = synth_record("y", "");
    struct vf_map_sink *a, *b, *c;
    struct versions v;
    struct vf_error err;
    struct vf_index *ix;

    versions_make(&v, dir);
    ix = vf_index_open_with(dir, 0, &small, &err);
    CHECK_OK(ix, &err);
    a = vf_index_begin(ix, &x, &err);
    CHECK_OK(a, &err);
    b = vf_index_begin(ix, &y, &err);
    CHECK_OK(b, &err);
    c = vf_index_begin(ix, &x, &err);
    CHECK_OK(c, &err);
    CHECK_OK(synth_feed(&v.s[0], a, &err), &err);
    CHECK_OK(synth_feed(&v.s[1], b, &err), &err);
    CHECK_OK(b->ops->commit(b, &v.s[1].info, &err), &err);
    CHECK_OK(synth_feed(&v.s[1], c, &err), &err);
    CHECK_OK(a->ops->commit(a, &v.s[0].info, &err), &err);
    CHECK_OK(vf_index_verify(ix, "x", &err), &err);
    CHECK_OK(c->ops->commit(c, &v.s[1].info, &err), &err); /* the last one counts */
    check_whole(ix, &v);
    CHECK_OK(vf_index_verify(ix, "y", &err), &err);
    CHECK_EQ_U64(count_generations(ix), 2);
    vf_index_close(ix);
    versions_free(&v);
}

/* Two processes write and read at once. */
static int busy(const char *dir, struct versions *v, const char *mine, const char *other)
{
    struct vf_error err;
    struct vf_index *ix = vf_index_open_with(dir, 0, &small, &err);

    if (!ix)
        return 1;
    for (unsigned i = 0; i < 12; i++) {
        struct vf_map_info info;
        struct vf_map *map;
        int rc;

        if (synth_store(ix, &v->s[i % 2], mine, "", &err) < 0)
            return 2;
        if (vf_index_verify(ix, mine, &err) < 0)
            return 3;
        rc = vf_index_verify(ix, other, &err);
        if (rc < 0 && err.code != VF_ERR_NOTFOUND)
            return 4;
        map = vf_index_map(ix, other, &err);
        if (!map && err.code != VF_ERR_NOTFOUND)
            return 5;
        if (map && map->ops->info(map, &info, &err) < 0 && err.code != VF_ERR_NOTFOUND)
            return 6;
        if (map)
            map->ops->close(map);
    }
    vf_index_close(ix);
    return 0;
}

TEST(two_processes)
{
    const char *dir = synth_dir("two");
    struct versions v;
    struct vf_error err;
    struct vf_index *ix;
    int status;
    pid_t pid;

    versions_make(&v, dir);
    fflush(NULL);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        _exit(busy(dir, &v, "a", "b"));
    CHECK_EQ_I64(busy(dir, &v, "b", "a"), 0);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_EQ_I64(status, 0);
    ix = vf_index_open_with(dir, 0, &small, &err);
    CHECK_OK(ix, &err);
    CHECK_EQ_U64(count_generations(ix), 3);
    vf_index_close(ix);
    versions_free(&v);
}

/* ---- threads ---- */

struct crowd {
    struct vf_index *ix;
    struct versions *v;       /* but for info, which storing writes again */
    uint8_t root[VF_SHA_LEN]; /* of the first version */
    int stop;
    unsigned reads, lost;
};

/* Goes through a map while it may be replaced: all it sees belongs to one version, until it is told
 * that this version is gone. */
static bool read_once(struct crowd *c)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_map *map = vf_index_map(c->ix, "x", &err);
    struct vf_index_prints *p = NULL;
    struct vf_map_info info;
    struct vf_print got[4000];
    struct vf_node node[100];
    uint64_t sum = 0;
    const struct synth *s;
    bool whole = false;
    long n;

    CHECK_OK(map, &err);
    if (map->ops->info(map, &info, &err) < 0)
        goto out;
    s = &c->v->s[memcmp(info.root, c->root, VF_SHA_LEN) != 0];
    for (uint64_t i = 0; i + 100 <= info.nodes[1]; i += 100) {
        if (map->ops->nodes(map, 1, i, 100, node, &err) < 0)
            goto out;
        CHECK_MEM(node[50].sha, s->seg[i + 50].sha, VF_SHA_LEN);
    }
    p = vf_index_prints_new(map, &err);
    CHECK_OK(p, &err);
    while ((n = vf_index_prints_next(p, got, 4000, &err)) > 0)
        for (long i = 0; i < n; i++)
            sum += got[i].count;
    if (n < 0)
        goto out;
    CHECK_EQ_U64(sum, s->data);
    whole = true;
out:
    if (!whole)
        CHECK_EQ_U64(err.code, VF_ERR_NOTFOUND);
    vf_index_prints_free(p);
    map->ops->close(map);
    return whole;
}

/* Verification goes through all calls that read, while the map grows under it. */
static void *verifier(void *arg)
{
    struct crowd *c = arg;
    struct vf_error err;

    while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED))
        CHECK(vf_index_verify(c->ix, "x", &err) == 0 || err.code == VF_ERR_NOTFOUND);
    return NULL;
}

/* Moves the map all the time: whoever begins a second transaction inside a first one hangs soon. */
static void *mover(void *arg)
{
    struct crowd *c = arg;
    struct vf_error err;

    for (uint64_t i = 0; !__atomic_load_n(&c->stop, __ATOMIC_RELAXED); i++) {
        CHECK_OK(vf_store_remap(&c->ix->store, (64 + i % 8) << 20, &err), &err);
        usleep(300);
    }
    return NULL;
}

static void *reader(void *arg)
{
    struct crowd *c = arg;

    while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) {
        if (read_once(c))
            __atomic_fetch_add(&c->reads, 1, __ATOMIC_RELAXED);
        else
            __atomic_fetch_add(&c->lost, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

TEST(readers_while_replaced)
{
    const char *dir = synth_dir("crowd");
    struct versions v;
    struct crowd c = {.v = &v};
    pthread_t thread[5];
    struct vf_error err;
    char path[16];

    versions_make(&v, dir);
    memcpy(c.root, v.s[0].info.root, sizeof c.root);
    c.ix = vf_index_open_with(dir, 0, &small, &err);
    CHECK_OK(c.ix, &err);
    for (int i = 0; i < 5; i++)
        CHECK(pthread_create(&thread[i], NULL, i < 2 ? reader : i < 4 ? verifier : mover, &c) == 0);
    for (unsigned i = 0; i < 20; i++) { /* the map grows, too */
        CHECK_OK(synth_store(c.ix, &v.s[i % 2], "x", "", &err), &err);
        snprintf(path, sizeof path, "more/%u", i);
        CHECK_OK(synth_store(c.ix, &v.s[i % 2], path, "", &err), &err);
    }
    while (!__atomic_load_n(&c.reads, __ATOMIC_RELAXED))
        usleep(1000);
    __atomic_store_n(&c.stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 5; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    check_whole(c.ix, &v);
    vf_index_close(c.ix);
    versions_free(&v);
}

TESTS(killed_writers, living_writer, two_sinks, two_processes, readers_while_replaced)
