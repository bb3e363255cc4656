/* The receiver's side of the literal stream: decompressing and taking apart, all of it hostile
 * until checked. */
#include "core/literals.h"

#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "core/buf.h"
#include "core/checked.h"
#include "core/literals_impl.h"

#define OUT_LEN    (128u * 1024)
#define HEADER_MAX (32u + VF_RUNS_MAX * 30u) /* varints of at most ten bytes, three to a run */

struct vf_unpacker {
    const struct vf_unpack_ops *ops;
    void *ctx;
    ZSTD_DCtx *dctx;
    int coding;         /* -1: first byte not seen */
    bool finished;      /* the last record has been seen */
    bool between;       /* a frame has ended and none has begun */
    struct vf_buf held; /* a record's head that is not complete */
    size_t nruns, at;   /* runs whose bytes are coming; the one that is next */
    uint64_t done;      /* its blocks that have come */
    uint32_t batch;
    struct vf_lit_run runs[VF_RUNS_MAX];
    size_t part; /* bytes of a block that is not complete */
    uint8_t block[VF_BLOCK];
    uint8_t out[OUT_LEN];
};

struct vf_unpacker *vf_unpacker_new(unsigned window_log, const struct vf_unpack_ops *ops, void *ctx,
                                    struct vf_error *err)
{
    struct vf_unpacker *u = vf_calloc(1, sizeof *u, err);
    size_t rc;

    if (!u)
        return NULL;
    u->ops = ops;
    u->ctx = ctx;
    u->coding = -1;
    u->dctx = ZSTD_createDCtx();
    if (!u->dctx) {
        (void)vf_error_nomem(err); /* the NULL says it */
        goto fail;
    }
    rc = ZSTD_DCtx_setParameter(u->dctx, ZSTD_d_windowLogMax, (int)window_log);
    if (ZSTD_isError(rc)) {
        (void)vf_zstd_failed(rc, err); /* the NULL says it */
        goto fail;
    }
    return u;
fail:
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

/* Reads the runs of a RUNS record.  1: complete, 0: more bytes are needed, -1. */
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
        u->runs[i] = (struct vf_lit_run){{pos, what / 2}, back};
        pos += what / 2;
    }
    u->batch = (uint32_t)batch;
    u->nruns = (size_t)n;
    u->at = 0;
    u->done = 0;
    return u->ops->runs(u->ctx, u->batch, u->runs, u->nruns, err) < 0 ? -1 : 1;
}

/* Reads one record's head.  1: complete, 0: more bytes are needed, -1. */
static int parse_head(struct vf_unpacker *u, struct vf_reader *r, struct vf_error *err)
{
    uint64_t kind, number;
    uint8_t sha[VF_SHA_LEN];

    if (u->finished)
        return malformed(err);
    if (!vf_reader_varint(r, &kind))
        return 0;
    if (kind == REC_RUNS)
        return parse_runs(u, r, err);
    if (kind != REC_SEAL && kind != REC_FINISH)
        return malformed(err);
    if (!vf_reader_varint(r, &number) || !vf_reader_copy(r, sha, sizeof sha))
        return 0;
    if (number > UINT32_MAX)
        return malformed(err);
    if (kind == REC_SEAL)
        return u->ops->seal(u->ctx, (uint32_t)number, sha, err) < 0 ? -1 : 1;
    u->finished = true;
    return u->ops->finish(u->ctx, number, sha, err) < 0 ? -1 : 1;
}

/* Passes on what is there of the literal run whose turn it is, in whole blocks. */
static int take_blocks(struct vf_unpacker *u, struct vf_reader *r, struct vf_error *err)
{
    const struct vf_lit_run *run = &u->runs[u->at];
    uint64_t first = run->run.first + u->done, left = run->run.n - u->done;
    const uint8_t *p = u->block;
    size_t n = 1;

    if (u->part || vf_reader_left(r) < VF_BLOCK) {
        size_t want = VF_BLOCK - u->part, have = vf_reader_left(r);

        want = want < have ? want : have;
        (void)vf_reader_copy(r, u->block + u->part, want); /* there are that many */
        u->part += want;
        if (u->part < VF_BLOCK)
            return 0;
        u->part = 0;
    } else {
        n = vf_reader_left(r) / VF_BLOCK;
        n = n < left ? n : (size_t)left;
        (void)vf_reader_bytes(r, n * VF_BLOCK, &p); /* there are that many */
    }
    u->done += n;
    return u->ops->blocks(u->ctx, u->batch, first, n, p, err);
}

/* Skips runs that bring no bytes, and the one that is complete. */
static void next_run(struct vf_unpacker *u)
{
    while (u->at < u->nruns && (u->runs[u->at].back || u->done == u->runs[u->at].run.n)) {
        u->at++;
        u->done = 0;
    }
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
            if (take_blocks(u, &r, err) < 0)
                return -1;
            next_run(u);
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
        next_run(u);
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

        if (in.pos < len && u->finished && u->between)
            return malformed(err);
        out.pos = 0;
        rc = ZSTD_decompressStream(u->dctx, &out, &in); /* begins the next frame by itself */
        if (ZSTD_isError(rc))
            return vf_error_set(err, VF_ERR_PROTOCOL, 0, "literal stream: %s",
                                ZSTD_getErrorName(rc));
        u->between = rc == 0;
        if (take(u, u->out, out.pos, err) < 0)
            return -1;
    } while (in.pos < len || out.pos == OUT_LEN);
    return 0;
}
