/* inotify as the service sees it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/watch.h"
#include "tests/lib/check.h"

static struct vf_error err;

struct seen {
    unsigned look, closed, gone, overflow;
    char last[64];
    bool dir;
};

static void note(void *ctx, enum vf_watch_kind kind, int number, const char *name, bool is_dir)
{
    struct seen *s = ctx;

    (void)number;
    s->look += kind == VF_WATCH_LOOK;
    s->closed += kind == VF_WATCH_CLOSED;
    s->gone += kind == VF_WATCH_DIR_GONE;
    s->overflow += kind == VF_WATCH_OVERFLOW;
    snprintf(s->last, sizeof s->last, "%s", name);
    s->dir = is_dir;
}

static struct seen read_all(struct vf_watch *w)
{
    struct seen s = {0};

    CHECK_OK(vf_watch_read(w, note, &s, &err), &err);
    return s;
}

static void touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    CHECK(fd >= 0);
    close(fd);
}

TEST(tells_what_happens)
{
    struct vf_watch *w = vf_watch_new(&err);
    const char *dir = vf_test_path("a");
    struct seen s;
    int number;

    CHECK_OK(w, &err);
    CHECK(mkdir(dir, 0700) == 0);
    CHECK_GE0(number = vf_watch_add(w, dir, &err), &err);
    CHECK_EQ_I64(vf_watch_add(w, dir, &err), number);
    CHECK_EQ_U64(read_all(w).look, 0);
    touch(vf_test_path("a/x"));
    s = read_all(w);
    CHECK(s.look >= 1 && s.closed == 1);
    CHECK_STR(s.last, "x");
    CHECK(rename(vf_test_path("a/x"), vf_test_path("a/y")) == 0);
    CHECK_EQ_U64(read_all(w).look, 2);
    CHECK(mkdir(vf_test_path("a/d"), 0700) == 0);
    s = read_all(w);
    CHECK(s.dir && s.look == 1);
    CHECK(rmdir(vf_test_path("a/d")) == 0 && unlink(vf_test_path("a/y")) == 0 && rmdir(dir) == 0);
    CHECK(read_all(w).gone >= 1);
    CHECK_FAIL(vf_watch_add(w, dir, &err), &err, VF_ERR_NOTFOUND);
    vf_watch_free(w);
    vf_watch_free(NULL);
}

TEST(says_when_events_are_lost)
{
    struct vf_watch *w = vf_watch_new(&err);
    const char *dir = vf_test_path("many");
    char text[32] = "";
    long most;
    int fd = open("/proc/sys/fs/inotify/max_queued_events", O_RDONLY);

    CHECK(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
    close(fd);
    most = strtol(text, NULL, 10);
    if (most > 100000)
        SKIP("the queue of events is long here");
    CHECK_OK(w, &err);
    CHECK(mkdir(dir, 0700) == 0);
    CHECK_GE0(vf_watch_add(w, dir, &err), &err);
    for (long i = 0; i < most / 4 + 10; i++) {
        touch(vf_test_path("many/x"));
        CHECK(rename(vf_test_path("many/x"), vf_test_path("many/y")) == 0);
    }
    CHECK_EQ_U64(read_all(w).overflow, 1);
    vf_watch_free(w);
}

TESTS(tells_what_happens, says_when_events_are_lost)
