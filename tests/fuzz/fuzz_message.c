/* Fuzz target for transport/message*.c: the first byte is a type, the rest its payload.  What
 * decodes must keep all rules, encode to the same bytes, and take memory in proportion. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "transport/frame.h"
#include "transport/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Bytes of the arrays and texts. */
static size_t cost(const struct vf_msg *m)
{
    size_t sum = 0;

    switch (m->type) {
    case VF_MSG_NODES:
        return m->nodes.n * (sizeof *m->nodes.run + VF_ID_LEN);
    case VF_MSG_HAVE:
        return m->have.n;
    case VF_MSG_PROBES:
        return m->probes.n * m->probes.width;
    case VF_MSG_ASK:
        return m->ask.signature_len;
    case VF_MSG_DATA:
    case VF_MSG_PART:
    case VF_MSG_GUEST:
    case VF_MSG_BYTES: /* the same member for all */
        return m->data.len;
    case VF_MSG_PIECE:
        return m->piece.len;
    case VF_MSG_SEGMENTS:
        return m->segments.n * (sizeof *m->segments.run + VF_SHA_LEN);
    case VF_MSG_REPAIR:
        return m->repair.n * sizeof *m->repair.run;
    case VF_MSG_COUNTS:
        for (size_t i = 0; i < m->counts.n; i++)
            sum += sizeof m->counts.image[i] + strlen(m->counts.image[i].name) + 1;
        return sum;
    default:
        return 0; /* a few texts, each no longer than its bytes */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct vf_buf b = VF_BUF_INIT;
    struct vf_msg m;

    if (len == 0 || len - 1 > vf_frame_ceiling(data[0]) ||
        vf_msg_decode(data[0], data + 1, len - 1, &m, NULL) < 0)
        return 0;
    if (m.type != (enum vf_msg_type)data[0] || vf_msg_wrong(&m) ||
        cost(&m) > VF_MSG_COST * (len - 1) || vf_msg_encode(&m, &b, NULL) < 0)
        abort();
    /* HELLO of a later version may have more at its end. */
    if (b.len != len - 1 &&
        !(m.type == VF_MSG_HELLO && m.hello.version_max > VF_PROTOCOL_MAX && b.len < len - 1))
        abort();
    if (b.len && memcmp(b.data, data + 1, b.len) != 0)
        abort();
    vf_buf_free(&b);
    vf_msg_free(&m);
    return 0;
}
