/* The source's side of the literal stream: packing and compressing. */
#include "core/literals/literals.h"

#include <string.h>
#include <zstd.h>

#include "core/buf.h"
#include "core/checked.h"
#include "core/clock.h"
#include "core/literals/literals_impl.h"
#include "core/load.h"

#define LONG_LEVEL    3  /* from here on with the whole window and long-distance matching */
#define SHORT_WINDOW  22 /* for the levels below, 2^n bytes */
#define SHORT_MATCH   6  /* and so many bytes for a match and a table of 2^n: zstd's own 7 and 14 */
#define SHORT_TABLE   16 /* take a tenth less time and give 5 % more (bench/BENCHMARKING.md) */
#define RICH_TABLE    17 /* 1.5 % less, for 7 % more of zstd's time */
#define LDM_LEAST     22
#define LDM_TABLE_LOG 22
#define LDM_RATE_LOG  7 /* of zstd: one place in 128 */

struct vf_packer {
    ZSTD_CCtx *cctx; /* NULL: plain */
    vf_pack_fn *fn;
    vf_stock_fn *stock;
    void *ctx;
    unsigned window_log;
    int short_table;
    int level; /* 0: plain */
    bool adapts;
    struct vf_adapt adapt;
    struct vf_load load;
    uint64_t mark;         /* when this call, or the last one, ended */
    struct vf_times times; /* of the current call */
    uint64_t made;         /* bytes handed on in the current call */
    struct vf_buf header;
    size_t used; /* bytes waiting in out */
    uint8_t *out;
};

static int set(struct vf_packer *p, ZSTD_cParameter name, int value, struct vf_error *err)
{
    size_t rc = ZSTD_CCtx_setParameter(p->cctx, name, value);

    return ZSTD_isError(rc) ? vf_zstd_failed(rc, err) : 0;
}

/* Takes a level from the next frame on.  The weakest goes with a window that stays in the
 * processor's caches, here and at the receiver: where the link is that fast, time is what counts.
 */
static int set_level(struct vf_packer *p, int level, struct vf_error *err)
{
    unsigned log =
        level < LONG_LEVEL && p->window_log > SHORT_WINDOW ? SHORT_WINDOW : p->window_log;
    bool far = level >= LONG_LEVEL && log >= LDM_LEAST;

    p->level = level;
    if (set(p, ZSTD_c_compressionLevel, level, err) < 0 ||
        set(p, ZSTD_c_windowLog, (int)log, err) < 0 ||
        set(p, ZSTD_c_minMatch, level < LONG_LEVEL ? SHORT_MATCH : 0, err) < 0 ||
        set(p, ZSTD_c_hashLog, level < LONG_LEVEL ? p->short_table : 0, err) < 0 ||
        set(p, ZSTD_c_enableLongDistanceMatching, far, err) < 0)
        return -1;
    /* Its table, 8 bytes an entry, would grow with the window; quotes reach further for less. */
    return set(p, ZSTD_c_ldmHashLog, far && log >= LDM_TABLE_LOG + LDM_RATE_LOG ? LDM_TABLE_LOG : 0,
               err);
}

bool vf_packer_hurries(const struct vf_packer *p) { return p->level < LONG_LEVEL; }

bool vf_packer_strong(const struct vf_packer *p) { return p->level > VF_LEVEL_FIRST; }

/* One thread: with workers of its own zstd would cut the input into jobs that do not see each
 * other's matches, which costs 2 to 6 % on disk images (bench/BENCHMARKING.md). */
static int set_up(struct vf_packer *p, const struct vf_pack_opts *o, struct vf_error *err)
{
    p->cctx = ZSTD_createCCtx();
    if (!p->cctx)
        return vf_error_nomem(err);
    p->window_log = o->window_log;
    p->short_table = o->rich ? RICH_TABLE : SHORT_TABLE;
    if (set_level(p, p->adapts ? p->adapt.level : o->level, err) < 0)
        return -1;
    return set(p, ZSTD_c_contentSizeFlag, 0, err);
}

struct vf_packer *vf_packer_new(const struct vf_pack_opts *opts, vf_pack_fn *fn, void *ctx,
                                struct vf_error *err)
{
    struct vf_packer *p = vf_calloc(1, sizeof *p, err);

    if (!p)
        return NULL;
    p->fn = fn;
    p->stock = opts->stock;
    p->ctx = ctx;
    p->adapts = opts->level == VF_LEVEL_AUTO;
    vf_load_open(&p->load);
    vf_adapt_init(&p->adapt, opts->most, p->load.processors);
    p->mark = vf_clock_ns();
    p->out = vf_calloc(VF_PACK_OUT, 1, err);
    if (!p->out || (opts->level != 0 && set_up(p, opts, err) < 0)) {
        vf_packer_free(p);
        return NULL;
    }
    p->out[p->used++] = opts->level ? CODE_ZSTD : CODE_PLAIN;
    return p;
}

void vf_packer_free(struct vf_packer *p)
{
    if (!p)
        return;
    vf_load_close(&p->load);
    ZSTD_freeCCtx(p->cctx);
    vf_buf_free(&p->header);
    free(p->out);
    free(p);
}

static int hand_on(struct vf_packer *p, struct vf_error *err)
{
    uint64_t before = vf_clock_ns();
    size_t n = p->used;
    int rc;

    p->used = 0;
    p->made += n;
    rc = n ? p->fn(p->ctx, &p->out, n, err) : 0;
    p->times.link += vf_clock_ns() - before;
    return rc;
}

