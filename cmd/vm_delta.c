/* cmd/vm_delta.c - a round: what an overlay holds, sent as an image of its own. */
#include "cmd/vm_impl.h"

int vf_vm_send_delta(struct vf_vm *vm, size_t i, const struct vf_frozen *frozen,
                     struct vf_error *err)
{
    (void)vm;
    (void)i;
    (void)frozen;
    return vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "rounds");
}
