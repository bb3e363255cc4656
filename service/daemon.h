/* service/daemon.h - the service's main loop: events, turns, workers, signals, questions.
 *
 * SIGHUP reloads, SIGTERM and SIGINT end it; the program must not wait for these signals elsewhere.
 *
 * Thread rules: vf_daemon_run in the main thread, before other threads exist; callbacks come from
 * there, but for `work`. */
#ifndef VF_SERVICE_DAEMON_H
#define VF_SERVICE_DAEMON_H

#include "service/control.h"
#include "service/keeper.h"
#include "service/workers.h"

struct vf_daemon;

struct vf_daemon_ops {
    const struct vf_keeper_ops *keeper;
    vf_work_fn *work;
    vf_control_fn *answer;
    /* Reads the settings anew and calls vf_daemon_configure.  -1: the old ones stay. */
    int (*reload)(void *ctx, struct vf_error *err);
    /* Every tick_ms, and after things have changed. */
    void (*tick)(void *ctx);
};

struct vf_daemon_opts {
    struct vf_keeper_opts keeper;
    unsigned files; /* read at a time */
    int64_t tick_ms;
    int run_fd;         /* directory of the socket */
    const char *socket; /* its name there */
    volatile int *stop; /* set when the end has come; workers look at it */
    /* Non-zero when a signal to end has come before; once the call has taken over the signals, it
     * does not matter any more. */
    const volatile int *ended;
};

/* Watches, works and answers until a signal or *stop.  *ret_daemon (may be NULL) is set before the
 * first callback, valid until the call returns.  0: ended as asked, -1. */
int vf_daemon_run(const struct vf_daemon_opts *opts, const struct vf_daemon_ops *ops, void *ctx,
                  struct vf_daemon **ret_daemon, struct vf_error *err) VF_MUST_CHECK;

/* From callbacks only: new settings; opts->run_fd, socket and stop are ignored. */
void vf_daemon_configure(struct vf_daemon *d, const struct vf_daemon_opts *opts);
struct vf_keeper *vf_daemon_keeper(struct vf_daemon *d);
struct vf_workers *vf_daemon_workers(struct vf_daemon *d);

#endif
