/* transport/ssh_client.h - the system's ssh program as a back end.
 *
 * It is started by argument vector, never through a shell; the command for the far end is quoted
 * for the shell that sshd starts there.
 *
 * Thread rules: as for vf_connect. */
#ifndef VF_TRANSPORT_SSH_CLIENT_H
#define VF_TRANSPORT_SSH_CLIENT_H

#include "core/error.h"
#include "transport/connect.h"

/* As vf_connect.  reason says why libssh2 was not used (NULL: the caller named the client). */
struct vf_conn *vf_ssh_client_connect(const struct vf_target *target,
                                      const struct vf_conn_opts *opts, const char *reason,
                                      struct vf_error *err);

/* `PROGRAM [--store STORE] serve [ARGS]`, quoted for a POSIX shell.  Owned (free); NULL on failure.
 * Also what the built-in client asks the far end to run. */
char *vf_ssh_remote_command(const struct vf_target *target, const struct vf_conn_opts *opts,
                            struct vf_error *err);

/* What an ssh client that exited with 255 wrote, as an error: VF_ERR_AUTH or VF_ERR_UNREACHABLE. */
void vf_ssh_client_explain(const char *diagnosis, const char *peer, const char *reason,
                           struct vf_error *err);

#endif
