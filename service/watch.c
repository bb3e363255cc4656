/* service/watch.c - inotify. */
#include "service/watch.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/fdio.h"

#define WANTED                                                                                     \
    (IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ATTRIB |            \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK)

struct vf_watch {
    int fd;
    _Alignas(struct inotify_event) char buf[16384];
};

struct vf_watch *vf_watch_new(struct vf_error *err)
{
    struct vf_watch *w = vf_calloc(1, sizeof *w, err);

    if (!w)
        return NULL;
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0) { /* the NULL says it */
        if (errno == EMFILE)
            (void)vf_error_set(err, VF_ERR_BUSY, errno,
                               "inotify has no room left (fs.inotify.max_user_instances)");
        else
            (void)vf_error_sys(err, errno, "inotify");
        free(w);
        return NULL;
    }
    return w;
}

void vf_watch_free(struct vf_watch *w)
{
    if (!w)
        return;
    vf_close_fd(&w->fd);
    free(w);
}

int vf_watch_fd(const struct vf_watch *w) { return w->fd; }

int vf_watch_add(struct vf_watch *w, const char *dir, struct vf_error *err)
{
    int number = inotify_add_watch(w->fd, dir, WANTED);

    if (number >= 0)
        return number;
    if (errno == ENOSPC) /* its words speak of disks */
        return vf_error_set(err, VF_ERR_BUSY, errno,
                            "no watch is left (fs.inotify.max_user_watches); looked at from time "
                            "to time");
    return vf_error_sys(err, errno, "watch '%s'", dir);
}

void vf_watch_remove(struct vf_watch *w, int number)
{
    (void)inotify_rm_watch(w->fd, number); /* it may be gone already */
}

static void give(const struct inotify_event *e, vf_watch_fn *fn, void *ctx)
{
    enum vf_watch_kind kind = e->mask & IN_CLOSE_WRITE ? VF_WATCH_CLOSED : VF_WATCH_LOOK;

    if (e->mask & IN_Q_OVERFLOW)
        fn(ctx, VF_WATCH_OVERFLOW, -1, "", false);
    else if (e->mask & (IN_IGNORED | IN_UNMOUNT | IN_DELETE_SELF | IN_MOVE_SELF))
        fn(ctx, VF_WATCH_DIR_GONE, e->wd, "", true);
    else if (e->len && e->name[0])
        fn(ctx, kind, e->wd, e->name, e->mask & IN_ISDIR);
}

int vf_watch_read(struct vf_watch *w, vf_watch_fn *fn, void *ctx, struct vf_error *err)
{
    for (;;) {
        ssize_t n = read(w->fd, w->buf, sizeof w->buf);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n <= 0)
            return vf_error_sys(err, errno, "read from inotify");
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const void *)(w->buf + at);

            give(e, fn, ctx);
            at += (ssize_t)(sizeof *e + e->len);
        }
    }
}
