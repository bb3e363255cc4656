/* cmd/guest/guest_talk.h - questions about a guest and their answers, over a conversation of
 * purpose GUEST or TUNNEL (transport/PROTOCOL.md, section 15).
 *
 * A question is {"ask": TEXT, "with": OBJECT}, an answer {"answer": OBJECT} or
 * {"error": {"code": TEXT, "message": TEXT}}.
 *
 * Thread rules: one thread asks or answers on a stream. */
#ifndef VF_CMD_GUEST_GUEST_TALK_H
#define VF_CMD_GUEST_GUEST_TALK_H

#include <stdbool.h>

#include <jansson.h>

#include "core/error.h"
#include "core/stream.h"

/* Longest name of a guest: sockets below a directory of that name need short paths. */
#define VF_GUEST_NAME_MAX 48u

/* Letters, digits and "._+-", not a dot first.  0, or -1 (VF_ERR_USAGE). */
int vf_guest_name_check(const char *name, struct vf_error *err) VF_MUST_CHECK;

/* A path or a node that a move tells QEMU, the other half or its own files: all of that is JSON,
 * which has UTF-8 only.  what: "the disk".  0, or -1 (VF_ERR_USAGE). */
int vf_guest_text_check(const char *what, const char *text, struct vf_error *err) VF_MUST_CHECK;

/* with (may be NULL) is borrowed.  *ret (may be NULL): new reference.  *ret_refused: the far side
 * has answered with an error. */
int vf_talk_ask(struct vf_stream *st, const char *ask, json_t *with, json_t **ret,
                bool *ret_refused, struct vf_error *err);

/* The next question: "ask" (borrows from *ret_with's keeper) and its object.  *ret_question is a
 * new reference to the whole.  0, or -1; the end of the conversation is VF_ERR_UNREACHABLE. */
int vf_talk_next(struct vf_stream *st, json_t **ret_question, const char **ret_ask,
                 json_t **ret_with, struct vf_error *err) VF_MUST_CHECK;

/* Answers; answer is taken (NULL: an empty object). */
int vf_talk_answer(struct vf_stream *st, json_t *answer, struct vf_error *err) VF_MUST_CHECK;
int vf_talk_refuse(struct vf_stream *st, const struct vf_error *why,
                   struct vf_error *err) VF_MUST_CHECK;

#endif
