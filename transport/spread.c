/* transport/spread.c - PIECEs on their way. */
#include "transport/spread.h"

#include <stdlib.h>
#include <string.h>

#define BUCKET_BYTES (VF_HOLD_MAX / VF_SPREAD_BUCKETS)

static struct vf_out **slot(struct vf_spread *s, uint64_t seq)
{
    return &s->piece[seq % VF_PIECES_OPEN];
}

void vf_spread_init(struct vf_spread *s, uint64_t window)
{
    memset(s, 0, sizeof *s);
    s->window = window;
}

void vf_spread_free(struct vf_spread *s)
{
    for (size_t i = 0; i < VF_PIECES_OPEN; i++)
        free(s->piece[i]);
    vf_spread_init(s, s->window);
}

bool vf_spread_room(const struct vf_spread *s, size_t len)
{
    /* The slot may still be in use: acknowledged, but its second copy is being written. */
    return s->next - s->acked < VF_PIECES_OPEN && !s->piece[s->next % VF_PIECES_OPEN] &&
           s->bytes <= s->window && len <= s->window - s->bytes;
}

int vf_spread_add(struct vf_spread *s, const uint8_t *bytes, size_t len, struct vf_error *err)
{
    struct vf_out *p = malloc(sizeof *p + len);

    if (!p)
        return vf_error_nomem(err);
    *p = (struct vf_out){.seq = s->next, .after = s->counted, .len = len, .link = -1};
    memcpy(p->bytes, bytes, len);
    *slot(s, s->next++) = p;
    s->bytes += len;
    s->unsent++;
    return 0;
}

static struct vf_spread_bucket *last_bucket(const struct vf_spread *s)
{
    unsigned i = (s->first + s->n - 1) % VF_SPREAD_BUCKETS;

    return s->n ? (struct vf_spread_bucket *)(uintptr_t)&s->bucket[i] : NULL;
}

/* Does it fit into the last bucket? */
static bool joins(const struct vf_spread *s, size_t len)
{
    const struct vf_spread_bucket *b = last_bucket(s);

    return b && b->bytes + len <= BUCKET_BYTES;
}

bool vf_spread_credit(const struct vf_spread *s, size_t len)
{
    if (s->next == s->acked || s->n == 0)
        return true; /* nothing to wait for, or the first that waits */
    if (s->held > VF_HOLD_MAX || len > VF_HOLD_MAX - s->held)
        return false;
    return s->n < VF_SPREAD_BUCKETS || joins(s, len);
}

uint64_t vf_spread_count(struct vf_spread *s, size_t len)
{
    s->counted++;
    if (s->next > s->acked) {
        if (!joins(s, len)) {
            s->n++;
            last_bucket(s)->bytes = 0;
        }
        last_bucket(s)->fence = s->next;
        last_bucket(s)->bytes += len;
        s->held += len;
    }
    if (s->next == s->fenced)
        return 0;
    s->fenced = s->next;
    return s->fenced;
}

struct vf_out *vf_spread_take(struct vf_spread *s, int link)
{
    if (!s->unsent)
        return NULL;
    if (s->scan < s->acked)
        s->scan = s->acked;
    for (; s->scan < s->next; s->scan++) {
        struct vf_out *p = *slot(s, s->scan);

        if (p->link >= 0)
            continue;
        p->link = link;
        p->busy = true;
        s->unsent--;
        return p;
    }
    return NULL;
}

static void drop(struct vf_spread *s, struct vf_out *p)
{
    *slot(s, p->seq) = NULL;
    free(p);
}

void vf_spread_sent(struct vf_spread *s, struct vf_out *p)
{
    p->busy = false;
    if (p->taken)
        drop(s, p);
}

void vf_spread_lost(struct vf_spread *s, int link)
{
    for (uint64_t i = s->acked; i < s->next; i++) {
        struct vf_out *p = *slot(s, i);

        if (p->link != link)
            continue;
        p->link = -1;
        s->unsent++;
        if (i < s->scan)
            s->scan = i;
    }
}

int vf_spread_ack(struct vf_spread *s, uint64_t pieces, struct vf_error *err)
{
    if (pieces > s->next || pieces < s->acked)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "ACK of what was not sent");
    for (; s->acked < pieces; s->acked++) {
        struct vf_out *p = *slot(s, s->acked);

        s->bytes -= p->len;
        if (p->link < 0)
            s->unsent--;
        p->taken = true;
        if (!p->busy)
            drop(s, p);
    }
    while (s->n && s->bucket[s->first].fence <= s->acked) {
        s->held -= s->bucket[s->first].bytes;
        s->first = (s->first + 1) % VF_SPREAD_BUCKETS;
        s->n--;
    }
    return 0;
}
