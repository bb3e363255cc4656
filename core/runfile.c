#include "core/runfile.h"

#include <stdlib.h>

#include "core/checked.h"
#include "core/fdio.h"

int vf_runfile_init(struct vf_runfile *f, const char *tmpdir, struct vf_error *err)
{
    *f = (struct vf_runfile)VF_RUNFILE_INIT;
    f->tmpdir = vf_strdup(tmpdir, err);
    return f->tmpdir ? 0 : -1;
}

void vf_runfile_close(struct vf_runfile *f)
{
    vf_close_fd(&f->fd);
    free(f->tmpdir);
    f->tmpdir = NULL;
}

int vf_runfile_append(struct vf_runfile *f, const void *data, size_t len, struct vf_run *ret,
                      struct vf_error *err)
{
    if (f->runs == VF_RUNS_MAX)
        return vf_error_set(err, VF_ERR_SPACE, 0, "too much to sort in this much memory");
    if (f->fd < 0 && (f->fd = vf_tmpfile(f->tmpdir, err)) < 0)
        return -1;
    if (vf_pwrite_full(f->fd, data, len, f->len, err) < 0)
        return vf_error_prefix(err, "sorting in '%s'", f->tmpdir);
    *ret = (struct vf_run){.at = f->len, .end = f->len + len};
    f->len += len;
    f->runs++;
    return 0;
}

int vf_runfile_read(const struct vf_runfile *f, struct vf_run *run, void *buf, size_t room,
                    size_t *ret, struct vf_error *err)
{
    const uint64_t left = run->end - run->at;
    const size_t n = left < room ? (size_t)left : room;

    if (n && vf_pread_full(f->fd, buf, n, run->at, err) < 0)
        return vf_error_prefix(err, "sorting in '%s'", f->tmpdir);
    run->at += n;
    *ret = n;
    return 0;
}
