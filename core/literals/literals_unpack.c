/* The receiver's side of the literal stream: decompressing and taking apart, all of it hostile
 * until checked. */
#include "core/literals/literals.h"

#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "core/buf.h"
#include "core/checked.h"
#include "core/literals/literals_impl.h"

#define OUT_LEN (128u * 1024)
/* Varints of at most ten bytes, three to a run and three to a quote. */
#define HEADER_MAX (42u + VF_RUNS_MAX * 30u + VF_QUOTES_MAX * 30u)
#define BYTES_MAX  (VF_MAX_BLOCKS * VF_BLOCK)
#define MIX_LEN    (128u * VF_BLOCK)
/* A frame of so many bytes may have had a large window; smaller ones are not worth a new decoder.
 */
#define LARGE_FRAME (UINT64_C(1) << 20)

struct vf_unpacker {
    const struct vf_unpack_ops *ops;
    void *ctx;
    ZSTD_DCtx *dctx;
    unsigned window_log; /* the largest that is decoded */
    uint64_t frame;      /* bytes that came out of this frame */
    bool ended;          /* it is over */
    int coding;          /* -1: first byte not seen */
    struct vf_buf held;  /* a record's head that is not complete */
    size_t nruns, at;    /* runs in `found` whose bytes are coming; the one that is next */
    uint64_t done;       /* its blocks that have come */
    uint32_t batch;
    size_t nfound;
    struct vf_lit_run found[VF_RUNS_MAX];
    uint64_t seq;      /* bytes of the record's literal blocks so far, quoted ones included */
    size_t nquotes, q; /* quotes of the record; the one that is next, or in work */
    struct vf_quote quotes[VF_QUOTES_MAX];
    size_t mixed; /* bytes of blocks that are not complete, or that have quoted bytes */
    uint8_t mix[MIX_LEN];
    uint8_t out[OUT_LEN];
};

/* A decoder for the next frame.  zstd's would go on with the memory that the largest window so far
 * has taken, from end to end: behind the 128 MiB of the first frame the 4 MiB of a weak effort
 * would never be in a cache. */
static int new_decoder(struct vf_unpacker *u, struct vf_error *err)
{
    size_t rc;

    ZSTD_freeDCtx(u->dctx);
    u->dctx = ZSTD_createDCtx();
    if (!u->dctx)
        return vf_error_nomem(err);
    u->frame = 0;
    u->ended = false;
    rc = ZSTD_DCtx_setParameter(u->dctx, ZSTD_d_windowLogMax, (int)u->window_log);
    return ZSTD_isError(rc) ? vf_zstd_failed(rc, err) : 0;
}

struct vf_unpacker *vf_unpacker_new(unsigned window_log, const struct vf_unpack_ops *ops, void *ctx,
                                    struct vf_error *err)
{
    struct vf_unpacker *u = vf_calloc(1, sizeof *u, err);

    if (!u)
        return NULL;
    u->ops = ops;
    u->ctx = ctx;
    u->coding = -1;
    u->window_log = window_log;
    if (new_decoder(u, err) == 0)
        return u;
    vf_unpacker_free(u);
    return NULL;
}

void vf_unpacker_free(struct vf_unpacker *u)
{
    if (!u)
        return;
    ZSTD_freeDCtx(u->dctx);
    vf_buf_free(&u->held);
    free(u);
}

static int malformed(struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_PROTOCOL, 0, "malformed literal stream");
}

/* Reads runs.  1: complete, 0: more bytes are needed, -1. */
static int parse_runs(struct vf_unpacker *u, struct vf_reader *r, struct vf_error *err)
{
    uint64_t batch, n, pos, gap, what, back;

    if (!vf_reader_varint(r, &batch) || !vf_reader_varint(r, &n))
        return 0;
    if (batch > UINT32_MAX || n == 0 || n > VF_RUNS_MAX ||
        !u->ops->base(u->ctx, (uint32_t)batch, &pos))
        return malformed(err);
    for (size_t i = 0; i < n; i++) {
        back = 0;
        if (!vf_reader_varint(r, &gap) || !vf_reader_varint(r, &what) ||
            (what % 2 && !vf_reader_varint(r, &back)))
            return 0;
        if (gap > VF_MAX_BLOCKS || what / 2 == 0 || what / 2 > VF_MAX_BLOCKS ||
            pos > VF_MAX_BLOCKS || (what % 2 && (back == 0 || back > pos + gap)))
            return malformed(err);
        pos += gap;
        u->found[i] = (struct vf_lit_run){{pos, what / 2}, back};
        pos += what / 2;
    }
    u->batch = (uint32_t)batch;
    u->nfound = (size_t)n;
    return 1;
}

