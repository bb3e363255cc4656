/* core/unixsock.h - Unix sockets with a name in the file system.
 *
 * A name has 107 bytes at most (more: VF_ERR_UNSUPPORTED).  Relative to a directory that limit is
 * the name's own: the directory may lie as deep as it likes.
 *
 * Any thread. */
#ifndef VF_CORE_UNIXSOCK_H
#define VF_CORE_UNIXSOCK_H

#include "core/error.h"

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

#endif
