#include "hypervisor/libvirt_rpc.h"

#include <string.h>

#include "tests/lib/check.h"

#define FINISH 306u

static void put(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* A message with a body of so many words, the last of which is this one.  Its length. */
static size_t message(uint8_t *p, uint32_t proc, uint32_t type, uint32_t status, uint32_t words,
                      uint32_t last)
{
    uint32_t head[] = {VF_LV_RPC_HEAD + 4 * words, 0x20008086, 1, proc, type, 7, status};

    for (size_t i = 0; i < 7; i++)
        put(p + 4 * i, head[i]);
    memset(p + VF_LV_RPC_HEAD, 0xa5, (size_t)4 * words);
    if (words)
        put(p + VF_LV_RPC_HEAD + 4 * (words - 1), last);
    return VF_LV_RPC_HEAD + (size_t)4 * words;
}

static enum vf_lv_rpc_seen of_one(uint32_t proc, uint32_t type, uint32_t status, uint32_t last)
{
    uint8_t buf[256];
    struct vf_lv_rpc r = {0};

    return vf_lv_rpc_feed(&r, buf, message(buf, proc, type, status, 5, last));
}

TEST(sees_the_two_that_matter)
{
    CHECK_EQ_U64(of_one(FINISH, 0, 0, 0), VF_LV_RPC_FINISH);
    CHECK_EQ_U64(of_one(FINISH, 1, 0, 9), VF_LV_RPC_YES);
}

TEST(not_what_is_alike)
{
    CHECK_EQ_U64(of_one(FINISH, 0, 0, 1), VF_LV_RPC_NOTHING);     /* cancelled */
    CHECK_EQ_U64(of_one(FINISH, 1, 1, 0), VF_LV_RPC_NOTHING);     /* an error */
    CHECK_EQ_U64(of_one(FINISH, 2, 0, 0), VF_LV_RPC_NOTHING);     /* an event */
    CHECK_EQ_U64(of_one(FINISH + 1, 1, 0, 0), VF_LV_RPC_NOTHING); /* to confirm */
}

/* In pieces of any length, among others, and not before its last byte. */
TEST(in_pieces)
{
    uint8_t buf[512];
    size_t len = message(buf, 1, 1, 0, 3, 0), end;

    len += message(buf + len, 2, 1, 0, 0, 0); /* a head only */
    len += message(buf + len, FINISH, 1, 0, 11, 4);
    end = len;
    len += message(buf + len, 3, 1, 0, 2, 0);
    for (size_t piece = 1; piece <= len; piece++) {
        struct vf_lv_rpc r = {0};
        unsigned times = 0;

        for (size_t at = 0; at < len; at += piece) {
            size_t n = len - at < piece ? len - at : piece;

            if (vf_lv_rpc_feed(&r, buf + at, n) == VF_LV_RPC_YES) {
                times++;
                CHECK(at < end && at + n >= end);
            }
        }
        CHECK_EQ_U64(times, 1);
        CHECK(!r.lost);
    }
}

TEST(another_protocol_is_left_alone)
{
    uint8_t buf[256];
    struct vf_lv_rpc r = {0};
    size_t len;

    CHECK_EQ_U64(
        vf_lv_rpc_feed(&r, (const uint8_t *)"\x16\x03\x01\x02 and so on, for 28 bytes", 28),
        VF_LV_RPC_NOTHING);
    CHECK(r.lost);
    len = message(buf, FINISH, 1, 0, 5, 0);
    CHECK_EQ_U64(vf_lv_rpc_feed(&r, buf, len), VF_LV_RPC_NOTHING);

    memset(&r, 0, sizeof r); /* shorter than its own head */
    (void)message(buf, FINISH, 1, 0, 5, 0);
    put(buf, VF_LV_RPC_HEAD - 1);
    CHECK_EQ_U64(vf_lv_rpc_feed(&r, buf, len), VF_LV_RPC_NOTHING);
    CHECK(r.lost);
}

TESTS(sees_the_two_that_matter, not_what_is_alike, in_pieces, another_protocol_is_left_alone)
