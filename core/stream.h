/* core/stream.h - the interface to the peer: typed messages, in order, both ways.
 *
 * transport/ implements it (framing, bytes, limits: transport/PROTOCOL.md); the engine speaks only
 * in these structs. "source" is the side that has the image, "receiver" the one that gets it.
 *
 * A conversation:
 *   source                                     receiver
 *   HELLO                              ->
 *                                      <-      WELCOME
 *   OFFER                              ->
 *                                      <-      ACCEPT
 *   for each batch, many in flight:
 *     BATCH, NODES (level 2)           ->
 *                                      <-      HAVE (level 2)
 *     NODES (level 1, of unknown 2s)   ->
 *                                      <-      HAVE (level 1; some "unknown, but send probes")
 *     PROBES (short block digests)     ->
 *                                      <-      HAVE (level 0)
 *     DATA (core/literals/literals.h)  ->
 *                                      <-      DONE; or RECHECK, when it does not verify
 *     SEGMENTS                         ->
 *                                      <-      REPAIR
 *     DATA                             ->
 *                                      <-      DONE
 *   END, as soon as all is announced   ->
 *                                      <-      RESULT, when all is DONE
 * A receiver that holds nothing says so in ACCEPT, and the walk (NODES, HAVE, PROBES) is left out.
 * In a count (dry run) PROBES of full width for all unknown segments replace DATA, and COUNTS
 * answers END.  Either side may send FAIL at any time and is then done.  PING is answered by PONG
 * at once. */
#ifndef VF_CORE_STREAM_H
#define VF_CORE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/block.h"
#include "core/error.h"
#include "core/map.h"

enum vf_msg_type {
    VF_MSG_HELLO = 1,
    VF_MSG_WELCOME,
    VF_MSG_OFFER,
    VF_MSG_ACCEPT,
    VF_MSG_BATCH,
    VF_MSG_NODES,
    VF_MSG_HAVE,
    VF_MSG_PROBES,
    VF_MSG_DATA,
    VF_MSG_DONE,
    VF_MSG_RECHECK,
    VF_MSG_SEGMENTS,
    VF_MSG_REPAIR,
    VF_MSG_END,
    VF_MSG_COUNTS,
    VF_MSG_RESULT,
    VF_MSG_FAIL,
    VF_MSG_PING,
    VF_MSG_PONG,
    VF_MSG_LINK, /* from here on: transport/'s own, the engine never sees them */
    VF_MSG_PIECE,
    VF_MSG_FENCE,
    VF_MSG_ACK,
    VF_MSG_ASK = 40, /* what a node tells of its images: core/similar/summary.h */
    VF_MSG_SUMMARY,
    VF_MSG_PART,
    VF_MSG_GUEST = 50, /* about a running guest, both ways: JSON (cmd/guest/guest_talk.h) */
    VF_MSG_BYTES,      /* what goes through a tunnel to a socket of the far end */
    VF_MSG_TYPES_
};

/* Ceilings, all checked by the decoder; a message beyond one is VF_ERR_PROTOCOL. */
#define VF_MAX_NAME      255u           /* bytes of an image name */
#define VF_MAX_TEXT      4096u          /* bytes of any other text */
#define VF_MAX_NODES     16384u         /* nodes in NODES, HAVE, SEGMENTS */
#define VF_MAX_PROBES    (256u * 1024)  /* digests in PROBES, bits in a HAVE of level 0 */
#define VF_MAX_RUNS      16384u         /* runs in REPAIR */
#define VF_MAX_DATA      (256u * 1024)  /* bytes in DATA, PART and BYTES */
#define VF_MAX_SIGNATURE (2u << 20)     /* bytes of a signature in ASK */
#define VF_MAX_SUMMARY   (64u << 20)    /* bytes in all PARTs of an answer */
#define VF_MAX_GUEST     (1024u * 1024) /* bytes in GUEST */
#define VF_MAX_IMAGES    65536u         /* images in COUNTS */
#define VF_TOKEN_LEN     32u            /* characters of a token that is not empty */
#define VF_BATCH_BLOCKS  65536u /* non-zero in a batch at most (32 MiB); its range may be wider */
#define VF_BATCHES_OPEN  256u   /* announced and not DONE at most */

/* Bytes of a probe.  Three: probes are compared with one or two expected blocks each, and a false
 * match costs about 50 KB of repair; two bytes would have 2.4 of those in case b of bench/, three
 * have none. */
#define VF_PROBE_WIDTH 3u

enum vf_purpose {
    VF_FOR_CHECK = 0,
    VF_FOR_MIGRATE = 1,
    VF_FOR_COUNT = 2,
    VF_FOR_SUMMARY = 3,
    VF_FOR_GUEST = 4,
    VF_FOR_TUNNEL = 5,
    VF_FOR_PURPOSES_
};

