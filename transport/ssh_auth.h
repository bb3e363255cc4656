/* transport/ssh_auth.h - logging in with a key through libssh2; private to transport/.
 *
 * Thread rules: as for struct vf_link. */
#ifndef VF_TRANSPORT_SSH_AUTH_H
#define VF_TRANSPORT_SSH_AUTH_H

#include "core/error.h"
#include "transport/choose.h"
#include "transport/connect.h"
#include "transport/ssh_link.h"
#include "transport/wait.h"

/* Can the key that the caller names be used at all?  0 with reason untouched: yes; 0 with reason
 * filled: only by the ssh program (RSA, FIDO, certificate); -1: it cannot be read, is no key, or
 * others may read it.  Without opts->identity always 0. */
int vf_ssh_auth_check_identity(const struct vf_conn_opts *opts, char reason[VF_CHOOSE_REASON_MAX],
                               struct vf_error *err) VF_MUST_CHECK;

/* Logs in as user: with opts->identity (by the agent if that holds it, else the file), or without
 * one with the agent's keys and then ~/.ssh/id_ed25519 and id_ecdsa (home: what ~ stands for).
 * 0: logged in, or reason filled: there are keys left that only the ssh program could try.
 * -1: VF_ERR_AUTH with what was tried, or the connection's error. */
int vf_ssh_auth(struct vf_link *l, const char *user, const char *home,
                const struct vf_conn_opts *opts, const struct vf_wait *wait,
                char reason[VF_CHOOSE_REASON_MAX], struct vf_error *err) VF_MUST_CHECK;

#endif
