/* Decoding: every limit, what a later version may add, and memory in proportion. */
#include "transport/message.h"

#include <malloc.h>
#include <stdlib.h>

#include "tests/lib/check.h"
#include "tests/transport/coding.h"
#include "tests/transport/golden.h"

static void refused(unsigned type, const char *hex, const char *why)
{
    struct vf_buf b = VF_BUF_INIT;
    struct vf_error err;
    struct vf_msg m;

    golden_hex(hex, &b);
    CHECK_FAIL(decode(type, b.data, b.len, &m, &err), &err, VF_ERR_PROTOCOL);
    CHECK_HAS(err.msg, why);
    vf_buf_free(&b);
}

static void taken(unsigned type, const char *hex)
{
    struct vf_buf b = VF_BUF_INIT;
    struct vf_error err;
    struct vf_msg m;

    golden_hex(hex, &b);
    CHECK_OK(decode(type, b.data, b.len, &m, &err), &err);
    there_and_back(&m);
    vf_msg_free(&m);
    vf_buf_free(&b);
}

TEST(limits_greeting)
{
    taken(VF_MSG_HELLO, "010001000000 00");
    refused(VF_MSG_HELLO, "000001000000 00", "versions");
    refused(VF_MSG_HELLO, "020001000000 00", "versions");
    taken(VF_MSG_HELLO, "010001000300 00");
    refused(VF_MSG_HELLO, "010001000600 00", "purpose");
    refused(VF_MSG_HELLO, "01000100000107 00", "control");
    refused(VF_MSG_HELLO, "0100010000017f 00", "control");
    refused(VF_MSG_HELLO, "01000100000100 00", "control");
    refused(VF_MSG_HELLO, "0100010000 8120 00", "too large");
    refused(VF_MSG_HELLO, "0100010000 8000 00", "badly formed");
    taken(VF_MSG_WELCOME, "01000a010000000000 0000 00 00 00");
    refused(VF_MSG_WELCOME, "00000a010000000000 0000 00 00 00", "version");
    refused(VF_MSG_WELCOME, "010009010000000000 0000 00 00 00", "window");
    refused(VF_MSG_WELCOME, "010020010000000000 0000 00 00 00", "window");
    refused(VF_MSG_WELCOME, "01000a020000000000 0000", "neither");
    refused(VF_MSG_WELCOME, "01000a0100808080801000000000 00", "too large");
}

#define SHA "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"

TEST(limits_offer)
{
    taken(VF_MSG_OFFER, "01 01 00 00 0161 00");
    refused(VF_MSG_OFFER, "01 02 00 00 0161 00", "more blocks");
    refused(VF_MSG_OFFER, "8180808080808001 00 00 00 0161 00", "too large");
    refused(VF_MSG_OFFER, "01 01 8002 00 0161 00", "cluster");
    refused(VF_MSG_OFFER, "01 01 8106 00 0161 00", "cluster");
    refused(VF_MSG_OFFER, "01 01 8080808001 00 0161 00", "cluster");
    refused(VF_MSG_OFFER, "01 01 8080808010 00 0161 00", "too large");
    refused(VF_MSG_OFFER, "01 01 00 04 0161 00", "flags");
    taken(VF_MSG_OFFER, "01 01 00 02 0161 00" SHA);
    refused(VF_MSG_OFFER, "01 01 00 02 0161 00", "cut short");
    refused(VF_MSG_OFFER, "01 01 00 01 0161 00" SHA, "behind");
    refused(VF_MSG_OFFER, "01 01 00 00 00 00", "empty");
    refused(VF_MSG_OFFER, "01 01 00 00 012e 00", "not that of a file");
    refused(VF_MSG_OFFER, "01 01 00 00 022e2e 00", "not that of a file");
    refused(VF_MSG_OFFER, "01 01 00 00 03612f62 00", "not that of a file");
    refused(VF_MSG_OFFER, "01 01 00 00 020a61 00", "control");
    refused(VF_MSG_OFFER, "01 01 00 00 8002", "too large");
    taken(VF_MSG_ACCEPT, "03 00 00");
    refused(VF_MSG_ACCEPT, "04 00 00", "flags");
    refused(VF_MSG_ACCEPT, "00 818080808020 00", "too large");
}

