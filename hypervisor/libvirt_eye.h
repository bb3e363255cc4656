/* hypervisor/libvirt_eye.h - watches libvirt's own conversation with the far libvirt, for the two
 * moments of libvirt_rpc.h, and has a say at the first.
 *
 * Thread rules: begin, wait and end belong to the thread that hands a guest off; said by any. */
#ifndef VF_HYPERVISOR_LIBVIRT_EYE_H
#define VF_HYPERVISOR_LIBVIRT_EYE_H

#include <pthread.h>
#include <stdbool.h>

#include "hypervisor/hypervisor.h"
#include "hypervisor/libvirt_rpc.h"

struct vf_lv_eye {
    struct vf_far_look look;  /* for the tunnel to the far libvirt */
    struct vf_lv_rpc out, in; /* each of one thread of the tunnel's */
    pthread_mutex_t lock;     /* of all below */
    pthread_cond_t news;
    bool over, refused, yes;
    int (*judge)(void *ctx, struct vf_error *err);
    void *ctx;
};

void vf_lv_eye_init(struct vf_lv_eye *e);
void vf_lv_eye_destroy(struct vf_lv_eye *e); /* when the tunnels are at an end */

/* A hand-off begins.  judge is called, by another thread, when memory and disks have arrived and
 * libvirt is about to finish: on failure it is kept from that, takes the far end for lost, and lets
 * the guest run here again. */
void vf_lv_eye_begin(struct vf_lv_eye *e, int (*judge)(void *ctx, struct vf_error *err), void *ctx);

/* It ends: judge is not called any more; whatever asks to finish now is refused. */
void vf_lv_eye_end(struct vf_lv_eye *e);

/* libvirt's call is over. */
void vf_lv_eye_over(struct vf_lv_eye *e);

/* Waits so long for the end of libvirt's call, or for the far libvirt's yes.  Has one come? */
bool vf_lv_eye_wait(struct vf_lv_eye *e, int ms);

/* The far libvirt's yes has come: from now on libvirt never lets the guest run here. */
bool vf_lv_eye_yes(struct vf_lv_eye *e);

/* judge has refused. */
bool vf_lv_eye_refused(struct vf_lv_eye *e);

#endif
