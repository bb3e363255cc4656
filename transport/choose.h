/* transport/choose.h - does the user's ssh configuration ask for something that only the ssh
 * program can do?
 *
 * Thread rules: any thread. */
#ifndef VF_TRANSPORT_CHOOSE_H
#define VF_TRANSPORT_CHOOSE_H

#include "core/error.h"
#include "transport/connect.h"
#include "transport/wait.h"

#define VF_CHOOSE_REASON_MAX 160u /* bytes of a reason with its zero */

/* Asks the ssh program (`ssh -G`) what holds for this host, once with the user's and the system's
 * configuration and once without any, and compares the settings that say who is reached and how one
 * logs in.  reason becomes the first that differs, as a phrase, or stays as it is.  Without an ssh
 * program, or with one that cannot read its own configuration, nothing differs.
 * 0, or -1: VF_ERR_USAGE when opts->ssh_config cannot be used, VF_ERR_TIMEOUT, VF_ERR_CANCELLED,
 * VF_ERR_NOMEM. */
int vf_choose_by_config(const struct vf_target *target, const struct vf_conn_opts *opts,
                        const struct vf_wait *wait, char reason[VF_CHOOSE_REASON_MAX],
                        struct vf_error *err) VF_MUST_CHECK;

/* The comparison itself: the name of the first setting that differs between two outputs of `ssh -G`
 * (borrows a static string), NULL when all that matter are equal.  own_identity and own_known_hosts
 * say that the caller names these himself, so that the configuration's do not matter. */
const char *vf_choose_compare(const char *with, const char *without, bool own_identity,
                              bool own_known_hosts);

#endif
