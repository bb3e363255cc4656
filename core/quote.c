#include "core/quote.h"

#include <string.h>

#include "core/checked.h"
#include "core/pages.h"

#define LEAST_TABLE (UINT64_C(1) << 20)
#define WAYS        4u /* places in a bucket, the newest first */

/* A place: check in the top bits, then whether the receiver had it, then the position of the byte
 * behind the hashed ones; 0: none.  What lies beyond 16 TiB is not remembered. */
#define PLACE_BITS 44
#define PLACE_MASK ((UINT64_C(1) << PLACE_BITS) - 1)
#define PLACE_HAD  (UINT64_C(1) << PLACE_BITS)
#define CHECK_MASK (~((PLACE_HAD << 1) - 1))

/* The rolling hash is that of content-defined cutting: h = 2 * h + gear[byte], so that bit n
 * depends on the last n + 1 bytes.  A place is remembered where SAMPLE's bits are all set: one in
 * 64, chosen by the 56 bytes before it. */
#define SAMPLE_TOP 56
#define SAMPLE     (UINT64_C(63) << (SAMPLE_TOP - 6))
#define HASHED     64u

#define LANES        4u
#define PIECE        (32u * 1024) /* bytes hashed at a time, in all lanes */
#define LANE_SAMPLES 1024u        /* eight times what is likely */
#define SAMPLES_MAX  (32u * 1024) /* of one record of 1 MiB; twice what is likely */
#define READ_BACK    192u         /* bytes before a place, and after it, that are read at first */
#define READ_ON      832u
#define READ_MORE    16384u
#define AHEAD        8u                   /* samples whose buckets are on their way from memory */
#define NOTED_FIRST  (INT64_C(512) << 20) /* bytes that are noted before there is a judgement */
#define NOTED_HURRY  (INT64_C(192) << 20) /* credit that is left alone where time is short */
#define NOTED_WORTH  64                   /* bytes noted for each that was quoted */
#define NOTED_SAMPLE 16 /* then one stretch in so many, to see whether that changed */

struct sample {
    uint64_t hash;
    uint32_t pos;  /* of the byte behind the hashed ones, in the data that is searched */
    uint64_t byte; /* the same in the image */
};

/* One of the stretches that are hashed side by side, so that the processor need not wait for each
 * step of one hash. */
struct lane {
    const uint8_t *p; /* its next byte */
    uint64_t h;
    size_t n;
    struct sample found[LANE_SAMPLES];
};

struct vf_quoter {
    struct vf_pages *pages;
    uint64_t (*table)[WAYS];
    uint64_t mask;
    int64_t credit; /* bytes of the receiver's that may still be noted */
    unsigned asked;
    size_t n;
    struct sample sample[SAMPLES_MAX];
    struct lane lane[LANES];
    uint64_t gear[256];
    uint8_t buf[READ_MORE];
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ x >> 32;
}

struct vf_quoter *vf_quoter_new(struct vf_image *image, uint64_t table_bytes, struct vf_error *err)
{
    struct vf_quoter *q = vf_calloc(1, sizeof *q, err);
    uint64_t bytes = LEAST_TABLE;

    if (!q)
        return NULL;
    while (bytes * 2 <= table_bytes && bytes < (UINT64_C(1) << PLACE_BITS))
        bytes *= 2;
    q->pages = vf_pages_new(image, err);
    q->credit = NOTED_FIRST;
    q->mask = bytes / sizeof *q->table - 1;
    q->table = vf_calloc_table(bytes, err);
    if (!q->pages || !q->table) {
        vf_quoter_free(q);
        return NULL;
    }
    for (uint64_t i = 1; i < 256; i++) /* gear[0] is 0, so that no place is among zeros only */
        q->gear[i] = mix(i);
    return q;
}

void vf_quoter_free(struct vf_quoter *q)
{
    if (!q)
        return;
    vf_pages_free(q->pages);
    free(q->table);
    free(q);
}

/* ---- places ---- */

static inline __attribute__((always_inline)) void step(struct lane *l, uint64_t *h,
                                                       const uint64_t *gear, const uint8_t *p)
{
    *h = 2 * *h + gear[*p];
    if (__builtin_expect((*h & SAMPLE) == SAMPLE, 0) && l->n < LANE_SAMPLES)
        l->found[l->n++] = (struct sample){*h, 0, (uint64_t)(uintptr_t)p};
}

