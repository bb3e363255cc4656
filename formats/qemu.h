/* formats/qemu.h - running QEMU's tools.
 *
 * Thread rules: any thread; a server belongs to one thread at a time and dies with the thread that
 * started it (core/proc.h). */
#ifndef VF_FORMATS_QEMU_H
#define VF_FORMATS_QEMU_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "core/proc.h"

/* A qemu-nbd that serves one image on a socket in a private directory. */
struct vf_qemu_server {
    struct vf_proc proc;
    char *dir, *socket; /* owned; NULL: none (any more) */
    char said[512];     /* the first of what it wrote to standard error */
    size_t said_len;
};
#define VF_QEMU_SERVER_INIT                                                                        \
    {                                                                                              \
        .proc = VF_PROC_INIT                                                                       \
    }

/* Starts it for image (a file name or "json:..." as QEMU takes it) and up to conns connections.  It
 * ends by itself when the last of them is closed.  Returns at once: the socket appears a little
 * later, ask with vf_qemu_wait. */
int vf_qemu_serve(struct vf_qemu_server *s, const char *image, bool writable, unsigned conns,
                  struct vf_error *err) VF_MUST_CHECK;

/* Waits up to ms for the socket: 1 it is there, 0 not yet, -1 the server has ended; *err has what
 * it said. */
int vf_qemu_wait(struct vf_qemu_server *s, int ms, struct vf_error *err) VF_MUST_CHECK;

/* Does it end within ms?  Then *err has what it said. */
bool vf_qemu_ended(struct vf_qemu_server *s, int ms, struct vf_error *err);

/* Removes the socket and its directory: once all connections are made nothing else needs it, and
 * nothing is left behind however we end. */
void vf_qemu_hide(struct vf_qemu_server *s);

/* After the last connection was closed: waits for its end.  0, or -1 when it did not end well. */
int vf_qemu_finish(struct vf_qemu_server *s, struct vf_error *err);

/* Kills it; harmless on an empty or finished one. */
void vf_qemu_kill(struct vf_qemu_server *s);

/* Runs qemu-img to its end.  *ret_status is its exit status.  When that is not 0, *err holds IO and
 * what it said, though the call itself succeeds.  -1 when it could not be run. */
int vf_qemu_img(const char *const argv[], int *ret_status, struct vf_error *err) VF_MUST_CHECK;

#endif
