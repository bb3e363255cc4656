#include "core/literals/quote.h"

#include <string.h>

#include "core/checked.h"
#include "core/literals/places.h"
#include "core/pages.h"

#define LEAST_TABLE (UINT64_C(1) << 20)
#define WAYS        4u /* places in a bucket, the newest first */

/* A place: check in the top bits, then whether the receiver had it, then the position of the byte
 * behind the hashed ones; 0: none.  What lies beyond 16 TiB is not remembered. */
#define PLACE_BITS 44
#define PLACE_MASK ((UINT64_C(1) << PLACE_BITS) - 1)
#define PLACE_HAD  (UINT64_C(1) << PLACE_BITS)
#define CHECK_MASK (~((PLACE_HAD << 1) - 1))

/* A place (core/literals/places.h) is remembered under a hash of the HASHED bytes that end with it.
 */
#define HASHED 64u

#define PIECE        (16u * 1024) /* bytes whose places are found at a time */
#define HURRY_LEAST  128u         /* bytes of a quote, where time is short */
#define READ_BACK    192u         /* bytes before a place, and after it, that are read at first */
#define READ_ON      832u
#define READ_MORE    16384u
#define NOTED_FIRST  (INT64_C(512) << 20) /* bytes that are noted before there is a judgement */
#define NOTED_HURRY  (INT64_C(192) << 20) /* credit that is left alone where time is short */
#define NOTED_WORTH  64                   /* bytes noted for each that was quoted */
#define NOTED_SAMPLE 16 /* then one stretch in so many, to see whether that changed */

struct sample {
    uint64_t hash;
    uint32_t pos; /* of the byte behind the hashed ones, in the data that is searched */
};

struct vf_quoter {
    struct vf_pages *pages;
    uint64_t (*table)[WAYS];
    uint64_t mask;
    int64_t credit; /* bytes of the receiver's that may still be noted */
    unsigned asked;
    bool hurry;
    size_t n;
    struct sample sample[PIECE];
    uint32_t found[PIECE];
    enum vf_simd way;
    uint8_t buf[READ_MORE];
};

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
    q->way = vf_simd_best();
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

void vf_quoter_touch(struct vf_quoter *q)
{
    vf_table_touch(q->table, (q->mask + 1) * sizeof *q->table);
}

/* ---- places ---- */

static uint64_t *bucket(const struct vf_quoter *q, uint64_t hash)
{
    return q->table[hash & q->mask];
}

/* Of the HASHED bytes before p.  Multiplied in two lines, so that one need not wait for the other.
 */
static uint64_t hash_before(const uint8_t *p)
{
    uint64_t a = UINT64_C(0x9e3779b97f4a7c15), b = UINT64_C(0xbf58476d1ce4e5b9);

    for (size_t i = HASHED; i; i -= 16) {
        uint64_t x, y;

        memcpy(&x, p - i, sizeof x);
        memcpy(&y, p - i + 8, sizeof y);
        a = (a ^ x ^ a >> 32) * UINT64_C(0x9e3779b97f4a7c15);
        b = (b ^ y ^ b >> 32) * UINT64_C(0xbf58476d1ce4e5b9);
    }
    a = (a ^ a >> 29) * UINT64_C(0xbf58476d1ce4e5b9) + b;
    a = (a ^ a >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    return a ^ a >> 32;
}

/* The places in the next piece of data, of which *at bytes are done, to q->sample; their buckets
 * are on their way from memory.  false: that was all. */
static bool next_piece(struct vf_quoter *q, const uint8_t *data, size_t len, size_t *at)
{
    size_t n, places, behind = HASHED - VF_PLACE_LEN;

    if (*at == 0)
        *at = behind;
    if (*at + VF_PLACE_LEN > len)
        return false;
    n = len - VF_PLACE_LEN + 1 - *at;
    n = n < PIECE ? n : PIECE;
    places = vf_places_find(q->way, data + *at, n, q->hurry, q->found);
    q->n = 0;
    for (size_t i = 0; i < places; i++) {
        size_t pos = *at + q->found[i] + VF_PLACE_LEN;
        uint64_t hash = hash_before(data + pos);

        /* In a run of equal bytes every hash is the same: one place is enough. */
        if (q->n && q->sample[q->n - 1].hash == hash)
            continue;
        __builtin_prefetch(bucket(q, hash), 1);
        q->sample[q->n++] = (struct sample){hash, (uint32_t)pos};
    }
    *at += n;
    return true;
}

/* The way of the bucket that remembers such a hash; WAYS: none.  All are looked at, because it
 * cannot be foretold which it is.  An empty one hardly ever fits, and does no harm: what is found
 * is compared. */
static size_t find_way(const uint64_t *b, uint64_t hash)
{
    unsigned fits = 1u << WAYS;

    for (unsigned k = 0; k < WAYS; k++)
        fits |= (unsigned)(((b[k] ^ hash) & CHECK_MASK) == 0) << k;
    return (size_t)__builtin_ctz(fits);
}

/* Puts a place at the front of its bucket, where way k (WAYS: the oldest) makes room. */
static void remember(uint64_t *b, size_t k, uint64_t hash, uint64_t flags, uint64_t byte)
{
    if (byte > PLACE_MASK)
        return;
    for (size_t i = WAYS - 1; i; i--) /* all: as above */
        b[i] = k >= i ? b[i - 1] : b[i];
    b[0] = (hash & CHECK_MASK) | flags | byte;
}

void vf_quoter_note(struct vf_quoter *q, uint64_t first, size_t n, const uint8_t *data)
{
    size_t at = 0;

    while (next_piece(q, data, n * VF_BLOCK, &at))
        for (size_t i = 0; i < q->n; i++) {
            const struct sample *s = &q->sample[i];
            uint64_t *b = bucket(q, s->hash);

            remember(b, find_way(b, s->hash), s->hash, PLACE_HAD, first * VF_BLOCK + s->pos);
        }
}

void vf_quoter_hurry(struct vf_quoter *q, bool hurry) { q->hurry = hurry; }

bool vf_quoter_wants(struct vf_quoter *q, size_t n)
{
    if (q->credit <= (q->hurry ? NOTED_HURRY : 0))
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
    size_t before, after, len, to, least = q->hurry ? HURRY_LEAST : VF_QUOTE_LEAST;

    if (compare(q, s, pos, e, &before, &after, err) < 0)
        return -1;
    from = e - before;
    len = before + after;
    if (len < least)
        return 0;
    without_zeros(s->data + pos - before, e, &from, &len);
    if (len < least)
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
    size_t done = 0;

    while (next_piece(q, data, s.len, &done)) {
        for (size_t i = 0; i < q->n; i++) {
            const struct sample *p = &q->sample[i];
            uint64_t *b = bucket(q, p->hash);
            size_t k, anchor = s.anchor;

            if (p->pos <= s.anchor) /* quoted: where it came from is remembered */
                continue;
            k = find_way(b, p->hash);
            if (k < WAYS && (b[k] & PLACE_MASK) > s.limit)
                continue; /* of this record */
            if (k < WAYS && ret->len / sizeof(struct vf_quote) < VF_QUOTES_MAX &&
                try_place(q, &s, p->pos, b[k], at, ret, err) < 0)
                return -1;
            if (s.anchor == anchor)
                remember(b, k, p->hash, 0, first * VF_BLOCK + p->pos);
        }
        done = done > s.anchor ? done : s.anchor;
    }
    return 0;
}