/* Hashes n bytes in each lane. */
static void hash_lanes(const uint64_t *gear, struct lane l[LANES], size_t n)
{
    uint64_t h0 = l[0].h, h1 = l[1].h, h2 = l[2].h, h3 = l[3].h;
    const uint8_t *p0 = l[0].p, *p1 = l[1].p, *p2 = l[2].p, *p3 = l[3].p;

    for (size_t i = 0; i < n; i++) {
        step(&l[0], &h0, gear, p0 + i);
        step(&l[1], &h1, gear, p1 + i);
        step(&l[2], &h2, gear, p2 + i);
        step(&l[3], &h3, gear, p3 + i);
    }
}

/* Adds the places in data that are worth remembering to q->sample; data is content byte `byte` of
 * the image on, and at least HASHED bytes. */
static void sample_piece(struct vf_quoter *q, const uint8_t *all, const uint8_t *data, size_t len,
                         uint64_t byte)
{
    struct lane *l = q->lane;
    size_t each = len / LANES;

    for (size_t k = 0; k < LANES; k++) {
        l[k].p = data + k * each;
        l[k].h = 0;
        l[k].n = 0;
        for (size_t i = HASHED; i > 0; i--)
            l[k].h = 2 * l[k].h + q->gear[l[k].p[-(ptrdiff_t)i]];
    }
    hash_lanes(q->gear, l, each);
    for (size_t k = 0; k < LANES; k++)
        for (size_t i = 0; i < l[k].n && q->n < SAMPLES_MAX; i++) {
            size_t pos = (size_t)((uintptr_t)l[k].found[i].byte - (uintptr_t)all) + 1;

            /* In a run of equal bytes every hash is the same: one place is enough. */
            if (q->n == 0 || q->sample[q->n - 1].hash != l[k].found[i].hash)
                q->sample[q->n++] = (struct sample){l[k].found[i].hash, (uint32_t)pos, byte + pos};
        }
}

/* The first HASHED bytes only begin a hash. */
static void sample(struct vf_quoter *q, const uint8_t *data, size_t len, uint64_t byte)
{
    for (size_t at = HASHED, n; at + LANES <= len; at += n) {
        n = len - at < PIECE ? (len - at) / LANES * LANES : PIECE;
        sample_piece(q, data, data + at, n, byte);
    }
}

static uint64_t *bucket(const struct vf_quoter *q, uint64_t mixed)
{
    return q->table[mixed & q->mask];
}

/* From sample `from` on: hashes that depend evenly on all bytes. */
static void prepare(struct vf_quoter *q, size_t from)
{
    for (size_t i = from; i < q->n; i++)
        q->sample[i].hash = mix(q->sample[i].hash);
}

static void remember(struct vf_quoter *q, size_t from, uint64_t flags)
{
    for (size_t i = from; i < q->n; i++) {
        const struct sample *s = &q->sample[i];
        uint64_t *b = bucket(q, s->hash), check = s->hash & CHECK_MASK;
        size_t k = 0;

        if (i + AHEAD < q->n)
            __builtin_prefetch(bucket(q, s[AHEAD].hash), 1);
        if (s->byte > PLACE_MASK)
            continue;
        while (k < WAYS - 1 && b[k] && (b[k] & CHECK_MASK) != check)
            k++;
        memmove(b + 1, b, k * sizeof *b);
        b[0] = check | flags | s->byte;
    }
    q->n = from;
}

void vf_quoter_note(struct vf_quoter *q, uint64_t first, size_t n, const uint8_t *data)
{
    size_t from = q->n;

    sample(q, data, n * VF_BLOCK, first * VF_BLOCK);
    prepare(q, from);
    remember(q, from, PLACE_HAD);
}

void vf_quoter_commit(struct vf_quoter *q) { remember(q, 0, 0); }

bool vf_quoter_wants(struct vf_quoter *q, size_t n, bool hurry)
{
    if (q->credit <= (hurry ? NOTED_HURRY : 0))
        return ++q->asked % NOTED_SAMPLE == 0;
    q->credit -= (int64_t)(n * VF_BLOCK);
    return true;
}

/* ---- matches ---- */

/* A stretch of literals in which matches are looked for, and what may be quoted in it. */
struct stretch {
    const uint8_t *data;
    size_t len, anchor; /* bytes; the first that is not quoted yet */
    uint64_t limit;     /* quotes end before this byte of the image */
};

