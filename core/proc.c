/* core/proc.c - child processes. */
#include "core/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/checked.h"
#include "core/clock.h"
#include "core/fdio.h"

#define TERM_GRACE_MS 2000         /* from SIGTERM to SIGKILL */
#define RUN_OUT_MAX   (16u << 20)  /* what vf_proc_run collects at most */
#define RUN_ERR_KEEP  (size_t)4096 /* of stderr, the end of it: one line is wanted */
#define DEFAULT_PATH  "/usr/local/bin:/usr/bin:/bin"

/* ---- finding the program ---- */

/* 0 if path can be executed, else errno. */
static int executable(const char *path)
{
    struct stat st;

    if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 || stat(path, &st) < 0)
        return errno;
    return S_ISREG(st.st_mode) ? 0 : EACCES;
}

/* The file to execute for name; owned.  Done here and not by execvp, which would hand a file that
 * it cannot execute to a shell.  Empty parts of PATH (the current directory) are passed over. */
static char *find_program(const char *name, struct vf_error *err)
{
    const char *path = getenv("PATH");
    int sys = ENOENT;

    if (strchr(name, '/'))
        return vf_strdup(name, err);
    if (!path)
        path = DEFAULT_PATH;
    while (*name && *path) {
        size_t len = strcspn(path, ":");
        char *file;
        int why;

        if (len) {
            file = vf_strf(err, "%.*s/%s", (int)len, path, name);
            if (!file)
                return NULL;
            why = executable(file);
            if (why == 0)
                return file;
            free(file);
            if (why == EACCES)
                sys = why; /* found, but not for us: a better answer than "no such file" */
        }
        path += len + (path[len] == ':');
    }
    (void)vf_error_sys(err, sys, "start '%s'", name); /* the NULL says it */
    return NULL;
}

/* ---- starting ---- */

/* What the child needs; prepared before the fork because it must not allocate. */
struct launch {
    const char *file;
    char *const *argv;
    int fds[3]; /* become 0, 1, 2; -1: inherited */
    int null;   /* /dev/null */
    int report; /* gets errno if the program cannot be executed */
    pid_t parent;
};

static void child_signals(void)
{
    struct sigaction dfl = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int sig = 1; sig < NSIG; sig++)
        (void)sigaction(sig, &dfl, NULL); /* fails for SIGKILL and the C library's own: fine */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL); /* cannot fail with these arguments */
}

static void close_from(unsigned first)
{
    struct rlimit lim = {0, 0};
    rlim_t end;

    if (close_range(first, ~0u, 0) == 0)
        return;
    /* An old kernel or a filter of system calls. */
    end = getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < 65536 ? lim.rlim_cur : 65536;
    for (unsigned fd = first; fd < end; fd++)
        (void)close((int)fd); /* most are not open */
}

/* Runs in the child between vfork and exec: system calls only, no memory of the parent changed but
 * this stack. */
