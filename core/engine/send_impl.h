/* core/engine/send_impl.h - what the files of the source's half share; nobody else includes it. */
#ifndef VF_CORE_SEND_IMPL_H
#define VF_CORE_SEND_IMPL_H

#include <pthread.h>

#include "core/engine/budget.h"
#include "core/engine/engine.h"
#include "core/engine/send_out.h"
#include "core/engine/source.h"
#include "core/literals/literals.h"
#include "core/literals/repeats.h"

/* In open batches at most, which bounds memory (about 20 bytes for each): non-zero blocks,
 * segments.  Questions have to run far ahead of the literals: their answers take several round
 * trips, behind all that is on its way already, and where most is known a gigabyte of the image is
 * a few seconds of the link (struct vf_budget says how far).  Without questions there is nothing to
 * run ahead for. */
#define SEND_OPEN_BLOCKS_UNASKED (512u * 1024)
#define SEND_OPEN_SEGS           (128u * 1024)

#define SEND_SHORT_WALKS 4u /* batches that are not asked about by groups first */

#define SEND_RECORDS 8u /* of the literal stream, between reading and packing: 1.2 MiB each */

#define SEND_INBOX (8u * VF_BATCHES_OPEN) /* an honest receiver has fewer answers to give */

/* One open batch.  Its owner is: the walk thread until it is announced; the receiving thread
 * while questions are open; the literals thread from `queued` on; the thread that packs when
 * it seals it; the receiving thread again until DONE. */
struct send_slot {
    struct vf_batch *b; /* NULL: free */
    uint8_t *have;      /* enum vf_have of each segment */
    uint8_t *need;      /* of each data block: 1 if it has to travel; NULL until the walk is over */
    size_t nrepairs;    /* runs asked for again */
    struct vf_run *repairs;
    uint64_t literals; /* blocks sent for it */
    bool queued, sealed;
};

/* One thing for the thread that packs, in the order of the literal stream. */
enum send_what { SEND_RUNS, SEND_SEAL, SEND_FLUSH, SEND_NO_MORE };
struct send_record {
    enum send_what what;
    uint32_t batch;
    uint64_t base; /* SEND_RUNS: first block of the batch's range */
    uint8_t sha[VF_SHA_LEN];
    size_t nruns, nblocks; /* literal blocks among the runs */
    uint64_t prepare_ns;   /* processor time of the literals thread */
    struct vf_lit_run runs[VF_RUNS_MAX];
    struct vf_buf quotes; /* struct vf_quote */
    size_t len;           /* bytes of data, without those that are quoted */
    uint8_t *data;        /* room for VF_PIECE_BLOCKS blocks */
};

struct sender {
    struct vf_stream *st;
    struct vf_image *image;
    struct vf_map *map; /* NULL: live scan */
    struct vf_map_sink *sink;
    const struct vf_send_opts *opts;
    struct vf_budget budget;
    struct vf_send_result *ret;
    bool walk;   /* the receiver holds something: ask before sending */
    bool quotes; /* the receiver takes them */
    uint64_t blocks;
    struct vf_send_out out; /* has a lock of its own */

    pthread_mutex_t lock;   /* guards all below */
    pthread_cond_t moved;   /* something of a batch */
    pthread_cond_t arrived; /* a message, for the answers thread */
    pthread_cond_t handed;  /* a record, to the thread that packs or back */
    bool failed;
    struct vf_error err;
    struct send_slot slot[VF_BATCHES_OPEN];
    uint32_t announced, done; /* batches so far */
    size_t open_blocks, open_segs;
    bool source_ended; /* all batches have been announced; info is valid */
    bool mapped;       /* the sink is complete, and info with it */
    struct vf_map_info info;
    uint32_t sent;                    /* batches whose literals were taken, in order */
    uint32_t repair[VF_BATCHES_OPEN]; /* batches to be repaired, a ring */
    size_t repair_at, repair_n;
    struct vf_msg *inbox[SEND_INBOX]; /* received, not yet handled: a ring */
    size_t inbox_at, inbox_n;
    struct send_record *record[SEND_RECORDS]; /* to be packed: a ring */
    size_t record_at, record_n;
    struct send_record *idle[SEND_RECORDS];
    size_t nidle, nrecords; /* there are at all */
    bool hurry;             /* the packer is, and bytes do not come first */
    struct vf_progress_now now;
    int64_t reported_ms;
};

/* Notes the first error and wakes everybody; the stream is cancelled. */
void vf_sender_fail(struct sender *s, const struct vf_error *err);
/* Reports progress if it is time for it; the lock must not be held. */
void vf_sender_progress(struct sender *s, bool now);
/* Waits for one of the sender's conditions, with the lock held, but not longer than the stop flag
 * may go unseen. */
void vf_sender_wait(struct sender *s, pthread_cond_t *cond);
bool vf_sender_stopped(const struct sender *s);
/* The tables of the literals thread: those that were made ahead, or new ones.  -1: there is no
 * memory. */
int vf_send_tables(struct sender *s, struct vf_repeats **ret_repeats, struct vf_quoter **ret_quoter,
                   struct vf_error *err) VF_MUST_CHECK;
/* The threads that read literals, and that pack them; arg is the struct sender. */
void *vf_sender_literals(void *arg);
void *vf_sender_pack(void *arg);
/* An empty record, when there is one: the caller fills it and hands it over.  NULL with *err set.
 */
struct send_record *vf_sender_record(struct sender *s, struct vf_error *err);
/* Is there one without waiting? */
bool vf_sender_record_there(struct sender *s);
void vf_sender_submit(struct sender *s, struct send_record *r);
void vf_send_record_free(struct send_record *r); /* NULL is fine */

/* ---- answers of the receiver (core/engine/send_walk.c), in the answers thread ---- */
int vf_sender_announce(void *sender, struct vf_batch *b, struct vf_error *err);
int vf_sender_have(struct sender *s, const struct vf_msg_have *m, struct vf_error *err);
int vf_sender_done(struct sender *s, uint32_t batch, struct vf_error *err);
int vf_sender_recheck(struct sender *s, uint32_t batch, struct vf_error *err);
int vf_sender_repair(struct sender *s, struct vf_msg_repair *m, struct vf_error *err);
void vf_send_slot_clear(struct send_slot *slot);

#endif
