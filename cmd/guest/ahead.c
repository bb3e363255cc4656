/* cmd/guest/ahead.c - a thread that opens a connection, and then waits for its end. */
#include "cmd/guest/ahead.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/checked.h"
#include "core/thread.h"

struct vf_ahead {
    const struct vf_cli *cli;
    const struct vf_target *target;
    const struct vf_reach *reach;
    enum vf_purpose purpose;
    const char *group;
    struct vf_ratelimit *limit;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t moved;
    bool tried, open, ending;
    struct vf_peer peer;
    struct vf_error err;
};

static void *work(void *arg)
{
    struct vf_ahead *a = arg;
    struct vf_peer peer = {0};
    struct vf_error err = VF_ERROR_INIT;
    int rc = vf_peer_open(a->cli, a->target, a->reach, a->purpose, a->group, a->limit, &peer, &err);

    pthread_mutex_lock(&a->lock);
    a->tried = true;
    a->open = rc == 0;
    a->peer = peer;
    a->err = err;
    pthread_cond_broadcast(&a->moved);
    while (!a->ending)
        pthread_cond_wait(&a->moved, &a->lock);
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

struct vf_ahead *vf_ahead_start(const struct vf_cli *cli, const struct vf_target *target,
                                const struct vf_reach *reach, enum vf_purpose purpose,
                                const char *group, struct vf_ratelimit *limit)
{
    struct vf_ahead *a = vf_calloc(1, sizeof *a, NULL);

    if (!a)
        return NULL;
    a->cli = cli;
    a->target = target;
    a->reach = reach;
    a->purpose = purpose;
    a->group = group;
    a->limit = limit;
    (void)pthread_mutex_init(&a->lock, NULL); /* default ones cannot fail on Linux */
    (void)pthread_cond_init(&a->moved, NULL);
    if (vf_thread_start(&a->thread, work, a, NULL) == 0)
        return a;
    free(a);
    return NULL;
}

int vf_ahead_take(struct vf_ahead *a, struct vf_peer *ret, struct vf_error *err)
{
    int rc = -1;

    pthread_mutex_lock(&a->lock);
    while (!a->tried)
        pthread_cond_wait(&a->moved, &a->lock);
    if (a->open) {
        *ret = a->peer;
        a->open = false;
        a->err = (struct vf_error){VF_ERR_NOTFOUND, 0, "the connection was taken"};
        rc = 0;
    } else {
        (void)vf_error_pass(err, &a->err); /* -1 below */
    }
    pthread_mutex_unlock(&a->lock);
    return rc;
}

void vf_ahead_end(struct vf_ahead *a)
{
    struct vf_error unused = {.code = VF_ERR_UNREACHABLE}; /* nothing is waited for */
    struct vf_peer peer;

    if (!a)
        return;
    if (vf_ahead_take(a, &peer, NULL) == 0)
        vf_peer_close(&peer, &unused);
    pthread_mutex_lock(&a->lock);
    a->ending = true;
    pthread_cond_broadcast(&a->moved);
    pthread_mutex_unlock(&a->lock);
    (void)pthread_join(a->thread, NULL); /* cannot fail: it runs, and is nobody else's */
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->moved);
    free(a);
}
