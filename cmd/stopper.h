/* cmd/stopper.h - cuts a conversation short when the user wants to stop.
 *
 * A thread that looks at the stop flag ten times a second, because a signal handler cannot wake the
 * threads that wait for the peer.  Takes no signals itself.
 *
 * Thread rules: started and ended by one thread; the stream must outlive it. */
#ifndef VF_CMD_STOPPER_H
#define VF_CMD_STOPPER_H

#include "core/error.h"
#include "core/stream.h"

struct vf_stopper;

/* Cancels st once *stop is not zero.  Returns owned, NULL on error. */
struct vf_stopper *vf_stopper_start(const volatile int *stop, struct vf_stream *st,
                                    struct vf_error *err);
void vf_stopper_end(struct vf_stopper *s); /* NULL is fine */

#endif