static void child(const struct launch *l) __attribute__((noreturn, noinline));
static void child(const struct launch *l)
{
    int report = l->report, sys;

    child_signals();
    if (setpgid(0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        goto fail;
    if (getppid() != l->parent)
        _exit(127); /* the parent died before the line above could see it */
    for (int i = 0; i < 3; i++) {
        int from = l->fds[i];

        if (from < 0 && fcntl(i, F_GETFD) < 0)
            from = l->null; /* nothing there to inherit; never leave 0 to 2 closed */
        if (from >= 0 && dup2(from, i) < 0)
            goto fail;
    }
    if (report != 3) {
        if (dup3(report, 3, O_CLOEXEC) < 0)
            goto fail;
        report = 3;
    }
    close_from(4);
    (void)execve(l->file, l->argv, environ); /* returns only on failure */
fail:
    sys = errno;
    (void)!write(report, &sys, sizeof sys); /* nobody left to tell if that fails */
    _exit(127);
}

/* vfork does not copy page tables, which for a process with large maps takes longer than all the
 * rest.  Signals are blocked meanwhile: a handler of ours must not run in the child, which shares
 * our memory. */
static pid_t fork_child(const struct launch *l)
{
    sigset_t all, old;
    pid_t pid;
    int sys;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old); /* cannot fail with these arguments */
    pid = vfork();
    if (pid == 0)
        child(l);
    sys = errno;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = sys;
    return pid;
}

/* A pipe; both ends close-on-exec and above 2, so that dup2 to 0, 1, 2 overwrites none of them. */
static int make_pipe(int ret[2], struct vf_error *err)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return vf_error_sys(err, errno, "make a pipe");
    for (int i = 0; i < 2; i++) {
        ret[i] = fds[i];
        if (fds[i] > 2)
            continue;
        ret[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        if (ret[i] < 0) {
            int sys = errno;

            vf_close_fd(&fds[0]);
            vf_close_fd(&fds[1]);
            if (i == 1)
                vf_close_fd(&ret[0]);
            return vf_error_sys(err, sys, "make a pipe");
        }
        vf_close_fd(&fds[i]);
    }
    return 0;
}

static int open_null(struct vf_error *err)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC), high;

    if (fd < 0)
        return vf_error_sys(err, errno, "open '/dev/null'");
    if (fd > 2)
        return fd;
    high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    (void)vf_error_sys(err, errno, "open '/dev/null'"); /* read only if high is -1 */
    vf_close_fd(&fd);
    return high;
}

/* What the exec said: 0, or -1 with *err set.  Returns when the child has closed its end. */
static int read_report(int fd, const char *name, struct vf_error *err)
{
    int sys = 0;
    long n = vf_read_some(fd, &sys, sizeof sys, err);

    if (n < 0)
        return -1;
    if (n == (long)sizeof sys)
        return vf_error_sys(err, sys, "start '%s'", name);
    return 0;
}

/* A pipe for each descriptor that was asked for.  What was made before an error is the caller's to
 * close. */
static int make_pipes(unsigned pipes, int theirs[3], int ours[3], struct vf_error *err)
{
    static const unsigned bit[3] = {VF_PROC_IN, VF_PROC_OUT, VF_PROC_ERR};

    for (int i = 0; i < 3; i++) {
        int ends[2];

        if (!(pipes & bit[i]))
            continue;
        if (make_pipe(ends, err) < 0)
            return -1;
        if (bit[i] == VF_PROC_IN) /* what travels in bulk goes this way */
            vf_pipe_widen(ends[1]);
        theirs[i] = ends[i == 0 ? 0 : 1];
        ours[i] = ends[i == 0 ? 1 : 0];
    }
    return 0;
}

int vf_proc_start(struct vf_proc *p, const char *const argv[], unsigned pipes, struct vf_error *err)
{
    int theirs[3] = {-1, -1, -1}, ours[3] = {-1, -1, -1}, report[2] = {-1, -1}, null = -1, rc = -1;
    char *file = find_program(argv[0], err);
    struct launch l = {.parent = getpid()};
    pid_t pid = -1;

    if (!file)
        goto out;
    null = open_null(err);
    if (null < 0 || make_pipe(report, err) < 0 || make_pipes(pipes, theirs, ours, err) < 0)
        goto out;
    l.file = file;
    l.argv = (char *const *)(uintptr_t)argv; /* execve takes it without const, but keeps it */
    l.null = null;
    l.report = report[1];
    for (int i = 0; i < 3; i++)
        l.fds[i] = theirs[i] < 0 && i < 2 ? null : theirs[i];
    pid = fork_child(&l);
    if (pid < 0) {
        (void)vf_error_sys(err, errno, "start '%s'", argv[0]); /* rc is -1 already */
        goto out;
    }
    vf_close_fd(&report[1]);
    if (read_report(report[0], argv[0], err) < 0) {
        (void)kill(pid, SIGKILL); /* it ends, unless it was its report that could not be read */
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        goto out;
    }
    *p = (struct vf_proc){pid, vf_steal_fd(&ours[0]), vf_steal_fd(&ours[1]), vf_steal_fd(&ours[2])};
    rc = 0;
out:
    for (int i = 0; i < 3; i++) {
        vf_close_fd(&theirs[i]);
        vf_close_fd(&ours[i]);
    }
    vf_close_fd(&report[0]);
    vf_close_fd(&report[1]);
    vf_close_fd(&null);
    free(file);
    return rc;
}

