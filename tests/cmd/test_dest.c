/* The destination of a transfer: names, the lock, what a .part becomes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/dest.h"
#include "core/map/build.h"
#include "tests/lib/check.h"

static struct vf_error err;

TEST(names)
{
    static const char *const good[] = {"a",    "web1.qcow2", "a b",        "-x",
                                       "a..b", "part",       "a.part.raw", "\xc3\xa9.raw"};
    static const char *const bad[] = {"",     ".",      "..",    ".a",   "a/b",      "/a",  "a/",
                                      "../a", "a.part", ".part", "a\nb", "a\x1b[2J", "\x7f"};
    char longest[VF_DEST_NAME_MAX + 2];

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK_OK(vf_dest_name_check(good[i], &err), &err);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_FAIL(vf_dest_name_check(bad[i], &err), &err, VF_ERR_USAGE);
    memset(longest, 'n', sizeof longest);
    longest[VF_DEST_NAME_MAX + 1] = '\0';
    CHECK_FAIL(vf_dest_name_check(longest, &err), &err, VF_ERR_USAGE);
    longest[VF_DEST_NAME_MAX] = '\0';
    CHECK_OK(vf_dest_name_check(longest, &err), &err);
}

/* A store in the test's directory, and a destination in it. */
struct place {
    struct vf_storedir *store;
    struct vf_index *index;
    int images;
    struct vf_dest *dest;
    struct vf_image *part;
    struct vf_residents *residents;
    struct vf_map_sink *sink;
    int64_t leftover;
    struct vf_msg_accept accept;
};

