/* cmd/progress.h - how far the work is, on standard error, for people or programs.
 *
 * bar    one line that is rewritten, on a terminal
 * plain  a line every few seconds
 * json   one object a line, twice a second: {"progress": {"phase", "bytes_done", "bytes_total",
 *        "bytes_saved", "wire_bytes_sent", "seconds", "rate", "seconds_left"}}
 *
 * Thread rules: made, pointed at a stream and ended by one thread; vf_progress_tick comes from the
 * engine's, never from two at once, and not outside the engine's call. */
#ifndef VF_CMD_PROGRESS_H
#define VF_CMD_PROGRESS_H

#include "core/engine/engine.h"
#include "core/stream.h"

struct vf_cli;
struct vf_progress;

/* title (borrows until the end) says what is worked on.  NULL when memory is out: then there is no
 * progress, which is no error; the other calls take NULL. */
struct vf_progress *vf_progress_new(const struct vf_cli *cli, const char *title);

/* The stream that the work goes over, for what has been sent (borrows; NULL: none any more). */
void vf_progress_over(struct vf_progress *p, struct vf_stream *st);

/* A vf_progress_fn; ctx is the struct vf_progress. */
void vf_progress_tick(void *ctx, const struct vf_progress_now *now);

/* Ends the line of a bar and frees. */
void vf_progress_end(struct vf_progress *p);

#endif
