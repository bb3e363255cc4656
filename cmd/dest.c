/* cmd/dest.c - the destination of a transfer. */
#include "cmd/dest_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "cmd/group.h"
#include "core/checked.h"
#include "core/clock.h"
#include "core/fdio.h"
#include "formats/writer.h"

#define VIEWS_AGAIN 10.0 /* seconds until a guest is asked again that could not be read */

int vf_dest_take_name(struct dest *d, const char *name, struct vf_error *err)
{
    if (vf_dest_name_check(name, err) < 0)
        return -1;
    d->name = vf_strdup(name, err);
    d->part_name = vf_strf(err, "%s.part", name);
    d->path = vf_strf(err, "%s/%s", d->store->images_dir, name);
    d->part_path = vf_strf(err, "%s/%s.part", d->store->images_dir, name);
    return d->name && d->part_name && d->path && d->part_path ? 0 : -1;
}

static int take_names(struct dest *d, const struct vf_msg_offer *offer, struct vf_error *err)
{
    if (vf_dest_take_name(d, offer->name, err) < 0)
        return -1;
    if (!vf_writer_can(offer->format))
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0, "cannot make an image of format '%.32s'",
                            offer->format);
    d->format = vf_strdup(offer->format, err);
    d->cluster_size = offer->cluster_size;
    d->root_known = offer->flags & VF_OFFER_ROOT;
    memcpy(d->root, offer->root, VF_SHA_LEN);
    return d->format ? 0 : -1;
}

/* ---- donors ---- */

/* A resident image for reading.  What it gives is verified, so a guest may be using it; but then
 * only a raw file is opened: the tables of other formats cannot be read while a guest changes them,
 * so those are read through the guest's hypervisor. */
static struct vf_image *open_donor(void *ctx, const struct vf_image_record *rec, const char *file,
                                   struct vf_error *err)
{
    struct vf_open_opts opts = {.trusted_format = rec->format,
                                .allow_busy = strcmp(rec->format, "raw") == 0};

    struct dest *d = ctx;
    struct vf_error why = VF_ERROR_INIT;
    struct vf_image *im = vf_format_open(AT_FDCWD, file, &opts, NULL, &why);

    if (im)
        return im;
    if (why.code == VF_ERR_BUSY && vf_clock_now() >= d->views_again &&
        vf_readguest_opts(&d->store->set, &d->views)) {
        im = vf_readguest_open(&d->views, file, rec->format, NULL, &why);
        if (im)
            return im;
        d->views_again = vf_clock_now() + VIEWS_AGAIN; /* the engine asks for each copy anew */
    }
    (void)vf_error_pass(err, &why); /* NULL says it */
    return NULL;
}

/* Number of the part among the residents, or -1. */
static int64_t find_part(const struct dest *d, const char *known_as)
{
    unsigned n = d->residents->ops->count(d->residents);

    for (unsigned i = 0; known_as && i < n; i++) {
        struct vf_map_info info;
        const char *name;
        bool fresh;

        if (d->residents->ops->describe(d->residents, i, &name, &info, &fresh, NULL) == 0 &&
            strcmp(name, known_as) == 0)
            return i;
    }
    return -1;
}

/* ---- the part ---- */

int vf_dest_record(const struct dest *d, char *path, enum vf_image_state state,
                   struct vf_image_record *ret, struct vf_error *err)
{
    *ret = (struct vf_image_record){.path = path,
                                    .format = d->format,
                                    .group = d->group,
                                    .cluster_size = d->cluster_size,
                                    .state = state,
                                    .indexed_at = (int64_t)time(NULL)};
    return vf_index_stat(d->index, path, &ret->st, err);
}

/* Indexes what an earlier try has left, so that it is a donor like any other. */
static int index_leftover(struct dest *d, char **ret_known_as, struct vf_error *err)
{
    struct vf_image_record rec, known = {0};
    struct vf_send_opts opts = {0};
    struct vf_map_sink *sink;

    if (vf_dest_record(d, d->part_path, VF_IMAGE_PARTIAL, &rec, err) < 0)
        return -1;
    sink = vf_index_begin(d->index, &rec, err);
    if (!sink || vf_index_image(d->part, sink, &opts, NULL, err) < 0)
        return -1;
    if (vf_index_get(d->index, d->part_path, &known, err) != VF_FOUND)
        return -1;
    *ret_known_as = known.path;
    known.path = NULL;
    vf_image_record_clear(&known);
    return 0;
}