static void start(struct place *p, const char *store)
{
    struct vf_cli cli = {.store = vf_test_path(store)};

    memset(p, 0, sizeof *p);
    p->store = vf_storedir_open(&cli, &err);
    CHECK_OK(p->store, &err);
    p->index = vf_index_open(p->store->path, VF_INDEX_CREATE, &err);
    CHECK_OK(p->index, &err);
    p->images = open(p->store->images_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(p->images >= 0);
    p->leftover = -2;
}

static void again(struct place *p)
{
    p->dest = vf_dest_new(p->store, p->index, p->images, "", &err);
    CHECK_OK(p->dest, &err);
}

static int offer(struct place *p, const char *name, const char *format, uint64_t size, bool replace)
{
    char n[300], f[32];
    struct vf_msg_offer o = {.size = size,
                             .data_blocks = 8,
                             .flags = replace ? VF_OFFER_REPLACE : 0,
                             .name = n,
                             .format = f};

    strncpy(n, name, sizeof n - 1);
    n[sizeof n - 1] = '\0';
    strncpy(f, format, sizeof f - 1);
    f[sizeof f - 1] = '\0';
    return p->dest->ops->open(p->dest, &o, false, &p->part, &p->residents, &p->sink, &p->leftover,
                              &p->accept, &err);
}

/* Ends a destination, as after a lost connection or with another outcome. */
static void drop(struct place *p, enum vf_err code)
{
    struct vf_error outcome = {code, 0, "test"};

    if (p->sink)
        p->sink->ops->abort(p->sink);
    vf_dest_free(p->dest, &outcome);
    free(p->accept.path);
    p->accept.path = NULL;
    p->dest = NULL;
    p->sink = NULL;
}

static void end(struct place *p)
{
    vf_index_close(p->index);
    close(p->images);
    vf_storedir_close(p->store);
}

static bool there(struct place *p, const char *name)
{
    return faccessat(p->images, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static const uint8_t data[4096] = {1, 2, 3};

TEST(what_becomes_of_a_part)
{
    struct place p;

    start(&p, "parts");
    again(&p);
    CHECK_OK(offer(&p, "a", "raw", 65536, false), &err);
    CHECK_EQ_I64(p.leftover, -1);
    CHECK_STR(strrchr(p.accept.path, '/'), "/a");
    drop(&p, VF_ERR_UNREACHABLE); /* nothing was written: nothing to keep */
    CHECK(!there(&p, "a.part") && !there(&p, "a"));

    again(&p);
    CHECK_OK(offer(&p, "a", "raw", 65536, false), &err);
    CHECK_OK(vf_image_write(p.part, data, sizeof data, 8192, &err), &err);
    drop(&p, VF_ERR_UNREACHABLE);
    CHECK(there(&p, "a.part"));

    again(&p); /* goes on with it: it is a donor */
    CHECK_OK(offer(&p, "a", "raw", 65536, false), &err);
    CHECK_EQ_I64(p.leftover, 0);
    CHECK_EQ_U64(p.residents->ops->count(p.residents), 1);
    drop(&p, VF_ERR_UNREACHABLE);

    again(&p); /* of another size: from the beginning */
    CHECK_OK(offer(&p, "a", "raw", 32768, false), &err);
    CHECK_EQ_I64(p.leftover, -1);
    CHECK_OK(vf_image_write(p.part, data, sizeof data, 0, &err), &err);
    drop(&p, VF_ERR_SPACE); /* a full disk gets its room back */
    CHECK(!there(&p, "a.part"));
    end(&p);
}

TEST(one_transfer_of_a_name)
{
    struct place p, q;

    start(&p, "lock");
    again(&p);
    CHECK_OK(offer(&p, "a", "raw", 4096, false), &err);
    q = p;
    q.sink = NULL;
    q.accept.path = NULL;
    again(&q);
    CHECK_FAIL(offer(&q, "a", "raw", 4096, false), &err, VF_ERR_BUSY);
    drop(&q, VF_ERR_BUSY);
    CHECK(there(&p, "a.part")); /* the other's */
    again(&q);
    CHECK_OK(offer(&q, "b", "raw", 4096, false), &err);
    drop(&q, VF_ERR_UNREACHABLE);
    drop(&p, VF_ERR_UNREACHABLE);
    again(&q);
    CHECK_OK(offer(&q, "a", "raw", 4096, false), &err);
    drop(&q, VF_ERR_UNREACHABLE);
    end(&p);
}

TEST(existing_images)
{
    struct place p;

    start(&p, "exists");
    vf_test_write_file(vf_test_path("exists/images/a"), "x", 1);
    again(&p);
    CHECK_FAIL(offer(&p, "a", "raw", 4096, false), &err, VF_ERR_EXISTS);
    drop(&p, VF_ERR_EXISTS);
    again(&p);
    CHECK_OK(offer(&p, "a", "raw", 4096, true), &err);
    drop(&p, VF_ERR_UNREACHABLE);
    CHECK(there(&p, "a"));
    p.store->set.allow_replace = false;
    again(&p);
    CHECK_FAIL(offer(&p, "a", "raw", 4096, true), &err, VF_ERR_DENIED);
    drop(&p, VF_ERR_DENIED);
    CHECK(symlinkat("/etc/passwd", p.images, "l") == 0);
    CHECK(symlinkat("/etc/passwd", p.images, "m.part") == 0);
    p.store->set.allow_replace = true;
    again(&p);
    CHECK_FAIL(offer(&p, "l", "raw", 4096, true), &err, VF_ERR_DENIED);
    drop(&p, VF_ERR_DENIED);
    again(&p); /* a link in the way is removed, not followed */
    CHECK_OK(offer(&p, "m", "raw", 4096, false), &err);
    CHECK_EQ_I64(p.leftover, -1);
    drop(&p, VF_ERR_UNREACHABLE);
    end(&p);
}

TEST(refuses)
{
    struct place p;
    struct vf_msg_offer huge = {.size = UINT64_C(1) << 49, .data_blocks = UINT64_C(1) << 40};
    char name[] = "a", format[] = "raw";

    start(&p, "refuses");
    again(&p);
    CHECK_FAIL(offer(&p, "../a", "raw", 4096, false), &err, VF_ERR_USAGE);
    drop(&p, VF_ERR_USAGE);
    again(&p);
    CHECK_FAIL(offer(&p, "a", "floppy", 4096, false), &err, VF_ERR_UNSUPPORTED);
    drop(&p, VF_ERR_UNSUPPORTED);
    p.store->set.max_image_size = 4096;
    again(&p);
    CHECK_FAIL(offer(&p, "a", "raw", 4097, false), &err, VF_ERR_DENIED);
    drop(&p, VF_ERR_DENIED);
    p.store->set.max_image_size = 0;
    again(&p);
    huge.name = name;
    huge.format = format;
    CHECK_FAIL(p.dest->ops->open(p.dest, &huge, false, &p.part, &p.residents, &p.sink, &p.leftover,
                                 &p.accept, &err),
               &err, VF_ERR_SPACE);
    drop(&p, VF_ERR_SPACE);
    CHECK(!there(&p, "a.part"));
    end(&p);
}

/* Publishes the part as it is: zeros. */
static void publish(struct place *p, uint64_t size)
{
    struct vf_build *b = vf_build_new(size, p->sink, NULL, NULL, &err);
    struct vf_map_info info;
    struct vf_shared shared;

    CHECK_OK(b, &err);
    CHECK_OK(vf_build_finish(b, &info, &err), &err);
    vf_build_free(b);
    CHECK_OK(p->dest->ops->publish(p->dest, p->sink, &info, &err), &err);
    p->sink = NULL;
    CHECK_OK(p->dest->ops->count(p->dest, &shared, &err), &err);
    CHECK_EQ_U64(shared.blocks, 0);
}

/* The source may begin the next transfer before this one has gone away. */
TEST(out_of_the_way)
{
    struct vf_image_record rec;
    struct place p, q;

    start(&p, "next");
    again(&p);
    CHECK_OK(offer(&p, "a", "raw", 65536, false), &err);
    publish(&p, 65536);
    CHECK(there(&p, "a") && !there(&p, "a.part"));
    q = p;
    q.accept.path = NULL;
    again(&q);
    CHECK_OK(offer(&q, "a", "raw", 32768, true), &err);
    publish(&q, 32768);
    CHECK_EQ_I64(vf_index_get(p.index, vf_test_path("next/images/a"), &rec, &err), VF_FOUND);
    CHECK_EQ_U64(rec.info.size, 32768);
    CHECK(vf_index_fresh(p.index, &rec));
    vf_image_record_clear(&rec);
    drop(&q, VF_ERR_NONE);
    drop(&p, VF_ERR_NONE);
    CHECK(there(&p, "a") && !there(&p, "a.part"));
    end(&p);
}

/* As a QEMU that writes the file locks it; the descriptor ends it. */
static int use(struct place *p, const char *name)
{
    struct flock l = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 101, .l_len = 1};
    int fd = openat(p->images, name, O_RDWR | O_CLOEXEC);

    CHECK(fd >= 0 && fcntl(fd, F_OFD_SETLK, &l) == 0);
    return fd;
}

/* An image that a guest runs from is not replaced, by none of any format. */
TEST(images_in_use)
{
    static const char *const format[] = {"raw", "qcow2"};
    struct vf_build *b;
    struct vf_map_info info;
    struct place p;
    struct stat sb;
    int fd;

    start(&p, "use");
    vf_test_write_file(vf_test_path("use/images/a"), data, sizeof data);
    fd = use(&p, "a");
    for (int i = 0; i < 2; i++) {
        again(&p);
        CHECK_FAIL(offer(&p, "a", format[i], 4096, true), &err, VF_ERR_BUSY);
        drop(&p, VF_ERR_BUSY);
    }
    close(fd);
    again(&p);
    CHECK_OK(offer(&p, "a", "raw", 8192, true), &err);
    fd = use(&p, "a"); /* started while the new one travelled */
    b = vf_build_new(8192, p.sink, NULL, NULL, &err);
    CHECK_OK(b, &err);
    CHECK_OK(vf_build_finish(b, &info, &err), &err);
    vf_build_free(b);
    CHECK_FAIL(p.dest->ops->publish(p.dest, p.sink, &info, &err), &err, VF_ERR_BUSY);
    p.sink = NULL;
    drop(&p, VF_ERR_BUSY);
    close(fd);
    CHECK(fstatat(p.images, "a", &sb, 0) == 0 && sb.st_size == sizeof data);
    end(&p);
}

static int turn_back(struct place *p, const char *name, bool look)
{
    int rc;

    again(p);
    rc = vf_dest_turn_back(p->dest, name, look, &err);
    vf_dest_free(p->dest, NULL);
    return rc;
}

/* The disk of a guest that did not come: a part of the next try, unless somebody uses it. */
TEST(turned_back)
{
    struct vf_image_record rec;
    struct place p;
    struct stat sb;
    int fd;

    start(&p, "back");
    CHECK_FAIL(turn_back(&p, "a", false), &err, VF_ERR_EXISTS); /* there is none */
    vf_test_write_file(vf_test_path("back/images/a"), data, sizeof data);
    CHECK_FAIL(turn_back(&p, "a", false), &err, VF_ERR_EXISTS); /* nobody knows it */
    CHECK(unlinkat(p.images, "a", 0) == 0);
    again(&p);
    CHECK_OK(offer(&p, "a", "raw", 65536, false), &err);
    publish(&p, 65536);
    drop(&p, VF_ERR_NONE);
    fd = use(&p, "a");
    CHECK_FAIL(turn_back(&p, "a", false), &err, VF_ERR_BUSY);
    close(fd);
    CHECK(linkat(p.images, "a", p.images, "b", 0) == 0);
    CHECK_FAIL(turn_back(&p, "a", false), &err, VF_ERR_EXISTS);
    CHECK(unlinkat(p.images, "b", 0) == 0);

    vf_test_write_file(vf_test_path("back/images/a.part"), data, sizeof data); /* an older one */
    CHECK_OK(turn_back(&p, "a", true), &err);
    CHECK(there(&p, "a"));
    CHECK_OK(turn_back(&p, "a", false), &err);
    CHECK(!there(&p, "a") && fstatat(p.images, "a.part", &sb, 0) == 0 && sb.st_size == 65536);
    CHECK_EQ_I64(vf_index_get(p.index, vf_test_path("back/images/a"), &rec, &err), VF_ABSENT);
    again(&p); /* and that is gone on with */
    CHECK_OK(offer(&p, "a", "raw", 65536, false), &err);
    CHECK_EQ_I64(p.leftover, 0);
    drop(&p, VF_ERR_UNREACHABLE);
    end(&p);
}

/* As many descriptors more as `more` says; -1: as many as there were. */
static void allow_descriptors(int more)
{
    static struct rlimit before;
    struct rlimit now;
    int next = more < 0 ? 0 : dup(STDIN_FILENO);

    CHECK(more < 0 || (next >= 0 && close(next) == 0));
    if (before.rlim_cur == 0)
        CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    now = before;
    if (more >= 0)
        now.rlim_cur = (rlim_t)(next + more);
    CHECK(setrlimit(RLIMIT_NOFILE, &now) == 0);
}

/* Without descriptors it says so, and not that a name is taken which is not. */
TEST(few_descriptors)
{
    struct place p;
    int rc = -1;

    start(&p, "few");
    for (int more = 0; rc < 0 && more < 64; more++) {
        again(&p);
        allow_descriptors(more);
        rc = offer(&p, "a", "raw", 65536, false);
        allow_descriptors(-1);
        CHECK(rc == 0 || err.sys == EMFILE);
        drop(&p, VF_ERR_UNREACHABLE);
        CHECK(!there(&p, "a"));
    }
    CHECK_OK(rc, &err);
    end(&p);
}

TESTS(names, what_becomes_of_a_part, one_transfer_of_a_name, existing_images, refuses, turned_back,
      out_of_the_way, images_in_use, few_descriptors)