/* Lets the compressor take bytes and give bytes; *ret_left: it has more to give. */
static int compress(struct vf_packer *p, ZSTD_inBuffer *in, ZSTD_EndDirective end, size_t *ret_left,
                    struct vf_error *err)
{
    ZSTD_outBuffer out = {p->out, VF_PACK_OUT, p->used};
    uint64_t before = vf_clock_ns();

    *ret_left = ZSTD_compressStream2(p->cctx, &out, in, end);
    if (end == ZSTD_e_continue) /* flushing waits for the compressor by nature: that says nothing */
        p->times.compress += vf_clock_ns() - before;
    p->used = out.pos;
    return ZSTD_isError(*ret_left) ? vf_zstd_failed(*ret_left, err) : 0;
}

/* Puts bytes through the coder; end says whether to flush or to end the frame after them. */
static int code(struct vf_packer *p, const void *data, size_t len, ZSTD_EndDirective end,
                struct vf_error *err)
{
    ZSTD_inBuffer in = {data, len, 0};
    size_t left;

    do {
        if (p->used == VF_PACK_OUT && hand_on(p, err) < 0)
            return -1;
        if (p->cctx) {
            if (compress(p, &in, end, &left, err) < 0)
                return -1;
        } else {
            size_t n = VF_PACK_OUT - p->used < len - in.pos ? VF_PACK_OUT - p->used : len - in.pos;

            if (n) /* data may be NULL when len is 0 */
                memcpy(p->out + p->used, (const uint8_t *)data + in.pos, n);
            p->used += n;
            in.pos += n;
            left = 0;
        }
    } while (in.pos < len || (end != ZSTD_e_continue && left));
    return end == ZSTD_e_continue ? 0 : hand_on(p, err);
}

/* Tells the controller how the time of the last call went.  A new level begins a new frame. */
static int adapt(struct vf_packer *p, const struct vf_pack_runs *r, struct vf_error *err)
{
    struct vf_flow flow = {.len = r->len, .made = p->made};
    uint64_t now = vf_clock_ns(), all = now - p->mark, known = p->times.link + p->times.compress;
    bool change;

    p->mark = now;
    if (!p->adapts)
        return 0;
    p->times.other = all > known ? all - known : 0;
    p->times.prepare = r->prepare_ns;
    if (p->stock)
        flow.stock = p->stock(p->ctx);
    if (vf_adapt_due(&p->adapt, r->len, &p->times))
        p->times.idle = vf_load_idle(&p->load);
    change = vf_adapt_step(&p->adapt, &flow, &p->times);
    p->times = (struct vf_times){0};
    p->made = 0;
    if (!change)
        return 0;
    if (code(p, NULL, 0, ZSTD_e_end, err) < 0)
        return -1;
    return set_level(p, p->adapt.level, err);
}

/* The head of a record: its runs. */
static int put_runs(struct vf_buf *h, uint64_t base, const struct vf_pack_runs *r,
                    struct vf_error *err)
{
    if (vf_buf_varint(h, r->nquotes ? REC_QUOTING : REC_RUNS, err) < 0 ||
        vf_buf_varint(h, r->batch, err) < 0 || vf_buf_varint(h, r->n, err) < 0)
        return -1;
    for (size_t i = 0; i < r->n; i++) {
        const struct vf_lit_run *l = &r->runs[i];

        if (vf_buf_varint(h, l->run.first - base, err) < 0 ||
            vf_buf_varint(h, 2 * l->run.n + (l->back != 0), err) < 0 ||
            (l->back && vf_buf_varint(h, l->back, err) < 0))
            return -1;
        base = l->run.first + l->run.n;
    }
    return 0;
}

/* The quotes, each with the distance to the byte behind which all quoted bytes end. */
static int put_quotes(struct vf_buf *h, const struct vf_pack_runs *r, struct vf_error *err)
{
    uint64_t at = 0, limit = r->runs[0].run.first * VF_BLOCK;

    if (vf_buf_varint(h, r->nquotes, err) < 0)
        return -1;
    for (size_t i = 0; i < r->nquotes; i++) {
        const struct vf_quote *q = &r->quotes[i];

        if (vf_buf_varint(h, q->at - at, err) < 0 ||
            vf_buf_varint(h, q->len - VF_QUOTE_LEAST, err) < 0 ||
            vf_buf_varint(h, limit - q->from - q->len, err) < 0)
            return -1;
        at = q->at + q->len;
    }
    return 0;
}

int vf_packer_runs(struct vf_packer *p, uint64_t base, const struct vf_pack_runs *r,
                   struct vf_error *err)
{
    struct vf_buf *h = &p->header;

    vf_buf_clear(h);
    if (put_runs(h, base, r, err) < 0 || (r->nquotes && put_quotes(h, r, err) < 0))
        return -1;
    if (code(p, h->data, h->len, ZSTD_e_continue, err) < 0 ||
        (r->len && code(p, r->data, r->len, ZSTD_e_continue, err) < 0))
        return -1;
    return adapt(p, r, err);
}

int vf_packer_seal(struct vf_packer *p, uint32_t batch, const uint8_t sha[VF_SHA_LEN],
                   struct vf_error *err)
{
    struct vf_buf *h = &p->header;

    vf_buf_clear(h);
    if (vf_buf_varint(h, REC_SEAL, err) < 0 || vf_buf_varint(h, batch, err) < 0 ||
        vf_buf_add(h, sha, VF_SHA_LEN, err) < 0)
        return -1;
    return code(p, h->data, h->len, ZSTD_e_continue, err);
}

int vf_packer_flush(struct vf_packer *p, struct vf_error *err)
{
    return code(p, NULL, 0, ZSTD_e_flush, err);
}
