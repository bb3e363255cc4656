/* core/similar/sketch_code.c - sketches to bytes and back (core/similar/SUMMARY.md, "Sketch"). */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/similar/sketch_impl.h"

/* ---- gaps: all take `width` bytes, but for few that are larger: marked by all ones, 8 more bytes.
 * A fixed width is read three times as fast as varints, and takes less. ---- */

#define WIDTH_MAX 6u

/* Gaps from here on do not fit. */
static uint64_t mark_of(unsigned width) { return (UINT64_C(1) << 8 * width) - 1; }

/* The width that takes the fewest bytes. */
static unsigned choose_width(const uint64_t *fp, size_t n)
{
    uint64_t larger[WIDTH_MAX + 1] = {0}, next = 0, best = UINT64_MAX;
    unsigned width = 1;

    for (size_t i = 0; i < n; i++) {
        for (unsigned w = 1; w <= WIDTH_MAX && fp[i] - next >= mark_of(w); w++)
            larger[w]++;
        next = fp[i] + 1;
    }
    for (unsigned w = 1; w <= WIDTH_MAX; w++)
        if ((uint64_t)n * w + 8 * larger[w] < best) {
            best = (uint64_t)n * w + 8 * larger[w];
            width = w;
        }
    return width;
}

int vf_gaps_write(const uint64_t *fp, size_t n, struct vf_buf *ret, struct vf_error *err)
{
    const unsigned width = choose_width(fp, n);
    const uint64_t mark = mark_of(width);
    uint64_t next = 0; /* the least that can come */

    if (n == 0)
        return 0;
    if (vf_buf_u8(ret, (uint8_t)width, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        const uint64_t gap = fp[i] - next, le = htole64(gap < mark ? gap : mark);

        if (vf_buf_add(ret, &le, width, err) < 0 || (gap >= mark && vf_buf_u64(ret, gap, err) < 0))
            return -1;
        next = fp[i] + 1;
    }
    return 0;
}

/* width bytes at p; 8 may be read. */
static inline uint64_t load(const uint8_t *p, uint64_t mark)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return le64toh(v) & mark;
}

bool vf_gaps_read(struct vf_reader *r, uint64_t *ret, size_t n, uint64_t end)
{
    uint64_t next = 0, mark, gap, le;
    uint8_t width;

    if (n == 0)
        return true;
    if (!vf_reader_u8(r, &width) || width < 1 || width > WIDTH_MAX)
        return false;
    mark = mark_of(width);
    for (size_t i = 0; i < n; i++) {
        if (vf_reader_left(r) >= sizeof gap) {
            gap = load(r->p, mark);
            r->p += width;
        } else {
            le = 0;
            if (!vf_reader_copy(r, &le, width))
                return false;
            gap = le64toh(le);
        }
        if (gap == mark && (!vf_reader_u64(r, &gap) || gap < mark))
            return false;
        if (gap >= end - next)
            return false;
        ret[i] = next + gap;
        next = ret[i] + 1;
    }
    return true;
}

static int write_strata(const struct vf_sketch *s, struct vf_buf *ret, struct vf_error *err)
{
    unsigned n = VF_SKETCH_STRATA;

    while (n && s->stratum[n - 1].contents == 0)
        n--;
    if (vf_buf_varint(ret, n, err) < 0)
        return -1;
    for (unsigned g = 0; g < n; g++)
        if (vf_buf_varint(ret, s->stratum[g].contents, err) < 0 ||
            vf_buf_varint(ret, s->stratum[g].blocks, err) < 0)
            return -1;
    return 0;
}

/* Of the samples that occur more than once: samples since the last such one, occurrences less 2. */
static int write_counts(const struct vf_sketch *s, struct vf_buf *ret, struct vf_error *err)
{
    size_t more = 0, at = 0;

    for (size_t i = 0; i < s->n; i++)
        more += s->count[i] > 1;
    if (vf_buf_varint(ret, more, err) < 0)
        return -1;
    for (size_t i = 0; i < s->n; i++) {
        if (s->count[i] <= 1)
            continue;
        if (vf_buf_varint(ret, i - at, err) < 0 || vf_buf_varint(ret, s->count[i] - 2, err) < 0)
            return -1;
        at = i + 1;
    }
    return 0;
}

int vf_sketch_encode(const struct vf_sketch *s, struct vf_buf *ret, struct vf_error *err)
{
    if (vf_buf_varint(ret, s->scale, err) < 0 || vf_buf_varint(ret, s->zero_blocks, err) < 0 ||
        write_strata(s, ret, err) < 0 || vf_buf_varint(ret, s->n, err) < 0 ||
        vf_gaps_write(s->fp, s->n, ret, err) < 0 || write_counts(s, ret, err) < 0 ||
        vf_buf_varint(ret, s->heavy_n, err) < 0 ||
        vf_gaps_write(s->heavy_fp, s->heavy_n, ret, err) < 0)
        return -1;
    for (size_t i = 0; i < s->heavy_n; i++)
        if (vf_buf_varint(ret, s->heavy_count[i] - VF_SKETCH_HEAVY_COUNT, err) < 0)
            return -1;
    return 0;
}

