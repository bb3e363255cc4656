/* service/watch.h - what happens in directories, as inotify tells it.
 *
 * Watched are appearing, closing after writing, moving, vanishing and changes of attributes; not
 * single writes, of which a running guest makes thousands.  A watch follows the directory itself,
 * not its name.
 *
 * Thread rules: belongs to one thread. */
#ifndef VF_SERVICE_WATCH_H
#define VF_SERVICE_WATCH_H

#include <stdbool.h>

#include "core/error.h"

enum vf_watch_kind {
    VF_WATCH_LOOK,     /* something happened to that name */
    VF_WATCH_CLOSED,   /* it was open for writing, and was closed */
    VF_WATCH_DIR_GONE, /* the directory was removed, moved away or unmounted; not watched any more
                        */
    VF_WATCH_OVERFLOW  /* events were lost: look at everything */
};

struct vf_watch;
/* VF_ERR_SPACE when this user has no more inotify instances. */
struct vf_watch *vf_watch_new(struct vf_error *err);
void vf_watch_free(struct vf_watch *w); /* NULL is fine */

/* Readable when something has happened. */
int vf_watch_fd(const struct vf_watch *w);

/* Watches the directory; its number (>= 0; the same one for the same directory), or -1: SPACE when
 * there are too many watches, NOTFOUND, or what the system says. */
int vf_watch_add(struct vf_watch *w, const char *dir, struct vf_error *err) VF_MUST_CHECK;
void vf_watch_remove(struct vf_watch *w, int number);

/* Calls fn for all that has happened so far; does not wait.  number is -1 and name "" for
 * OVERFLOW; name is "" for DIR_GONE.  0, or -1. */
typedef void vf_watch_fn(void *ctx, enum vf_watch_kind kind, int number, const char *name,
                         bool is_dir);
int vf_watch_read(struct vf_watch *w, vf_watch_fn *fn, void *ctx,
                  struct vf_error *err) VF_MUST_CHECK;

#endif
