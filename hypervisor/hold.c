/* hypervisor/hold.c - see the header. */
#include "hypervisor/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fdio.h"
#include "core/thread.h"
#include "core/unixsock.h"
#include "hypervisor/carry.h"

#define COME_MS     120000 /* for QEMU to connect */
#define LOOK_MS     200
#define LINGER_MS   5000 /* for the other end to learn that QEMU has closed its connection */
#define END_MS      5000 /* for a holder to end that was told to */
#define END_LOOK_MS 10
#define HAND_MS     2000 /* for a holder to hand out what it keeps */
#define BACKLOG     4

/* ---- the process ---- */

/* A socket; if it listens, its file, too. */
struct place {
    int fd;
    const char *path;
    dev_t dev;
    ino_t ino; /* 0: there is no file of ours */
};

struct holder {
    struct place local;   /* listens, or is connected */
    struct place line;    /* listens for lines; without a descriptor they are connected to */
    struct place control; /* told_to_end() */
    int keep;             /* what is handed out to who asks, or -1 */
    bool local_listens;
    struct vf_carry *carry;
};

static int listen_here(struct place *p, int type, struct vf_error *err)
{
    struct stat sb;

    p->fd = vf_unixsock_listen(AT_FDCWD, p->path, type | SOCK_NONBLOCK, BACKLOG, err);
    if (p->fd >= 0 && lstat(p->path, &sb) == 0) {
        p->dev = sb.st_dev;
        p->ino = sb.st_ino;
    }
    return p->fd < 0 ? -1 : 0;
}

/* Its file may be another's by now: that of a holder which came later. */
static void remove_file(const struct place *p)
{
    struct stat sb;

    if (p->ino && lstat(p->path, &sb) == 0 && sb.st_dev == p->dev && sb.st_ino == p->ino)
        (void)unlink(p->path); /* litter at worst */
}

static int accept_at(const struct place *p) { return accept4(p->fd, NULL, NULL, SOCK_CLOEXEC); }

/* Only its own descriptors stay: others would keep a lock, or an SSH session, alive. */
static void leave(struct holder *h)
{
    int *mine[] = {&h->local.fd, &h->line.fd, &h->control.fd, &h->keep};
    const size_t count = sizeof mine / sizeof *mine;
    int base = 0, n = 0;

    for (size_t i = 0; i < count; i++)
        base = *mine[i] > base ? *mine[i] : base;
    for (size_t i = 0; i < count; i++)
        if (*mine[i] >= 0)
            *mine[i] = dup2(*mine[i], base + ++n);
    (void)syscall(SYS_close_range, base + n + 1, ~0U, 0);
    for (int fd = 0; fd <= base; fd++)
        (void)close(fd);
    /* 0 to 2 have to be something that nobody means. */
    for (int fd = 0; fd <= 2; fd++)
        (void)open("/dev/null", O_RDWR); /* without it, they stay closed */
}

static void prepare_process(void)
{
    (void)setsid();
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGTERM, SIG_DFL);
    if (chdir("/") < 0)
        (void)0;                           /* then some directory stays in use */
    (void)prctl(PR_SET_NAME, "vf-holder"); /* for people only */
}

/* Something has come at the control: is it the end?  With a descriptor it is a question for what is
 * kept, and answered there. */
static bool told_to_end(const struct holder *h)
{
    uint8_t byte;
    int fd = -1;
    size_t n = 0;

    if (vf_unixsock_take(h->control.fd, &byte, &fd, 1, &n, NULL) < 0 || n == 0)
        return true;
    (void)vf_unixsock_give(fd, 0, &h->keep, h->keep >= 0, NULL); /* who asks may be gone */
    (void)close(fd);
    return false;
}

/* QEMU connects.  Without a descriptor: it did not, or this is to end. */
static void await_local(struct holder *h)
{
    struct pollfd p[2] = {{h->local.fd, POLLIN, 0}, {h->control.fd, POLLIN, 0}};
    int ready, fd = -1;

    do
        ready = poll(p, 2, COME_MS);
    while (ready > 0 && p[1].revents && !told_to_end(h));
    if (ready > 0 && !p[1].revents)
        fd = accept_at(&h->local);
    vf_close_fd(&h->local.fd);
    remove_file(&h->local);
    h->local.fd = fd;
}

