/* cmd/dest_publish.c - a complete copy gets its name and its place in the index. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cmd/dest_impl.h"
#include "core/checked.h"
#include "core/clock.h"
#include "core/fdio.h"
#include "core/thread.h"
#include "formats/writer.h"

#define TICK_MS 20 /* more than the tick of a file's times */

/* The final name, at once; one that appeared meanwhile is not replaced unless that was asked for,
 * nor one that a guest was started from while its successor travelled. */
static int rename_part(struct dest *d, struct vf_error *err)
{
    bool exists;
    int rc;

    if (d->replaces) {
        if (vf_dest_check_target(d, true, &exists, err) < 0)
            return -1;
        rc = renameat(d->images_fd, d->part_name, d->images_fd, d->name);
    } else {
        rc = renameat2(d->images_fd, d->part_name, d->images_fd, d->name, RENAME_NOREPLACE);
        if (rc < 0 && (errno == EINVAL || errno == ENOSYS)) { /* not on this file system */
            rc = linkat(d->images_fd, d->part_name, d->images_fd, d->name, 0);
            if (rc == 0)
                rc = unlinkat(d->images_fd, d->part_name, 0);
        }
    }
    if (rc < 0)
        return vf_error_sys(err, errno, "rename to '%s'", d->path);
    d->published = true;
    if (fsync(d->images_fd) < 0)
        return vf_error_sys(err, errno, "sync '%s'", d->store->images_dir);
    return 0;
}

static int sync_part(struct dest *d, struct vf_error *err)
{
    int fd, rc = 0;

    if (vf_image_flush(d->part, err) < 0)
        return -1;
    vf_image_close(d->part); /* QEMU has then written all and is gone */
    d->part = NULL;
    if (vf_writer_check(d->images_fd, d->part_name, d->format, err) < 0)
        return -1;
    fd = openat(d->images_fd, d->part_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0)
        (void)fremovexattr(fd, VF_DEST_GROUP_XATTR); /* of no use any more, and of no harm */
    if (fd < 0 || fsync(fd) < 0)
        rc = vf_error_sys(err, errno, "sync '%s'", d->part_path);
    vf_close_fd(&fd);
    return rc;
}

/* The rest of the new map, written beside what is done to the file. */
struct completion {
    struct vf_map_sink *sink;
    struct vf_map_info *info;
    struct vf_error err;
    int rc;
};

static void *complete(void *arg)
{
    struct completion *c = arg;

    c->rc = c->sink->ops->complete(c->sink, c->info, &c->err);
    return NULL;
}

/* The count of the new image against the residents, made from its fingerprints as they are written:
 * before the map is visible, so that an image that it replaces counts as well. */
struct counting {
    struct dest *d;
    struct vf_index_tap *tap;
};

static void *count(void *arg)
{
    struct counting *c = arg;
    struct dest *d = c->d;
    struct vf_residents *res = d->residents;
    struct vf_shared *each = vf_calloc(res->ops->count(res), sizeof *each, &d->count_err);

    d->count_rc =
        each ? res->ops->shared(res, vf_index_tap_next, c->tap, each, &d->shared, &d->count_err)
             : -1;
    vf_index_tap_leave(c->tap);
    free(each);
    return NULL;
}

/* Lets a clock tick pass since the file was last changed, so that a later write is sure to change
 * its times. */
static void rest(int64_t changed_ms)
{
    vf_thread_nap(changed_ms + TICK_MS - vf_clock_ms()); /* no signal comes to this thread */
}

/* Its name for the file, and all of its map but what makes it visible. */
static int place(struct dest *d, struct vf_map_sink *sink, struct vf_map_info *info,
                 struct vf_error *err)
{
    struct completion c = {.sink = sink, .info = info};
    pthread_t thread;
    bool beside = vf_thread_start(&thread, complete, &c, NULL) == 0;
    int64_t changed_ms = 0;
    int rc = sync_part(d, err);

    if (rc == 0) {
        vf_dest_note(d);
        rc = rename_part(d, err);
    }
    changed_ms = vf_clock_ms();
    if (beside)
        (void)pthread_join(thread, NULL); /* cannot fail: it runs, and is nobody else's */
    else
        (void)complete(&c);
    if (rc == 0 && c.rc < 0)
        rc = vf_error_pass(err, &c.err);
    if (rc == 0)
        rest(changed_ms);
    return rc;
}

/* The same, and counts meanwhile. */
static int place_and_count(struct dest *d, struct vf_map_sink *sink, struct vf_map_info *info,
                           struct vf_error *err)
{
    struct counting c = {.d = d, .tap = vf_index_tap(sink, err)};
    pthread_t thread;
    int rc = -1;

    if (c.tap && vf_thread_start(&thread, count, &c, err) == 0) {
        rc = place(d, sink, info, err);
        (void)pthread_join(thread, NULL); /* cannot fail: it runs, and is nobody else's */
    }
    vf_index_tap_free(c.tap);
    return rc;
}

int vf_dest_publish(struct vf_dest *dest, struct vf_map_sink *sink, struct vf_map_info *info,
                    struct vf_error *err)
{
    struct dest *d = (struct dest *)dest;
    struct vf_image_record rec;

    memcpy(d->root, info->root, VF_SHA_LEN); /* now it is known, if it was not */
    if (place_and_count(d, sink, info, err) < 0 ||
        vf_dest_record(d, d->path, VF_IMAGE_COMPLETE, &rec, err) < 0 ||
        vf_index_set_record(sink, &rec, err) < 0)
        goto fail;
    d->committed = sink->ops->commit(sink, info, err) == 0;
    if (d->committed)
        return 0;
    sink = NULL;
fail:
    if (sink)
        sink->ops->abort(sink);
    if (d->published)
        (void)vf_error_prefix(err, "the image is complete, but not indexed"); /* returns -1 below */
    return -1;
}
