/* transport/wait.h - one deadline for a chain of blocking steps, and a way to give up early.
 *
 * Thread rules: a struct vf_wait is read-only once made; many threads may share it if the stop
 * question may be asked by all of them. */
#ifndef VF_TRANSPORT_WAIT_H
#define VF_TRANSPORT_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"

struct vf_wait {
    int64_t deadline_ms;        /* on vf_clock_ms's clock */
    bool (*stopped)(void *arg); /* NULL: never; asked about ten times a second */
    void *arg;
};

/* A deadline timeout_ms from now (below 0: at once). */
struct vf_wait vf_wait_in(int timeout_ms, bool (*stopped)(void *), void *arg);

/* Milliseconds left, 0 when it has passed. */
int vf_wait_left(const struct vf_wait *w);

/* Waits until poll(2) reports something for fd, asked for events.  0, or -1: VF_ERR_TIMEOUT "WHAT:
 * no answer in time", VF_ERR_CANCELLED, or VF_ERR_IO. */
int vf_wait_fd(const struct vf_wait *w, int fd, short events, const char *what,
               struct vf_error *err) VF_MUST_CHECK;

/* 0, or -1 as above when the deadline has passed or the caller gave up.  For loops that do not wait
 * for one descriptor. */
int vf_wait_check(const struct vf_wait *w, const char *what, struct vf_error *err) VF_MUST_CHECK;

#endif
