/* transport/ssh_pump.h - moves bytes between an SSH channel and two pipes, until one side ends;
 * private to transport/.
 *
 * Thread rules: vf_pump_run belongs to the one thread that owns the link; `stop` may be set by any.
 */
#ifndef VF_TRANSPORT_SSH_PUMP_H
#define VF_TRANSPORT_SSH_PUMP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "transport/diag.h"
#include "transport/ssh_link.h"

#define VF_PUMP_BUF (256u << 10) /* bytes buffered in each direction, besides the pipes */

struct vf_pump {
    struct vf_link *link;
    LIBSSH2_CHANNEL *channel;
    struct vf_diag *diag; /* gets the far end's stderr */
    int from_user;        /* pipe that the caller writes to; non-blocking */
    int to_user;          /* pipe that the caller reads from; non-blocking */
    int wake;             /* eventfd, written after stop was set */
    atomic_bool stop;     /* end at once */

    /* Private.  up: [up_off, up_end) on the way to the far end; down: on the way to the caller. */
    uint8_t *up, *down;
    size_t up_off, up_end, down_off, down_end;
    bool eof_sent;   /* the caller has ended his stream, and the far end was told */
    bool far_eof;    /* the far end has ended its stream */
    bool far_closed; /* and the channel: nothing may be sent on it, nothing more will come */
};

/* 0 when the far end has closed the channel after it ended (its exit status can be asked for), or
 * -1: VF_ERR_UNREACHABLE when the connection broke, VF_ERR_CANCELLED after stop, VF_ERR_NOMEM.
 * Closes from_user and to_user in every case. */
int vf_pump_run(struct vf_pump *p, struct vf_error *err) VF_MUST_CHECK;

#endif
