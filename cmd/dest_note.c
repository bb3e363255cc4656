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
#include "cmd/group.h"
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

/* Which file it is, and when it was last written. */
static char *file_text(const struct stat *sb, struct vf_error *err)
{
    return vf_strf(err, "%ju %jd %jd.%09ld", (uintmax_t)sb->st_ino, (intmax_t)sb->st_size,
                   (intmax_t)sb->st_mtim.tv_sec, sb->st_mtim.tv_nsec);
}

/* One line: that, its root, its format and its group. */
static char *text_of(const struct stat *sb, const uint8_t root[VF_SHA_LEN], const char *format,
                     const char *group, struct vf_error *err)
{
    char digest[VF_DIGEST_TEXT], *file = file_text(sb, err), *ret = NULL;

    vf_digest_text(root, digest);
    if (file)
        ret = vf_strf(err, "%s %s %s \"%s\"\n", file, digest, format, group);
    free(file);
    return ret;
}

/* Synced before the image has its name, so that a name that outlives an end of the machine has its
 * note: the same directory has both, and its own sync follows (rename_part). */
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
    if (fd >= 0 && (vf_write_full(fd, text, strlen(text), NULL) < 0 || fsync(fd) < 0))
        vf_dest_unnote(d);
    vf_close_fd(&fd);
    free(text);
    free(name);
}

void vf_dest_forget_note(int images_fd, const char *image)
{
    char *name = note_name(image, NULL);

    if (name)
        (void)unlinkat(images_fd, name, 0); /* one that stays fits no other file */
    free(name);
}

void vf_dest_unnote(struct dest *d)
{
    vf_dest_forget_note(d->images_fd, d->name);
    d->noted = false;
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

/* Under the lock: the image, open as fd, becomes the part of that group, in place of an older one:
 * a part only saves bytes, but an image that is in the way stops the next try. */
static int take(struct dest *d, int fd, const char *group, struct vf_error *err)
{
    /* Without its group it cannot be gone on with, and is made anew. */
    (void)fsetxattr(fd, VF_DEST_GROUP_XATTR, group, strlen(group), 0);
    if (renameat(d->images_fd, d->name, d->images_fd, d->part_name) < 0)
        return vf_error_sys(err, errno, "rename '%s'", d->path);
    vf_dest_unnote(d);
    return vf_index_remove(d->index, d->path, err) < 0 ? -1 : 0; /* the service may have been by */
}

int vf_dest_take_back(struct dest *d, struct vf_error *err)
{
    int fd = openat(d->images_fd, d->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int rc;

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 && errno != ELOOP)
        return vf_error_sys(err, errno, "open '%s'", d->path);
    if (fd < 0 || !vf_dest_unfinished(d))
        rc = vf_error_set(err, VF_ERR_EXISTS, 0, "'%s' exists already", d->path);
    else
        rc = take(d, fd, d->group, err);
    vf_close_fd(&fd);
    return rc;
}

/* ---- of a guest that did not come ---- */

/* The group of a note of that file, at the end of its line; owned, NULL: it is none. */
static char *noted_group(const char *note, const struct stat *sb)
{
    static const char tail[] = "\"\n";
    char *file = file_text(sb, NULL), *ret = NULL;
    size_t len = file ? strlen(file) : 0, n;
    const char *from = strchr(note, '"');

    if (len && strncmp(note, file, len) == 0 && note[len] == ' ' && from) {
        n = strcspn(++from, tail);
        if (strcmp(from + n, tail) == 0)
            ret = strndup(from, n);
    }
    free(file);
    return ret;
}

/* The group of the image, which is that file: as the index has it, else as its note says.  Owned;
 * NULL: nobody knows it, or it is none of this store's. */
static char *group_of(const struct dest *d, const struct stat *sb)
{
    struct vf_image_record rec = {0};
    char *name = note_name(d->name, NULL), *note = NULL, *ret = NULL;
    size_t len;

    if (vf_index_get(d->index, d->path, &rec, NULL) == VF_FOUND && rec.st.ino == sb->st_ino) {
        ret = rec.group;
        rec.group = NULL;
    } else if (name) {
        note = vf_read_small_file(d->images_fd, name, NOTE_MAX, &len, NULL);
        ret = note ? noted_group(note, sb) : NULL;
    }
    if (ret && (vf_group_check(ret, NULL) < 0 || !vf_settings_grants(&d->store->set, ret))) {
        free(ret);
        ret = NULL;
    }
    vf_image_record_clear(&rec);
    free(note);
    free(name);
    return ret;
}

int vf_dest_turn_back(struct vf_dest *dest, const char *image, bool look, struct vf_error *err)
{
    struct dest *d = (struct dest *)dest;
    int fd = openat(d->images_fd, image, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), rc = -1;
    char *group = NULL;
    struct stat sb;

    if (vf_dest_take_name(d, image, err) < 0 || vf_dest_lock(d, err) < 0)
        goto out;
    if (fd >= 0 && is_ours(fd, &sb))
        group = group_of(d, &sb);
    if (group)
        rc = look ? 0 : take(d, fd, group, err);
    else if (fd >= 0 && vf_format_busy(fd))
        rc = vf_error_set(err, VF_ERR_BUSY, 0, "'%s' is in use", d->path);
    else
        rc = vf_error_set(err, VF_ERR_EXISTS, 0, "'%s' exists already", d->path);
out:
    free(group);
    vf_close_fd(&fd);
    return rc;
}
