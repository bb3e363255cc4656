/* core/fdio.h - whole reads and writes on file descriptors; directory-relative, safe file
 * replacement.
 *
 * All calls retry EINTR.  Any thread; positional calls on one descriptor may run at the same time.
 */
#ifndef VF_CORE_FDIO_H
#define VF_CORE_FDIO_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

/* Closes *fd if it is not negative, and sets it to -1.  Errors of close are ignored: what must be
 * durable was fsynced before. */
void vf_close_fd(int *fd);

/* Asks for a pipe as large as any user may have it by default, 1 MiB, for one that carries much:
 * with less, two programs wait for each other more often.  To be used with care, for a user's pipes
 * together may have 64 times as much (pipe(7)), and what is made behind that is tiny. */
void vf_pipe_widen(int fd);

/* Returns *fd and leaves -1 behind: hands ownership over. */
int vf_steal_fd(int *fd);

/* Exactly len bytes, or -1.  vf_write_full waits for room when the descriptor does not block; a
 * closed pipe or socket is EPIPE only while SIGPIPE is ignored.  vf_pread_full: the end of the file
 * before len is VF_ERR_RANGE
 * ("file ends at ..."), which is how a file that shrank shows. */
int vf_pread_full(int fd, void *buf, size_t len, uint64_t off, struct vf_error *err) VF_MUST_CHECK;
int vf_pwrite_full(int fd, const void *buf, size_t len, uint64_t off,
                   struct vf_error *err) VF_MUST_CHECK;
int vf_write_full(int fd, const void *buf, size_t len, struct vf_error *err) VF_MUST_CHECK;
/* Number of bytes read (0 at the end), at most len; -1 on error. */
long vf_read_some(int fd, void *buf, size_t len, struct vf_error *err) VF_MUST_CHECK;

/* mkdir -p, mode for the last part and 0755 for what is above.  An existing directory is fine. */
int vf_mkdir_p(const char *path, unsigned mode, struct vf_error *err) VF_MUST_CHECK;

/* Replaces DIRFD/name by len bytes: temporary file beside it, fsync, rename, fsync of the
 * directory.  mode is exact (no umask).  On failure the old file is untouched, unless it was the
 * last step, the sync of the directory, that failed. */
int vf_replace_file(int dirfd, const char *name, const void *data, size_t len, unsigned mode,
                    struct vf_error *err) VF_MUST_CHECK;

/* The whole of a small file, NUL-terminated, at most max bytes (more: VF_ERR_RANGE); returns owned,
 * or NULL. */
char *vf_read_small_file(int dirfd, const char *name, size_t max, size_t *ret_len,
                         struct vf_error *err);

/* An unlinked temporary file (O_TMPFILE, else mkstemp and unlink) in dir.  Descriptor, or -1. */
int vf_tmpfile(const char *dir, struct vf_error *err) VF_MUST_CHECK;

#endif
