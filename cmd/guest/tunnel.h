/* cmd/guest/tunnel.h - bytes between a socket and a conversation of purpose TUNNEL, both ways.
 *
 * Thread rules: vf_tunnel_pump belongs to one thread and starts another for its time. */
#ifndef VF_CMD_GUEST_TUNNEL_H
#define VF_CMD_GUEST_TUNNEL_H

#include "core/error.h"
#include "core/stream.h"

struct vf_far_look;

/* Carries bytes until both directions have ended, or one has failed.  The end of one direction is
 * passed on, unless look holds it.  fd (a stream socket) is borrowed; it is shut down at the end.
 * look (hypervisor.h) may be NULL.  0, or -1. */
int vf_tunnel_pump(struct vf_stream *st, int fd, const struct vf_far_look *look,
                   struct vf_error *err) VF_MUST_CHECK;

#endif