static int remove_part(struct dest *d, struct vf_error *err)
{
    if (unlinkat(d->images_fd, d->part_name, 0) < 0 && errno != ENOENT)
        return vf_error_sys(err, errno, "remove '%s'", d->part_path);
    return vf_index_remove(d->index, d->part_path, err) < 0 ? -1 : 0;
}

/* The group whose transfer wrote a part is noted at the file: what it holds must not be offered to
 * another one. */
static int note_group(const struct dest *d, struct vf_error *err)
{
    int fd = openat(d->images_fd, d->part_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int rc = 0;

    if (fd < 0)
        return vf_error_sys(err, errno, "'%s'", d->part_path);
    if (fsetxattr(fd, VF_DEST_GROUP_XATTR, d->group, strlen(d->group), 0) < 0 && errno != ENOTSUP)
        rc = vf_error_sys(err, errno, "attribute of '%s'", d->part_path);
    vf_close_fd(&fd);
    return rc;
}

static bool is_of_group(const struct dest *d)
{
    char group[VF_GROUP_MAX + 1];
    int fd = openat(d->images_fd, d->part_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : fgetxattr(fd, VF_DEST_GROUP_XATTR, group, sizeof group - 1);

    vf_close_fd(&fd);
    if (n < 0)
        return false;
    group[n] = '\0';
    return strcmp(group, d->group) == 0;
}

/* The .part: the one of an earlier try if that can be gone on with, else a new one. */
static int open_part(struct dest *d, uint64_t size, char **ret_known_as, struct vf_error *err)
{
    struct vf_image_desc like = {
        .format = d->format, .virtual_size = size, .cluster_size = d->cluster_size};
    struct vf_error why = VF_ERROR_INIT;

    d->has_part = true;
    if (is_of_group(d)) {
        d->part = vf_writer_reopen(d->images_fd, d->part_name, &like, &why);
        if (d->part && index_leftover(d, ret_known_as, &why) == 0)
            return 0;
        vf_image_close(d->part);
        d->part = NULL;
        if (why.code == VF_ERR_NOMEM || why.code == VF_ERR_SPACE)
            return vf_error_pass(err, &why);
    }
    if (remove_part(d, err) < 0)
        return -1;
    d->part = vf_writer_create(d->images_fd, d->part_name, &like, err);
    return d->part ? note_group(d, err) : -1;
}

static struct vf_map_sink *begin_map(struct dest *d, struct vf_error *err)
{
    struct vf_image_record rec = {
        .path = d->path, .format = d->format, .group = d->group, .cluster_size = d->cluster_size};

    return vf_index_begin(d->index, &rec, err);
}

static int dest_open(struct vf_dest *dest, const struct vf_msg_offer *offer, bool count_only,
                     struct vf_image **ret_part, struct vf_residents **ret_residents,
                     struct vf_map_sink **ret_sink, int64_t *ret_leftover,
                     struct vf_msg_accept *accept, struct vf_error *err)
{
    struct dest *d = (struct dest *)dest;
    bool replace = offer->flags & VF_OFFER_REPLACE;
    struct vf_map_sink *sink = NULL;
    char *known_as = NULL;
    int rc = -1;

    if (take_names(d, offer, err) < 0)
        goto out;
    /* Whoever only counts does not mind what is there, unless he said that it matters. */
    if ((!count_only || !replace) && vf_dest_check_target(d, replace, &d->replaces, err) < 0)
        goto out;
    if (!count_only) {
        if (vf_dest_check_size(d, offer, err) < 0 || vf_dest_lock(d, err) < 0 ||
            (!d->replaces && vf_dest_take_back(d, err) < 0) ||
            vf_dest_check_space(d, offer, err) < 0 || open_part(d, offer->size, &known_as, err) < 0)
            goto out;
        sink = begin_map(d, err);
        if (!sink)
            goto out;
    }
    d->residents = vf_index_residents(d->index, d->group, NULL, open_donor, d, err);
    accept->path = d->residents ? vf_strdup(d->path, err) : NULL;
    if (!accept->path)
        goto out;
    *ret_part = d->part;
    *ret_residents = d->residents;
    *ret_sink = sink;
    *ret_leftover = find_part(d, known_as);
    sink = NULL;
    rc = 0;
out:
    if (sink)
        sink->ops->abort(sink);
    free(known_as);
    return rc;
}

/* ---- the end ---- */

/* Is what has arrived worth keeping?  Not what filled the disk, nor what did not verify. */
static bool keep_part(const struct dest *d, const struct vf_error *outcome)
{
    struct stat sb;

    if (outcome->code == VF_ERR_SPACE || outcome->code == VF_ERR_MISMATCH)
        return false;
    return fstatat(d->images_fd, d->part_name, &sb, AT_SYMLINK_NOFOLLOW) == 0 && sb.st_blocks > 0;
}

/* The lock is held until the end of this, so the part is our own.  Failures change nothing for the
 * outcome: what stays behind is found by the next transfer of that name. */
static void clean_up(struct dest *d, const struct vf_error *outcome)
{
    int ignored = 0;

    if (d->cleaned)
        return;
    d->cleaned = true;
    if (d->has_part && !d->published && outcome && !keep_part(d, outcome))
        ignored |= remove_part(d, NULL);
    if (d->noted && (d->committed || !d->published))
        vf_dest_unnote(d);
    if (d->published)
        ignored |= vf_index_remove(d->index, d->part_path, NULL);
    (void)ignored;
    vf_close_fd(&d->lock_fd);
}

static int dest_count(struct vf_dest *dest, struct vf_shared *ret, struct vf_error *err)
{
    struct dest *d = (struct dest *)dest;

    if (d->count_rc < 0)
        return vf_error_pass(err, &d->count_err);
    *ret = d->shared;
    clean_up(d, NULL); /* now: who hears of it need not wait for more */
    return 0;
}

static const char *dest_tmpdir(struct vf_dest *dest)
{
    return ((struct dest *)dest)->store->tmp_dir;
}

static const struct vf_dest_ops ops = {dest_open, vf_dest_publish, dest_count, dest_tmpdir};

struct vf_dest *vf_dest_new(const struct vf_storedir *store, struct vf_index *index, int images_fd,
                            const char *group, struct vf_error *err)
{
    struct dest *d = vf_calloc(1, sizeof *d, err);

    if (!d)
        return NULL;
    d->dest.ops = &ops;
    d->store = store;
    d->index = index;
    d->images_fd = images_fd;
    d->lock_fd = -1;
    d->group = vf_strdup(group, err);
    if (!d->group) {
        free(d);
        return NULL;
    }
    return &d->dest;
}

int vf_dest_would_take(struct vf_dest *dest, const struct vf_msg_offer *offer, struct vf_error *err)
{
    struct dest *d = (struct dest *)dest;
    bool exists;

    if (!d->store->set.accept)
        return vf_error_set(err, VF_ERR_DENIED, 0, "this store takes no images");
    if (take_names(d, offer, err) < 0 ||
        vf_dest_check_target(d, offer->flags & VF_OFFER_REPLACE, &exists, err) < 0 ||
        vf_dest_check_size(d, offer, err) < 0)
        return -1;
    return vf_dest_check_space(d, offer, err);
}

void vf_dest_free(struct vf_dest *dest, const struct vf_error *outcome)
{
    struct dest *d = (struct dest *)dest;

    if (!d)
        return;
    vf_image_close(d->part);
    if (d->residents)
        d->residents->ops->close(d->residents);
    clean_up(d, outcome);
    free(d->name);
    free(d->part_name);
    free(d->path);
    free(d->part_path);
    free(d->format);
    free(d->group);
    free(d);
}
