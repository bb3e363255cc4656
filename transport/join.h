/* transport/join.h - hands a further connection from the process that sshd started for it to the
 * one that has the conversation.
 *
 * The latter listens on a unix socket STORE/run/TOKEN.  The former connects to it, sends the two
 * descriptors of its connection, and waits until the socket is closed: then nobody needs the
 * connection any more, and it ends, so that sshd ends the connection.  The bytes pass through one
 * process only.
 *
 * The directory has mode 0700, the socket 0600, and the peer must be of the same user.
 *
 * Thread rules: a listener belongs to one thread, except vf_join_wake. */
#ifndef VF_TRANSPORT_JOIN_H
#define VF_TRANSPORT_JOIN_H

#include <stdint.h>

#include "core/error.h"

struct vf_join;

/* Makes the directory "run" in the store (borrowed) and a socket in it, and removes sockets that
 * nobody listens on any more.  Returns owned, NULL on error. */
struct vf_join *vf_join_listen(int store_fd, struct vf_error *err);
void vf_join_close(struct vf_join *j); /* removes the socket; NULL is fine */

/* VF_TOKEN_LEN hex digits; lives as long as j. */
const char *vf_join_token(const struct vf_join *j);

/* What was handed over; all three are owned. */
struct vf_joined {
    uint8_t number;
    int rfd, wfd; /* the connection */
    int peer;     /* closing it ends the process that handed it over */
};
void vf_joined_close(struct vf_joined *c);

/* Waits for the next one.  -1: VF_ERR_CANCELLED after vf_join_wake; every other error is about one
 * visitor, and the next may come. */
int vf_join_accept(struct vf_join *j, struct vf_joined *ret, struct vf_error *err) VF_MUST_CHECK;

/* Makes running and later vf_join_accept calls fail; any thread. */
void vf_join_wake(struct vf_join *j);

/* The other process: finds the listener.  A socket (owned), -1: VF_ERR_NOTFOUND when there is no
 * migration with that token. */
int vf_join_connect(int store_fd, const char *token, struct vf_error *err) VF_MUST_CHECK;

/* Hands the connection over and waits until it is not needed any more, or *stop (may be NULL) is
 * set by a signal.  rfd and wfd stay the caller's. */
int vf_join_hand_over(int sock, uint8_t number, int rfd, int wfd, const volatile int *stop,
                      struct vf_error *err) VF_MUST_CHECK;

#endif