struct vf_msg_hello {                  /* source -> receiver, first of all */
    uint16_t version_min, version_max; /* protocol versions spoken */
    uint8_t purpose;                   /* enum vf_purpose; CHECK: nothing follows WELCOME */
    char *program;                     /* "vmferry 0.1.0" */
    char *group;                       /* sharing group asked for; "" the default one */
};
struct vf_msg_welcome {
    uint16_t version;    /* chosen */
    uint8_t window_log;  /* largest zstd window that the receiver decodes, 2^n bytes */
    uint64_t free_bytes; /* on the file system of the image directory, for us */
    uint64_t resident_images, resident_blocks;
    bool writable;         /* it would take an image */
    char *program, *node;  /* its version, its host name */
    char *group;           /* the group granted */
    char *dir;             /* image directory */
    char *token;           /* what further connections name; "": it takes none */
    uint8_t links_max;     /* how many of them */
    uint64_t links_window; /* bytes in PIECEs that it keeps until they can be delivered */
};
enum { VF_OFFER_REPLACE = 1, VF_OFFER_ROOT = 2, VF_OFFER_ALL = VF_OFFER_REPLACE | VF_OFFER_ROOT };
struct vf_msg_offer {
    uint64_t size;         /* content bytes */
    uint64_t data_blocks;  /* upper bound of non-zero blocks, for the space check */
    uint32_t cluster_size; /* of the format, 0: none */
    uint32_t flags;
    char *name;               /* final file name, one path component */
    char *format;             /* of the file to be made */
    uint8_t root[VF_SHA_LEN]; /* with VF_OFFER_ROOT: of the content, where the source knows it */
};
struct vf_msg_accept {
    bool empty;             /* no resident image: send literals, no NODES */
    char *path;             /* final path */
    uint64_t reused_blocks; /* non-zero blocks found in an earlier, unfinished try */
    bool quotes;            /* literals may quote earlier content (core/literals/quote.h) */
};
struct vf_msg_batch { /* batches are numbered from 0 and cover the image without gaps, in order */
    uint32_t batch;
    struct vf_run range;
};
struct vf_msg_nodes { /* ascending, not overlapping, inside the batch */
    uint32_t batch;
    uint8_t level; /* 1 or 2 */
    size_t n;
    struct vf_run *run; /* first block and span of each */
    uint8_t (*id)[VF_ID_LEN];
};
enum vf_have { VF_HAVE_NOT = 0, VF_HAVE_YES = 1, VF_HAVE_PROBE = 2 };
struct vf_msg_have { /* answers the NODES or PROBES of that batch and level, same order */
    uint32_t batch;
    uint8_t level;
    size_t n;
    uint8_t *have; /* enum vf_have, one byte each here, 2 bits (level 0: 1 bit) on the wire */
};
struct vf_msg_probes { /* for every block of every PROBE segment, in order: the first bytes of its
                          MD5 */
    uint32_t batch;
    uint8_t width; /* bytes of each: VF_PROBE_WIDTH in a migration, 8 in a count */
    size_t n;
    uint8_t *digest; /* n * width bytes */
};
struct vf_msg_data { /* piece of the literal stream */
    size_t len;
    uint8_t *bytes;
};
struct vf_msg_segments { /* strong digests of all segments of a batch, on RECHECK */
    uint32_t batch;
    size_t n;
    struct vf_run *run;
    uint8_t (*sha)[VF_SHA_LEN];
};
struct vf_msg_repair { /* runs that must come again, as literals */
    uint32_t batch;
    size_t n;
    struct vf_run *run;
};
struct vf_msg_end { /* all batches have been announced */
    uint64_t batches;
    uint64_t zero_blocks;
    uint8_t root[VF_SHA_LEN]; /* of the source's tree (core/map/tree.h) */
};
struct vf_msg_count_image {
    char *name;
    struct vf_shared shared;
    bool has_zero; /* it contains a zero block */
    bool fresh;
};
struct vf_msg_counts {
    struct vf_shared all; /* against all images together; non-zero blocks */
    bool has_zero;
    uint64_t distinct; /* distinct non-zero contents of the target */
    size_t n;
    struct vf_msg_count_image *image;
};
struct vf_msg_result {
    bool verified;
    uint8_t root[VF_SHA_LEN]; /* of the receiver's own tree */
    uint64_t shared_blocks, duplicate_blocks,
        literal_blocks;       /* non-zero; exact, counted by the receiver */
    uint64_t copied_blocks;   /* taken from resident images (or an earlier try) */
    uint64_t repaired_blocks; /* sent again because what was found did not verify */
    char *path;
};
struct vf_msg_fail {
    uint8_t code; /* enum vf_err */
    char *text;   /* one phrase */
};
struct vf_msg_ping {
    uint64_t cookie;
};
struct vf_msg_link { /* first on a further connection */
    uint8_t number;
    char *token; /* from WELCOME */
};
struct vf_msg_piece { /* DATA that may come over any connection */
    uint64_t seq;     /* from 0 */
    uint64_t after;   /* messages that were sent before it on the first connection */
    size_t len;
    uint8_t *bytes;
};
struct vf_msg_fence { /* FENCE and ACK */
    uint64_t pieces;  /* sent before what follows; taken */
};

