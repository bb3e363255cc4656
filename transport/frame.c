/* transport/frame.c - magic, frame heads, and the ceilings that no length may pass. */
#include "transport/frame.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "core/stream.h"
#include "transport/message.h"

/* The most bytes that the parts of a payload take (PROTOCOL.md, "Parts"). */
#define NUM32 5u /* varint up to 2^32 - 1 */
#define NUM41 6u /* varint up to 2^40: a block number or a count of blocks */
#define NUM64 10u
#define TEXT  (2u + VF_MAX_TEXT)
#define NAME  (2u + VF_MAX_NAME)
#define RUN   (2u * NUM41)

/* HELLO and WELCOME leave room for what later versions add behind today's fields. */
#define GREETING 32768u

uint32_t vf_frame_ceiling(uint8_t type)
{
    static const uint32_t ceiling[VF_MSG_TYPES_] = {
        [VF_MSG_HELLO] = GREETING,
        [VF_MSG_WELCOME] = GREETING,
        [VF_MSG_OFFER] = 2 * NUM64 + 2 * NUM32 + NAME + TEXT + VF_SHA_LEN,
        [VF_MSG_ACCEPT] = 1 + TEXT + NUM41,
        [VF_MSG_BATCH] = NUM32 + RUN,
        [VF_MSG_NODES] = NUM32 + 1 + NUM32 + VF_MAX_NODES * (RUN + VF_ID_LEN),
        [VF_MSG_HAVE] = NUM32 + 1 + NUM32 + VF_MAX_PROBES / 8,
        [VF_MSG_PROBES] = NUM32 + 1 + NUM32 + VF_MAX_PROBES * VF_MAX_PROBE_WIDTH,
        [VF_MSG_DATA] = VF_MAX_DATA,
        [VF_MSG_DONE] = NUM32,
        [VF_MSG_RECHECK] = NUM32,
        [VF_MSG_SEGMENTS] = NUM32 + NUM32 + VF_MAX_NODES * (RUN + VF_SHA_LEN),
        [VF_MSG_REPAIR] = NUM32 + NUM32 + VF_MAX_RUNS * RUN,
        [VF_MSG_END] = 2 * NUM41 + VF_SHA_LEN,
        [VF_MSG_COUNTS] = VF_MAX_COUNTS,
        [VF_MSG_RESULT] = 1 + VF_SHA_LEN + 5 * NUM41 + TEXT,
        [VF_MSG_FAIL] = 1 + TEXT,
        [VF_MSG_PING] = 8,
        [VF_MSG_PONG] = 8,
        [VF_MSG_LINK] = 1 + 1 + VF_TOKEN_LEN,
        [VF_MSG_PIECE] = 2 * NUM64 + VF_MAX_DATA,
        [VF_MSG_FENCE] = NUM64,
        [VF_MSG_ACK] = NUM64,
        [VF_MSG_ASK] =
            1 + 1 + 8 + NUM32 + VF_MAX_SIGNATURE + NUM64 + NUM41 + NAME + TEXT + VF_SHA_LEN,
        [VF_MSG_SUMMARY] = 1 + 1 + TEXT + 8 + NUM32 + VF_SHA_LEN,
        [VF_MSG_PART] = VF_MAX_DATA,
        [VF_MSG_GUEST] = VF_MAX_GUEST,
        [VF_MSG_BYTES] = VF_MAX_DATA,
    };

    return type < VF_MSG_TYPES_ ? ceiling[type] : 0;
}

/* HAVE has one ceiling for both of its forms; the one with two bits each must fit below it. */
_Static_assert(VF_MAX_NODES / 4 <= VF_MAX_PROBES / 8, "ceiling of HAVE");

void vf_frame_put(uint8_t ret[VF_FRAME_HEAD], uint8_t type, uint32_t len)
{
    ret[0] = type;
    for (unsigned i = 0; i < 4; i++)
        ret[1 + i] = (uint8_t)(len >> (8 * i));
}

int vf_frame_get(const uint8_t *p, size_t n, uint8_t *ret_type, uint32_t *ret_len,
                 struct vf_error *err)
{
    uint32_t len = 0, max;

    if (n == 0)
        return 0;
    max = vf_frame_ceiling(p[0]);
    if (!max)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "message of unknown type %u", p[0]);
    if (n < VF_FRAME_HEAD)
        return 0;
    for (unsigned i = 0; i < 4; i++)
        len |= (uint32_t)p[1 + i] << (8 * i);
    if (len > max)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0,
                            "%s of %" PRIu32 " bytes, at most %" PRIu32 " are allowed",
                            vf_msg_name(p[0]), len, max);
    *ret_type = p[0];
    *ret_len = len;
    return 1;
}

int vf_magic_get(const uint8_t *p, size_t n)
{
    size_t look = n < VF_MAGIC_LEN ? n : VF_MAGIC_LEN;

    if (look && memcmp(p, VF_MAGIC, look) != 0)
        return -1;
    return n >= VF_MAGIC_LEN;
}

static bool printable(uint8_t c) { return c >= 0x20 && c < 0x7f; }

int vf_magic_error(const uint8_t *p, size_t n, struct vf_error *err)
{
    char said[61] = "";
    size_t len = 0, at = 0;

    /* The magic ends with a newline to find this out. */
    if (n >= VF_MAGIC_LEN && memcmp(p, VF_MAGIC, VF_MAGIC_LEN - 1) == 0 &&
        p[VF_MAGIC_LEN - 1] == '\r')
        return vf_error_set(err, VF_ERR_PROTOCOL, 0,
                            "the connection to the far end changes bytes, as terminals do");
    while (at < n && !printable(p[at]))
        at++;
    while (at < n && len < sizeof said - 1 && p[at] != '\n' && p[at] != '\r') {
        said[len++] = printable(p[at]) ? (char)p[at] : '?';
        at++;
    }
    if (!len)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0,
                            "the far end is not vmferry: it said nothing readable");
    return vf_error_set(err, VF_ERR_PROTOCOL, 0, "the far end is not vmferry: it said '%s'", said);
}
