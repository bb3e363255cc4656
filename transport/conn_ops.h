/* transport/conn_ops.h - what a back end implements; private to transport/.
 *
 * A back end's struct begins with a struct vf_conn_base.  It has one thread that watches over the
 * far end, and which records the end in `end` exactly once. */
#ifndef VF_TRANSPORT_CONN_OPS_H
#define VF_TRANSPORT_CONN_OPS_H

#include <pthread.h>
#include <stdbool.h>

#include "core/error.h"
#include "transport/connect.h"
#include "transport/diag.h"
#include "transport/wait.h"

struct vf_conn_ops {
    const char *name; /* "local", "libssh2", "ssh" */
    /* Makes the thread end now: cuts the connection, kills the child.  Does not wait. */
    void (*cut)(struct vf_conn *);
    /* After the thread has recorded the end: joins it and frees everything, c too. */
    void (*destroy)(struct vf_conn *);
    /* True when that exit status means that not the far end's program but the ssh client failed;
     * *err is then filled from what it wrote.  NULL: never. */
    bool (*client_failed)(struct vf_conn *, int status, const char *diagnosis,
                          struct vf_error *err);
};

/* How the far end ended. */
struct vf_conn_end {
    bool done;
    bool lost;           /* not by itself: why holds the reason */
    int status;          /* exit status, or 128 + signal; valid when done and not lost */
    struct vf_error why; /* valid when lost */
};

struct vf_conn_base {
    struct vf_conn conn; /* first */
    char *peer;          /* owned */
    char *program;       /* what runs at the far end, for messages; owned */
    char *reason;        /* why this back end; owned, may be NULL */
    struct vf_diag diag;
    pthread_mutex_t lock; /* guards end */
    pthread_cond_t ended;
    struct vf_conn_end end;
};

static inline struct vf_conn_base *vf_conn_base(struct vf_conn *c)
{
    return (struct vf_conn_base *)c;
}

/* A back end's parts in common.  0, or -1 (NOMEM) with nothing to free. */
int vf_conn_base_init(struct vf_conn_base *b, const struct vf_conn_ops *ops,
                      const struct vf_target *target, const char *program,
                      struct vf_error *err) VF_MUST_CHECK;
void vf_conn_base_destroy(struct vf_conn_base *b); /* closes rfd and wfd too */

/* By the back end's thread, once.  why: the reason when lost, else NULL. */
void vf_conn_base_end(struct vf_conn_base *b, int status, const struct vf_error *why);

#endif
