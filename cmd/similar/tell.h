/* cmd/similar/tell.h - what a node tells of its images (core/similar/summary.h), asked over the
 * protocol.
 *
 * The one who asks keeps what a node told in STORE/cache and says so; the node then sends nothing
 * if nothing changed, else the shorter of a delta and all of it.
 *
 * Thread rules: each call belongs to the thread that has the stream; several may ask several nodes
 * with one store. */
#ifndef VF_CMD_SIMILAR_TELL_H
#define VF_CMD_SIMILAR_TELL_H

#include "core/similar/summary.h"
#include "core/stream.h"
#include "index/index.h"

struct vf_dest;
struct vf_peer;
struct vf_target;

/* ---- the one who asks ---- */

struct vf_tell_opts {
    int store_fd; /* whose cache is used; -1: none */
    const struct vf_target *target;
    const char *group; /* of WELCOME */
    enum vf_summary_size size;
    /* An image that is to come, or NULL: then nobody asks whether it would be taken. */
    const struct vf_msg_offer *offer;
};

struct vf_told {
    struct vf_buf summary; /* owned; core/similar/summary.h reads it */
    enum vf_answer answer; /* how it came */
    uint64_t bytes;        /* that travelled for it */
    enum vf_err taken;     /* VF_ERR_NONE: the image would be, or was not asked about */
    char *why;             /* not; owned */
};

/* After WELCOME of a conversation with purpose VF_FOR_SUMMARY.  0 with *ret to be released by
 * vf_told_free, or -1.  A cache that cannot be used is done without. */
int vf_tell_ask(struct vf_peer *peer, const struct vf_tell_opts *opts, struct vf_told *ret,
                struct vf_error *err) VF_MUST_CHECK;
void vf_told_free(struct vf_told *t); /* zeroed is fine */

/* ---- the node ---- */

/* Waits for ASK and answers it: tells of the images of that group.  dest: who is asked whether an
 * image would be taken. */
int vf_tell_answer(struct vf_stream *st, struct vf_index *index, struct vf_dest *dest,
                   const char *group, struct vf_error *err) VF_MUST_CHECK;

#endif
