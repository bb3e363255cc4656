/* hypervisor/libvirt_rpc.h - what of libvirt's own conversation with the far libvirt is looked at.
 *
 * virDomainMigrate3 is one call.  Two moments inside it matter to us, and nothing else tells them:
 * when it is about to ask the far libvirt to finish (from then on the guest may be given up here),
 * and when the far libvirt's yes has come (from then on libvirt never lets it run here again, and
 * takes a fifth of a second and more to end its process).  Both are messages of libvirt's remote
 * protocol, whose headers and numbers do not change.  A conversation that looks different, because
 * it is encrypted for example, is followed no further: then nothing is seen.
 *
 * Thread rules: one direction belongs to one thread at a time. */
#ifndef VF_HYPERVISOR_LIBVIRT_RPC_H
#define VF_HYPERVISOR_LIBVIRT_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VF_LV_RPC_HEAD 28u

/* One direction of a conversation; all zero at its beginning. */
struct vf_lv_rpc {
    uint8_t head[VF_LV_RPC_HEAD]; /* of the message that passes */
    uint8_t tail[4];              /* its last bytes so far */
    size_t have;                  /* bytes of the head */
    uint32_t left;                /* bytes of its body that are still to come */
    bool lost;                    /* this is not libvirt's protocol */
};

enum vf_lv_rpc_seen {
    VF_LV_RPC_NOTHING,
    VF_LV_RPC_FINISH, /* a call to finish a migration that went well */
    VF_LV_RPC_YES     /* the answer: it is finished */
};

/* Takes the next bytes of that direction.  Which of these messages has ended in them, if any. */
enum vf_lv_rpc_seen vf_lv_rpc_feed(struct vf_lv_rpc *r, const uint8_t *bytes, size_t len);

#endif
