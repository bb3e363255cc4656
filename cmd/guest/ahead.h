/* cmd/guest/ahead.h - a connection that is opened in the background, before it is needed.
 *
 * A login takes several round trips.  Connections that will be needed are opened at the same time,
 * while something else goes on.
 *
 * Thread rules: belongs to one thread; it has a thread of its own until its end, because a program
 * that carries a connection lives no longer than the thread that started it (core/proc.h). */
#ifndef VF_CMD_GUEST_AHEAD_H
#define VF_CMD_GUEST_AHEAD_H

#include "cmd/peer.h"

struct vf_ahead;

/* All as of vf_peer_open, and borrowed until the end.  NULL: it is done without, and no error. */
struct vf_ahead *vf_ahead_start(const struct vf_cli *cli, const struct vf_target *target,
                                const struct vf_reach *reach, enum vf_purpose purpose,
                                const char *group, struct vf_ratelimit *limit);

/* Waits until it is open, and hands it over, once: *ret is then the caller's to close, before the
 * end.  0, or -1: it could not be opened, or was taken before. */
int vf_ahead_take(struct vf_ahead *a, struct vf_peer *ret, struct vf_error *err) VF_MUST_CHECK;

/* Closes it unless it was taken, and ends the thread.  NULL is fine. */
void vf_ahead_end(struct vf_ahead *a);

#endif
