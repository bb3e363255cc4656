/* cmd/dest_note.c - what is known beside an image between its name and its place in the index. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cmd/dest_impl.h"
#include "cmd/report.h"
#include "core/checked.h"
#include "core/fdio.h"
#include "formats/format.h"

#define NOTE_MAX 512u /* bytes */

/* Hidden, so no image is called so; fits wherever NAME.part does. */
static char *note_name(const char *name, struct vf_error *err)
{
    return vf_strf(err, ".%s.in", name);
}

/* One line: the file, when it was last written, its root, its format and its group. */
static char *text_of(const struct stat *sb, const uint8_t root[VF_SHA_LEN], const char *format,
                     const char *group, struct vf_error *err)
{
    char digest[VF_DIGEST_TEXT];

    vf_digest_text(root, digest);
    return vf_strf(err, "%ju %jd %jd.%09ld %s %s \"%s\"\n", (uintmax_t)sb->st_ino,
                   (intmax_t)sb->st_size, (intmax_t)sb->st_mtim.tv_sec, sb->st_mtim.tv_nsec, digest,
                   format, group);
}

/* Not synced: it is for an end of this process.  When the machine ends, it may be missing, and the
 * image is in the way then. */
void vf_dest_note(struct dest *d)
{
    char *name = note_name(d->name, NULL), *text = NULL;
    struct stat sb;
    int fd = -1;

    if (name && fstatat(d->images_fd, d->part_name, &sb, AT_SYMLINK_NOFOLLOW) == 0)
        text = text_of(&sb, d->root, d->format, d->group, NULL);
    if (text) {
        (void)unlinkat(d->images_fd, name, 0); /* what an earlier one has left */
        fd = openat(d->images_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        d->noted = fd >= 0;
    }
    if (fd >= 0 && vf_write_full(fd, text, strlen(text), NULL) < 0)
        vf_dest_unnote(d);
    vf_close_fd(&fd);
    free(text);
    free(name);
}

void vf_dest_unnote(struct dest *d)
{
    char *name = note_name(d->name, NULL);

    if (name)
        (void)unlinkat(d->images_fd, name, 0); /* one that stays fits no other file */
    d->noted = false;
    free(name);
}

/* Has nobody else taken it into use?  Neither is it open, nor has it got a second name. */
static bool is_ours(int fd, struct stat *ret)
{
    return fstat(fd, ret) == 0 && S_ISREG(ret->st_mode) && ret->st_nlink == 1 &&
           !vf_format_busy(fd);
}

bool vf_dest_unfinished(const struct dest *d)
{
    int fd = openat(d->images_fd, d->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char *name = note_name(d->name, NULL), *want = NULL, *is = NULL;
    struct stat sb;
    size_t len;
    bool ret;

    if (fd >= 0 && name && d->root_known && is_ours(fd, &sb))
        want = text_of(&sb, d->root, d->format, d->group, NULL);
    if (want)
        is = vf_read_small_file(d->images_fd, name, NOTE_MAX, &len, NULL);
    ret = is && strcmp(is, want) == 0;
    free(is);
    free(want);
    free(name);
    vf_close_fd(&fd);
    return ret;
}

int vf_dest_take_back(struct dest *d, struct vf_error *err)
{
    int fd = openat(d->images_fd, d->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int rc = -1;

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 && errno != ELOOP)
        return vf_error_sys(err, errno, "open '%s'", d->path);
    /* No part without its group, which cannot be gone on with. */
    if (fd < 0 || !vf_dest_unfinished(d) ||
        fsetxattr(fd, VF_DEST_GROUP_XATTR, d->group, strlen(d->group), 0) < 0 ||
        renameat2(d->images_fd, d->name, d->images_fd, d->part_name, RENAME_NOREPLACE) < 0)
        (void)vf_error_set(err, VF_ERR_EXISTS, 0, "'%s' exists already", d->path);
    else
        rc =
            vf_index_remove(d->index, d->path, err) < 0 ? -1 : 0; /* the service may have been by */
    vf_close_fd(&fd);
    if (rc == 0)
        vf_dest_unnote(d);
    return rc;
}