/* Reads the quotes that follow the runs in u->found.  1: complete, 0: more bytes are needed, -1. */
static int parse_quotes(struct vf_unpacker *u, struct vf_reader *r, struct vf_error *err)
{
    uint64_t n, gap, len, dist, at = 0, limit = u->found[0].run.first * VF_BLOCK;
    uint64_t run_end = 0; /* of the literal run that holds `at`, counted as `at` is */
    size_t run = 0;       /* behind it */

    if (!vf_reader_varint(r, &n))
        return 0;
    if (n == 0 || n > VF_QUOTES_MAX)
        return malformed(err);
    for (size_t i = 0; i < n; i++) {
        if (!vf_reader_varint(r, &gap) || !vf_reader_varint(r, &len) || !vf_reader_varint(r, &dist))
            return 0;
        if (gap > BYTES_MAX || len > BYTES_MAX - VF_QUOTE_LEAST)
            return malformed(err);
        len += VF_QUOTE_LEAST;
        at += gap;
        while (at >= run_end && run < u->nfound) {
            run_end += u->found[run].back ? 0 : u->found[run].run.n * VF_BLOCK;
            run++;
        }
        if (at >= run_end || len > run_end - at || len > limit || dist > limit - len)
            return malformed(err);
        u->quotes[i] = (struct vf_quote){at, len, limit - len - dist};
        at += len;
    }
    u->nquotes = (size_t)n;
    return 1;
}

/* Reads the head of a record that brings blocks.  1: complete, 0: more bytes are needed, -1. */
static int parse_blocks(struct vf_unpacker *u, struct vf_reader *r, bool quoting,
                        struct vf_error *err)
{
    int rc = parse_runs(u, r, err);

    u->nquotes = 0;
    if (rc == 1 && quoting)
        rc = parse_quotes(u, r, err);
    if (rc < 1)
        return rc;
    u->nruns = u->nfound;
    u->at = u->q = 0;
    u->done = u->seq = 0;
    return u->ops->runs(u->ctx, u->batch, u->found, u->nruns, err) < 0 ? -1 : 1;
}

/* Reads one record's head.  1: complete, 0: more bytes are needed, -1. */
static int parse_head(struct vf_unpacker *u, struct vf_reader *r, struct vf_error *err)
{
    uint64_t kind, number;
    uint8_t sha[VF_SHA_LEN];

    if (!vf_reader_varint(r, &kind))
        return 0;
    if (kind == REC_RUNS || kind == REC_QUOTING)
        return parse_blocks(u, r, kind == REC_QUOTING, err);
    if (kind != REC_SEAL)
        return malformed(err);
    if (!vf_reader_varint(r, &number) || !vf_reader_copy(r, sha, sizeof sha))
        return 0;
    if (number > UINT32_MAX)
        return malformed(err);
    return u->ops->seal(u->ctx, (uint32_t)number, sha, err) < 0 ? -1 : 1;
}

/* n blocks of the literal run whose turn it is. */
static int pass_on(struct vf_unpacker *u, size_t n, const uint8_t *data, struct vf_error *err)
{
    uint64_t first = u->found[u->at].run.first + u->done;

    u->done += n;
    return u->ops->blocks(u->ctx, u->batch, first, n, data, err);
}

/* Adds bytes to u->mix: quoted ones, or what is there of the others.  0: none are there, 1: some
 * were added, -1. */
static int mix(struct vf_unpacker *u, struct vf_reader *r, uint64_t left, uint64_t plain,
               struct vf_error *err)
{
    size_t n = MIX_LEN - u->mixed;

    n = n < left ? n : (size_t)left;
    if (plain == 0) {
        struct vf_quote *q = &u->quotes[u->q];

        n = n < q->len ? n : (size_t)q->len;
        if (u->ops->quoted(u->ctx, u->batch, q->from, u->mix + u->mixed, n, err) < 0)
            return -1;
        q->at += n;
        q->from += n;
        q->len -= n;
        u->q += q->len == 0;
    } else {
        n = n < plain ? n : (size_t)plain;
        n = n < vf_reader_left(r) ? n : vf_reader_left(r);
        (void)vf_reader_copy(r, u->mix + u->mixed, n); /* there are that many */
    }
    u->mixed += n;
    u->seq += n;
    return n != 0;
}

