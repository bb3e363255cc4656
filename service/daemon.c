/* service/daemon.c - the main loop. */
#include "service/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "service/clock.h"
#include "service/notify.h"

#define RETRY_MS 5000 /* after a failure of the loop's own */

enum { POLL_SIGNAL, POLL_WORKERS, POLL_WATCH, POLL_CONTROL };

struct vf_daemon {
    struct vf_daemon_opts opts;
    const struct vf_daemon_ops *ops;
    void *ctx;
    struct vf_watch *watch;
    struct vf_keeper *keeper;
    struct vf_workers *workers;
    struct vf_control *control;
    int signals;
    int64_t tick_ms, alive_ms, watchdog_ms, retry_ms;
    char last[240]; /* what was reported last */
};

struct vf_keeper *vf_daemon_keeper(struct vf_daemon *d) { return d->keeper; }
struct vf_workers *vf_daemon_workers(struct vf_daemon *d) { return d->workers; }

void vf_daemon_configure(struct vf_daemon *d, const struct vf_daemon_opts *opts)
{
    d->opts.keeper = opts->keeper;
    d->opts.files = opts->files;
    d->opts.tick_ms = opts->tick_ms;
    vf_workers_limit(d->workers, opts->files);
    vf_keeper_configure(d->keeper, &d->opts.keeper, vf_boot_ms());
}

/* A failure that may pass: reported when it is another one than before. */
static void complain(struct vf_daemon *d, const struct vf_error *err)
{
    d->retry_ms = vf_boot_ms() + RETRY_MS;
    if (strcmp(d->last, err->msg) == 0)
        return;
    memcpy(d->last, err->msg, sizeof d->last);
    d->ops->keeper->log(d->ctx, VF_LOG_ERR, err->msg);
}

static void reload(struct vf_daemon *d)
{
    struct vf_error err = VF_ERROR_INIT;

    vf_notify_reloading();
    if (d->ops->reload(d->ctx, &err) < 0) {
        (void)vf_error_prefix(&err, "the old settings stay"); /* reported below */
        d->ops->keeper->log(d->ctx, VF_LOG_ERR, err.msg);
    } else {
        d->ops->keeper->log(d->ctx, VF_LOG_INFO, "settings are read again");
    }
    vf_notify_ready();
}

/* As a signal handler would: the thread sanitizer takes a flag that others read for a race. */
__attribute__((no_sanitize("thread"))) static void end(struct vf_daemon *d) { *d->opts.stop = 1; }

static void take_signals(struct vf_daemon *d)
{
    struct signalfd_siginfo si;

    while (read(d->signals, &si, sizeof si) == (ssize_t)sizeof si) {
        if (si.ssi_signo == SIGHUP)
            reload(d);
        else
            end(d);
    }
}

static bool collect(struct vf_daemon *d)
{
    struct vf_job job;
    struct vf_job_result r;
    bool any = false;

    while (vf_workers_collect(d->workers, &job, &r)) {
        vf_keeper_done(d->keeper, job.path, &r, vf_boot_ms());
        free(job.path);
        any = true;
    }
    return any;
}

static bool give(struct vf_daemon *d)
{
    struct vf_job job;
    bool any = false;

    while (!*d->opts.stop && vf_workers_free_one(d->workers) &&
           vf_keeper_take(d->keeper, vf_boot_ms(), &job)) {
        struct vf_job_result r = {.rc = -1};

        any = true;
        if (vf_workers_give(d->workers, &job, &r.err) == 0)
            continue;
        complain(d, &r.err);
        r.err.code = VF_ERR_NOMEM; /* waits, and comes again */
        vf_keeper_done(d->keeper, job.path, &r, vf_boot_ms());
        free(job.path);
    }
    return any;
}

static int wait_ms(const struct vf_daemon *d)
{
    int64_t now = vf_boot_ms(), at = d->tick_ms;
    int64_t next = vf_keeper_next(d->keeper, vf_workers_free_one(d->workers));

    if (next < d->retry_ms) /* what has just failed is not tried at once */
        next = d->retry_ms;
    if (next < at)
        at = next;
    if (d->watchdog_ms && d->alive_ms + d->watchdog_ms < at)
        at = d->alive_ms + d->watchdog_ms;
    return at <= now ? 0 : at - now > 60000 ? 60000 : (int)(at - now);
}