static void hold(struct holder *h)
{
    struct vf_carry *c = h->carry;
    struct pollfd p[2] = {{h->control.fd, POLLIN, 0}, {h->line.fd, POLLIN, 0}};
    int64_t last = vf_clock_ms(), tried = last - LOOK_MS;

    while (!vf_carry_done(c) && !(vf_carry_ended(c) && vf_clock_ms() - last > LINGER_MS)) {
        bool moved;
        int fd = -1;

        if (p[0].revents && told_to_end(h))
            break;
        if (vf_carry_ended(c)) /* others may want to speak with QEMU */
            vf_close_fd(&h->keep);
        if (p[1].revents) {
            fd = accept_at(&h->line);
        } else if (h->line.fd < 0 && !vf_carry_has_line(c) && vf_clock_ms() - tried >= LOOK_MS) {
            fd = vf_unixsock_connect(AT_FDCWD, h->line.path, SOCK_STREAM | SOCK_NONBLOCK, NULL);
            tried = vf_clock_ms();
        }
        if (fd >= 0)
            vf_carry_line(c, fd);
        vf_carry_step(c, LOOK_MS, p, 2, &moved);
        if (moved)
            last = vf_clock_ms();
    }
}

static _Noreturn void run(struct holder *h)
{
    prepare_process();
    leave(h);
    if (h->local_listens)
        await_local(h);
    if (h->local.fd >= 0) {
        vf_carry_socket(h->carry, h->local.fd);
        hold(h);
    }
    remove_file(&h->line);
    remove_file(&h->control);
    _exit(0);
}

/* By a child that ends at once, so that nobody has to wait for the holder. */
static int start(struct holder *h, struct vf_error *err)
{
    pid_t pid = fork();

    if (pid < 0)
        return vf_error_sys(err, errno, "fork");
    if (pid == 0) {
        pid = fork();
        if (pid == 0)
            run(h);
        _exit(pid < 0);
    }
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return 0;
}

int vf_hold_start(const struct vf_hold_opts *o, struct vf_error *err)
{
    struct holder h = {.keep = o->keep > 0 ? o->keep : -1,
                       .local = {.fd = -1, .path = o->local},
                       .line = {.fd = -1, .path = o->line},
                       .control = {.fd = -1, .path = o->control},
                       .local_listens = o->local_listen};
    int rc = vf_hold_end(o->control, err);

    if (rc == 0) {
        h.carry = vf_carry_new(err);
        rc = h.carry ? listen_here(&h.control, SOCK_DGRAM, err) : -1;
    }
    if (rc == 0 && o->line_listen)
        rc = listen_here(&h.line, SOCK_STREAM, err);
    if (rc == 0 && o->local_listen) {
        rc = listen_here(&h.local, SOCK_STREAM, err);
    } else if (rc == 0) {
        h.local.fd = vf_unixsock_connect(AT_FDCWD, o->local, SOCK_STREAM, err);
        rc = h.local.fd < 0 ? -1 : 0;
    }
    if (rc == 0)
        rc = start(&h, err);
    if (rc < 0) {
        remove_file(&h.local);
        remove_file(&h.line);
        remove_file(&h.control);
    }
    vf_close_fd(&h.local.fd);
    vf_close_fd(&h.line.fd);
    vf_close_fd(&h.control.fd);
    vf_carry_free(h.carry);
    return rc;
}

bool vf_hold_there(const char *control)
{
    int fd = vf_unixsock_connect(AT_FDCWD, control, SOCK_DGRAM, NULL);
    bool there = fd >= 0;

    vf_close_fd(&fd);
    return there;
}

int vf_hold_kept(const char *control)
{
    int fd = vf_unixsock_connect(AT_FDCWD, control, SOCK_DGRAM | SOCK_NONBLOCK, NULL);
    int pair[2] = {-1, -1}, ret = -1;
    struct pollfd p = {-1, POLLIN, 0};
    uint8_t byte;
    size_t n = 0;

    if (fd >= 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0 &&
        vf_unixsock_give(fd, 0, &pair[1], 1, NULL) == 0) {
        vf_close_fd(&pair[1]); /* then its end says that there is nobody */
        p.fd = pair[0];
        if (poll(&p, 1, HAND_MS) <= 0 || vf_unixsock_take(pair[0], &byte, &ret, 1, &n, NULL) < 0)
            n = 0;
    }
    vf_close_fd(&pair[0]);
    vf_close_fd(&pair[1]);
    vf_close_fd(&fd);
    return n == 1 ? ret : -1;
}

int vf_hold_end(const char *control, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;
    int fd = vf_unixsock_connect(AT_FDCWD, control, SOCK_DGRAM | SOCK_NONBLOCK, &why);

    if (fd < 0 && (why.sys == ENOENT || why.sys == ECONNREFUSED))
        return 0;
    if (fd < 0)
        return vf_error_pass(err, &why);
    /* It is refused as soon as nobody has that socket any more. */
    for (int ms = 0; ms < END_MS; ms += END_LOOK_MS) {
        if (send(fd, "", 1, MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != EINTR) {
            vf_close_fd(&fd);
            return 0;
        }
        vf_thread_nap(END_LOOK_MS);
    }
    vf_close_fd(&fd);
    return vf_error_set(err, VF_ERR_TIMEOUT, 0, "the process at '%s' does not end", control);
}
