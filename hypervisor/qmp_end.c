/* hypervisor/qmp_end.c - the end of a QEMU here whose guest has gone.
 *
 * It is told to quit, and nothing more: a process that does not end is the user's, who is told. */
#include <poll.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/clock.h"
#include "core/fdio.h"
#include "core/thread.h"
#include "hypervisor/qmp_guest.h"
#include "hypervisor/qmp_postcopy.h"

#define END_MS  10000 /* for a QEMU that was told to quit */
#define LOOK_MS 100

/* ---- which process ---- */

/* Of its first processor, as QEMU itself names it; 0: not known. */
static uint64_t thread_of(struct vf_qmp *q)
{
    json_t *cpus = NULL;
    uint64_t ret = 0;

    if (vf_qmp_call(q, "query-cpus-fast", NULL, &cpus, NULL) == 0)
        ret = vf_qmp_number(json_array_get(cpus, 0), "thread-id");
    json_decref(cpus);
    return ret;
}

/* Who has begun to listen at the socket is QEMU if QEMU's thread is one of its own; it may also
 * have handed the socket on. */
void vf_qmp_find_process(struct vf_qmp_guest *g)
{
    struct ucred who = {0};
    socklen_t len = sizeof who;
    uint64_t thread = thread_of(g->q);
    char task[64];
    int fd;

    if (!thread || getsockopt(vf_qmp_fd(g->q), SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 ||
        who.pid <= 1)
        return;
    fd = pidfd_open(who.pid, 0);
    (void)snprintf(task, sizeof task, "/proc/%ld/task/%llu", (long)who.pid,
                   (unsigned long long)thread); /* fits */
    if (fd >= 0 && access(task, F_OK) == 0) {
        g->pid = who.pid;
        g->pidfd = fd;
        fd = -1;
    }
    vf_close_fd(&fd);
}

/* ---- its end ---- */

static bool process_ended(const struct vf_qmp_guest *g)
{
    struct pollfd p = {g->pidfd, POLLIN, 0};

    return poll(&p, 1, 0) == 1;
}

static bool connection_ended(struct vf_qmp_guest *g)
{
    struct vf_error why = VF_ERROR_INIT;

    return vf_qmp_event(g->q, "", NULL, NULL, 0, NULL, &why) < 0 && why.code == VF_ERR_UNREACHABLE;
}

/* The file of its socket may lie in a directory of ours.  QEMU removes it at its end. */
static bool has_ended(const struct vf_qmp_guest *g)
{
    return g->pidfd >= 0 ? process_ended(g) : access(g->path, F_OK) < 0;
}

/* Its process if that is still there, 0 when it is not known which; -1: it has ended. */
static int64_t end_qemu(struct vf_qmp_guest *g)
{
    int64_t end = vf_clock_ms() + END_MS, left = -1;
    struct vf_error why;

    vf_qmp_mind_stop(g->q, false);
    vf_qmp_patience(g->q, END_MS);
    (void)vf_qmp_drop_mirrors(g->q, NULL, &why); /* it ends with them as well */
    (void)vf_qmp_say(g->q, "quit", &why);        /* it may be gone */
    while (!has_ended(g) && vf_clock_ms() < end)
        vf_thread_nap(LOOK_MS);
    if (!has_ended(g) && (g->pidfd >= 0 || !connection_ended(g)))
        left = g->pid;
    vf_qmp_close(g->q); /* not before: QEMU forgets what a client wanted that is gone */
    g->q = NULL;
    return left;
}

int vf_qmp_finish(struct vf_guest *guest, const struct vf_guest_info *info, int64_t *ret_left,
                  struct vf_error *err)
{
    struct vf_qmp_guest *g = (struct vf_qmp_guest *)guest;

    *ret_left = -1;
    if (g->q && !g->whole && vf_qmp_memory_follows(g->q))
        return vf_error_set(err, VF_ERR_BUSY, 0, "some of the guest's memory is still here");
    if (g->q)
        *ret_left = end_qemu(g);
    return vf_overlay_fold_all(info, err);
}