TEST(limits_runs)
{
    taken(VF_MSG_BATCH, "00 00 ffffffffff1f");
    refused(VF_MSG_BATCH, "00 01 ffffffffff1f", "beyond");
    refused(VF_MSG_BATCH, "00 808080808020 00", "beyond");
    refused(VF_MSG_BATCH, "00 00 808080808020", "too large");
    refused(VF_MSG_BATCH, "8080808010 00 00", "too large");
    taken(VF_MSG_NODES, "00 01 00");
    taken(VF_MSG_NODES, "00 01 01 05 ff01 000000000000");
    refused(VF_MSG_NODES, "00 01 01 05 8002 000000000000", "length of a run");
    taken(VF_MSG_NODES, "00 02 01 05 8002 000000000000");
    refused(VF_MSG_NODES, "00 00 00", "level");
    refused(VF_MSG_NODES, "00 03 00", "level");
    refused(VF_MSG_NODES, "00 01 818001", "too large");
    refused(VF_MSG_NODES, "00 01 808001", "more announced");
    refused(VF_MSG_NODES, "00 02 02 00 ffffffffff1f 00 00 0000000000000000", "beyond");
    refused(VF_MSG_SEGMENTS, "00 818001", "too large");
    refused(VF_MSG_SEGMENTS, "00 01 00 00", "more announced");
    refused(VF_MSG_REPAIR, "00 818001", "too large");
    refused(VF_MSG_REPAIR, "00 02 0000 00", "more announced");
    taken(VF_MSG_REPAIR, "00 02 0000 0000");
    refused(VF_MSG_REPAIR, "00 01 ffffffffff7f 00", "too large");
}

TEST(limits_answers)
{
    taken(VF_MSG_HAVE, "00 01 04 00");
    taken(VF_MSG_HAVE, "00 01 04 aa");
    refused(VF_MSG_HAVE, "00 01 04 ff", "unknown answer");
    refused(VF_MSG_HAVE, "00 02 04 aa", "unknown answer");
    refused(VF_MSG_HAVE, "00 01 03 40", "unused bits");
    refused(VF_MSG_HAVE, "00 00 03 08", "unused bits");
    taken(VF_MSG_HAVE, "00 00 08 ff");
    refused(VF_MSG_HAVE, "00 00 09 ff", "more announced");
    refused(VF_MSG_HAVE, "00 03 00", "level");
    refused(VF_MSG_HAVE, "00 01 818001", "too large");
    refused(VF_MSG_HAVE, "00 00 818010", "too large");
    refused(VF_MSG_PROBES, "00 00 00", "width");
    refused(VF_MSG_PROBES, "00 09 00", "width");
    refused(VF_MSG_PROBES, "00 02 818010", "too large");
    refused(VF_MSG_PROBES, "00 02 02 000000", "more announced");
    refused(VF_MSG_DATA, "", "length");
}

#define HEX16 "30313233343536373839616263646566" /* "0123456789abcdef" */

TEST(limits_links)
{
    taken(VF_MSG_WELCOME, "01000a010000000000 0000 20" HEX16 HEX16 " ff ffffffffffffffffff01");
    refused(VF_MSG_WELCOME, "01000a010000000000 0000 10" HEX16 " 00 00", "token");
    refused(VF_MSG_WELCOME, "01000a010000000000 0000 21" HEX16 HEX16 "30 00 00", "too large");
    taken(VF_MSG_LINK, "00 20" HEX16 HEX16);
    refused(VF_MSG_LINK, "00 00", "token");
    refused(VF_MSG_LINK, "00 10" HEX16, "token");
    refused(VF_MSG_LINK, "00 20" HEX16 "2f2e2e2f3435363738396162636465662f", "behind");
    refused(VF_MSG_LINK, "00 20" HEX16 "2f2e2e2f343536373839616263646566", "token");
    refused(VF_MSG_LINK, "00 20" HEX16 "41313233343536373839616263646566", "token");
    refused(VF_MSG_LINK, "00 20" HEX16, "cut short");
    taken(VF_MSG_PIECE, "00 00 ff");
    refused(VF_MSG_PIECE, "00 00", "length");
    refused(VF_MSG_PIECE, "00", "cut short");
    refused(VF_MSG_PIECE, "ffffffffffffffffff02 00 00", "badly formed");
    taken(VF_MSG_FENCE, "01");
    refused(VF_MSG_FENCE, "", "cut short");
    refused(VF_MSG_ACK, "01 00", "behind");
}

