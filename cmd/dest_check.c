/* cmd/dest_check.c - may this image come? */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "cmd/dest_impl.h"
#include "core/checked.h"
#include "core/fdio.h"
#include "formats/format.h"

#define LOCK_NAME ".vmferry.lock"
#define SLACK     (UINT64_C(4) << 20) /* bytes that format and index need beside the data, at least */

int vf_dest_name_check(const char *name, struct vf_error *err)
{
    size_t len = strlen(name);
    const char *why = NULL;

    if (!len)
        why = "is empty";
    else if (len > VF_DEST_NAME_MAX)
        why = "is too long";
    else if (name[0] == '.')
        why = "begins with a dot";
    else if (strchr(name, '/'))
        why = "is a path";
    else if (len >= 5 && strcmp(name + len - 5, ".part") == 0)
        why = "ends in .part";
    for (const char *p = name; *p && !why; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            why = "has a control character";
    if (!why)
        return 0;
    return vf_error_set(err, VF_ERR_USAGE, 0, "the name '%.64s' of the image %s", name, why);
}

uint64_t vf_dest_free_bytes(int images_fd)
{
    struct statvfs fs;
    uint64_t ret;

    if (fstatvfs(images_fd, &fs) < 0 ||
        !vf_mul_ok((uint64_t)fs.f_bavail, (uint64_t)fs.f_frsize, &ret))
        return 0;
    return ret;
}

/* ---- the lock ---- */

/* FNV-1a; two names with one value would merely wait for each other. */
static off_t lock_place(const char *name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return (off_t)(h & INT64_MAX >> 1);
}

int vf_dest_lock(struct dest *d, struct vf_error *err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

    lock.l_start = lock_place(d->name);
    d->lock_fd = openat(d->images_fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->lock_fd < 0)
        return vf_error_sys(err, errno, "'%s/%s'", d->store->images_dir, LOCK_NAME);
    if (fcntl(d->lock_fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return vf_error_set(err, VF_ERR_BUSY, 0, "another transfer of '%s' is going on", d->name);
    return vf_error_sys(err, errno, "lock '%s'", LOCK_NAME);
}

/* ---- checks before anything is written ---- */

/* A guest may be running from the image that would be replaced, and would write into what has no
 * name any more.  Its format does not matter: the new image's may be another one. */
static int check_unused(const struct dest *d, struct vf_error *err)
{
    int fd = openat(d->images_fd, d->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int rc = 0;

    if (fd < 0)
        return vf_error_sys(err, errno, "'%s', which would be replaced", d->path);
    if (vf_format_busy(fd))
        rc = vf_error_set(err, VF_ERR_BUSY, 0, "'%s' is in use", d->path);
    vf_close_fd(&fd);
    return rc;
}

/* Is what is there what is to come?  A migration whose last answer got lost is then done. */
static bool has_it(const struct dest *d, const struct vf_image_record *rec)
{
    return d->root_known && strcmp(rec->group, d->group) == 0 && vf_index_fresh(d->index, rec) &&
           memcmp(rec->info.root, d->root, VF_SHA_LEN) == 0;
}

/* What is known of an image that is in the way. */
static const char *told_of(const struct dest *d)
{
    struct vf_image_record rec = {0};
    int found = vf_index_get(d->index, d->path, &rec, NULL);
    const char *ret = "";

    if (found == VF_FOUND && has_it(d, &rec))
        ret = ", with this very content";
    else if (found == VF_ABSENT)
        ret = ", not indexed: perhaps a move that was cut short has left it";
    vf_image_record_clear(&rec);
    return ret;
}

int vf_dest_check_target(const struct dest *d, bool replace, bool *ret_exists, struct vf_error *err)
{
    struct stat sb;

    *ret_exists = fstatat(d->images_fd, d->name, &sb, AT_SYMLINK_NOFOLLOW) == 0;
    if (!*ret_exists)
        return errno == ENOENT ? 0 : vf_error_sys(err, errno, "'%s'", d->path);
    if (vf_dest_unfinished(d)) {
        *ret_exists = false;
        return 0;
    }
    if (!replace)
        return vf_error_set(err, VF_ERR_EXISTS, 0, "'%s' exists already%s", d->path, told_of(d));
    if (!d->store->set.allow_replace)
        return vf_error_set(err, VF_ERR_DENIED, 0,
                            "'%s' exists, and this store's settings forbid replacing", d->path);
    if (!S_ISREG(sb.st_mode))
        return vf_error_set(err, VF_ERR_DENIED, 0, "'%s' is not a regular file", d->path);
    return check_unused(d, err);
}

int vf_dest_check_size(const struct dest *d, const struct vf_msg_offer *offer, struct vf_error *err)
{
    uint64_t limit = d->store->set.max_image_size;

    if (limit && offer->size > limit)
        return vf_error_set(err, VF_ERR_DENIED, 0,
                            "an image of %" PRIu64
                            " bytes is larger than this store takes (%" PRIu64 ")",
                            offer->size, limit);
    return 0;
}

/* Room for the data, less what an earlier try has written already. */
int vf_dest_check_space(const struct dest *d, const struct vf_msg_offer *offer,
                        struct vf_error *err)
{
    const int room_fd = d->store->room_fd;
    uint64_t have = vf_dest_free_bytes(room_fd < 0 ? d->images_fd : room_fd), need = SLACK, data;
    struct stat sb;

    if (!vf_mul_ok(offer->data_blocks, (uint64_t)VF_BLOCK, &data) || !vf_add_ok(need, data, &need))
        need = UINT64_MAX;
    if (fstatat(d->images_fd, d->part_name, &sb, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(sb.st_mode))
        (void)vf_add_ok(have, (uint64_t)sb.st_blocks * 512, &have); /* else it is enough anyway */
    if (have >= need)
        return 0;
    return vf_error_set(err, VF_ERR_SPACE, ENOSPC,
                        "'%s' has %" PRIu64 " bytes free, and up to %" PRIu64 " are needed",
                        d->store->images_dir, have, need);
}
