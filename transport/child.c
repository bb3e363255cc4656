/* transport/child.c - starting, watching and ending a child process. */
#include "transport/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "core/proc.h"
#include "core/thread.h"

#define NO_PIDFD_POLL_MS 50 /* how often to look at the child where the kernel has no pidfd */

struct child {
    struct vf_conn_base base; /* first */
    pthread_t thread;
    int wake;        /* eventfd: something changed for the thread */
    atomic_bool cut; /* kill it */
    bool started;    /* guarded by base.lock, as is start_err: the thread has tried */
    bool start_failed;
    struct vf_error start_err;
    const char *const *argv; /* borrowed until started */
};

static struct child *child_of(struct vf_conn *c) { return (struct child *)c; }

/* Moves what stderr has to the diagnosis.  False: it has ended. */
static bool take_stderr(struct child *ch, int fd)
{
    char buf[4096];
    ssize_t n;

    while ((n = read(fd, buf, sizeof buf)) > 0)
        vf_diag_add(&ch->base.diag, buf, (size_t)n);
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Has the child ended?  It stays a zombie for vf_proc_finish. */
static bool has_ended(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == pid;
}

/* Until the child has ended or is to be killed. */
static void watch(struct child *ch, pid_t pid, int *errfd)
{
    int pidfd = pidfd_open(pid, 0);

    while (!atomic_load(&ch->cut) && !has_ended(pid)) {
        struct pollfd p[3] = {{*errfd, POLLIN, 0}, {ch->wake, POLLIN, 0}, {pidfd, POLLIN, 0}};

        if (poll(p, 3, pidfd < 0 ? NO_PIDFD_POLL_MS : -1) < 0 && errno != EINTR)
            break; /* out of memory in the kernel: better to end than to spin */
        if (p[0].revents && !take_stderr(ch, *errfd))
            vf_close_fd(errfd);
    }
    vf_close_fd(&pidfd);
    if (*errfd >= 0)
        (void)take_stderr(ch, *errfd); /* what it wrote last; others may hold the pipe open */
}

/* Starts the child and tells vf_child_connect, which waits. */
static bool start(struct child *ch, struct vf_proc *p)
{
    struct vf_error err = VF_ERROR_INIT;
    bool ok = vf_proc_start(p, ch->argv, VF_PROC_IN | VF_PROC_OUT | VF_PROC_ERR, &err) == 0;

    (void)pthread_mutex_lock(&ch->base.lock);
    if (ok) {
        ch->base.conn.rfd = vf_steal_fd(&p->out);
        ch->base.conn.wfd = vf_steal_fd(&p->in);
    }
    ch->start_failed = !ok;
    ch->start_err = err;
    ch->started = true;
    (void)pthread_cond_broadcast(&ch->base.ended);
    (void)pthread_mutex_unlock(&ch->base.lock);
    return ok;
}

static void *child_main(void *arg)
{
    struct child *ch = arg;
    struct vf_proc p = VF_PROC_INIT;
    struct vf_error why = VF_ERROR_INIT;
    int errfd = -1, status = 0;

    if (!start(ch, &p))
        return NULL;
    errfd = vf_steal_fd(&p.err);
    (void)fcntl(errfd, F_SETFL, O_NONBLOCK); /* a fresh pipe: no other flags to keep */
    watch(ch, p.pid, &errfd);
    if (atomic_load(&ch->cut) && !has_ended(p.pid)) {
        vf_proc_kill(&p);
        (void)vf_error_set(&why, VF_ERR_CANCELLED, 0, "the connection to %s was cut",
                           ch->base.peer); /* the reason, not a failure */
        vf_conn_base_end(&ch->base, 128 + SIGKILL, &why);
    } else if (vf_proc_finish(&p, 0, &status, &why) < 0) {
        vf_conn_base_end(&ch->base, 0, &why);
    } else {
        vf_conn_base_end(&ch->base, status, NULL);
    }
    vf_close_fd(&errfd);
    return NULL;
}

void vf_child_cut(struct vf_conn *c)
{
    struct child *ch = child_of(c);
    uint64_t one = 1;

    atomic_store(&ch->cut, true);
    (void)!write(ch->wake, &one, sizeof one); /* an eventfd takes it, or is set already */
}

void vf_child_destroy(struct vf_conn *c)
{
    struct child *ch = child_of(c);

    (void)pthread_join(ch->thread, NULL);
    vf_close_fd(&ch->wake);
    vf_conn_base_destroy(&ch->base);
    free(ch);
}

struct vf_conn *vf_child_connect(const struct vf_conn_ops *ops, const struct vf_target *target,
                                 const char *program, const char *reason, const char *const *argv,
                                 struct vf_error *err)
{
    struct child *ch = vf_calloc(1, sizeof *ch, err);

    if (!ch)
        return NULL;
    ch->argv = argv;
    if (vf_conn_base_init(&ch->base, ops, target, program, err) < 0) {
        free(ch);
        return NULL;
    }
    ch->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ch->wake < 0) {
        (void)vf_error_sys(err, errno, "make an eventfd"); /* the NULL says it */
        goto fail;
    }
    if (reason && *reason) {
        ch->base.reason = vf_strdup(reason, err);
        if (!ch->base.reason)
            goto fail;
    }
    if (vf_thread_start(&ch->thread, child_main, ch, err) < 0)
        goto fail;
    (void)pthread_mutex_lock(&ch->base.lock);
    while (!ch->started)
        (void)pthread_cond_wait(&ch->base.ended, &ch->base.lock);
    (void)pthread_mutex_unlock(&ch->base.lock);
    ch->argv = NULL;
    if (!ch->start_failed)
        return &ch->base.conn;
    (void)vf_error_set(err, ch->start_err.code, 0, "%s", ch->start_err.msg); /* the NULL says it */
    vf_child_destroy(&ch->base.conn);
    return NULL;
fail:
    vf_close_fd(&ch->wake);
    vf_conn_base_destroy(&ch->base);
    free(ch);
    return NULL;
}
