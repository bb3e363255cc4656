/* cmd/indexd/cmd_indexd.c - `indexd`: the service that keeps the index fresh. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cmd/indexd/indexd.h"
#include "cmd/marker.h"
#include "cmd/readguest.h"
#include "cmd/report.h"
#include "core/checked.h"
#include "core/clock.h"
#include "core/fdio.h"
#include "service/notify.h"

#define TICK_MS 15000

struct none {
    char unused;
};

/* ---- settings ---- */

static const char *occupied(void *ctx)
{
    const struct vf_indexd *x = ctx;

    return vf_marker_is_set(x->store_fd) ? "a migration is running" : NULL;
}

static struct vf_pace_opts pace_opts(struct vf_indexd *x, const struct vf_indexd_settings *set)
{
    return (struct vf_pace_opts){.rate = set->read_rate,
                                 .io_percent = set->io_pressure,
                                 .cpu_percent = set->cpu_pressure,
                                 .max_load = set->max_load,
                                 .occupied = occupied,
                                 .ctx = x};
}

static struct vf_daemon_opts daemon_opts(struct vf_indexd *x, struct vf_storedir *store)
{
    const struct vf_indexd_settings *set = &store->set.indexd;
    size_t n = 0;

    x->dirs[n++] = store->images_dir;
    for (size_t i = 0; i < set->directories.n; i++)
        x->dirs[n++] = set->directories.item[i];
    return (struct vf_daemon_opts){.keeper = {.dir = (const char *const *)x->dirs,
                                              .ndirs = n,
                                              .avoid = (const char *const *)x->avoid,
                                              .navoid = sizeof x->avoid / sizeof *x->avoid,
                                              .exclude = (const char *const *)set->exclude.item,
                                              .nexclude = set->exclude.n,
                                              .recursive = set->recursive,
                                              .follow_links = set->follow_links,
                                              .settle_ms = set->settle_ms,
                                              .scan_ms = set->scan_ms,
                                              .poll_ms = set->poll_ms,
                                              .retry_ms = set->retry_ms,
                                              .moving_ms = set->moving_ms,
                                              .forget_ms = set->forget_ms},
                                   .files = set->files,
                                   .tick_ms = TICK_MS,
                                   .run_fd = x->run_fd,
                                   .socket = VF_INDEXD_SOCKET,
                                   .stop = &x->stop,
                                   .ended = x->cli->stop};
}

/* What workers need of the settings. */
static int share(struct vf_indexd *x, const struct vf_settings *set, struct vf_error *err)
{
    struct vf_view_opts views, copy = {0}, old;
    bool read = vf_readguest_opts(set, &views);
    char *group = vf_strdup(set->indexd.group ? set->indexd.group : "", err), *old_group;

    if (!group || vf_view_opts_copy(&views, &copy, err) < 0) {
        free(group);
        vf_view_opts_free(&copy);
        return -1;
    }
    pthread_mutex_lock(&x->lock);
    old = x->views;
    old_group = x->group;
    x->views = copy;
    x->group = group;
    x->read_guests = read;
    x->checkpoints = set->libvirt_checkpoints;
    pthread_mutex_unlock(&x->lock);
    free(old_group);
    vf_view_opts_free(&old);
    return 0;
}

static struct vf_storedir *read_store(struct vf_indexd *x, struct vf_error *err)
{
    struct vf_storedir *store = vf_storedir_open(x->cli, err);

    if (store && vf_indexd_settings_finish(&store->set.indexd, err) == 0 &&
        share(x, &store->set, err) == 0)
        return store;
    vf_storedir_close(store);
    return NULL;
}

static int reload(void *ctx, struct vf_error *err)
{
    struct vf_indexd *x = ctx;
    struct vf_storedir *store = read_store(x, err), *old = x->store;
    struct vf_daemon_opts opts;
    struct vf_pace_opts pace;

    if (!store)
        return -1;
    opts = daemon_opts(x, store);
    pace = pace_opts(x, &store->set.indexd);
    x->store = store;
    vf_pace_configure(x->pace, &pace);
    vf_daemon_configure(x->daemon, &opts);
    vf_storedir_close(old);
    return 0;
}

/* ---- the one of its store ---- */

