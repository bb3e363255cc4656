/* hypervisor/libvirt_rpc.c - see the header. */
#include "hypervisor/libvirt_rpc.h"

#include <string.h>

#include "core/be.h"

#define REMOTE_PROGRAM UINT32_C(0x20008086)
#define FINISH3_PARAMS UINT32_C(306)
#define CALL           UINT32_C(0)
#define REPLY          UINT32_C(1)
#define STATUS_OK      UINT32_C(0)
#define MESSAGE_MAX    (UINT32_C(64) << 20) /* libvirt's own limit is 32 MiB */

enum field { LENGTH, PROGRAM, VERSION, PROCEDURE, TYPE, SERIAL, STATUS };

static uint32_t field(const struct vf_lv_rpc *r, enum field f) { return vf_be32(r->head + 4 * f); }

static size_t take_head(struct vf_lv_rpc *r, const uint8_t *bytes, size_t len)
{
    size_t n = VF_LV_RPC_HEAD - r->have < len ? VF_LV_RPC_HEAD - r->have : len;

    memcpy(r->head + r->have, bytes, n);
    r->have += n;
    if (r->have < VF_LV_RPC_HEAD)
        return n;
    if (field(r, LENGTH) < VF_LV_RPC_HEAD || field(r, LENGTH) > MESSAGE_MAX)
        r->lost = true;
    else
        r->left = field(r, LENGTH) - VF_LV_RPC_HEAD;
    return n;
}

static size_t take_body(struct vf_lv_rpc *r, const uint8_t *bytes, size_t len)
{
    size_t n = r->left < len ? r->left : len;
    size_t keep = n < sizeof r->tail ? n : sizeof r->tail;

    memmove(r->tail, r->tail + keep, sizeof r->tail - keep);
    memcpy(r->tail + sizeof r->tail - keep, bytes + n - keep, keep);
    r->left -= (uint32_t)n;
    return n;
}

/* A whole message has passed.  The last argument of the call says whether it is to be cancelled. */
static enum vf_lv_rpc_seen look(const struct vf_lv_rpc *r)
{
    if (field(r, PROGRAM) != REMOTE_PROGRAM || field(r, PROCEDURE) != FINISH3_PARAMS ||
        field(r, STATUS) != STATUS_OK)
        return VF_LV_RPC_NOTHING;
    if (field(r, TYPE) == CALL && vf_be32(r->tail) == 0)
        return VF_LV_RPC_FINISH;
    return field(r, TYPE) == REPLY ? VF_LV_RPC_YES : VF_LV_RPC_NOTHING;
}

enum vf_lv_rpc_seen vf_lv_rpc_feed(struct vf_lv_rpc *r, const uint8_t *bytes, size_t len)
{
    enum vf_lv_rpc_seen seen = VF_LV_RPC_NOTHING;

    for (size_t at = 0; at < len && !r->lost;) {
        at += r->have < VF_LV_RPC_HEAD ? take_head(r, bytes + at, len - at)
                                       : take_body(r, bytes + at, len - at);
        if (!r->lost && r->have == VF_LV_RPC_HEAD && r->left == 0) {
            enum vf_lv_rpc_seen now = look(r);

            seen = now != VF_LV_RPC_NOTHING ? now : seen;
            r->have = 0;
        }
    }
    return seen;
}
