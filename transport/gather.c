/* transport/gather.c - one order out of many connections. */
#include "transport/gather.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"

struct vf_held {
    struct vf_msg m;
    size_t len;
    uint64_t fence; /* PIECEs that come before it */
    struct vf_held *next;
};

static int refuse(const char *type, const char *why, struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_PROTOCOL, 0, "%s %s", type, why);
}

void vf_gather_init(struct vf_gather *g, uint64_t window)
{
    memset(g, 0, sizeof *g);
    g->window = window;
    g->last = &g->first;
}

void vf_gather_free(struct vf_gather *g)
{
    for (size_t i = 0; i < VF_PIECES_OPEN; i++)
        if (g->piece[i]) {
            vf_msg_free(g->piece[i]);
            free(g->piece[i]);
        }
    while (g->first) {
        struct vf_held *h = g->first;

        g->first = h->next;
        vf_msg_free(&h->m);
        free(h);
    }
    vf_gather_init(g, g->window);
}

int vf_gather_piece(struct vf_gather *g, struct vf_msg *m, bool *ret_next, struct vf_error *err)
{
    uint64_t seq = m->piece.seq;
    struct vf_msg **slot = &g->piece[seq % VF_PIECES_OPEN], *copy;

    *ret_next = false;
    if (seq < g->next || (seq - g->next < VF_PIECES_OPEN && *slot)) {
        vf_msg_free(m); /* sent again because its first connection broke */
        return 0;
    }
    if (seq - g->next >= VF_PIECES_OPEN || m->piece.len > g->window - g->bytes)
        return refuse("PIECE", "beyond the window", err);
    copy = vf_calloc(1, sizeof *copy, err);
    if (!copy)
        return -1;
    *copy = *m;
    *slot = copy;
    g->bytes += m->piece.len;
    *ret_next = seq == g->next;
    memset(m, 0, sizeof *m);
    return 0;
}

int vf_gather_fence(struct vf_gather *g, uint64_t pieces, struct vf_error *err)
{
    if (pieces <= g->fence)
        return refuse("FENCE", "that says nothing new", err);
    if (pieces > g->next && pieces - g->next > VF_PIECES_OPEN)
        return refuse("FENCE", "beyond the window", err);
    g->fence = pieces;
    return 0;
}

int vf_gather_other(struct vf_gather *g, struct vf_msg *m, size_t len, struct vf_error *err)
{
    struct vf_held *h;

    if (g->first && (g->held > VF_HOLD_MAX || len > VF_HOLD_MAX - g->held))
        return refuse("messages", "that wait for PIECEs are too many", err);
    h = vf_calloc(1, sizeof *h, err);
    if (!h)
        return -1;
    *h = (struct vf_held){*m, len, g->fence, NULL};
    *g->last = h;
    g->last = &h->next;
    g->held += len;
    memset(m, 0, sizeof *m);
    return 0;
}

bool vf_gather_idle(const struct vf_gather *g)
{
    return !g->first && g->fence <= g->next && !g->piece[g->next % VF_PIECES_OPEN];
}

void vf_gather_pass(struct vf_gather *g) { g->counted++; }

/* The PIECE that is due, if its turn has come. */
static int next_piece(struct vf_gather *g, struct vf_msg *ret, struct vf_error *err)
{
    struct vf_msg **slot = &g->piece[g->next % VF_PIECES_OPEN], *m = *slot;

    if (!m)
        return 0;
    if (m->piece.after < g->counted)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0,
                            "PIECE %" PRIu64 " belongs before what came without a FENCE",
                            m->piece.seq);
    if (m->piece.after > g->counted)
        return 0; /* messages of the first connection come before it */
    *ret = (struct vf_msg){.type = VF_MSG_DATA, .data = {m->piece.len, m->piece.bytes}};
    free(m);
    *slot = NULL;
    g->bytes -= ret->data.len;
    g->next++;
    return 1;
}

int vf_gather_next(struct vf_gather *g, struct vf_msg *ret, struct vf_error *err)
{
    struct vf_held *h = g->first;

    if (!h || h->fence > g->next)
        return next_piece(g, ret, err);
    g->first = h->next;
    if (!g->first)
        g->last = &g->first;
    g->held -= h->len;
    g->counted++;
    *ret = h->m;
    free(h);
    return 1;
}
