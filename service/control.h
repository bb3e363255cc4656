/* service/control.h - questions to the running service through a Unix socket, one for each
 * connection: a line comes, an answer goes, the connection ends.
 *
 * A line that begins with "GET /" is HTTP, as Prometheus and curl speak it; the question is then
 * the path without its slash.
 *
 * Thread rules: a listener belongs to one thread; vf_control_ask any. */
#ifndef VF_SERVICE_CONTROL_H
#define VF_SERVICE_CONTROL_H

#include <poll.h>
#include <stddef.h>

#include "core/error.h"

#define VF_CONTROL_CLIENTS 16u                       /* at a time */
#define VF_CONTROL_FDS     (VF_CONTROL_CLIENTS + 1u) /* to poll for */

struct vf_control;
/* Makes and listens on the socket `name` in the directory (0600).  A socket of that name is
 * replaced: the caller knows that nobody listens there.  NULL on error. */
struct vf_control *vf_control_listen(int dirfd, const char *name, struct vf_error *err);
/* Removes the socket.  NULL is fine. */
void vf_control_free(struct vf_control *c);

/* Fills in what to poll for; returns how many (at most VF_CONTROL_FDS). */
size_t vf_control_polls(const struct vf_control *c, struct pollfd *ret);

/* Owned text for a question; NULL: unknown, or memory is out.  *ret_type: of the content, static */
typedef char *vf_control_fn(void *ctx, const char *question, const char **ret_type);
/* Goes on as far as that is possible without waiting; polls: what poll has filled in. */
void vf_control_serve(struct vf_control *c, const struct pollfd *polls, size_t n, vf_control_fn *fn,
                      void *ctx);

/* Asks the service whose socket is `name` in the directory.  Owned text, or NULL: NOTFOUND when
 * nobody listens, TIMEOUT, UNSUPPORTED when it does not know the question. */
char *vf_control_ask(int dirfd, const char *name, const char *question, int timeout_ms,
                     struct vf_error *err);

#endif
