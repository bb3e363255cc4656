/* What belongs to messages, whoever carries them: releasing, and saying that this side fails. */
#include "core/stream.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"

static char *text(void)
{
    char *s = strdup("text");

    CHECK(s != NULL);
    return s;
}

static void *some(void)
{
    void *p = malloc(64);

    CHECK(p != NULL);
    return p;
}

/* A leak shows under the sanitizer and valgrind. */
static void released(struct vf_msg *m)
{
    struct vf_msg zero;

    memset(&zero, 0, sizeof zero);
    vf_msg_free(m);
    CHECK_MEM((const void *)m, (const void *)&zero, sizeof zero);
    vf_msg_free(m); /* twice is harmless */
}

TEST(frees_all)
{
    struct vf_msg m = {.type = VF_MSG_HELLO, .hello = {1, 1, 0, text(), text()}};

    released(&m);
    m = (struct vf_msg){.type = VF_MSG_WELCOME};
    m.welcome.program = text();
    m.welcome.node = text();
    m.welcome.group = text();
    m.welcome.dir = text();
    m.welcome.token = text();
    released(&m);
    m = (struct vf_msg){.type = VF_MSG_OFFER, .offer = {.name = text(), .format = text()}};
    released(&m);
    m = (struct vf_msg){.type = VF_MSG_ACCEPT, .accept = {.path = text()}};
    released(&m);
    m = (struct vf_msg){.type = VF_MSG_NODES, .nodes = {.n = 1, .run = some(), .id = some()}};
    released(&m);
    m = (struct vf_msg){.type = VF_MSG_HAVE, .have = {.n = 1, .have = some()}};
    released(&m);
    m = (struct vf_msg){.type = VF_MSG_PROBES, .probes = {.n = 1, .digest = some()}};
    released(&m);
    m = (struct vf_msg){.type = VF_MSG_DATA, .data = {.len = 1, .bytes = some()}};
    released(&m);
    m = (struct vf_msg){.type = VF_MSG_LINK, .link = {.token = text()}};
    vf_msg_free(&m);
    m = (struct vf_msg){.type = VF_MSG_PIECE, .piece = {.len = 1, .bytes = some()}};
    vf_msg_free(&m);
    m = (struct vf_msg){.type = VF_MSG_SEGMENTS, .segments = {.run = some(), .sha = some()}};
    released(&m);
    m = (struct vf_msg){.type = VF_MSG_REPAIR, .repair = {.n = 1, .run = some()}};
    released(&m);
    m = (struct vf_msg){.type = VF_MSG_RESULT, .result = {.path = text()}};
    released(&m);
    m = (struct vf_msg){.type = VF_MSG_FAIL, .fail = {.text = text()}};
    released(&m);
    m = (struct vf_msg){.type = VF_MSG_PING, .ping = {1}};
    released(&m);
    m = (struct vf_msg){.type = VF_MSG_COUNTS, .counts = {.n = 2}};
    m.counts.image = calloc(2, sizeof *m.counts.image);
    CHECK(m.counts.image != NULL);
    m.counts.image[0].name = text(); /* the second has none yet, as in the middle of decoding */
    released(&m);
}

/* A stream that keeps what it was asked to send. */
struct keeper {
    struct vf_stream st;
    unsigned n;
    enum vf_msg_type type;
    struct vf_error got;
};

static int keep(struct vf_stream *st, const struct vf_msg *m, struct vf_error *err)
{
    struct keeper *k = (struct keeper *)st;

    k->n++;
    k->type = m->type;
    CHECK(strlen(m->fail.text) < sizeof k->got.msg);
    memcpy(k->got.msg, m->fail.text, strlen(m->fail.text) + 1);
    k->got.code = (enum vf_err)m->fail.code;
    return vf_error_set(err, VF_ERR_UNREACHABLE, 0, "gone"); /* must not matter */
}

TEST(tells_why)
{
    static const struct vf_stream_ops ops = {.send = keep};
    struct keeper k = {.st = {&ops}};
    struct vf_error why = {VF_ERR_SPACE, 0, "no room on \x1b[31m/srv\n\x7f"};

    vf_stream_fail(&k.st, &why);
    CHECK_EQ_U64(k.n, 1);
    CHECK(k.type == VF_MSG_FAIL && k.got.code == VF_ERR_SPACE);
    CHECK_STR(k.got.msg, "no room on ?[31m/srv??");
    memset(why.msg, 'x', sizeof why.msg); /* not even terminated */
    vf_stream_fail(&k.st, &why);
    CHECK_EQ_U64(strlen(k.got.msg), sizeof why.msg - 1);
}

TESTS(frees_all, tells_why)