/* Once around. */
static void turn(struct vf_daemon *d)
{
    struct pollfd p[POLL_CONTROL + VF_CONTROL_FDS] = {
        [POLL_SIGNAL] = {d->signals, POLLIN, 0},
        [POLL_WORKERS] = {vf_workers_fd(d->workers), POLLIN, 0},
        [POLL_WATCH] = {d->watch ? vf_watch_fd(d->watch) : -1, POLLIN, 0},
    };
    size_t n = vf_control_polls(d->control, p + POLL_CONTROL);
    struct vf_error err = VF_ERROR_INIT;
    bool any = false;
    int64_t now;

    if (poll(p, POLL_CONTROL + n, wait_ms(d)) < 0 && errno != EINTR)
        return;
    if (p[POLL_SIGNAL].revents)
        take_signals(d);
    if (p[POLL_WORKERS].revents)
        any = collect(d);
    if (p[POLL_WATCH].revents && vf_keeper_events(d->keeper, vf_boot_ms(), &err) < 0)
        complain(d, &err);
    now = vf_boot_ms();
    if (now >= d->retry_ms) {
        if (vf_keeper_work(d->keeper, now, &err) < 0)
            complain(d, &err);
        else
            d->last[0] = '\0';
    }
    any |= give(d);
    vf_control_serve(d->control, p + POLL_CONTROL, n, d->ops->answer, d->ctx);
    if (any || now >= d->tick_ms) {
        d->ops->tick(d->ctx);
        d->tick_ms = now + d->opts.tick_ms;
    }
    if (d->watchdog_ms && now - d->alive_ms >= d->watchdog_ms) {
        vf_notify_alive();
        d->alive_ms = now;
    }
}

static int take_over_signals(struct vf_daemon *d, struct vf_error *err)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigemptyset(&ignore.sa_mask);
    sigaction(SIGIO, &ignore, NULL); /* what a lease sends when somebody wants the file */
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return vf_error_set(err, VF_ERR_IO, 0, "signals cannot be blocked");
    d->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return d->signals < 0 ? vf_error_sys(err, errno, "signals") : 0;
}

static int start(struct vf_daemon *d, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;

    if (take_over_signals(d, err) < 0)
        return -1;
    if (*d->opts.ended)
        end(d);
    d->watch = vf_watch_new(&why);
    if (!d->watch)
        d->ops->keeper->log(d->ctx, VF_LOG_WARNING, why.msg); /* polled then */
    d->keeper = vf_keeper_new(&d->opts.keeper, d->ops->keeper, d->ctx, d->watch, err);
    d->workers = d->keeper ? vf_workers_new(d->opts.files, d->ops->work, d->ctx, err) : NULL;
    d->control = d->workers ? vf_control_listen(d->opts.run_fd, d->opts.socket, err) : NULL;
    d->watchdog_ms = vf_notify_watchdog_ms();
    return d->control ? 0 : -1;
}

int vf_daemon_run(const struct vf_daemon_opts *opts, const struct vf_daemon_ops *ops, void *ctx,
                  struct vf_daemon **ret_daemon, struct vf_error *err)
{
    struct vf_daemon *d = vf_calloc(1, sizeof *d, err);
    int rc;

    if (!d)
        return -1;
    d->opts = *opts;
    d->ops = ops;
    d->ctx = ctx;
    d->signals = -1;
    if (ret_daemon)
        *ret_daemon = d;
    rc = start(d, err);
    if (rc == 0) {
        vf_notify_ready();
        while (!*d->opts.stop)
            turn(d);
        vf_notify_stopping();
    }
    end(d);
    vf_workers_free(d->workers);
    vf_control_free(d->control);
    vf_keeper_free(d->keeper);
    vf_watch_free(d->watch);
    vf_close_fd(&d->signals);
    if (ret_daemon)
        *ret_daemon = NULL;
    free(d);
    return rc;
}
