/* A guest that comes: whose it is, and which images are its own. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/guest/guest_arrival.h"
#include "core/map/build.h"
#include "tests/lib/check.h"

static struct vf_error err;

/* A store in the test's directory, as a peer sees it that may use the group "red" only. */
struct place {
    struct vf_storedir *store;
    struct vf_guest_serve s;
    struct vf_guest_arrival a;
};

static void start(struct place *p, const char *store)
{
    struct vf_cli cli = {.store = vf_test_path(store)};

    memset(p, 0, sizeof *p);
    p->store = vf_storedir_open(&cli, &err);
    CHECK_OK(p->store, &err);
    CHECK_OK(vf_settings_narrow(&p->store->set, "red", &err), &err);
    p->s.store = p->store;
    p->s.index = vf_index_open(p->store->path, VF_INDEX_CREATE, &err);
    CHECK_OK(p->s.index, &err);
    p->s.images_fd = open(p->store->images_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(p->s.images_fd >= 0);
    p->s.group = "red";
}

static void end(struct place *p)
{
    vf_index_close(p->s.index);
    close(p->s.images_fd);
    vf_storedir_close(p->store);
}

/* An image of zeros that a transfer in that group has brought; NULL: that just lies there. */
static void bring(struct place *p, const char *name, const char *group)
{
    static const char zeros[4096];
    char raw[] = "raw", *dir = p->store->images_dir, path[4096], own[16] = "";
    struct vf_image_record rec = {.path = path, .format = raw, .group = own};
    struct vf_map_info info;
    struct vf_map_sink *sink;
    struct vf_build *b;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    vf_test_write_file(path, zeros, sizeof zeros);
    if (!group)
        return;
    snprintf(own, sizeof own, "%s", group);
    CHECK_OK(vf_index_stat(p->s.index, path, &rec.st, &err), &err);
    sink = vf_index_begin(p->s.index, &rec, &err);
    CHECK_OK(sink, &err);
    b = vf_build_new(sizeof zeros, sink, NULL, NULL, &err);
    CHECK_OK(b, &err);
    CHECK_OK(vf_build_finish(b, &info, &err), &err);
    vf_build_free(b);
    CHECK_OK(sink->ops->commit(sink, &info, &err), &err);
}

static json_int_t number_of(struct place *p, const char *name)
{
    struct stat sb;

    CHECK(fstatat(p->s.images_fd, name, &sb, 0) == 0);
    return (json_int_t)sb.st_ino;
}

/* What `check` notes of a guest with the disk "a", where "a" had that number; 0: was not there. */
static int open_guest(struct place *p, const char *group, json_int_t ino)
{
    json_t *doc =
        json_pack("{s:s, s:s, s:s, s:{}, s:[{s:s, s:s, s:s, s:I, s:s}], s:[], s:{}}", "kind", "qmp",
                  "name", "g1", "group", group, "definition", "disks", "id", "vda", "name", "a",
                  "format", "raw", "size", (json_int_t)4096, "way", "copy", "made", "replaced");
    int rc;

    CHECK(doc);
    if (ino)
        json_object_set_new(json_object_get(doc, "replaced"), "a", json_integer(ino));
    else
        json_array_append_new(json_object_get(doc, "made"), json_string("a"));
    rc = vf_guest_arrival_open(&p->a, &p->s, doc, false, &err);
    json_decref(doc);
    return rc;
}

static bool there(const struct place *p, const char *name)
{
    return faccessat(p->s.images_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

TEST(a_guest_of_another_group)
{
    struct place p;

    start(&p, "other");
    CHECK_OK(open_guest(&p, "red", 0), &err);
    vf_guest_arrival_close(&p.a);
    CHECK_FAIL(open_guest(&p, "blue", 0), &err, VF_ERR_DENIED);
    vf_guest_arrival_close(&p.a);
    end(&p);
}

/* Its images become parts for the next try. */
TEST(what_it_brought_is_kept)
{
    char group[16];
    struct place p;
    ssize_t n;
    int fd;

    start(&p, "own");
    bring(&p, "a", "red");
    CHECK_OK(open_guest(&p, "red", 0), &err);
    CHECK_OK(vf_guest_arrival_has(&p.a, 0, &err), &err);
    vf_guest_arrival_drop(&p.a);
    vf_guest_arrival_close(&p.a);
    CHECK(!there(&p, "a") && there(&p, "a.part"));
    fd = openat(p.s.images_fd, "a.part", O_RDONLY | O_CLOEXEC);
    n = fgetxattr(fd, "user.vmferry.group", group, sizeof group);
    CHECK(n < 0 || (n == 3 && memcmp(group, "red", 3) == 0)); /* not on every file system */
    close(fd);
    end(&p);
}

/* The name was free when it was asked for, and somebody else took it meanwhile. */
TEST(what_others_brought_stays)
{
    static const char *const by[] = {"blue", NULL};

    for (size_t i = 0; i < 2; i++) {
        struct place p;

        start(&p, i ? "by-hand" : "by-others");
        bring(&p, "a", by[i]);
        CHECK_OK(open_guest(&p, "red", 0), &err);
        CHECK_FAIL(vf_guest_arrival_has(&p.a, 0, &err), &err, VF_ERR_DENIED);
        vf_guest_arrival_drop(&p.a);
        vf_guest_arrival_close(&p.a);
        CHECK(there(&p, "a") && !there(&p, "a.part"));
        end(&p);
    }
}

/* To be allowed to replace an image is not to be allowed to have it. */
TEST(what_it_may_replace_is_not_its_own)
{
    json_int_t before;
    struct place p;

    start(&p, "replace");
    bring(&p, "a", "red");
    before = number_of(&p, "a");
    CHECK_OK(open_guest(&p, "red", before), &err);
    CHECK_FAIL(vf_guest_arrival_has(&p.a, 0, &err), &err, VF_ERR_DENIED);
    bring(&p, "b", NULL);
    CHECK(renameat(p.s.images_fd, "a", p.s.images_fd, "old") == 0 &&
          renameat(p.s.images_fd, "b", p.s.images_fd, "a") == 0);
    CHECK_OK(vf_guest_arrival_has(&p.a, 0, &err), &err);
    vf_guest_arrival_close(&p.a);
    end(&p);
}

TESTS(a_guest_of_another_group, what_it_brought_is_kept, what_others_brought_stays,
      what_it_may_replace_is_not_its_own)
