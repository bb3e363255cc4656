/* core/unixsock.h - Unix sockets with a name in the file system, and descriptors sent over any.
 *
 * A name has 107 bytes at most (more: VF_ERR_UNSUPPORTED).  Relative to a directory that limit is
 * the name's own: the directory may lie as deep as it likes.
 *
 * Any thread. */
#ifndef VF_CORE_UNIXSOCK_H
#define VF_CORE_UNIXSOCK_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

#define VF_UNIXSOCK_FDS 4u /* descriptors in one message at most */

/* Connects to the socket at path, relative to the directory dirfd (a descriptor, or AT_FDCWD: as it
 * stands).  type: SOCK_STREAM, SOCK_SEQPACKET or SOCK_DGRAM, perhaps with SOCK_NONBLOCK; the
 * descriptor is closed by exec.  -1: err->sys says why, ENOENT and ECONNREFUSED: nobody is there.
 */
int vf_unixsock_connect(int dirfd, const char *path, int type, struct vf_error *err) VF_MUST_CHECK;

/* Listens at path (as above), with mode 0600 from its first moment.  A socket that is there is
 * replaced, whoever listens at it; anything else is in the way.  With SOCK_DGRAM it is just there,
 * and backlog has no meaning. */
int vf_unixsock_listen(int dirfd, const char *path, int type, int backlog,
                       struct vf_error *err) VF_MUST_CHECK;

/* One byte and n descriptors (they stay the caller's) for the other end of a connected socket
 * (SCM_RIGHTS, unix(7)). */
int vf_unixsock_give(int sock, uint8_t byte, const int *fd, size_t n, struct vf_error *err);

/* Takes what vf_unixsock_give has sent, if it is there (it does not wait): ret_fd has room for most
 * of them, all closed by exec and owned.  *ret_n: how many came; none for a message of nothing but
 * bytes, of which the rest is lost.  More than most are closed.  -1: nothing is there, or the other
 * end is gone. */
int vf_unixsock_take(int sock, uint8_t *ret_byte, int *ret_fd, size_t most, size_t *ret_n,
                     struct vf_error *err) VF_MUST_CHECK;

#endif
