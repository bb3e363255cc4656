/* Frames: heads, ceilings, the magic and what comes in its place. */
#include "transport/frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/stream.h"
#include "tests/lib/check.h"
#include "transport/message.h"

TEST(head_there_and_back)
{
    static const uint32_t lens[] = {0, 1, 255, 256, 65536, 0x00abcdef, 16u << 20};
    uint8_t head[VF_FRAME_HEAD], type;
    struct vf_error err;
    uint32_t len;

    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        vf_frame_put(head, VF_MSG_COUNTS, lens[i]);
        CHECK(vf_frame_get(head, sizeof head, &type, &len, &err) == 1);
        CHECK_EQ_U64(type, VF_MSG_COUNTS);
        CHECK_EQ_U64(len, lens[i]);
        for (size_t n = 0; n < sizeof head; n++)
            CHECK(vf_frame_get(head, n, &type, &len, &err) == 0);
    }
    vf_frame_put(head, VF_MSG_PING, 0x01020304);
    CHECK_MEM(head, "\x12\x04\x03\x02\x01", 5);
}

TEST(ceilings)
{
    uint8_t head[VF_FRAME_HEAD], got;
    struct vf_error err;
    uint32_t len;

    for (unsigned type = 0; type < 256; type++) {
        uint32_t max = vf_frame_ceiling((uint8_t)type);

        CHECK((max != 0) == (strcmp(vf_msg_name((uint8_t)type), "?") != 0));
        CHECK(max <= 16u << 20);
        vf_frame_put(head, (uint8_t)type, max);
        if (!max) {
            /* The type alone is enough to refuse. */
            CHECK_FAIL(vf_frame_get(head, 1, &got, &len, &err), &err, VF_ERR_PROTOCOL);
            continue;
        }
        CHECK(vf_frame_get(head, sizeof head, &got, &len, &err) == 1);
        CHECK_EQ_U64(len, max);
        vf_frame_put(head, (uint8_t)type, max + 1);
        CHECK_FAIL(vf_frame_get(head, sizeof head, &got, &len, &err), &err, VF_ERR_PROTOCOL);
        vf_frame_put(head, (uint8_t)type, UINT32_MAX);
        CHECK_FAIL(vf_frame_get(head, sizeof head, &got, &len, &err), &err, VF_ERR_PROTOCOL);
    }
    /* The limits of core/stream.h show. */
    CHECK_EQ_U64(vf_frame_ceiling(VF_MSG_DATA), VF_MAX_DATA);
    CHECK_EQ_U64(vf_frame_ceiling(VF_MSG_PING), 8);
}

static const uint8_t *bytes(const char *s) { return (const uint8_t *)s; }

TEST(magic)
{
    CHECK(strlen(VF_MAGIC) == VF_MAGIC_LEN);
    for (size_t n = 0; n < VF_MAGIC_LEN; n++)
        CHECK(vf_magic_get(bytes(VF_MAGIC), n) == 0);
    CHECK(vf_magic_get(bytes(VF_MAGIC "more"), 12) == 1);
    CHECK(vf_magic_get(NULL, 0) == 0);
    CHECK(vf_magic_get(bytes("v"), 1) == -1);
    CHECK(vf_magic_get(bytes("VMFERRX\n"), 8) == -1);
    CHECK(vf_magic_get(bytes("VMFERRY\r"), 8) == -1);
}

static void said(const char *text, size_t len, const char *want)
{
    struct vf_error err;

    CHECK_FAIL(vf_magic_error(bytes(text), len, &err), &err, VF_ERR_PROTOCOL);
    CHECK_STR(err.msg, want);
}

TEST(somebody_else)
{
    char many[500];

    said("SSH-2.0-OpenSSH_9.2\r\n", 21,
         "the far end is not vmferry: it said 'SSH-2.0-OpenSSH_9.2'");
    said("\r\n\x07hi\tthere\x9bx", 13, "the far end is not vmferry: it said 'hi?there?x'");
    said("\x00\x01\x02", 3, "the far end is not vmferry: it said nothing readable");
    said("", 0, "the far end is not vmferry: it said nothing readable");
    said("VMFERRY\r\n", 9, "the connection to the far end changes bytes, as terminals do");
    memset(many, 'x', sizeof many);
    many[60] = 0;
    said(many, sizeof many,
         "the far end is not vmferry: it said "
         "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'");
}

/* The table of messages in the document says what the code does. */
TEST(document)
{
    const char *src = getenv("VF_SRC");
    char path[4096], line[1000], name[20], from[20];
    unsigned type, rows = 0, last = 0, types = 0;
    uint32_t ceiling;
    FILE *f;

    (void)snprintf(path, sizeof path, "%s/transport/PROTOCOL.md", src ? src : "."); /* fits */
    f = fopen(path, "re");
    CHECK(f != NULL);
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "| %u | %19s | %19s | %" SCNu32 " |", &type, name, from, &ceiling) != 4)
            continue;
        rows++;
        CHECK(type > last);
        last = type;
        CHECK_STR(name, vf_msg_name((uint8_t)type));
        CHECK_EQ_U64(ceiling, vf_frame_ceiling((uint8_t)type));
    }
    for (type = 0; type < 256; type++)
        types += vf_frame_ceiling((uint8_t)type) != 0;
    CHECK_EQ_U64(rows, types);
    CHECK(fclose(f) == 0);
}

TESTS(head_there_and_back, ceilings, magic, somebody_else, document)