static size_t same_forward(const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t i = 0;

    for (uint64_t x, y; i + 8 <= n; i += 8) {
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        if (x != y)
            return i + (size_t)__builtin_ctzll(x ^ y) / 8;
    }
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

/* The same before a and b. */
static size_t same_backward(const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t i = 0;

    for (uint64_t x, y; i + 8 <= n; i += 8) {
        memcpy(&x, a - i - 8, 8);
        memcpy(&y, b - i - 8, 8);
        if (x != y)
            return i + (size_t)__builtin_clzll(x ^ y) / 8;
    }
    while (i < n && a[-1 - (ptrdiff_t)i] == b[-1 - (ptrdiff_t)i])
        i++;
    return i;
}

static size_t less(size_t a, uint64_t b) { return b < a ? (size_t)b : a; }

/* How far the image around byte e equals the stretch around pos: bytes before and after.  0 or
 * -1. */
static int compare(struct vf_quoter *q, const struct stretch *s, size_t pos, uint64_t e,
                   size_t *ret_before, size_t *ret_after, struct vf_error *err)
{
    size_t most_before = less(pos - s->anchor, e), most_after = less(s->len - pos, s->limit - e);
    size_t back = less(HASHED + READ_BACK, most_before), on = less(READ_ON, most_after);
    size_t before, after;

    if (vf_pages_read(q->pages, q->buf, back + on, e - back, UINT64_MAX, err) < 0)
        return -1;
    before = same_backward(q->buf + back, s->data + pos, back);
    after = same_forward(q->buf + back, s->data + pos, on);
    while (after == on && on < most_after) {
        size_t n = less(READ_MORE, most_after - on);

        if (vf_pages_read(q->pages, q->buf, n, e + on, UINT64_MAX, err) < 0)
            return -1;
        after += same_forward(q->buf, s->data + pos + on, n);
        on += n;
    }
    while (before == back && back < most_before) {
        size_t n = less(READ_MORE, most_before - back);

        if (vf_pages_read(q->pages, q->buf, n, e - back - n, UINT64_MAX, err) < 0)
            return -1;
        before += same_backward(q->buf + n, s->data + pos - back, n);
        back += n;
    }
    *ret_before = before;
    *ret_after = after;
    return 0;
}

static bool all_zero(const uint8_t *p, size_t n)
{
    return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

/* Leaves off what lies in zero blocks of the image: nothing is written there at the receiver, who
 * may have old content at that place until the batch is verified.  data: the matching bytes, for
 * [*from, *from + *len); `keep` lies in it. */
static void without_zeros(const uint8_t *data, uint64_t keep, uint64_t *from, size_t *len)
{
    uint64_t at = *from, end = *from + *len, lo = at;

    while (at < end) {
        uint64_t next = (at / VF_BLOCK + 1) * VF_BLOCK;

        next = next < end ? next : end;
        if (all_zero(data + (at - *from), (size_t)(next - at))) {
            if (next > keep) {
                end = at;
                break;
            }
            lo = next;
        }
        at = next;
    }
    *len = lo < end ? (size_t)(end - lo) : 0;
    *from = lo;
}

/* Tries one place; a match moves s->anchor behind it. */
static int try_place(struct vf_quoter *q, struct stretch *s, size_t pos, uint64_t place,
                     uint64_t at, struct vf_buf *ret, struct vf_error *err)
{
    uint64_t e = place & PLACE_MASK, from;
    struct vf_quote quote;
    size_t before, after, len, to;

    if (e > s->limit)
        return 0;
    if (compare(q, s, pos, e, &before, &after, err) < 0)
        return -1;
    from = e - before;
    len = before + after;
    if (len < VF_QUOTE_LEAST)
        return 0;
    without_zeros(s->data + pos - before, e, &from, &len);
    if (len < VF_QUOTE_LEAST)
        return 0;
    to = pos - before + (size_t)(from - (e - before));
    quote = (struct vf_quote){at + to, len, from};
    if (vf_buf_add(ret, &quote, sizeof quote, err) < 0)
        return -1;
    s->anchor = to + len;
    if (place & PLACE_HAD)
        q->credit += (int64_t)len * NOTED_WORTH;
    return 0;
}

int vf_quoter_find(struct vf_quoter *q, uint64_t record, uint64_t first, size_t n,
                   const uint8_t *data, uint64_t at, struct vf_buf *ret, struct vf_error *err)
{
    struct stretch s = {data, n * VF_BLOCK, 0, record * VF_BLOCK};
    size_t from = q->n;

    sample(q, data, s.len, first * VF_BLOCK);
    prepare(q, from);
    for (size_t i = from; i < q->n; i++) {
        const struct sample *p = &q->sample[i];
        const uint64_t *b = bucket(q, p->hash);

        if (i + AHEAD < q->n)
            __builtin_prefetch(bucket(q, p[AHEAD].hash));
        if (p->pos <= s.anchor || ret->len / sizeof(struct vf_quote) == VF_QUOTES_MAX)
            continue;
        for (size_t k = 0; k < WAYS && b[k]; k++)
            if (((b[k] ^ p->hash) & CHECK_MASK) == 0) {
                if (try_place(q, &s, p->pos, b[k], at, ret, err) < 0)
                    return -1;
                break;
            }
    }
    return 0;
}
