/* cmd/ratefile.h - a rate limit that an operator changes while the program runs, by a file.
 *
 * While the file is there, its content is the limit: a number of bytes per second with the usual
 * suffixes, or "none".  Without it the limit is the one from the command line.  An empty file
 * changes nothing (it is just being written), nor does one that cannot be understood.  A thread
 * looks at it twice a second; it takes no signals.
 *
 * Thread rules: started and ended by one thread; the limit and cli must outlive it. */
#ifndef VF_CMD_RATEFILE_H
#define VF_CMD_RATEFILE_H

#include <stdint.h>

#include "core/error.h"
#include "core/ratelimit.h"

struct vf_cli;
struct vf_ratefile;

/* Bytes per second that a limit can have. */
#define VF_RATE_MIN UINT64_C(1000)
#define VF_RATE_MAX (UINT64_C(1) << 50)

/* What the file says: 1 with *ret_rate (0: no limit), 0 when it is not there or empty, -1 when it
 * cannot be read or understood. */
int vf_ratefile_read(const char *path, uint64_t *ret_rate, struct vf_error *err);

/* Sets limit by the file, now and whenever it changes; base: the rate without the file, 0: no
 * limit.  path is borrowed until the end.  Returns owned; NULL when the file cannot be understood
 * now, which is an error of usage, or no thread can be had. */
struct vf_ratefile *vf_ratefile_start(const struct vf_cli *cli, const char *path, uint64_t base,
                                      struct vf_ratelimit *limit, struct vf_error *err);
void vf_ratefile_end(struct vf_ratefile *r); /* NULL is fine */

#endif
