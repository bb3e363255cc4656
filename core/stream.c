/* core/stream.c - what belongs to messages, whoever carries them. */
#include "core/stream.h"

#include <stdlib.h>
#include <string.h>

static void free_counts(struct vf_msg_counts *m)
{
    for (size_t i = 0; m->image && i < m->n; i++)
        free(m->image[i].name);
    free(m->image);
}

void vf_msg_free(struct vf_msg *m)
{
    switch (m->type) {
    case VF_MSG_HELLO:
        free(m->hello.program);
        free(m->hello.group);
        break;
    case VF_MSG_WELCOME:
        free(m->welcome.program);
        free(m->welcome.node);
        free(m->welcome.group);
        free(m->welcome.dir);
        free(m->welcome.token);
        break;
    case VF_MSG_OFFER:
        free(m->offer.name);
        free(m->offer.format);
        break;
    case VF_MSG_ACCEPT:
        free(m->accept.path);
        break;
    case VF_MSG_NODES:
        free(m->nodes.run);
        free(m->nodes.id);
        break;
    case VF_MSG_HAVE:
        free(m->have.have);
        break;
    case VF_MSG_PROBES:
        free(m->probes.digest);
        break;
    case VF_MSG_DATA:
    case VF_MSG_PART:
    case VF_MSG_GUEST:
    case VF_MSG_BYTES:
        free(m->data.bytes); /* the same member for all */
        break;
    case VF_MSG_PIECE:
        free(m->piece.bytes);
        break;
    case VF_MSG_LINK:
        free(m->link.token);
        break;
    case VF_MSG_ASK:
        free(m->ask.signature);
        free(m->ask.name);
        free(m->ask.format);
        break;
    case VF_MSG_SUMMARY:
        free(m->summary.why);
        break;
    case VF_MSG_SEGMENTS:
        free(m->segments.run);
        free(m->segments.sha);
        break;
    case VF_MSG_REPAIR:
        free(m->repair.run);
        break;
    case VF_MSG_COUNTS:
        free_counts(&m->counts);
        break;
    case VF_MSG_RESULT:
        free(m->result.path);
        break;
    case VF_MSG_FAIL:
        free(m->fail.text);
        break;
    case VF_MSG_BATCH:
    case VF_MSG_DONE:
    case VF_MSG_RECHECK:
    case VF_MSG_END:
    case VF_MSG_PING:
    case VF_MSG_PONG:
    case VF_MSG_FENCE:
    case VF_MSG_ACK:
    case VF_MSG_TYPES_:
        break; /* nothing owned */
    }
    memset(m, 0, sizeof *m);
}

void vf_stream_fail(struct vf_stream *st, const struct vf_error *why)
{
    char text[sizeof why->msg];
    struct vf_msg m = {.type = VF_MSG_FAIL};
    size_t n = 0;

    for (; n < sizeof text - 1 && why->msg[n]; n++)
        text[n] = (unsigned char)why->msg[n] < 0x20 || why->msg[n] == 0x7f ? '?' : why->msg[n];
    text[n] = 0;
    m.fail.code = (uint8_t)why->code;
    m.fail.text = text;
    (void)st->ops->send(st, &m, NULL); /* the error worth reporting is why */
}