/* Passes on what can be of the literal run whose turn it is, in whole blocks.  As mix. */
static int take_blocks(struct vf_unpacker *u, struct vf_reader *r, struct vf_error *err)
{
    uint64_t blocks = u->found[u->at].run.n - u->done, left = blocks * VF_BLOCK - u->mixed;
    uint64_t plain = u->q < u->nquotes ? u->quotes[u->q].at - u->seq : UINT64_MAX;
    int rc;

    if (u->mixed == 0 && plain >= VF_BLOCK && vf_reader_left(r) >= VF_BLOCK) {
        uint64_t n = vf_reader_left(r) / VF_BLOCK;
        const uint8_t *p;

        n = n < blocks ? n : blocks;
        n = n < plain / VF_BLOCK ? n : plain / VF_BLOCK;
        (void)vf_reader_bytes(r, (size_t)n * VF_BLOCK, &p); /* there are that many */
        u->seq += n * VF_BLOCK;
        return pass_on(u, (size_t)n, p, err) < 0 ? -1 : 1;
    }
    rc = mix(u, r, left, plain, err);
    if (rc == 1 && (u->mixed == MIX_LEN || u->mixed == blocks * VF_BLOCK)) {
        if (pass_on(u, u->mixed / VF_BLOCK, u->mix, err) < 0)
            return -1;
        u->mixed = 0;
    }
    return rc;
}

/* The record's runs, as far as their bytes have come.  1: the record is complete, 0: more bytes are
 * needed, -1. */
static int take_runs(struct vf_unpacker *u, struct vf_reader *r, struct vf_error *err)
{
    while (u->at < u->nruns) {
        const struct vf_lit_run *l = &u->found[u->at];
        int rc = 1;

        if (l->back)
            rc = u->ops->again(u->ctx, u->batch, l->run, l->back, err) < 0 ? -1 : 1;
        else if (u->done < l->run.n)
            rc = take_blocks(u, r, err);
        if (rc < 1)
            return rc;
        if (l->back || u->done == l->run.n) {
            u->at++;
            u->done = 0;
        }
    }
    return 1;
}

/* Takes plain bytes of the stream apart. */
static int take(struct vf_unpacker *u, const uint8_t *bytes, size_t len, struct vf_error *err)
{
    struct vf_reader r = vf_reader_over(bytes, len);

    while (vf_reader_left(&r)) {
        struct vf_reader head = r;
        size_t had = u->held.len;
        int rc;

        if (u->at < u->nruns) {
            if (take_runs(u, &r, err) < 0)
                return -1;
            continue;
        }
        if (had) { /* parse again what was held back, and what has come since */
            size_t more =
                HEADER_MAX - had < vf_reader_left(&r) ? HEADER_MAX - had : vf_reader_left(&r);

            if (vf_buf_add(&u->held, r.p, more, err) < 0)
                return -1;
            head = vf_reader_over(u->held.data, u->held.len);
        }
        rc = parse_head(u, &head, err);
        if (rc < 0)
            return -1;
        if (rc == 0) {
            if (had + vf_reader_left(&r) >= HEADER_MAX)
                return malformed(err);
            return had ? 0 : vf_buf_add(&u->held, r.p, vf_reader_left(&r), err);
        }
        r.p += had ? (size_t)(head.p - u->held.data) - had : (size_t)(head.p - r.p);
        vf_buf_clear(&u->held);
        if (take_runs(u, &r, err) < 0) /* now: there may be no more bytes, and none needed */
            return -1;
    }
    return 0;
}

int vf_unpacker_feed(struct vf_unpacker *u, const uint8_t *bytes, size_t len, struct vf_error *err)
{
    ZSTD_inBuffer in = {bytes, len, 0};
    ZSTD_outBuffer out = {u->out, OUT_LEN, 0};

    if (len && u->coding < 0) {
        u->coding = bytes[0];
        in.pos = 1;
        if (u->coding > CODE_ZSTD)
            return malformed(err);
    }
    if (u->coding == CODE_PLAIN)
        return take(u, bytes + in.pos, len - in.pos, err);
    do {
        size_t rc;

        if (u->ended && u->frame >= LARGE_FRAME && new_decoder(u, err) < 0)
            return -1;
        out.pos = 0;
        rc = ZSTD_decompressStream(u->dctx, &out, &in); /* begins the next frame by itself */
        if (ZSTD_isError(rc))
            return vf_error_set(err, VF_ERR_PROTOCOL, 0, "literal stream: %s",
                                ZSTD_getErrorName(rc));
        u->frame += out.pos;
        u->ended = rc == 0;
        if (take(u, u->out, out.pos, err) < 0)
            return -1;
    } while (in.pos < len || out.pos == OUT_LEN);
    return 0;
}