/* ---- and back ---- */

static bool read_strata(struct vf_reader *r, struct vf_sketch *s)
{
    uint64_t n, blocks = s->zero_blocks;

    if (!vf_reader_varint(r, &n) || n > VF_SKETCH_STRATA)
        return false;
    for (unsigned g = 0; g < n; g++) {
        struct vf_stratum *t = &s->stratum[g];

        if (!vf_reader_varint(r, &t->contents) || !vf_reader_varint(r, &t->blocks) ||
            t->blocks > VF_MAX_BLOCKS - blocks || t->contents > t->blocks >> g ||
            (t->blocks && t->contents <= t->blocks >> (g + 1)) || (t->contents == 0 && t->blocks))
            return false;
        blocks += t->blocks;
    }
    return n == 0 || s->stratum[n - 1].contents;
}

/* A length whose things take a byte each at least. */
static bool read_n(struct vf_reader *r, uint64_t max, size_t *ret)
{
    uint64_t n;

    if (!vf_reader_varint(r, &n) || n > max || n > vf_reader_left(r))
        return false;
    *ret = (size_t)n;
    return true;
}

static bool read_counts(struct vf_reader *r, struct vf_sketch *s)
{
    uint64_t skip, extra;
    size_t more, at = 0;

    for (size_t i = 0; i < s->n; i++)
        s->count[i] = 1;
    if (!read_n(r, s->n, &more))
        return false;
    for (; more; more--) {
        if (!vf_reader_varint(r, &skip) || !vf_reader_varint(r, &extra) || skip >= s->n - at ||
            extra > UINT32_MAX - 2)
            return false;
        at += (size_t)skip;
        s->count[at++] = (uint32_t)extra + 2;
    }
    return true;
}

static bool read_heavy_counts(struct vf_reader *r, struct vf_sketch *s)
{
    uint64_t extra;

    for (size_t i = 0; i < s->heavy_n; i++) {
        if (!vf_reader_varint(r, &extra) || extra > UINT32_MAX - VF_SKETCH_HEAVY_COUNT)
            return false;
        s->heavy_count[i] = (uint32_t)extra + VF_SKETCH_HEAVY_COUNT;
    }
    return true;
}

static int malformed(struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_FORMAT, 0, "a sketch is malformed");
}

static int read_all(struct vf_reader *r, struct vf_sketch *s, struct vf_error *err)
{
    uint64_t scale;

    if (!vf_reader_varint(r, &scale) || scale > VF_SKETCH_SCALE_MAX ||
        !vf_reader_varint(r, &s->zero_blocks) || s->zero_blocks > VF_MAX_BLOCKS ||
        !read_strata(r, s) || !read_n(r, VF_SKETCH_SAMPLES_MAX, &s->n))
        return malformed(err);
    s->scale = (unsigned)scale;
    s->fp = vf_calloc(s->n, sizeof *s->fp, err);
    s->count = vf_calloc(s->n, sizeof *s->count, err);
    if (!s->fp || !s->count)
        return -1;
    if (s->n > vf_sketch_distinct(s) || !vf_gaps_read(r, s->fp, s->n, vf_sketch_end(s->scale)) ||
        !read_counts(r, s) || !read_n(r, VF_SKETCH_HEAVY, &s->heavy_n))
        return malformed(err);
    s->heavy_fp = vf_calloc(s->heavy_n, sizeof *s->heavy_fp, err);
    s->heavy_count = vf_calloc(s->heavy_n, sizeof *s->heavy_count, err);
    if (!s->heavy_fp || !s->heavy_count)
        return -1;
    if (!vf_gaps_read(r, s->heavy_fp, s->heavy_n, vf_sketch_end(0)) || !read_heavy_counts(r, s))
        return malformed(err);
    return 0;
}

int vf_sketch_read(struct vf_reader *r, struct vf_sketch *ret, struct vf_error *err)
{
    struct vf_sketch s = VF_SKETCH_INIT;
    struct vf_reader at = *r;

    if (read_all(&at, &s, err) < 0) {
        vf_sketch_free(&s);
        return -1;
    }
    *r = at;
    *ret = s;
    return 0;
}

int vf_sketch_decode(const void *data, size_t len, struct vf_sketch *ret, struct vf_error *err)
{
    struct vf_reader r = vf_reader_over(data, len);

    if (vf_sketch_read(&r, ret, err) < 0)
        return -1;
    if (vf_reader_left(&r) == 0)
        return 0;
    vf_sketch_free(ret);
    return malformed(err);
}
