/* Fuzz target for hypervisor/libvirt_rpc.c: what is seen does not depend on how the bytes come. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "hypervisor/libvirt_rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct vf_lv_rpc whole = {0}, parts = {0};
    enum vf_lv_rpc_seen last = VF_LV_RPC_NOTHING, seen = vf_lv_rpc_feed(&whole, data, len);

    for (size_t i = 0; i < len; i++) {
        enum vf_lv_rpc_seen now = vf_lv_rpc_feed(&parts, data + i, 1);

        last = now != VF_LV_RPC_NOTHING ? now : last;
    }
    if (last != seen || parts.lost != whole.lost || (!whole.lost && parts.left != whole.left))
        abort();
    return 0;
}
