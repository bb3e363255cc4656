/* core/engine/receive_impl.h - what the files of the receiver's half share; nobody else includes
 * it. */
#ifndef VF_CORE_RECEIVE_IMPL_H
#define VF_CORE_RECEIVE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/buf.h"
#include "core/engine/engine.h"
#include "core/literals/literals.h"
#include "core/numbers.h"

/* At most, to bound memory: nodes and runs noted in all open batches; bytes of the literal stream
 * that wait to be decoded. */
#define RECV_OPEN_NODES (512u * 1024)
#define RECV_DATA_BYTES (8u << 20)

/* Content of [to, to + n) lies in a resident image. */
struct recv_copy {
    uint32_t image;
    int64_t from; /* blocks; negative only in a guess */
    uint64_t to, n;
};

/* A segment the sender asks about: where it is, and what has been found for it. */
struct recv_seg {
    struct vf_run run;
    bool known, probe;
    bool listed;    /* in the sender's NODES of level 1 (not found with its group) */
    unsigned ncand; /* known: 1; probe: 1 or 2 */
    struct recv_copy
        cand[2]; /* known: from where; probe: where to look, `from` may lie outside the image */
};

/* One open batch.  The receiving thread owns the walk's part; `lock` of the receiver guards the
 * rest. */
struct recv_batch {
    bool open;
    bool walking; /* the receiving thread is at it: it is not finished meanwhile */
    bool judged;  /* a verify thread is at it: nobody else may be */
    uint32_t id;
    struct vf_run range;
    /* walk */
    unsigned asked; /* level whose NODES are expected next: 2 or 1 at first, 1, 0, or DONE_ASKING */
    size_t unknown; /* segments or groups answered NOT at the level before */
    struct vf_buf
        segs; /* struct recv_seg, of known groups and of NODES of level 1, sorted when complete */
    /* written or to be written */
    struct vf_buf written; /* struct vf_run: everything that is not zero */
    struct vf_buf copies;  /* struct recv_copy, all that are wanted: later, to find who was wrong */
    size_t copies_taken;   /* bytes of these that the copy thread has taken */
    size_t copying;        /* copies that are not made yet */
    unsigned seals;        /* seen so far */
    uint8_t sha[VF_SHA_LEN];       /* from the latest seal */
    struct vf_msg_segments strong; /* the answer to RECHECK; run NULL: not there */
};
enum { DONE_ASKING = 99 };

/* How far a resident image can be trusted: an index that is a little stale costs little, one that
 * is wrong is left alone. */
struct recv_donor {
    uint64_t copied, bad; /* blocks */
    bool distrusted;
};

struct receiver {
    struct vf_stream *st;
    struct vf_dest *dest;
    enum vf_purpose purpose;
    unsigned window_log; /* the largest that is decoded */
    uint64_t size, blocks;
    struct vf_image *part;
    struct vf_residents *res;
    struct vf_map_sink *sink;
    int64_t leftover; /* resident number of the part itself, -1: it was all zero */
    unsigned nimages;
    struct recv_copy last;    /* the latest copy that was chosen: its neighbour is the best guess */
    uint64_t range_end;       /* where the next batch must begin */
    atomic_size_t open_items; /* against RECV_OPEN_NODES */

    /* count only */
    struct vf_numbers *prints; /* fingerprints of all non-zero blocks of the target */
    uint64_t target_distinct;

    pthread_mutex_t lock; /* guards all below, and the parts of batches said above */
    pthread_cond_t moved; /* something of a batch, or all has ended */
    pthread_cond_t fed;   /* data[0] has something, or room, again; or all has ended */
    bool failed;
    struct vf_error err;
    struct recv_batch batch[VF_BATCHES_OPEN];
    uint32_t announced, done;
    struct vf_buf data[2];    /* literal stream: [0] being filled, [1] being decoded */
    struct recv_donor *donor; /* per resident image */
    bool end_seen;            /* END has come, and all batches before it */
    uint8_t end_root[VF_SHA_LEN];
    bool ended; /* verify thread: all is verified and published, result is valid */
    struct vf_msg_result result;
};

/* receive_state.c */
/* Notes the first error, tells the peer where that is of use, and wakes everybody. */
void vf_receiver_fail(struct receiver *r, const struct vf_error *err);
bool vf_receiver_failed(struct receiver *r);
/* The open batch of that number, which no verify thread is at; NULL with *err set.  With the lock
 * held. */
struct recv_batch *vf_receiver_batch(struct receiver *r, uint32_t id, struct vf_error *err);

/* Forgets what the batch holds.  With the lock held, or when no other thread runs. */
void vf_receiver_clear(struct receiver *r, struct recv_batch *b);
/* The batch is over: forgets it and tells the source.  Takes the lock.  0 or -1. */
int vf_receiver_done(struct receiver *r, struct recv_batch *b, struct vf_error *err) VF_MUST_CHECK;
/* Counts n more noted items. */
int vf_receiver_note(struct receiver *r, size_t n, struct vf_error *err);

/* receive_walk.c: the receiving thread looks things up and answers */
int vf_receiver_announced(struct receiver *r, const struct vf_msg_batch *m, struct vf_error *err);
int vf_receiver_nodes(struct receiver *r, struct recv_batch *b, const struct vf_msg_nodes *m,
                      struct vf_error *err);
int vf_receiver_probes(struct receiver *r, struct recv_batch *b, const struct vf_msg_probes *m,
                       struct vf_error *err);
/* receive_write.c: threads that write literals and copies */
void *vf_receiver_decode(void *arg);
void *vf_receiver_copy(void *arg);
/* receive_verify.c: the thread that finishes batches in order */
void *vf_receiver_verify(void *arg);
/* receive_count.c: a dry run */
int vf_receiver_count_known(struct receiver *r, const struct recv_batch *b, struct vf_error *err);
int vf_receiver_count_probes(struct receiver *r, struct recv_batch *b,
                             const struct vf_msg_probes *m, struct vf_error *err);
int vf_receiver_counts(struct receiver *r, struct vf_error *err);

#endif
