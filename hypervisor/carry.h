/* hypervisor/carry.h - the bytes of one socket over a line that may break and come back.
 *
 * QEMU cannot be relied on to go on with memory that is under way when its connection breaks: see
 * "Postcopy" in the README.  So its connection must not break.  Each end of a carry holds the
 * socket of its QEMU, and keeps what it has sent until the other end has said that it came.  The
 * line between the two (a socket that a tunnel carries) may end at any time; over the next one both
 * say how much they have, and go on from there.
 *
 * On the line, each way: nine bytes, a letter and a number (big endian).  'H': the first; so many
 * bytes have come over earlier lines.  'A': so many have come.  'D': so many bytes follow.  'E':
 * the socket has ended, after so many bytes; this counts as one byte more.
 *
 * Thread rules: a carry belongs to one thread. */
#ifndef VF_HYPERVISOR_CARRY_H
#define VF_HYPERVISOR_CARRY_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

#define VF_CARRY_RING  (UINT64_C(8) << 20) /* bytes that are kept until the other end has them */
#define VF_CARRY_PIECE (64u << 10)         /* bytes of one 'D' at most */
#define VF_CARRY_EXTRA 2u                  /* descriptors that are looked at besides */

struct vf_carry;

/* Returns owned.  No later call needs memory: it may be used in a child of a process with threads.
 */
struct vf_carry *vf_carry_new(struct vf_error *err);

/* QEMU's connected socket (a stream); owned from now on, and made non-blocking. */
void vf_carry_socket(struct vf_carry *c, int fd);

/* A new line (owned, made non-blocking); an earlier one is closed. */
void vf_carry_line(struct vf_carry *c, int fd);

/* Is there a line?  One that has broken is closed. */
bool vf_carry_has_line(const struct vf_carry *c);

/* Moves what can be moved, waiting up to ms for that, or for one of n extra descriptors
 * (VF_CARRY_EXTRA at most; extra NULL: 0), whose revents are set as by poll.  *ret_moved: bytes
 * came or went. */
void vf_carry_step(struct vf_carry *c, int ms, struct pollfd *extra, unsigned n, bool *ret_moved);

/* Nothing new comes from the socket: QEMU is done, or gone. */
bool vf_carry_ended(const struct vf_carry *c);

/* Both sockets have ended, and each end has all that the other had for it. */
bool vf_carry_done(const struct vf_carry *c);

/* Closes all.  NULL is fine. */
void vf_carry_free(struct vf_carry *c);

#endif
