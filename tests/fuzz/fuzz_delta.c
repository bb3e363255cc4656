/* Signatures and deltas from a peer.  First byte: which; the rest: its bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/similar/delta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static uint8_t basis[4096];
    static const uint8_t sha[VF_SHA_LEN] = {1};
    struct vf_buf out = VF_BUF_INIT;

    for (size_t i = 0; i < sizeof basis; i++)
        basis[i] = (uint8_t)(i * i >> 3);
    if (len == 0)
        return 0;
    if (data[0] % 2)
        (void)!vf_delta_make(data + 1, len - 1, basis, sizeof basis, 8192, &out, NULL);
    else if (vf_delta_apply(basis, sizeof basis, data + 1, len - 1, 65536, sha, &out, NULL) == 0)
        abort(); /* nothing has that digest */
    if (out.len > 65536)
        abort();
    vf_buf_free(&out);
    return 0;
}