#define GEN  "0102030405060708"
#define NONE "0000000000000000"

TEST(limits_summaries)
{
    taken(VF_MSG_ASK, "00 00" NONE "00 00 00 00 00");
    taken(VF_MSG_ASK, "01 01" GEN "02 abcd 00 00 00 00");
    taken(VF_MSG_ASK, "01 06" NONE "00 8020 08 0161 00");
    refused(VF_MSG_ASK, "02 00" NONE "00 00 00 00 00", "detail");
    refused(VF_MSG_ASK, "00 10" NONE "00 00 00 00 00", "flags");
    refused(VF_MSG_ASK, "00 08" NONE "00 00 00 00 00" SHA, "flags");
    taken(VF_MSG_ASK, "01 0e" NONE "00 8020 08 0161 00" SHA);
    refused(VF_MSG_ASK, "01 0e" NONE "00 8020 08 0161 00", "cut short");
    refused(VF_MSG_ASK, "00 04" NONE "00 00 00 00 00", "flags");
    refused(VF_MSG_ASK, "00 00" GEN "00 00 00 00 00", "nothing");
    refused(VF_MSG_ASK, "00 00" NONE "01 ab 00 00 00 00", "nothing");
    refused(VF_MSG_ASK, "00 01" GEN "07 abcd 00 00 00 00", "more announced");
    refused(VF_MSG_ASK, "00 01" GEN "81808001", "too large");
    refused(VF_MSG_ASK, "00 02" NONE "00 8020 09 0161 00", "more blocks");
    refused(VF_MSG_ASK, "00 02" NONE "00 8020 08 00 00", "name is empty");
    refused(VF_MSG_ASK, "00 02" NONE "00 8020 08 022e2e 00", "not that of a file");
    refused(VF_MSG_ASK, "00 00" NONE "00 00 00 0161 00", "without an offer");
    refused(VF_MSG_ASK, "00 00" NONE "00 00 00 00 00 00", "behind");
    taken(VF_MSG_SUMMARY, "00 00 00" GEN "00" NONE NONE NONE NONE);
    taken(VF_MSG_SUMMARY, "02 04 0161" GEN "80808020" NONE NONE NONE NONE);
    refused(VF_MSG_SUMMARY, "02 00 00" GEN "81808020" NONE NONE NONE NONE, "too large");
    refused(VF_MSG_SUMMARY, "00 00 00" GEN "01" NONE NONE NONE NONE, "length");
    refused(VF_MSG_SUMMARY, "01 00 00" GEN "00" NONE NONE NONE NONE, "length");
    refused(VF_MSG_SUMMARY, "03 00 00" GEN "01" NONE NONE NONE NONE, "unknown answer");
    refused(VF_MSG_SUMMARY, "02 00 0161" GEN "01" NONE NONE NONE NONE, "reason");
    refused(VF_MSG_SUMMARY, "02 00 00" GEN "01" NONE NONE NONE, "cut short");
    refused(VF_MSG_PART, "", "length");
    refused(VF_MSG_ASK - 1, "", "no such type");
}

