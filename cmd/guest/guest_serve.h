/* cmd/guest/guest_serve.h - the far end of a guest's move: purposes GUEST and TUNNEL.
 *
 * Thread rules: belongs to the main thread of `serve`. */
#ifndef VF_CMD_GUEST_GUEST_SERVE_H
#define VF_CMD_GUEST_GUEST_SERVE_H

#include "cmd/storedir.h"
#include "core/stream.h"
#include "hypervisor/hypervisor.h"
#include "index/index.h"

struct vf_guest_serve {
    const struct vf_storedir *store;
    struct vf_index *index;
    int images_fd;
    const char *group;
    struct vf_starter *starter; /* NULL: nothing can be started */
    struct vf_stream *stream;
    const volatile int *stop;
};

/* Answers questions until the source ends the conversation.  A guest that has not passed its commit
 * point by then is dropped, and what came of its disks is kept as the parts of a next try. */
int vf_guest_serve(const struct vf_guest_serve *s, struct vf_error *err) VF_MUST_CHECK;

/* Answers one question and carries bytes to a socket of that guest. */
int vf_guest_serve_tunnel(const struct vf_guest_serve *s, struct vf_error *err) VF_MUST_CHECK;

#endif