/* ---- ending ---- */

/* Milliseconds until deadline for poll: -1 for none, never below 0 otherwise. */
static int ms_left(int64_t deadline)
{
    int64_t left;

    if (deadline < 0)
        return -1;
    left = deadline - vf_clock_ms();
    return left <= 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}

static int64_t deadline_in(int timeout_ms)
{
    return timeout_ms < 0 ? -1 : vf_clock_ms() + timeout_ms;
}

/* Waits for the end of pid, until the deadline (-1: for ever).  1 reaped, 0 still running, -1 no
 * such child. */
static int reap(pid_t pid, int64_t deadline, int *ret_status)
{
    int fd = pidfd_open(pid, 0), rc = 0;

    for (;;) {
        struct pollfd w = {fd, POLLIN, 0};
        pid_t got = waitpid(pid, ret_status, WNOHANG);
        int left = ms_left(deadline);

        if (got == pid)
            rc = 1;
        else if (got < 0 && errno != EINTR)
            rc = -1;
        if (rc || left == 0)
            break;
        /* Without a pidfd (old kernel): look every 10 ms.  poll ignores the negative fd. */
        (void)poll(&w, 1, fd < 0 && (left < 0 || left > 10) ? 10 : left); /* waitpid tells */
    }
    vf_close_fd(&fd);
    return rc;
}

static void close_ends(struct vf_proc *p)
{
    vf_close_fd(&p->in);
    vf_close_fd(&p->out);
    vf_close_fd(&p->err);
}

/* The whole group: what the child started for itself must not outlive it. */
static void signal_group(pid_t pid, int sig)
{
    if (kill(-pid, sig) < 0)
        (void)kill(pid, sig); /* it may have left its group; unreaped, so the id is still its own */
}

int vf_proc_finish(struct vf_proc *p, int timeout_ms, int *ret_status, struct vf_error *err)
{
    int status = 0, got;

    if (p->pid <= 0)
        return vf_error_set(err, VF_ERR_IO, 0, "no child process to wait for");
    close_ends(p);
    got = reap(p->pid, deadline_in(timeout_ms), &status);
    if (got == 0) {
        signal_group(p->pid, SIGTERM);
        got = reap(p->pid, deadline_in(TERM_GRACE_MS), &status);
    }
    if (got == 0) {
        signal_group(p->pid, SIGKILL);
        got = reap(p->pid, -1, &status);
    }
    *p = (struct vf_proc)VF_PROC_INIT;
    if (got < 0)
        return vf_error_sys(err, ECHILD, "wait for a child process");
    if (ret_status)
        *ret_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return 0;
}

void vf_proc_kill(struct vf_proc *p)
{
    int status;

    if (p->pid > 0) {
        signal_group(p->pid, SIGKILL);
        (void)reap(p->pid, -1, &status); /* nobody asks how it ended */
    }
    close_ends(p);
    *p = (struct vf_proc)VF_PROC_INIT;
}

/* ---- running to the end ---- */

/* Moves what fd has now to b.  1 more may come, 0 end (fd closed), -1 error. */
static int take(int *fd, struct vf_buf *b, struct vf_error *err)
{
    ssize_t n;

    if (vf_buf_reserve(b, 65536, err) < 0)
        return -1;
    n = read(*fd, b->data + b->len, b->cap - b->len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 1;
    if (n < 0)
        return vf_error_sys(err, errno, "read from a child process");
    if (n == 0) {
        vf_close_fd(fd);
        return 0;
    }
    b->len += (size_t)n;
    return 1;
}

static int too_late(struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_TIMEOUT, 0, "did not end in time");
}

