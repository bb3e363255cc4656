/* transport/message_check.c - what every message must fulfil, whoever made it.
 *
 * One set of rules for both directions: the decoder applies it to what a peer sent, the encoder to
 * what this program is about to send. */
#include "transport/message.h"

#include <string.h>

/* NULL, or what is wrong with a text of at most max bytes. */
static const char *text_wrong(const char *s, size_t max)
{
    size_t len = s ? strnlen(s, max + 1) : 0;

    if (len > max)
        return "text is too long";
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return "text has control characters";
    return NULL;
}

/* A name that can be joined to a directory and stays inside it. */
static const char *name_wrong(const char *s)
{
    const char *why = text_wrong(s, VF_MAX_NAME);

    if (why)
        return why;
    if (!s || !*s)
        return "name is empty";
    if (strchr(s, '/') || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
        return "name is not that of a file";
    return NULL;
}

static const char *runs_wrong(const struct vf_run *run, size_t n, uint64_t max_span)
{
    uint64_t end = 0;

    for (size_t i = 0; i < n; i++) {
        if (run[i].n == 0 || run[i].n > max_span)
            return "length of a run";
        if (run[i].first < end)
            return "runs overlap or are out of order";
        if (run[i].first > VF_MAX_BLOCKS - run[i].n)
            return "run beyond the largest image";
        end = run[i].first + run[i].n;
    }
    return NULL;
}

static const char *hello_wrong(const struct vf_msg_hello *m)
{
    const char *why;

    if (m->version_min == 0 || m->version_min > m->version_max)
        return "versions";
    if (m->purpose >= VF_FOR_PURPOSES_)
        return "purpose";
    why = text_wrong(m->program, VF_MAX_TEXT);
    return why ? why : text_wrong(m->group, VF_MAX_TEXT);
}

static const char *token_wrong(const char *s)
{
    size_t len = s ? strnlen(s, VF_TOKEN_LEN + 1) : 0;

    if (len != VF_TOKEN_LEN || strspn(s, "0123456789abcdef") != len)
        return "token";
    return NULL;
}

static const char *welcome_wrong(const struct vf_msg_welcome *m)
{
    const char *const text[] = {m->program, m->node, m->group, m->dir};

    if (m->version == 0)
        return "version";
    if (m->window_log < 10 || m->window_log > 31)
        return "window";
    if (m->resident_images > UINT32_MAX)
        return "number of images";
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        const char *why = text_wrong(text[i], VF_MAX_TEXT);

        if (why)
            return why;
    }
    return m->token && *m->token ? token_wrong(m->token) : NULL;
}

static const char *offer_wrong(const struct vf_msg_offer *m)
{
    const char *why = name_wrong(m->name);

    if (why)
        return why;
    if (m->size > VF_MAX_SIZE)
        return "size beyond the largest image";
    if (m->data_blocks > vf_blocks_of(m->size))
        return "more blocks with data than blocks";
    if (m->cluster_size && (m->cluster_size < VF_BLOCK || m->cluster_size > VF_MAX_CLUSTER ||
                            (m->cluster_size & (m->cluster_size - 1))))
        return "cluster size";
    if (m->flags & ~(uint32_t)VF_OFFER_ALL)
        return "unknown flags";
    return text_wrong(m->format, VF_MAX_TEXT);
}

static const char *ask_wrong(const struct vf_msg_ask *m)
{
    const char *why;

    if (m->detail > 1)
        return "detail";
    if (m->flags & ~VF_ASK_ALL ||
        ((m->flags & (VF_ASK_REPLACE | VF_ASK_ROOT)) && !(m->flags & VF_ASK_OFFER)))
        return "unknown flags";
    if (m->signature_len > VF_MAX_SIGNATURE)
        return "signature is too long";
    if (!(m->flags & VF_ASK_KNOWN) && (m->generation || m->signature_len))
        return "generation of nothing";
    if (m->size > VF_MAX_SIZE)
        return "size beyond the largest image";
    if (m->data_blocks > vf_blocks_of(m->size))
        return "more blocks with data than blocks";
    if (m->flags & VF_ASK_OFFER) {
        why = name_wrong(m->name);
        return why ? why : text_wrong(m->format, VF_MAX_TEXT);
    }
    return m->size || (m->name && *m->name) || (m->format && *m->format)
               ? "an image without an offer"
               : NULL;
}

static const char *summary_wrong(const struct vf_msg_summary *m)
{
    if (m->answer > VF_ANSWER_WHOLE)
        return "unknown answer";
    if (m->len > VF_MAX_SUMMARY || (m->answer == VF_ANSWER_SAME) != (m->len == 0))
        return "length";
    if (!m->taken && m->why && *m->why)
        return "reason for nothing";
    return text_wrong(m->why, VF_MAX_TEXT);
}

static const char *have_wrong(const struct vf_msg_have *m)
{
    /* Only of a segment can single blocks be asked for. */
    uint8_t most = m->level == 1 ? VF_HAVE_PROBE : VF_HAVE_YES;

    if (m->level > 2)
        return "level";
    if (m->n > (m->level ? VF_MAX_NODES : VF_MAX_PROBES))
        return "too many answers";
    for (size_t i = 0; i < m->n; i++)
        if (m->have[i] > most)
            return "unknown answer";
    return NULL;
}