TEST(limits_results)
{
    taken(VF_MSG_COUNTS, "05 04 01 06 01 0161 03 02 03");
    refused(VF_MSG_COUNTS, "05 06 01 06 00", "number of blocks");
    refused(VF_MSG_COUNTS, "05 04 01 03 00", "distinct");
    refused(VF_MSG_COUNTS, "05 04 02 06 00", "neither");
    refused(VF_MSG_COUNTS, "05 04 01 06 01 0161 02 03 03", "number of blocks");
    refused(VF_MSG_COUNTS, "05 04 01 06 01 0161 03 02 04", "flags");
    refused(VF_MSG_COUNTS, "05 04 01 06 01 00 03 02 0300", "behind its end");
    refused(VF_MSG_COUNTS, "05 04 01 06 01 00 03 02 8000", "flags");
    refused(VF_MSG_COUNTS, "05 04 01 06 01 0161 03 02", "more announced");
    refused(VF_MSG_COUNTS, "05 04 01 06 818004", "too large");
    refused(VF_MSG_END, "00 818080808020", "too large");
    refused(VF_MSG_FAIL, "01 011b", "control");
    refused(VF_MSG_PING, "0000000000000000 00", "behind");
    refused(0, "", "no such type");
    refused(VF_MSG_TYPES_, "", "no such type");
    refused(255, "00", "no such type");
}

/* A later version may append fields to HELLO; it must still be understood well enough to choose a
 * version or to refuse. */
TEST(hello_of_later_version)
{
    struct vf_buf b = VF_BUF_INIT;
    struct vf_error err;
    struct vf_msg m;

    golden_hex("01000300 01 0178 0179 deadbeef", &b);
    CHECK_OK(decode(VF_MSG_HELLO, b.data, b.len, &m, &err), &err);
    CHECK_EQ_U64(m.hello.version_max, 3);
    CHECK_STR(m.hello.program, "x");
    CHECK_STR(m.hello.group, "y");
    vf_msg_free(&m);
    b.data[2] = 1;
    CHECK_FAIL(decode(VF_MSG_HELLO, b.data, b.len, &m, &err), &err, VF_ERR_PROTOCOL);
    vf_buf_free(&b);
}

static size_t cost(const struct vf_msg *m)
{
    size_t sum = 0;

    switch (m->type) {
    case VF_MSG_NODES:
        return malloc_usable_size(m->nodes.run) + malloc_usable_size(m->nodes.id);
    case VF_MSG_HAVE:
        return malloc_usable_size(m->have.have);
    case VF_MSG_REPAIR:
        return malloc_usable_size(m->repair.run);
    case VF_MSG_SEGMENTS:
        return malloc_usable_size(m->segments.run) + malloc_usable_size(m->segments.sha);
    default:
        for (size_t i = 0; i < m->counts.n; i++)
            sum += malloc_usable_size(m->counts.image[i].name);
        return sum + malloc_usable_size(m->counts.image);
    }
}

static void costs(unsigned type, const char *head, const char *item, size_t n)
{
    struct vf_buf b = VF_BUF_INIT;
    struct vf_error err;
    struct vf_msg m;

    golden_hex(head, &b);
    for (size_t i = 0; i < n; i++)
        golden_hex(item, &b);
    CHECK_OK(decode(type, b.data, b.len, &m, &err), &err);
    CHECK(cost(&m) <= VF_MSG_COST * b.len + 64);
    vf_msg_free(&m);
    vf_buf_free(&b);
}

/* The smallest encodings of each kind: memory stays in proportion. */
TEST(memory)
{
    costs(VF_MSG_NODES, "00 01 807d", "00 00 000000000000", 16000);
    costs(VF_MSG_REPAIR, "00 807d", "00 00", 16000);
    costs(VF_MSG_SEGMENTS, "00 e807",
          "00 00 0000000000000000000000000000000000000000000000000000000000000000", 1000);
    costs(VF_MSG_HAVE, "00 00 80e807", "00", 16000);
    costs(VF_MSG_COUNTS, "00 00 00 00 807d", "0161 00 00 00", 16000);
}

TESTS(limits_greeting, limits_offer, limits_runs, limits_answers, limits_links, limits_results,
      limits_summaries, hello_of_later_version, memory)
