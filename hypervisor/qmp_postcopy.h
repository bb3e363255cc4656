/* hypervisor/qmp_postcopy.h - memory of a guest of QMP that follows it: what both halves know of
 * it.
 *
 * Thread rules: as struct vf_qmp. */
#ifndef VF_HYPERVISOR_QMP_POSTCOPY_H
#define VF_HYPERVISOR_QMP_POSTCOPY_H

#include "hypervisor/hypervisor.h"
#include "hypervisor/qmp.h"

/* The tunnel of a move with postcopy: what the two holders (hold.h) speak over. */
#define VF_QMP_LINE "line"

/* How a holder is told to end, in the far half's directory; with ".out" in the source's. */
#define VF_QMP_HOLD "hold"

enum vf_qmp_memory {
    VF_QMP_MEMORY_NONE,    /* no migration, or one that has been given up */
    VF_QMP_MEMORY_TRAVELS, /* the guest is still where it was */
    VF_QMP_MEMORY_FOLLOWS, /* it has been let go, and some of its memory has not come */
    VF_QMP_MEMORY_BROKEN,  /* the same, but QEMU has lost its connection, and waits for a new one */
    VF_QMP_MEMORY_MENDS,   /* it has that, and finds out with the other QEMU what is missing */
    VF_QMP_MEMORY_WHOLE    /* all is there */
};

/* What a QEMU, at either end, says of it; *ret_left: bytes, known at the source only. */
int vf_qmp_memory(struct vf_qmp *q, enum vf_qmp_memory *ret, uint64_t *ret_left,
                  struct vf_error *err) VF_MUST_CHECK;

/* Has a guest been let go here that may run elsewhere, before its memory was? */
bool vf_qmp_memory_follows(struct vf_qmp *q);

/* ---- the source half ---- */

/* So many bytes per second for what is not asked for, so that what is need not queue behind it. */
int vf_qmp_postcopy_rate(struct vf_qmp *q, double line_rate, uint64_t limit,
                         struct vf_error *err) VF_MUST_CHECK;

/* The source's holder, and the tunnel to that of the far half; then memory goes through mem.out. */
int vf_qmp_postcopy_way(struct vf_far *far, struct vf_error *err) VF_MUST_CHECK;

/* vf_guest_ops.follow. */
int vf_qmp_follow(struct vf_guest *, struct vf_far *far, bool again,
                  const struct vf_hand_off_events *events, const volatile int *stop,
                  struct vf_error *err) VF_MUST_CHECK;

/* vf_guest_ops.let_go. */
int vf_qmp_let_go(struct vf_guest *, bool *ret, struct vf_error *err) VF_MUST_CHECK;

/* ---- the far half ---- */

/* QEMU's state has come, and the guest could run; waits up to ms for that (VF_ERR_TIMEOUT: it may
 * still come). */
int vf_qmp_arrived(struct vf_qmp *q, int ms, struct vf_error *err) VF_MUST_CHECK;

/* The far half's sockets. */
struct vf_qmp_way {
    char *mem;  /* QEMU's */
    char *line; /* where the holder's lines come */
    char *hold; /* how it is told to end */
};

/* The far half's holder, between QEMU and the line; it keeps q's connection. */
int vf_qmp_arrival_way(const struct vf_qmp *q, const struct vf_qmp_way *w,
                       struct vf_error *err) VF_MUST_CHECK;

/* Is all of memory here?  *ret_broken: QEMU has lost its connection, or can have none; that is
 * known even if it does not answer. */
int vf_qmp_arrival_whole(struct vf_qmp *q, const struct vf_qmp_way *w, bool *ret, bool *ret_broken,
                         struct vf_error *err) VF_MUST_CHECK;

/* The source's QEMU has lost its connection: the one here loses its own, if it still has that, and
 * takes a new one.  *ret_whole: it needs none, because all has come. */
int vf_qmp_arrival_recover(struct vf_qmp *q, const struct vf_qmp_way *w, bool *ret_whole,
                           struct vf_error *err) VF_MUST_CHECK;

#endif
