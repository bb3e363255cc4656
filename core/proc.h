/* core/proc.h - child processes, by argument vector, never through a shell.
 *
 * Thread rules: vf_proc_start may be called from any thread; a struct vf_proc belongs to one thread
 * at a time. */
#ifndef VF_CORE_PROC_H
#define VF_CORE_PROC_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/error.h"

struct vf_proc {
    pid_t pid;        /* -1: none */
    int in, out, err; /* our ends of the child's stdin, stdout, stderr; -1 where not asked for */
};
#define VF_PROC_INIT                                                                               \
    {                                                                                              \
        -1, -1, -1, -1                                                                             \
    }

enum { VF_PROC_IN = 1, VF_PROC_OUT = 2, VF_PROC_ERR = 4 };

/* Starts argv[0] (looked up in PATH, whose empty parts are passed over) with argv (NULL-terminated;
 * borrows).  pipes says which standard descriptors become pipes; the others are /dev/null (stdin,
 * stdout) or inherited (stderr).  The child gets no other descriptor of ours, default signal
 * handling, its own process group, and SIGKILL when the starting *thread*'s process dies
 * (PR_SET_PDEATHSIG; start long-lived children from a long-lived thread). A program that cannot be
 * executed is reported here (VF_ERR_NOTFOUND for a missing one), not as an exit status. */
int vf_proc_start(struct vf_proc *p, const char *const argv[], unsigned pipes,
                  struct vf_error *err) VF_MUST_CHECK;

/* Closes our ends, waits up to timeout_ms for the end (negative: for ever), then SIGTERM to the
 * child's group, then after 2 s SIGKILL.
 * *ret_status (may be NULL) is the exit status, or 128 + signal.  0, or -1 when there is nothing to
 * wait for.  p is empty afterwards. */
int vf_proc_finish(struct vf_proc *p, int timeout_ms, int *ret_status, struct vf_error *err);

/* Kills (SIGKILL) the child and its group, and reaps; harmless on an empty p. */
void vf_proc_kill(struct vf_proc *p);

/* Runs argv to its end with stdin from /dev/null.  Output and messages are collected: *ret_out (may
 * be NULL) owned, NUL-terminated, at most 16 MiB (more: VF_ERR_RANGE).  A non-zero exit is
 * VF_ERR_IO with argv[0], the status and the last line that it wrote to stderr; no end within
 * timeout_ms (negative: no limit) is VF_ERR_TIMEOUT. */
int vf_proc_run(const char *const argv[], char **ret_out, int timeout_ms,
                struct vf_error *err) VF_MUST_CHECK;

#endif
