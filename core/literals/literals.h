/* core/literals/literals.h - the literal stream: the blocks that travel, packed together and
 * compressed.
 *
 * transport/PROTOCOL.md, section 9, is normative.  In short: the first byte says how the rest is
 * coded, 0 plain, 1 zstd frames (RFC 8878).  Inside is a sequence of records, all numbers LEB128
 * varints:
 *   1 RUNS     batch, runs, then the bytes of all literal runs.  A run is literal, or says that its
 *              blocks equal earlier ones
 *   2 SEAL     batch, its strong digest (core/map/tree.h): all its literals have been sent
 *   4 QUOTING  as RUNS, with quotes (core/literals/quote.h) between the runs and the bytes; the
 *              quoted bytes are left out of these
 * A batch may have any number of RUNS and QUOTING, and after a repair was asked for further RUNS
 * and one more SEAL.  The stream has no end of its own: it ends with the conversation.  The last
 * block of an odd-sized image travels padded with zeros.
 *
 * literals_*.c are the only files of the program that know zstd.
 *
 * Thread rules: an object belongs to one thread at a time. */
#ifndef VF_CORE_LITERALS_H
#define VF_CORE_LITERALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/block.h"
#include "core/error.h"
#include "core/literals/adapt.h"
#include "core/literals/quote.h"

#define VF_RUNS_MAX     4096u /* runs in one record */
#define VF_PIECE_BLOCKS 2048u /* literal blocks in one record */

struct vf_lit_run {
    struct vf_run run;
    uint64_t back; /* 0: literal; else the content is that of the blocks `back` earlier */
};

/* ---- source side ---- */
struct vf_packer;

/* Takes the first len bytes of the buffer, which has VF_PACK_OUT and is the packer's, from malloc.
 * It may keep it and leave another such one in its place.  -1 with *err set stops the packer. */
typedef int vf_pack_fn(void *ctx, uint8_t **buffer, size_t len, struct vf_error *err);
#define VF_PACK_OUT (128u * 1024)

/* What of that lies before the link now. */
typedef struct vf_stock vf_stock_fn(void *ctx);

struct vf_pack_opts {
    int level; /* 1..19; 0: store; VF_LEVEL_AUTO: core/literals/adapt.h decides as it goes */
    int most;  /* VF_LEVEL_AUTO: the highest level it may take */
    unsigned window_log; /* window of 2^n bytes, 10..31: memory is about that plus 20 MiB, at levels
                            above 12 plus 100 MiB */
    bool rich;           /* below level 3, a few bytes less for a little more time */
    vf_stock_fn *stock;  /* VF_LEVEL_AUTO; NULL: nothing does */
};
#define VF_LEVEL_AUTO (-1)

struct vf_packer *vf_packer_new(const struct vf_pack_opts *opts, vf_pack_fn *fn, void *ctx,
                                struct vf_error *err);
void vf_packer_free(struct vf_packer *p);

/* A record of runs. */
struct vf_pack_runs {
    uint32_t batch;
    size_t n;                      /* 1..VF_RUNS_MAX */
    const struct vf_lit_run *runs; /* ascending */
    size_t nquotes;                /* 0..VF_QUOTES_MAX */
    const struct vf_quote *quotes; /* ascending, each inside one literal run, of at least
                                      VF_QUOTE_LEAST bytes that end before the first run */
    const uint8_t *data;           /* the bytes of the literal runs that are not quoted */
    size_t len;
    uint64_t prepare_ns; /* processor time that it took to get here */
};
/* base: first block of the batch's range.  Borrows *r. */
int vf_packer_runs(struct vf_packer *p, uint64_t base, const struct vf_pack_runs *r,
                   struct vf_error *err) VF_MUST_CHECK;
int vf_packer_seal(struct vf_packer *p, uint32_t batch, const uint8_t sha[VF_SHA_LEN],
                   struct vf_error *err) VF_MUST_CHECK;
/* Sends on what the compressor still holds; costs a few bytes of compression. */
int vf_packer_flush(struct vf_packer *p, struct vf_error *err) VF_MUST_CHECK;

/* It packs weakly, because the link is fast or because it was told to: time is what counts. */
bool vf_packer_hurries(const struct vf_packer *p);

/* It packs strongly, and how long that takes varies much: a stock should lie before the link. */
bool vf_packer_strong(const struct vf_packer *p);

/* ---- receiver side ---- */
struct vf_unpacker;

/* Called in the order of the stream.  runs: the records' runs, absolute, with range.first unknown
 * here: `gap` is relative, so base() is asked for the first block of a batch's range (false: no
 * such batch is open). */
struct vf_unpack_ops {
    bool (*base)(void *ctx, uint32_t batch, uint64_t *ret_first);
    /* All runs of a record, before its bytes. */
    int (*runs)(void *ctx, uint32_t batch, const struct vf_lit_run *runs, size_t n,
                struct vf_error *err);
    /* n literal blocks for [first, first + n). */
    int (*blocks)(void *ctx, uint32_t batch, uint64_t first, size_t n, const uint8_t *data,
                  struct vf_error *err);
    /* The blocks of a run that equal those `back` blocks before, in their turn among the literals.
     */
    int (*again)(void *ctx, uint32_t batch, struct vf_run run, uint64_t back, struct vf_error *err);
    /* Bytes [from, from + len) of the image, which end before the record's first run. */
    int (*quoted)(void *ctx, uint32_t batch, uint64_t from, uint8_t *to, size_t len,
                  struct vf_error *err);
    int (*seal)(void *ctx, uint32_t batch, const uint8_t sha[VF_SHA_LEN], struct vf_error *err);
};

/* window_log: the largest window that is accepted. */
struct vf_unpacker *vf_unpacker_new(unsigned window_log, const struct vf_unpack_ops *ops, void *ctx,
                                    struct vf_error *err);
void vf_unpacker_free(struct vf_unpacker *u);
/* The next bytes of the stream, whose origin is not trusted: VF_ERR_PROTOCOL for anything
 * malformed. */
int vf_unpacker_feed(struct vf_unpacker *u, const uint8_t *bytes, size_t len,
                     struct vf_error *err) VF_MUST_CHECK;

/* ---- estimates ---- */
struct vf_sampler;

struct vf_sampler *vf_sampler_new(struct vf_error *err);
void vf_sampler_free(struct vf_sampler *s); /* NULL is fine */
/* Bytes that the next piece (len at least 1, 64 MiB together) takes in a stream at the usual level
 * that holds only such pieces: near, when it remembers the last few MiB; far, when it remembers all
 * and looks for long matches. */
int vf_sampler_add(struct vf_sampler *s, const uint8_t *data, size_t len, size_t *ret_near,
                   size_t *ret_far, struct vf_error *err) VF_MUST_CHECK;

#endif
