/* Decisions of the keeper, over real files and a pretended index. */
#include "service/keeper.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"
#include "tests/lib/check.h"

static struct vf_error err;

/* The index: a few records. */
struct entry {
    char path[200];
    struct vf_ident id;
    bool moving, used;
    int64_t made;
};
struct world {
    struct entry e[16];
    enum vf_writer writer;
    unsigned renames, forgets, logs;
    bool full; /* nothing can be written */
    int64_t now;
    struct vf_keeper *k;
    struct vf_keeper_opts opts;
    const char *dir;
};

static struct entry *find(struct world *w, const char *path)
{
    for (size_t i = 0; i < 16; i++)
        if (w->e[i].used && strcmp(w->e[i].path, path) == 0)
            return &w->e[i];
    return NULL;
}

static int op_records(void *ctx, vf_keeper_record_fn *fn, void *fn_ctx, struct vf_error *e)
{
    struct world *w = ctx;

    for (size_t i = 0; i < 16; i++) {
        const struct vf_keeper_record r = {w->e[i].path, w->e[i].id, w->e[i].moving,
                                           w->now - w->e[i].made};

        if (w->e[i].used && fn(fn_ctx, &r, e) != 0)
            return -1;
    }
    return 0;
}

static int op_record(void *ctx, const char *path, struct vf_keeper_record *ret, struct vf_error *e)
{
    const struct entry *x = find(ctx, path);

    (void)e;
    if (x)
        *ret =
            (struct vf_keeper_record){NULL, x->id, x->moving, ((struct world *)ctx)->now - x->made};
    return x != NULL;
}

static struct vf_ident stat_of(const char *path)
{
    struct stat st;

