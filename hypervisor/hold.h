/* hypervisor/hold.h - a small process that holds QEMU's connection for a carry (carry.h).
 *
 * It outlives the vmferry that starts it: when that is killed, or its line breaks, QEMU sees
 * nothing but that no more bytes come, and the next vmferry brings a new line.  It ends when QEMU
 * closes the connection and the other end knows, or soon after that.
 *
 * Its name is "vf-holder". */
#ifndef VF_HYPERVISOR_HOLD_H
#define VF_HYPERVISOR_HOLD_H

#include <stdbool.h>

#include "core/error.h"

struct vf_hold_opts {
    const char *local; /* QEMU's socket */
    bool local_listen; /* it is made here, for QEMU to connect to (once, soon); else it is QEMU's */
    const char *line;  /* where lines come from: a Unix socket */
    bool line_listen;  /* it is made here; else it is connected to, again and again */
};

/* At the return QEMU's socket, and the line's if it is made here, are there.  0, or -1. */
int vf_hold_start(const struct vf_hold_opts *o, struct vf_error *err) VF_MUST_CHECK;

#endif
