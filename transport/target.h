/* transport/target.h - where a store is: on this machine, or behind SSH.
 *
 * Two forms of text are understood:
 *
 *     /absolute/store
 *     ssh://[user@]host[:port][/absolute/store]
 *
 * The first is taken as it stands.  In the second, user and store are percent-decoded ("%20"), an
 * IPv6 address stands in [brackets] (its zone after "%25" or "%"), a store of "/" alone means none,
 * and a password is refused.  Nothing that could be taken for an option (a leading '-') and no
 * control character gets through, so the parts may be handed to other programs as arguments.
 *
 * Thread rules: pure functions, any thread; a struct vf_target belongs to one thread at a time. */
#ifndef VF_TRANSPORT_TARGET_H
#define VF_TRANSPORT_TARGET_H

#include "core/error.h"

#define VF_TARGET_TEXT_MAX 4096u /* bytes of a whole target text */
#define VF_TARGET_NAME_MAX 255u  /* bytes of a user and of a host name (DNS: 253) */

enum vf_target_kind { VF_TARGET_LOCAL, VF_TARGET_SSH };

struct vf_target {
    enum vf_target_kind kind;
    char *user;    /* NULL: as the ssh configuration or the system says; always NULL when local */
    char *host;    /* lower case, no brackets; NULL when local */
    unsigned port; /* 0: the default */
    char *store;   /* absolute path; NULL (ssh only): the far end's default */
};
#define VF_TARGET_INIT                                                                             \
    {                                                                                              \
        VF_TARGET_LOCAL, NULL, NULL, 0, NULL                                                       \
    }

/* Parses text (borrows).  0 with *ret owned by the caller (vf_target_free), or -1: VF_ERR_USAGE
 * with what is wrong; the message never repeats what could be a password. */
int vf_target_parse(const char *text, struct vf_target *ret, struct vf_error *err) VF_MUST_CHECK;

/* Releases the strings and re-initialises; an initialised or freed target is fine. */
void vf_target_free(struct vf_target *t);

/* The canonical text, which vf_target_parse reads back to the same target; owned (free), NULL when
 * out of memory. */
char *vf_target_text(const struct vf_target *t, struct vf_error *err);

/* For messages: the store's path, or "host", "host:port", "[address]:port"; owned (free). */
char *vf_target_peer(const struct vf_target *t, struct vf_error *err);

#endif