/* Has it ended?  Does not reap it. */
static bool has_ended(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

/* Collects both outputs until the child closes them or ends.  (Looking at the end as well is for
 * programs that leave a daemon behind with our pipes open.) */
static int collect(struct vf_proc *p, int64_t deadline, struct vf_buf *out, struct vf_buf *log,
                   struct vf_error *err)
{
    int pidfd = pidfd_open(p->pid, 0), rc = -1;
    bool ended = false;

    while ((p->out >= 0 || p->err >= 0) && !ended) {
        struct pollfd w[3] = {{p->out, POLLIN, 0}, {p->err, POLLIN, 0}, {pidfd, POLLIN, 0}};
        int left = ms_left(deadline), n;

        /* Without a pidfd (old kernel): look every 100 ms. */
        n = poll(w, 3, pidfd < 0 && (left < 0 || left > 100) ? 100 : left);
        if (n < 0 && errno != EINTR) {
            (void)vf_error_sys(err, errno, "wait for a child process"); /* rc is -1 already */
            goto out;
        }
        if (n == 0 && ms_left(deadline) == 0) {
            (void)too_late(err); /* as above */
            goto out;
        }
        if (n == 0)
            ended = has_ended(p->pid);
        if (n <= 0)
            continue;
        if ((w[0].revents && take(&p->out, out, err) < 0) ||
            (w[1].revents && take(&p->err, log, err) < 0))
            goto out;
        /* Ended, and nothing more to read. */
        ended = w[2].revents && !w[0].revents && !w[1].revents;
        if (out->len > RUN_OUT_MAX) {
            (void)vf_error_set(err, VF_ERR_RANGE, 0, "more than %u bytes of output",
                               RUN_OUT_MAX); /* as above */
            goto out;
        }
        if (log->len > RUN_ERR_KEEP) {
            memmove(log->data, log->data + log->len - RUN_ERR_KEEP, RUN_ERR_KEEP);
            log->len = RUN_ERR_KEEP;
        }
    }
    rc = 0;
out:
    vf_close_fd(&pidfd);
    return rc;
}

/* The last line of log that is not blank; log gets a terminating zero. */
static const char *last_line(struct vf_buf *log)
{
    char *s = (char *)log->data, *line;

    while (log->len && strchr(" \t\r\n", s[log->len - 1]))
        log->len--;
    if (!log->len)
        return "";
    s[log->len] = 0; /* the buffer always has room: it was trimmed or has spare capacity */
    line = memrchr(s, '\n', log->len);
    return line ? line + 1 : s;
}

int vf_proc_run(const char *const argv[], char **ret_out, int timeout_ms, struct vf_error *err)
{
    struct vf_proc p = VF_PROC_INIT;
    struct vf_buf out = VF_BUF_INIT, log = VF_BUF_INIT;
    int64_t deadline = deadline_in(timeout_ms);
    int rc = -1, status = 0;
    const char *line;

    if (vf_proc_start(&p, argv, VF_PROC_ERR | (ret_out ? VF_PROC_OUT : 0u), err) < 0)
        goto out;
    if (collect(&p, deadline, &out, &log, err) < 0) {
        (void)vf_error_prefix(err, "'%s'", argv[0]); /* rc is -1 already */
        goto out;
    }
    if (vf_proc_finish(&p, ms_left(deadline), &status, err) < 0)
        goto out;
    if (status >= 128 && ms_left(deadline) == 0) {
        (void)too_late(err); /* rc is -1 already */
        (void)vf_error_prefix(err, "'%s'", argv[0]);
        goto out;
    }
    if (status) {
        if (vf_buf_reserve(&log, 1, err) < 0)
            goto out;
        line = last_line(&log);
        (void)vf_error_set(err, VF_ERR_IO, 0, "'%s' failed with status %d%s%s", argv[0], status,
                           *line ? ": " : "", line); /* rc is -1 already */
        goto out;
    }
    if (ret_out) {
        if (vf_buf_u8(&out, 0, err) < 0)
            goto out;
        *ret_out = (char *)out.data; /* handed over */
        out = (struct vf_buf)VF_BUF_INIT;
    }
    rc = 0;
out:
    if (p.pid > 0)
        (void)vf_proc_finish(&p, 0, NULL, NULL); /* SIGTERM first; the error is known already */
    vf_buf_free(&out);
    vf_buf_free(&log);
    return rc;
}
