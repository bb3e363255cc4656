/* transport/tcp.h - a TCP connection to a named host, within a deadline.
 *
 * Thread rules: any thread. */
#ifndef VF_TRANSPORT_TCP_H
#define VF_TRANSPORT_TCP_H

#include "core/error.h"
#include "transport/wait.h"

/* How long data may stay unacknowledged before the kernel gives the connection up: longer than the
 * short outages of a WAN link, short enough to start again. */
#define VF_TCP_DEAD_MS 60000

/* Resolves host and tries its addresses in turn.  Returns a non-blocking, close-on-exec socket,
 * owned, with TCP_NODELAY and detection of dead links; or -1: VF_ERR_UNREACHABLE (peer names the
 * place in messages), VF_ERR_TIMEOUT, VF_ERR_CANCELLED, VF_ERR_NOMEM. */
int vf_tcp_connect(const char *host, unsigned port, const char *peer, const struct vf_wait *wait,
                   struct vf_error *err) VF_MUST_CHECK;

#endif