static const char *shared_wrong(const struct vf_shared *s)
{
    if (s->blocks > VF_MAX_BLOCKS || s->distinct > s->blocks)
        return "number of blocks";
    return NULL;
}

static const char *counts_wrong(const struct vf_msg_counts *m)
{
    const char *why = shared_wrong(&m->all);

    if (why)
        return why;
    if (m->distinct > VF_MAX_BLOCKS || m->all.distinct > m->distinct)
        return "number of distinct blocks";
    if (m->n > VF_MAX_IMAGES)
        return "too many images";
    for (size_t i = 0; i < m->n; i++) {
        const struct vf_msg_count_image *im = &m->image[i];

        if ((why = text_wrong(im->name, VF_MAX_TEXT)) || (why = shared_wrong(&im->shared)))
            return why;
        if (!im->name || !im->name[0])
            return "name is empty";
    }
    return NULL;
}

static const char *result_wrong(const struct vf_msg_result *m)
{
    const uint64_t count[] = {m->shared_blocks, m->duplicate_blocks, m->literal_blocks,
                              m->copied_blocks, m->repaired_blocks};

    for (size_t i = 0; i < sizeof count / sizeof count[0]; i++)
        if (count[i] > VF_MAX_BLOCKS)
            return "number of blocks";
    return text_wrong(m->path, VF_MAX_TEXT);
}

static const char *probes_wrong(const struct vf_msg_probes *m)
{
    if (m->width == 0 || m->width > VF_MAX_PROBE_WIDTH)
        return "width";
    return m->n > VF_MAX_PROBES ? "too many digests" : NULL;
}

static const char *accept_wrong(const struct vf_msg_accept *m)
{
    if (m->reused_blocks > VF_MAX_BLOCKS)
        return "number of blocks";
    return text_wrong(m->path, VF_MAX_TEXT);
}

static const char *nodes_wrong(const struct vf_msg_nodes *m)
{
    if (m->level < 1 || m->level > 2)
        return "level";
    if (m->n > VF_MAX_NODES)
        return "too many nodes";
    return runs_wrong(m->run, m->n, m->level == 1 ? VF_SEG_MAX : VF_MAX_BLOCKS);
}

static const char *segments_wrong(const struct vf_msg_segments *m)
{
    return m->n > VF_MAX_NODES ? "too many segments" : runs_wrong(m->run, m->n, VF_SEG_MAX);
}

static const char *repair_wrong(const struct vf_msg_repair *m)
{
    return m->n > VF_MAX_RUNS ? "too many runs" : runs_wrong(m->run, m->n, VF_MAX_BLOCKS);
}

static const char *data_wrong(size_t len)
{
    return len == 0 || len > VF_MAX_DATA ? "length" : NULL;
}

static const char *end_wrong(const struct vf_msg_end *m)
{
    return m->batches > VF_MAX_BLOCKS || m->zero_blocks > VF_MAX_BLOCKS ? "number of blocks" : NULL;
}

const char *vf_msg_wrong(const struct vf_msg *m)
{
    switch (m->type) {
    case VF_MSG_HELLO:
        return hello_wrong(&m->hello);
    case VF_MSG_WELCOME:
        return welcome_wrong(&m->welcome);
    case VF_MSG_OFFER:
        return offer_wrong(&m->offer);
    case VF_MSG_ACCEPT:
        return accept_wrong(&m->accept);
    case VF_MSG_BATCH:
        return runs_wrong(&m->batch.range, 1, VF_MAX_BLOCKS);
    case VF_MSG_NODES:
        return nodes_wrong(&m->nodes);
    case VF_MSG_HAVE:
        return have_wrong(&m->have);
    case VF_MSG_PROBES:
        return probes_wrong(&m->probes);
    case VF_MSG_DATA:
    case VF_MSG_PART: /* the same member for both */
        return data_wrong(m->data.len);
    case VF_MSG_GUEST:
        return m->guest.len == 0 || m->guest.len > VF_MAX_GUEST ? "length" : NULL;
    case VF_MSG_BYTES:
        return m->bytes.len > VF_MAX_DATA ? "length" : NULL;
    case VF_MSG_PIECE:
        return data_wrong(m->piece.len);
    case VF_MSG_LINK:
        return token_wrong(m->link.token);
    case VF_MSG_ASK:
        return ask_wrong(&m->ask);
    case VF_MSG_SUMMARY:
        return summary_wrong(&m->summary);
    case VF_MSG_SEGMENTS:
        return segments_wrong(&m->segments);
    case VF_MSG_REPAIR:
        return repair_wrong(&m->repair);
    case VF_MSG_END:
        return end_wrong(&m->end);
    case VF_MSG_COUNTS:
        return counts_wrong(&m->counts);
    case VF_MSG_RESULT:
        return result_wrong(&m->result);
    case VF_MSG_FAIL:
        return text_wrong(m->fail.text, VF_MAX_TEXT);
    case VF_MSG_DONE:
    case VF_MSG_RECHECK:
    case VF_MSG_PING:
    case VF_MSG_PONG:
    case VF_MSG_FENCE:
    case VF_MSG_ACK:
        return NULL;
    case VF_MSG_TYPES_:
        break;
    }
    return "no such type";
}
