/* cmd/guest/guest_far.h - the source's way to the far half of a guest's move: its conversation, and
 * tunnels to its sockets.
 *
 * Thread rules: belongs to the main thread; each tunnel has threads of its own. */
#ifndef VF_CMD_GUEST_GUEST_FAR_H
#define VF_CMD_GUEST_GUEST_FAR_H

#include "cmd/peer.h"
#include "core/ratelimit.h"
#include "hypervisor/hypervisor.h"

struct vf_guest_far;

struct vf_guest_far_opts {
    const struct vf_cli *cli;
    const struct vf_target *target;
    const struct vf_reach *reach;
    const char *group;
    struct vf_ratelimit *limit; /* shared with all other connections; may be NULL */
    const char *name;           /* of the guest */
    const char *run_dir;        /* for sockets on this side */
};

/* Connects.  All of opts is borrowed until close.  Returns owned. */
struct vf_guest_far *vf_guest_far_open(const struct vf_guest_far_opts *opts, struct vf_error *err);

/* Asks "check" and learns the far side's directory and token; args as guest_serve.c says.
 * *ret_refused as of vf_talk_ask. */
int vf_guest_far_check(struct vf_guest_far *f, json_t *args, struct vf_error *err) VF_MUST_CHECK;

/* Opens connections for so many tunnels in the background; the next tunnels take them. */
void vf_guest_far_ahead(struct vf_guest_far *f, size_t n);

/* After the connection was lost: a new one, for "state" and "commit" of the same guest. */
int vf_guest_far_again(struct vf_guest_far *f, const char *kind,
                       struct vf_error *err) VF_MUST_CHECK;

/* What the source half is given. */
struct vf_far *vf_guest_far_half(struct vf_guest_far *f);

/* Ends all tunnels and removes their sockets. */
void vf_guest_far_end_tunnels(struct vf_guest_far *f);

/* Bytes over all connections so far. */
void vf_guest_far_stats(struct vf_guest_far *f, struct vf_stream_stats *ret);

/* outcome: NULL or what failed.  NULL f is fine. */
void vf_guest_far_close(struct vf_guest_far *f, const struct vf_error *outcome);

#endif
