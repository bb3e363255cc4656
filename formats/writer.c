/* formats/writer.c - new image files. */
#include "formats/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/block.h"
#include "core/checked.h"
#include "core/fdio.h"
#include "formats/detect.h"
#include "formats/nbd.h"
#include "formats/qcow2_layout.h"
#include "formats/qemu.h"
#include "formats/raw.h"

#define CONNS 2u /* one thread writes, another may read back */

/* Exit statuses of qemu-img check. */
#define CHECK_CORRUPT     2
#define CHECK_LEAKS       3
#define CHECK_UNSUPPORTED 63

bool vf_writer_can(const char *format)
{
    const struct vf_fmt *f = vf_fmt_by_name(format, NULL);

    return f && f->can_write;
}

static const struct vf_fmt *writable_format(const struct vf_image_desc *like, struct vf_error *err)
{
    const struct vf_fmt *f = vf_fmt_by_name(like->format, err);

    if (!f)
        return NULL;
    if (!f->can_write) {
        (void)vf_error_set(err, VF_ERR_UNSUPPORTED, 0, /* the NULL says it */
                           "%s images cannot be written; choose raw or qcow2", f->name);
        return NULL;
    }
    if (f->id != VF_FMT_RAW && like->virtual_size % VF_BLOCK) {
        (void)vf_error_set(err, VF_ERR_UNSUPPORTED, 0, /* as above */
                           "%s cannot hold %" PRIu64 " bytes, which are not a multiple of %u; "
                           "choose raw",
                           f->name, like->virtual_size, VF_BLOCK);
        return NULL;
    }
    return f;
}

static int check_name(const char *name, struct vf_error *err)
{
    if (*name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
        return 0;
    return vf_error_set(err, VF_ERR_USAGE, 0, "'%.64s' is not the name of a file", name);
}

/* ---- through QEMU ---- */

/* QEMU is given our descriptor's file: whatever happens to the name, it writes this one. */
static char *path_of(int fd, struct vf_error *err)
{
    return vf_strf(err, "/proc/%ld/fd/%d", (long)getpid(), fd);
}

static char *graph_of(int fd, const struct vf_fmt *f, struct vf_error *err)
{
    return vf_strf(err,
                   "json:{\"driver\":\"%s\",\"file\":{\"driver\":\"file\",\"filename\":"
                   "\"/proc/%ld/fd/%d\"}%s}",
                   f->name, (long)getpid(), fd, f->has_backing ? ",\"backing\":null" : "");
}

static int create_by_qemu(int fd, const struct vf_fmt *f, const struct vf_image_desc *like,
                          struct vf_error *err)
{
    char size[32], opts[64];
    char *path = path_of(fd, err);
    const char *argv[12] = {"qemu-img", "create", "-q", "-f", f->name};
    int n = 5, rc = -1, status = 0;

    if (!path)
        return -1;
    (void)snprintf(size, sizeof size, "%" PRIu64, like->virtual_size); /* always fits */
    if (f->id == VF_FMT_QCOW2) {
        (void)snprintf(opts, sizeof opts, "cluster_size=%" PRIu32 ",compat=%s",
                       like->cluster_size ? like->cluster_size : UINT32_C(65536),
                       *like->compat ? like->compat : "1.1"); /* always fits */
        argv[n++] = "-o";
        argv[n++] = opts;
    }
    argv[n++] = "--";
    argv[n++] = path;
    argv[n++] = size;
    argv[n] = NULL;
    if (vf_qemu_img(argv, &status, err) == 0 && status == 0)
        rc = 0;
    free(path);
    return rc;
}

static struct vf_image *open_by_qemu(int fd, const struct vf_fmt *f,
                                     const struct vf_image_desc *like, struct vf_error *err)
{
    char *graph = graph_of(fd, f, err);
    struct vf_image *im = graph ? vf_nbd_open(graph, true, CONNS, err) : NULL;

    free(graph);
    if (!im || im->size == like->virtual_size)
        return im;
    (void)vf_error_set(err, VF_ERR_UNSUPPORTED, 0, /* the NULL says it */
                       "%s makes %" PRIu64 " bytes of %" PRIu64 "; choose raw or qcow2", f->name,
                       im->size, like->virtual_size);
    vf_image_close(im);
    return NULL;
}

/* Runs qemu-img check; with repair, leaked clusters are freed. */
static int check_by_qemu(int fd, const struct vf_fmt *f, bool repair, struct vf_error *err)
{
    char *graph = graph_of(fd, f, err);
    const char *argv[8] = {"qemu-img", "check", "-q"};
    struct vf_error why = VF_ERROR_INIT;
    int n = 3, rc = -1, status = 0;

    if (!graph)
        return -1;
    if (repair) {
        argv[n++] = "-r";
        argv[n++] = "leaks";
    }
    argv[n++] = graph;
    argv[n] = NULL;
    if (vf_qemu_img(argv, &status, &why) < 0) {
        (void)vf_error_pass(err, &why); /* rc says it */
    } else if (status == 0 || status == CHECK_UNSUPPORTED) {
        rc = 0;
    } else if (status == CHECK_CORRUPT || status == CHECK_LEAKS) {
        (void)vf_error_set(err, VF_ERR_FORMAT, 0, "qemu-img check found %s",
                           status == CHECK_LEAKS ? "leaked clusters" : "damage"); /* rc says it */
    } else { /* it could not check; somebody else's lock says nothing about the file */
        (void)vf_error_set(err, why.code == VF_ERR_BUSY ? VF_ERR_BUSY : VF_ERR_FORMAT, 0, "%s",
                           why.msg); /* as above */
    }
    free(graph);
    return rc;
}

/* ---- public ---- */

struct vf_image *vf_writer_create(int dirfd, const char *name, const struct vf_image_desc *like,
                                  struct vf_error *err)
{
    const struct vf_fmt *f = writable_format(like, err);
    struct vf_image *im = NULL;
    int fd;

    if (!f || check_name(name, err) < 0)
        return NULL;
    fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        (void)vf_error_sys(err, errno, "create '%s'", name); /* the NULL says it */
        return NULL;
    }
    if (f->id == VF_FMT_RAW) {
        if (like->virtual_size > INT64_MAX || ftruncate(fd, (off_t)like->virtual_size) < 0)
            (void)vf_error_sys(err, like->virtual_size > INT64_MAX ? EFBIG : errno,
                               "give '%s' its size", name); /* im stays NULL */
        else
            im = vf_raw_new(vf_steal_fd(&fd), true, err);
    } else if (create_by_qemu(fd, f, like, err) == 0) {
        im = open_by_qemu(fd, f, like, err);
    }
    vf_close_fd(&fd);
    if (!im)
        (void)unlinkat(dirfd, name, 0); /* ours since O_EXCL; the first error is what counts */
    return im;
}

