/* hypervisor/hold.c - see the header. */
#include "hypervisor/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/clock.h"
#include "core/fdio.h"
#include "hypervisor/carry.h"

#define COME_MS   120000 /* for QEMU to connect */
#define LOOK_MS   200
#define LINGER_MS 5000 /* for the other end to learn that QEMU has closed its connection */
#define BACKLOG   4

/* ---- sockets ---- */

static int address(const char *path, struct sockaddr_un *ret, struct vf_error *err)
{
    memset(ret, 0, sizeof *ret);
    ret->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof ret->sun_path)
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "the name '%s' is too long for a socket",
                            path);
    (void)snprintf(ret->sun_path, sizeof ret->sun_path, "%s", path); /* fits */
    return 0;
}

static int connect_to(const char *path, int flags, struct vf_error *err)
{
    struct sockaddr_un sa;
    int fd = -1;

    if (address(path, &sa, err) < 0)
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&sa, sizeof sa) == 0)
        return fd;
    (void)vf_error_sys(err, errno, "socket '%s'", path); /* the -1 says it */
    vf_close_fd(&fd);
    return -1;
}

static int listen_at(const char *path, struct vf_error *err)
{
    struct sockaddr_un sa;
    struct stat sb;
    int fd = -1;

    if (address(path, &sa, err) < 0)
        return -1;
    if (lstat(path, &sb) == 0 && S_ISSOCK(sb.st_mode))
        (void)unlink(path); /* else bind says that it is there */
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&sa, sizeof sa) == 0 &&
        chmod(path, 0600) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    (void)vf_error_sys(err, errno, "socket '%s'", path); /* the -1 says it */
    vf_close_fd(&fd);
    return -1;
}

/* ---- the process ---- */

struct holder {
    int local;    /* listens, or is connected */
    int listener; /* for lines; -1: they are connected to */
    bool local_listens;
    const char *local_path, *line_path;
    struct vf_carry *carry;
};

/* Only its own descriptors stay: others would keep a lock, or an SSH session, alive. */
static void leave(struct holder *h)
{
    int base = h->local > h->listener ? h->local : h->listener;

    h->local = dup2(h->local, base + 1);
    h->listener = h->listener < 0 ? -1 : dup2(h->listener, base + 2);
    (void)syscall(SYS_close_range, base + 3, ~0U, 0);
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

static int accept_one(int listener, int ms)
{
    struct pollfd p = {listener, POLLIN, 0};

    if (poll(&p, 1, ms) <= 0)
        return -1;
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

static void look_for_line(struct holder *h)
{
    struct vf_carry *c = h->carry;
    int fd = -1;

    if (h->listener >= 0)
        fd = accept_one(h->listener, 0);
    else if (!vf_carry_has_line(c))
        fd = connect_to(h->line_path, SOCK_NONBLOCK, NULL);
    if (fd >= 0)
        vf_carry_line(c, fd);
}

static void hold(struct holder *h)
{
    struct vf_carry *c = h->carry;
    int64_t last = vf_clock_ms(), tried = last - LOOK_MS;

    while (!vf_carry_done(c) && !(vf_carry_ended(c) && vf_clock_ms() - last > LINGER_MS)) {
        bool moved;

        if (h->listener >= 0 || vf_clock_ms() - tried >= LOOK_MS) {
            look_for_line(h);
            tried = vf_clock_ms();
        }
        vf_carry_step(c, LOOK_MS, h->listener, &moved);
        if (moved)
            last = vf_clock_ms();
    }
}

static _Noreturn void run(struct holder *h)
{
    prepare_process();
    leave(h);
    if (h->local_listens) {
        int fd = accept_one(h->local, COME_MS);

        vf_close_fd(&h->local);
        (void)unlink(h->local_path); /* litter at worst */
        h->local = fd;
    }
    if (h->local >= 0) {
        vf_carry_socket(h->carry, h->local);
        hold(h);
    }
    if (h->listener >= 0)
        (void)unlink(h->line_path); /* litter at worst */
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
    struct holder h = {.local = -1,
                       .listener = -1,
                       .local_listens = o->local_listen,
                       .local_path = o->local,
                       .line_path = o->line};
    int rc = -1;

    h.carry = vf_carry_new(err);
    if (h.carry && o->line_listen)
        h.listener = listen_at(o->line, err);
    if (h.carry && (!o->line_listen || h.listener >= 0))
        h.local = o->local_listen ? listen_at(o->local, err) : connect_to(o->local, 0, err);
    if (h.local >= 0)
        rc = start(&h, err);
    vf_close_fd(&h.local);
    vf_close_fd(&h.listener);
    vf_carry_free(h.carry);
    return rc;
}
