/* core/engine/engine.h - the two halves of a migration, over the interfaces of image.h, map.h and
 * stream.h.
 *
 * Threads of a migration (no others exist, none is left when the call returns):
 *   source    the caller: receives messages and does nothing else, so that the peer can always
 *             send.  "answers": handles them.  "walk": scans or reads the map, asks.  "ahead",
 *             before all of them: makes tables.  "literals": reads what is missing, finds
 *             duplicates and quotes.  "pack": compresses that.  "out": sends it.  Live scans
 *             add hash workers (core/map/scan.h).
 *   receiver  the caller: reads messages, looks up, answers.  "decode": unpacks literals and writes
 *             them, with what they repeat and quote.  "copy": copies from resident images.
 *             "verify", two of them: hash what is in the file, and finish batches in order, which
 *             feeds the index.
 * An index that takes the map may write in a thread of its own.
 * They are joined by queues bounded in bytes and by VF_BATCHES_OPEN.  The first error cancels all;
 * it is the one reported. */
#ifndef VF_CORE_ENGINE_H
#define VF_CORE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/image.h"
#include "core/map.h"
#include "core/stream.h"

/* Filled in as the work goes; all fields are totals so far.  Read by another thread through
 * vf_progress_get only. */
struct vf_progress_now {
    uint64_t blocks;      /* of the image; 0 until known */
    uint64_t data_blocks; /* of these hold data, at most; 0: not known */
    uint64_t blocks_done; /* looked at and settled: zero, found, or sent and confirmed */
    uint64_t zero_blocks, known_blocks, sent_blocks; /* settled how */
    uint64_t literal_blocks;                         /* queued or sent as literals so far */
    const char *phase; /* static text: "reading", "sending", "verifying", ... */
};
/* Called from the engine's threads, at most about ten times a second, never from two at once. */
typedef void vf_progress_fn(void *ctx, const struct vf_progress_now *now);

struct vf_send_ahead;
struct vf_send_opts {
    const char *name;      /* image name at the destination */
    const char *format;    /* file format to be made there */
    uint32_t cluster_size; /* 0: default */
    bool replace;
    bool offered;                /* OFFER has been sent already, as vf_send_offer made it */
    uint64_t data_blocks;        /* what it said of them, for progress */
    struct vf_send_ahead *ahead; /* what was begun before; NULL: nothing; taken */
    bool count_only;  /* dry run: vf_send_result.counts is filled, nothing is written there */
    int level;        /* zstd level 1..19, 0: store, -1: chosen by the engine */
    uint64_t memory;  /* bytes for the process, 0: default (core/engine/budget.h) */
    unsigned workers; /* hash workers of a live scan, 0: number of CPUs */
    vf_progress_fn *progress; /* may be NULL */
    void *progress_ctx;
    const volatile int
        *stop; /* may be NULL; becomes non-zero when the caller wants VF_ERR_CANCELLED */
};

struct vf_send_result {
    struct vf_map_info info;     /* of the image sent */
    struct vf_msg_result peer;   /* what the receiver reports; path is owned */
    struct vf_msg_counts counts; /* count_only; owned */
    uint64_t literal_sent;       /* blocks that travelled as literals, repairs included */
    uint64_t self_copied;        /* duplicate blocks replaced by a reference */
    uint64_t quoted_bytes;       /* bytes of literals that were named instead of sent */
    uint64_t probes_sent;
    uint64_t literal_stream_bytes; /* after compression */
};
void vf_send_result_free(struct vf_send_result *r);

/* The OFFER of that image: *ret is owned (vf_send_offer_free).  0, or -1. */
int vf_send_offer(struct vf_image *image, struct vf_map *map, const struct vf_send_opts *opts,
                  struct vf_msg_offer *ret, struct vf_error *err) VF_MUST_CHECK;
void vf_send_offer_free(struct vf_msg_offer *offer);

/* Begins to make the large tables of a migration, in a thread of its own ("vf-ahead"), while the
 * far end is being reached.  The image and the map (may be NULL) are kept until it is freed or
 * vf_send, which gets it in its options, has returned; memory as there.  NULL: it cannot be done
 * ahead, and vf_send will do it. */
struct vf_send_ahead *vf_send_ahead(struct vf_image *image, struct vf_map *map, uint64_t memory);
void vf_send_ahead_free(struct vf_send_ahead *a); /* NULL is fine */

/* Runs OFFER..RESULT over a stream whose HELLO and WELCOME have been exchanged (the latter given
 * here). map: the stored and fresh map of the image, or NULL: the image is then scanned as it is
 * sent, and its map goes to sink (may be NULL; committed by this call when all went well, aborted
 * otherwise; always taken). Returns 0, or -1: VF_ERR_CHANGED when the image changed while it was
 * read, VF_ERR_MISMATCH when the copy did not verify, VF_ERR_CANCELLED, or what the link or the far
 * end said. */
int vf_send(struct vf_stream *st, const struct vf_msg_welcome *welcome, struct vf_image *image,
            struct vf_map *map, struct vf_map_sink *sink, const struct vf_send_opts *opts,
            struct vf_send_result *ret, struct vf_error *err) VF_MUST_CHECK;

/* What the receiver needs of its surroundings; cmd/serve implements it. */
struct vf_dest;
struct vf_dest_ops {
    /* Checks the offer (name, format, size, space, rights, existing target) and prepares: *ret_part
     * is the writable image of offer->size bytes that is assembled (owned by the dest),
     * *ret_residents the donors (owned by the dest), *ret_sink takes the new map (passes to the
     * engine).  accept->path and the rest are filled (path owned by the caller). *ret_leftover:
     * number, in *ret_residents, of the part itself when it holds data of an earlier try; -1 when
     * the part is all zero.  The engine then reads that "donor" through *ret_part. count_only: no
     * part, no sink, no leftover; only residents. */
    int (*open)(struct vf_dest *, const struct vf_msg_offer *offer, bool count_only,
                struct vf_image **ret_part, struct vf_residents **ret_residents,
                struct vf_map_sink **ret_sink, int64_t *ret_leftover, struct vf_msg_accept *accept,
                struct vf_error *err);
    /* The part is complete and verified: flushes it, gives it its final name durably, then commits
     * sink (taken) with info. */
    int (*publish)(struct vf_dest *, struct vf_map_sink *sink, struct vf_map_info *info,
                   struct vf_error *err);
    /* After publish: exact counts of the new image against the residents as they were before:
     * shared non-zero blocks (all, distinct).  The source is told when this returns, and may begin
     * the next thing: nothing may be left that could be in its way. */
    int (*count)(struct vf_dest *, struct vf_shared *ret, struct vf_error *err);
    /* Directory for temporary files of the engine (unlinked at once). */
    const char *(*tmpdir)(struct vf_dest *);
};
struct vf_dest {
    const struct vf_dest_ops *ops;
};

/* The receiver's half, from OFFER to RESULT or COUNTS.  window_log: that of WELCOME; a source that
 * uses a larger window is refused.  On an error the peer has been told (FAIL)
 * where the link still works; the caller decides what becomes of the part.  0 or -1. */
int vf_receive(struct vf_stream *st, enum vf_purpose purpose, unsigned window_log,
               struct vf_dest *dest, struct vf_error *err) VF_MUST_CHECK;

/* Builds the map of an image into sink (taken, committed or aborted); ret_info may be NULL.  `index
 * add` is this. */
int vf_index_image(struct vf_image *image, struct vf_map_sink *sink,
                   const struct vf_send_opts *opts, struct vf_map_info *ret_info,
                   struct vf_error *err) VF_MUST_CHECK;

#endif