/* The file of an earlier run, if it is one. */
static int open_leftover(int dirfd, const char *name, struct stat *st, struct vf_error *err)
{
    int fd = openat(dirfd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 && errno == ELOOP)
        return vf_error_set(err, VF_ERR_DENIED, 0, "'%s' is a symbolic link", name);
    if (fd < 0)
        return vf_error_sys(err, errno, "open '%s'", name);
    if (fstat(fd, st) < 0) {
        (void)vf_error_sys(err, errno, "look at '%s'", name); /* the goto says it */
        goto fail;
    }
    /* A second name could be anywhere, and would change with this file. */
    if (!S_ISREG(st->st_mode) || st->st_nlink != 1 || st->st_uid != geteuid()) {
        (void)vf_error_set(err, VF_ERR_DENIED, 0,
                           "'%s' is not a regular file of this user with one name",
                           name); /* as above */
        goto fail;
    }
    return fd;
fail:
    vf_close_fd(&fd);
    return -1;
}

static int same_qcow2(int fd, uint64_t file_size, const struct vf_image_desc *like,
                      struct vf_error *err)
{
    struct vf_qcow2_header *h = vf_calloc(1, sizeof *h, err);
    uint32_t cluster = like->cluster_size ? like->cluster_size : 65536;
    uint32_t version = strcmp(like->compat, "0.10") == 0 ? 2 : 3;
    int rc = -1;

    if (!h || vf_qcow2_header_read(fd, file_size, h, err) < 0)
        goto out;
    if (h->size == like->virtual_size && cluster == UINT32_C(1) << h->cluster_bits &&
        h->version == version && h->incompatible == 0 && vf_qcow2_header_simple(h))
        rc = 0;
    else
        (void)vf_error_set(err, VF_ERR_FORMAT, 0, "another kind of image is there"); /* rc is -1 */
out:
    free(h);
    return rc;
}

struct vf_image *vf_writer_reopen(int dirfd, const char *name, const struct vf_image_desc *like,
                                  struct vf_error *err)
{
    const struct vf_fmt *f = writable_format(like, err);
    struct vf_image *im = NULL;
    struct stat st;
    int fd = -1;

    if (!f || check_name(name, err) < 0)
        return NULL;
    fd = open_leftover(dirfd, name, &st, err);
    if (fd < 0)
        return NULL;
    if (f->id == VF_FMT_RAW && (uint64_t)st.st_size == like->virtual_size)
        im = vf_raw_new(vf_steal_fd(&fd), true, err);
    else if (f->id != VF_FMT_QCOW2)
        (void)vf_error_set(err, VF_ERR_FORMAT, 0, "'%s' cannot be continued as %s", name,
                           f->name); /* im stays NULL */
    else if (same_qcow2(fd, (uint64_t)st.st_size, like, err) == 0 &&
             check_by_qemu(fd, f, true, err) == 0)
        im = open_by_qemu(fd, f, like, err);
    if (!im)
        (void)vf_error_prefix(err, "'%s'", name); /* as above */
    vf_close_fd(&fd);
    return im;
}

int vf_writer_check(int dirfd, const char *name, const char *format, struct vf_error *err)
{
    const struct vf_fmt *f = vf_fmt_by_name(format, err);
    int fd, rc = 0;

    if (!f || check_name(name, err) < 0)
        return -1;
    fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return vf_error_sys(err, errno, "open '%s'", name);
    if (f->id != VF_FMT_RAW && check_by_qemu(fd, f, false, err) < 0)
        rc = vf_error_prefix(err, "'%s'", name);
    vf_close_fd(&fd);
    return rc;
}