    CHECK(stat(path, &st) == 0);
    return (struct vf_ident){st.st_dev, st.st_ino, (uint64_t)st.st_size,
                             (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
                             (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec};
}

static int op_rename(void *ctx, const char *from, const char *to, struct vf_error *e)
{
    struct world *w = ctx;
    struct entry *x = find(w, from), *y = find(w, to);

    if (!x)
        return vf_error_set(e, VF_ERR_NOTFOUND, 0, "no record");
    if (w->full)
        return vf_error_set(e, VF_ERR_SPACE, 0, "no room");
    if (y)
        y->used = false;
    snprintf(x->path, sizeof x->path, "%s", to);
    x->id = stat_of(to);
    w->renames++;
    return 0;
}

static int op_forget(void *ctx, const char *path, struct vf_error *e)
{
    struct world *w = ctx;
    struct entry *x = find(w, path);

    (void)e;
    if (x)
        x->used = false;
    w->forgets++;
    return 0;
}

static enum vf_writer op_writer(void *ctx, const char *path)
{
    (void)path;
    return ((struct world *)ctx)->writer;
}

static void op_log(void *ctx, enum vf_log_level level, const char *text)
{
    ((struct world *)ctx)->logs += level <= VF_LOG_WARNING;
    (void)text;
}

static const struct vf_keeper_ops ops = {op_records, op_record, op_rename, op_forget,
                                         op_writer,  NULL,      op_log};
static struct vf_watch *watch;

static void work(struct world *w, int64_t ms)
{
    w->now += ms;
    CHECK_OK(vf_keeper_events(w->k, w->now, &err), &err);
    CHECK_OK(vf_keeper_work(w->k, w->now, &err), &err);
}

static void begin(struct world *w, const char *name)
{
    static const char *const exclude[] = {"*.txt"};
    static const char *dirs[1];

    memset(w, 0, sizeof *w);
    w->dir = dirs[0] = vf_test_path(name);
    CHECK(mkdir(w->dir, 0700) == 0);
    w->opts = (struct vf_keeper_opts){.dir = dirs,
                                      .ndirs = 1,
                                      .exclude = exclude,
                                      .nexclude = 1,
                                      .settle_ms = 1000,
                                      .scan_ms = 1000000,
                                      .poll_ms = 1000000,
                                      .retry_ms = 5000,
                                      .moving_ms = 100000,
                                      .forget_ms = 20000};
    w->now = 1000000;
    CHECK_OK(watch = vf_watch_new(&err), &err);
    CHECK_OK(w->k = vf_keeper_new(&w->opts, &ops, w, watch, &err), &err);
    work(w, 0);
}

static void end(struct world *w)
{
    vf_keeper_free(w->k);
    vf_watch_free(watch);
}

static const char *in(const struct world *w, const char *name)
{
    char rel[100];

    snprintf(rel, sizeof rel, "%s/%s", strrchr(w->dir, '/') + 1, name);
    return vf_test_path(rel);
}

static void make(const struct world *w, const char *name, const char *text)
{
    vf_test_write_file(in(w, name), text, strlen(text));
}

static enum vf_file_state state(struct world *w, const char *name)
{
    for (struct vf_file *f = vf_keeper_next_file(w->k, NULL); f; f = vf_keeper_next_file(w->k, f))
        if (strcmp(strrchr(f->path, '/') + 1, name) == 0)
            return f->state;
    return VF_FILE_STATES;
}

/* The turn of that file has come. */
static struct vf_job take(struct world *w, const char *name)
{
    struct vf_job job = {0};

    CHECK_EQ_I64(vf_keeper_take(w->k, w->now, &job), 1);
    CHECK_STR(strrchr(job.path, '/') + 1, name);
    return job;
}

static void none(struct world *w)
{
    struct vf_job job;

    CHECK_EQ_I64(vf_keeper_take(w->k, w->now, &job), 0);
}

static void finish(struct world *w, struct vf_job *job, enum vf_err code, const char *why)
{
    struct vf_job_result r = {.rc = code ? -1 : 0, .moving = job->moving};

    if (code) {
        vf_error_set(&r.err, code, 0, "%s", why);
    } else {
        struct entry *x = find(w, job->path);

        for (size_t i = 0; !x && i < 16; i++)
            x = w->e[i].used ? NULL : &w->e[i];
        CHECK(x);
        snprintf(x->path, sizeof x->path, "%s", job->path);
        x->used = true;
        x->moving = job->moving;
        x->made = w->now;
        x->id = r.id = stat_of(job->path);
    }
    vf_keeper_done(w->k, job->path, &r, w->now);
    free(job->path);
}

/* It is there, and has its map. */
static void settle(struct world *w, const char *name, const char *text)
{
    struct vf_job job;

    make(w, name, text);
    work(w, 0);
    none(w);
    work(w, 1000);
    job = take(w, name);
    CHECK_EQ_I64(state(w, name), VF_FILE_READING);
    finish(w, &job, VF_ERR_NONE, NULL);
    CHECK_EQ_I64(state(w, name), VF_FILE_FRESH);
}

TEST(reads_what_has_rested)
{
    struct world w;
    struct vf_job job;

    begin(&w, "rest");
    make(&w, "notes.txt", "x");
    make(&w, ".hidden", "x");
    make(&w, "a.part", "x");
    make(&w, "empty.raw", "");
    CHECK(mkdir(in(&w, "dir"), 0700) == 0 && symlink("/etc/passwd", in(&w, "l.raw")) == 0);
    settle(&w, "a.raw", "one");
    /* It changes all the time: not before it rests. */
    for (int i = 0; i < 5; i++) {
        make(&w, "a.raw", "two");
        work(&w, 900);
        none(&w);
    }
    work(&w, 1000);
    job = take(&w, "a.raw");
    /* It changes while it is read. */
    finish(&w, &job, VF_ERR_CHANGED, "it changed");
    none(&w);
    work(&w, 2000);
    job = take(&w, "a.raw");
    finish(&w, &job, VF_ERR_NONE, NULL);
    work(&w, 2000000); /* a scan finds nothing new */
    none(&w);
    end(&w);
}

TEST(keeps_maps_of_renamed_files)
{
    struct world w;

    begin(&w, "rename");
    settle(&w, "a.raw", "one");
    settle(&w, "b.raw", "other");
    CHECK(rename(in(&w, "a.raw"), in(&w, "c.raw")) == 0);
    work(&w, 0);
    CHECK_EQ_U64(w.renames, 1);
    CHECK_EQ_I64(state(&w, "c.raw"), VF_FILE_FRESH);
    CHECK_EQ_I64(state(&w, "a.raw"), VF_FILE_STATES);
    CHECK(rename(in(&w, "c.raw"), in(&w, "b.raw")) == 0); /* over another one */
    work(&w, 0);
    CHECK_EQ_U64(w.renames, 2);
    CHECK_EQ_I64(state(&w, "b.raw"), VF_FILE_FRESH);
    work(&w, 100000);
    none(&w);
    end(&w);
}

TEST(notices_renames_without_events)
{
    struct world w;
    struct vf_keeper *second;

    begin(&w, "silent");
    settle(&w, "a.raw", "one");
    vf_keeper_free(w.k);
    vf_watch_free(watch);
    CHECK(rename(in(&w, "a.raw"), in(&w, "z.raw")) == 0);
    watch = NULL;
    CHECK_OK(second = vf_keeper_new(&w.opts, &ops, &w, NULL, &err), &err);
    w.k = second;
    work(&w, 0);
    CHECK_EQ_U64(w.renames, 1);
    CHECK_EQ_I64(state(&w, "z.raw"), VF_FILE_FRESH);
    end(&w);
}

TEST(forgets_what_has_gone)
{
    struct world w;

    begin(&w, "gone");
    settle(&w, "a.raw", "one");
    settle(&w, "b.raw", "two");
    CHECK(unlink(in(&w, "a.raw")) == 0);
    work(&w, 0);
    CHECK_EQ_I64(state(&w, "a.raw"), VF_FILE_MISSING);
    CHECK_EQ_U64(w.forgets, 0);
    work(&w, 3000);
    CHECK_EQ_U64(w.forgets, 1);
    /* The directory itself goes: nothing is forgotten. */
    CHECK(rename(w.dir, vf_test_path("gone2")) == 0);
    work(&w, 0);
    work(&w, 2000000);
    work(&w, 2000000);
    CHECK_EQ_I64(state(&w, "b.raw"), VF_FILE_MISSING);
    CHECK_EQ_U64(w.forgets, 1);
    /* An empty one in its place, as a mount point: the same. */
    CHECK(mkdir(w.dir, 0700) == 0);
    work(&w, 2000000);
    work(&w, 2000000);
    CHECK_EQ_U64(w.forgets, 1);
    CHECK(rmdir(w.dir) == 0 && rename(vf_test_path("gone2"), w.dir) == 0);
    work(&w, 2000000);
    CHECK_EQ_I64(state(&w, "b.raw"), VF_FILE_FRESH);
    end(&w);
}

TEST(backs_off)
{
    struct world w;
    struct vf_job job;
    int64_t wait = 5000;

    begin(&w, "fail");
    make(&w, "a.raw", "one");
    work(&w, 0);
    work(&w, 1000);
    for (int i = 0; i < 4; i++) {
        job = take(&w, "a.raw");
        finish(&w, &job, VF_ERR_IO, "it cannot be read");
        CHECK_EQ_I64(state(&w, "a.raw"), VF_FILE_FAILED);
        CHECK_EQ_U64(w.logs, 1);
        w.now += wait - 1;
        none(&w);
        w.now += 1;
        wait *= 2;
    }
    /* A change brings it back at once. */
    job = take(&w, "a.raw");
    finish(&w, &job, VF_ERR_FORMAT, "it is malformed");
    make(&w, "a.raw", "better");
    work(&w, 0);
    work(&w, 1000);
    job = take(&w, "a.raw");
    finish(&w, &job, VF_ERR_USAGE, "its format must be given");
    CHECK_EQ_I64(state(&w, "a.raw"), VF_FILE_SKIPPED);
    w.now += 100000000;
    none(&w);
    end(&w);
}

TEST(waits_while_the_index_is_full)
{
    struct world w;
    struct vf_keeper_stats s;
    struct vf_job job;

    begin(&w, "full");
    make(&w, "a.raw", "one");
    make(&w, "b.raw", "two");
    work(&w, 0);
    work(&w, 1000);
    CHECK_EQ_I64(vf_keeper_take(w.k, w.now, &job), 1);
    finish(&w, &job, VF_ERR_SPACE, "no room");
    none(&w);
    vf_keeper_stats(w.k, w.now, &s);
    CHECK_STR(s.hold_why, "no room");
    CHECK_EQ_U64(s.queued, 2);
    CHECK(vf_keeper_next(w.k, true) >= w.now + 5000);
    w.now += 5000;
    CHECK_EQ_I64(vf_keeper_take(w.k, w.now, &job), 1);
    finish(&w, &job, VF_ERR_SPACE, "no room");
    CHECK_EQ_U64(w.logs, 1);
    end(&w);
}

/* What is no directory can neither be watched nor listed. */
TEST(says_once_what_is_wrong_with_a_directory)
{
    struct world w;

    begin(&w, "plain");
    CHECK(rmdir(w.dir) == 0);
    vf_test_write_file(w.dir, "x", 1);
    for (int i = 0; i < 3; i++) {
        vf_keeper_configure(w.k, &w.opts, w.now);
        work(&w, 1000);
    }
    CHECK_EQ_U64(w.logs, 1);
    end(&w);
}

/* Neither a scan nor a turn that fails makes a file wait for ever. */
TEST(loses_no_turn)
{
    struct vf_job job;
    struct world w;

    begin(&w, "turns");
    settle(&w, "a.raw", "one");
    w.full = true;
    CHECK(rename(in(&w, "a.raw"), in(&w, "b.raw")) == 0);
    CHECK_FAIL(vf_keeper_events(w.k, w.now, &err), &err, VF_ERR_SPACE);
    w.now += 1000000;
    CHECK_FAIL(vf_keeper_work(w.k, w.now, &err), &err, VF_ERR_SPACE);
    w.now += 1000;
    none(&w); /* its map cannot be made that of the new name */
    w.full = false;
    find(&w, in(&w, "a.raw"))->used = false; /* somebody else forgets it */
    work(&w, 5000);
    work(&w, 1000);
    job = take(&w, "b.raw");
    finish(&w, &job, VF_ERR_NONE, NULL);
    CHECK_EQ_I64(state(&w, "b.raw"), VF_FILE_FRESH);
    end(&w);
}

/* What cannot be noted at the end of a turn is noted soon. */
TEST(looks_again_soon)
{
    struct vf_job job;
    struct world w;

    begin(&w, "soon");
    settle(&w, "a.raw", "one");
    make(&w, "b.raw", "two");
    work(&w, 0);
    work(&w, 1000);
    job = take(&w, "b.raw");
    CHECK(rename(in(&w, "a.raw"), in(&w, "b.raw")) == 0);
    work(&w, 0);
    w.full = true;
    finish(&w, &job, VF_ERR_NOTFOUND, "it has gone");
    w.full = false;
    work(&w, 5000);
    CHECK_EQ_I64(state(&w, "b.raw"), VF_FILE_FRESH);
    CHECK_EQ_U64(w.renames, 1);
    end(&w);
}

TEST(leaves_images_in_use_alone)
{
    struct world w;
    struct vf_job job;

    begin(&w, "use");
    w.writer = VF_WRITER_OTHER;
    make(&w, "a.raw", "one");
    work(&w, 0);
    for (int i = 0; i < 5; i++) {
        work(&w, 1000);
        none(&w);
    }
    w.writer = VF_WRITER_GUEST;
    work(&w, 1000);
    job = take(&w, "a.raw");
    CHECK(job.moving);
    finish(&w, &job, VF_ERR_NONE, NULL);
    CHECK_EQ_I64(state(&w, "a.raw"), VF_FILE_MOVING);
    /* Not again before its time, whatever the guest writes. */
    make(&w, "x.txt", "so that there is an event");
    CHECK(truncate(in(&w, "a.raw"), 2) == 0);
    work(&w, 50000);
    none(&w);
    work(&w, 50000);
    job = take(&w, "a.raw");
    finish(&w, &job, VF_ERR_NONE, NULL);
    /* The guest has gone. */
    w.writer = VF_WRITER_NONE;
    vf_keeper_configure(w.k, &w.opts, w.now);
    work(&w, 0);
    work(&w, 1000);
    job = take(&w, "a.raw");
    CHECK(!job.moving);
    finish(&w, &job, VF_ERR_NONE, NULL);
    CHECK_EQ_I64(state(&w, "a.raw"), VF_FILE_FRESH);
    end(&w);
}

TEST(does_not_follow_links)
{
    struct world w;
    struct vf_job job;

    begin(&w, "links");
    make(&w, "a.raw", "one");
    CHECK(link(in(&w, "a.raw"), vf_test_path("outside")) == 0);
    work(&w, 0);
    CHECK_EQ_I64(state(&w, "a.raw"), VF_FILE_SKIPPED);
    w.opts.follow_links = true;
    vf_keeper_configure(w.k, &w.opts, w.now);
    work(&w, 0);
    work(&w, 1000);
    job = take(&w, "a.raw");
    finish(&w, &job, VF_ERR_NONE, NULL);
    end(&w);
}

TESTS(reads_what_has_rested, keeps_maps_of_renamed_files, notices_renames_without_events,
      forgets_what_has_gone, backs_off, waits_while_the_index_is_full,
      says_once_what_is_wrong_with_a_directory, loses_no_turn, looks_again_soon,
      leaves_images_in_use_alone, does_not_follow_links)
