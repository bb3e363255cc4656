/* core/runfile.h - sorted runs on disk: one behind the other in a file without a name, which is
 * made when the first one comes.
 *
 * Thread rules: one thread at a time. */
#ifndef VF_CORE_RUNFILE_H
#define VF_CORE_RUNFILE_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

#define VF_RUNS_MAX 4096u /* of one file */

/* A run, as bytes of the file that are not read yet. */
struct vf_run {
    uint64_t at, end;
};

struct vf_runfile {
    char *tmpdir;
    int fd;
    uint64_t len; /* bytes */
    size_t runs;
};
#define VF_RUNFILE_INIT                                                                            \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/* tmpdir: where the file goes; copied. */
int vf_runfile_init(struct vf_runfile *f, const char *tmpdir, struct vf_error *err) VF_MUST_CHECK;
void vf_runfile_close(struct vf_runfile *f); /* also what was never opened; the file is gone */

/* A run of len bytes behind the others.  VF_ERR_SPACE: there are VF_RUNS_MAX already. */
int vf_runfile_append(struct vf_runfile *f, const void *data, size_t len, struct vf_run *ret,
                      struct vf_error *err) VF_MUST_CHECK;

/* The next bytes of a run, as many as there are up to room; *ret: how many, 0 at its end. */
int vf_runfile_read(const struct vf_runfile *f, struct vf_run *run, void *buf, size_t room,
                    size_t *ret, struct vf_error *err) VF_MUST_CHECK;

#endif
