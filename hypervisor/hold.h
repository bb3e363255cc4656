/* hypervisor/hold.h - a small process that holds QEMU's connection for a carry (carry.h).
 *
 * It outlives the vmferry that starts it: when that is killed, or its line breaks, QEMU sees
 * nothing but that no more bytes come, and the next vmferry brings a new line.  It ends when QEMU
 * closes the connection and the other end knows, or soon after that; and when it is told to.
 *
 * The far one keeps QEMU's QMP connection open besides, and hands it to the next vmferry.  While a
 * page that has not come holds up QEMU's main thread, nobody can greet on a new one; but if that
 * page cannot come any more, QEMU has to be told of a new way for its memory (vf_qmp_call_oob).
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
    const char *control; /* a Unix socket that is made here, for vf_hold_end and vf_hold_kept */
    int keep; /* a descriptor to keep open until QEMU's connection ends; 0: none.  Stays the
                 caller's */
};

/* At the return QEMU's socket, and the line's if it is made here, are there.  A holder that was
 * started before with the same control has ended.  0, or -1. */
int vf_hold_start(const struct vf_hold_opts *o, struct vf_error *err) VF_MUST_CHECK;

/* Is a holder there that was started with that control? */
bool vf_hold_there(const char *control);

/* The descriptor that the holder with that control keeps, owned; -1: there is none. */
int vf_hold_kept(const char *control);

/* Ends the holder that was started with that control, whoever did that: its QEMU sees that the
 * connection has broken.  None there is fine.  0, or -1 (VF_ERR_TIMEOUT: it has not ended yet). */
int vf_hold_end(const char *control, struct vf_error *err) VF_MUST_CHECK;

#endif