enum {
    VF_ASK_KNOWN = 1,   /* generation and signature are those of an older summary */
    VF_ASK_OFFER = 2,   /* would you take this image? */
    VF_ASK_REPLACE = 4, /* with VF_ASK_OFFER: in place of one of that name */
    VF_ASK_ROOT = 8,    /* with VF_ASK_OFFER: its root is said */
    VF_ASK_ALL = 15
};
struct vf_msg_ask { /* a summary is asked for */
    uint8_t detail; /* enum vf_summary_size */
    uint8_t flags;
    uint64_t generation; /* 0 without VF_ASK_KNOWN, as the signature is empty */
    size_t signature_len;
    uint8_t *signature;
    uint64_t size, data_blocks; /* with VF_ASK_OFFER, as in OFFER; else 0 and "" */
    char *name, *format;
    uint8_t root[VF_SHA_LEN]; /* with VF_ASK_ROOT */
};
enum vf_answer { VF_ANSWER_SAME = 0, VF_ANSWER_DELTA = 1, VF_ANSWER_WHOLE = 2 };
struct vf_msg_summary {
    uint8_t answer; /* enum vf_answer */
    uint8_t taken;  /* an image as in ASK would be; 0: yes, else enum vf_err */
    char *why;      /* not */
    uint64_t generation;
    uint64_t len;            /* bytes in the PARTs that follow; 0: there are none */
    uint8_t sha[VF_SHA_LEN]; /* of the whole summary */
};

struct vf_msg {
    enum vf_msg_type type;
    union {
        struct vf_msg_hello hello;
        struct vf_msg_welcome welcome;
        struct vf_msg_offer offer;
        struct vf_msg_accept accept;
        struct vf_msg_batch batch;
        struct vf_msg_nodes nodes;
        struct vf_msg_have have;
        struct vf_msg_probes probes;
        struct vf_msg_data data, part;
        struct vf_msg_data guest, bytes;   /* bytes: none is the end of that direction */
        struct vf_msg_batch done, recheck; /* range unused */
        struct vf_msg_segments segments;
        struct vf_msg_repair repair;
        struct vf_msg_end end;
        struct vf_msg_counts counts;
        struct vf_msg_result result;
        struct vf_msg_fail fail;
        struct vf_msg_ping ping, pong;
        struct vf_msg_link link;
        struct vf_msg_piece piece;
        struct vf_msg_fence fence, ack;
        struct vf_msg_ask ask;
        struct vf_msg_summary summary;
    };
};

/* Releases what a received message owns (every pointer in it) and zeroes it. */
void vf_msg_free(struct vf_msg *m);

struct vf_stream_stats {
    uint64_t sent, received; /* bytes that crossed the link: after compression, framing included,
                                SSH's own not */
    uint64_t sent_data;      /* of these: DATA messages */
};

struct vf_stream;
struct vf_stream_ops {
    /* Sends one message; borrows it.  Blocks while the link is full.  Several threads may send;
     * messages stay whole. VF_ERR_UNREACHABLE when the link is gone, VF_ERR_TIMEOUT when nothing
     * moved for the watchdog's time. */
    int (*send)(struct vf_stream *, const struct vf_msg *, struct vf_error *);
    /* Receives the next message (one thread only); *ret is then owned by the caller (vf_msg_free).
     * PING is answered and PONG swallowed inside.  A received FAIL becomes an error here: its code,
     * and its text after "far end: ". End of stream between messages: VF_ERR_UNREACHABLE "the far
     * end closed the connection". */
    int (*recv)(struct vf_stream *, struct vf_msg *ret, struct vf_error *);
    /* Makes blocked send and recv calls of other threads fail with VF_ERR_CANCELLED, and all later
     * ones.  Async-signal-unsafe. */
    void (*cancel)(struct vf_stream *);
    void (*stats)(struct vf_stream *, struct vf_stream_stats *ret); /* any thread, any time */
    void (*close)(struct vf_stream *); /* frees; flushes nothing that was not sent */
};
struct vf_stream {
    const struct vf_stream_ops *ops;
};

/* Tells the peer why this side gives up (FAIL), as well as that still works; its text is why's
 * message, cleaned. Works after cancel too, and then takes a few seconds at most.  The stream is
 * done after it. */
void vf_stream_fail(struct vf_stream *st, const struct vf_error *why);

#endif