static int open_run(struct vf_indexd *x, struct vf_error *err)
{
    struct stat st;

    if (mkdirat(x->store_fd, "run", 0700) < 0 && errno != EEXIST)
        return vf_error_sys(err, errno, "directory 'run' of the store");
    x->run_fd = openat(x->store_fd, "run", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (x->run_fd < 0 || fstat(x->run_fd, &st) < 0)
        return vf_error_sys(err, errno, "directory 'run' of the store");
    if (st.st_uid != geteuid() || (st.st_mode & 077))
        return vf_error_set(err, VF_ERR_DENIED, 0,
                            "directory 'run' of the store is open to other users");
    return 0;
}

static int lock_store(struct vf_indexd *x, struct vf_error *err)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

    x->lock_fd = openat(x->run_fd, "indexd.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (x->lock_fd < 0)
        return vf_error_sys(err, errno, "run/indexd.lock of the store");
    if (fcntl(x->lock_fd, F_OFD_SETLK, &l) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return vf_error_set(err, VF_ERR_BUSY, 0, "a service runs already for the store '%s'",
                            x->root);
    return vf_error_sys(err, errno, "lock run/indexd.lock of the store");
}

static int open_all(struct vf_indexd *x, struct vf_error *err)
{
    static const char *const avoid[] = {"index", "tmp", "run"};
    struct vf_pace_opts pace;

    x->store = read_store(x, err);
    if (!x->store)
        return -1;
    x->root = realpath(x->store->path, NULL);
    x->store_fd = fcntl(x->store->fd, F_DUPFD_CLOEXEC, 3);
    if (!x->root || x->store_fd < 0)
        return vf_error_sys(err, errno, "store '%s'", x->store->path);
    for (size_t i = 0; i < sizeof avoid / sizeof *avoid; i++) {
        x->avoid[i] = vf_strf(err, "%s/%s", x->root, avoid[i]);
        if (!x->avoid[i])
            return -1;
    }
    if (open_run(x, err) < 0 || lock_store(x, err) < 0)
        return -1;
    x->index = vf_index_open(x->root, VF_INDEX_CREATE, err);
    pace = pace_opts(x, &x->store->set.indexd);
    x->pace = x->index ? vf_pace_new(&pace, &x->stop, err) : NULL;
    return x->pace ? 0 : -1;
}

/* ---- the verb ---- */

static const struct vf_daemon_ops daemon_ops = {
    .keeper = &vf_indexd_keeper_ops,
    .work = vf_indexd_work,
    .answer = vf_indexd_answer,
    .reload = reload,
    .tick = vf_indexd_tick,
};

/* What a service that was killed has left open at running guests. */
static void end_old_views(struct vf_indexd *x)
{
    struct vf_error why = VF_ERROR_INIT;
    struct vf_view_opts views;
    unsigned ended = 0;

    if (vf_readguest_opts(&x->store->set, &views) && vf_views_clean(&views, &ended, &why) < 0)
        vf_indexd_log(x, VF_LOG_WARNING, why.msg);
    if (ended)
        vf_indexd_log(x, VF_LOG_INFO, "reading a running guest's disk, left over, was ended");
}

static int serve(struct vf_indexd *x, struct vf_error *err)
{
    struct vf_daemon_opts opts = daemon_opts(x, x->store);

    vf_indexd_log(x, VF_LOG_INFO, "indexd begins");
    end_old_views(x);
    if (vf_daemon_run(&opts, &daemon_ops, x, &x->daemon, err) < 0)
        return -1;
    vf_indexd_log(x, VF_LOG_INFO, "indexd ends");
    return 0;
}

/* One that comes before the loop waits for it: to others than a service it is an interruption. */
static void keep_sighup(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL); /* cannot fail with these arguments */
}

static int run_indexd(struct vf_cli *cli, const void *opts, char *const args[],
                      struct vf_error *err)
{
    struct vf_indexd x = {.cli = cli,
                          .store_fd = -1,
                          .run_fd = -1,
                          .lock_fd = -1,
                          .journal = vf_notify_journal(),
                          .start = vf_clock_now(),
                          .start_wall = (int64_t)time(NULL)};
    int rc;

    (void)opts;
    (void)args;
    keep_sighup();
    pthread_mutex_init(&x.lock, NULL);
    umask(077);
    rc = open_all(&x, err);
    if (rc == 0)
        rc = serve(&x, err);
    if (rc == 0)
        rc = vf_report_set(cli,
                           json_pack("{s:I, s:I}", "indexed", (json_int_t)atomic_load(&x.indexed),
                                     "read_bytes", (json_int_t)atomic_load(&x.read_bytes)),
                           err);
    vf_pace_free(x.pace);
    vf_index_close(x.index);
    vf_close_fd(&x.lock_fd);
    vf_close_fd(&x.run_fd);
    vf_close_fd(&x.store_fd);
    for (size_t i = 0; i < sizeof x.avoid / sizeof *x.avoid; i++)
        free(x.avoid[i]);
    free(x.root);
    free(x.group);
    vf_view_opts_free(&x.views);
    vf_storedir_close(x.store);
    pthread_mutex_destroy(&x.lock);
    return rc;
}

const struct vf_cmd vf_cmd_indexd = {
    .name = "indexd",
    .args = "",
    .summary = "the service that keeps the maps of all images fresh",
    .about = "Runs in the foreground until SIGTERM, as systemd wants it, and indexes what lies in\n"
             "the store's image directory, in the directories that the settings name ([indexd] in\n"
             "vmferry.conf), and in libvirt's storage pools.  It reads one file at a time, at the\n"
             "lowest priority, and stands still while others need the disk or a migration runs.\n"
             "SIGHUP reads the settings again.",
    .examples = "  vmferry indexd\n"
                "  vmferry indexd status\n"
                "  systemctl enable --now vmferry-indexd\n",
    .opts_size = sizeof(struct none),
    .run = run_indexd,
};
