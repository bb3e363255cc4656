/* cmd/origin.c - opens an image together with its record. */
#include "cmd/origin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/thread.h"

/* A file that was written a moment ago could be written again without its times changing; the
 * kernel's clock for them ticks every 4 to 10 ms. */
static void let_it_rest(const char *path)
{
    struct timespec now;
    struct stat sb;

    if (stat(path, &sb) < 0 || clock_gettime(CLOCK_REALTIME, &now) < 0)
        return;
    if (now.tv_sec - sb.st_mtim.tv_sec <= 1 || now.tv_sec - sb.st_ctim.tv_sec <= 1)
        vf_thread_nap(20); /* cut short by a signal: then the work stops anyway */
}

/* What a record says that was made now, from the open image. */
static int describe(struct vf_index *index, struct vf_origin *src, const char *group,
                    struct vf_error *err)
{
    struct vf_image_record *rec = &src->rec;

    rec->path = vf_strdup(src->path, err);
    rec->format = vf_strdup(src->desc.format, err);
    rec->group = vf_strdup(group, err);
    if (!rec->path || !rec->format || !rec->group)
        return -1;
    rec->cluster_size = src->desc.cluster_size;
    rec->state = VF_IMAGE_COMPLETE;
    rec->indexed_at = (int64_t)time(NULL);
    if (vf_index_stat(index, src->path, &rec->st, err) < 0)
        return -1;
    /* The file that was opened, even if its name has got another one meanwhile. */
    rec->st.dev = src->desc.file.dev;
    rec->st.ino = src->desc.file.ino;
    rec->st.size = src->desc.file.size;
    rec->st.mtime_ns = src->desc.file.mtime_ns;
    rec->st.ctime_ns = src->desc.file.ctime_ns;
    /* The stat of one file says nothing about the others that the content lies in. */
    if (src->desc.files > 1)
        rec->st.regular = false;
    return 0;
}

/* The stored map, if it is of this very content. */
static int take_map(struct vf_index *index, struct vf_origin *src, struct vf_image_record *old,
                    struct vf_error *err)
{
    if (strcmp(old->format, src->desc.format) != 0 || src->desc.files > 1 ||
        old->info.size != src->image->size || !vf_index_fresh(index, old))
        return 0;
    src->map = vf_index_map(index, src->path, err);
    if (src->map)
        return 0;
    return err->code == VF_ERR_NOTFOUND ? 0 : -1;
}

/* Opens the content, by a way of the caller's when a guest has it open. */
static int open_content(struct vf_origin *src, const struct vf_origin_opts *opts,
                        const struct vf_open_opts *how, struct vf_error *err)
{
    struct vf_error why = VF_ERROR_INIT;

    src->image = vf_format_open(AT_FDCWD, src->path, how, &src->desc, &why);
    if (!src->image && why.code == VF_ERR_BUSY && opts->open_busy &&
        vf_format_stat(AT_FDCWD, src->path, how, &src->desc, &why) == 0)
        src->image = opts->open_busy(opts->busy_ctx, src->path, &src->desc, &why);
    if (src->image)
        return 0;
    return vf_error_pass(err, &why);
}

static int fill(struct vf_index *index, const char *path, const struct vf_origin_opts *opts,
                struct vf_origin *src, struct vf_image_record *old, struct vf_error *err)
{
    struct vf_open_opts open_opts = {.format = opts->format,
                                     .allow_backing = opts->allow_backing.item,
                                     .n_allow_backing = opts->allow_backing.n,
                                     .allow_busy = opts->allow_busy,
                                     .readers = (unsigned)sysconf(_SC_NPROCESSORS_ONLN)};
    struct vf_image_stat now;
    struct vf_error own = VF_ERROR_INIT;
    int found;

    src->path = realpath(path, NULL);
    if (!src->path)
        return vf_error_sys(err, errno, "image '%s'", path);
    let_it_rest(src->path);
    found = vf_index_get(index, src->path, old, err);
    if (found < 0)
        return -1;
    src->known = found == VF_FOUND;
    /* The very file that was indexed keeps the format it was indexed as. */
    if (src->known && vf_index_stat(index, src->path, &now, &own) == 0 && now.ino == old->st.ino)
        open_opts.trusted_format = old->format;
    if (open_content(src, opts, &open_opts, err) < 0 ||
        describe(index, src, src->known ? old->group : "", err) < 0)
        return -1;
    if (src->known && take_map(index, src, old, &own) < 0)
        return vf_error_pass(err, &own);
    return 0;
}

int vf_origin_open(struct vf_index *index, const char *path, const struct vf_origin_opts *opts,
                   struct vf_origin *ret, struct vf_error *err)
{
    struct vf_origin src = {0};
    struct vf_image_record old = {0};
    int rc = fill(index, path, opts, &src, &old, err);

    vf_image_record_clear(&old);
    if (rc == 0)
        *ret = src;
    else
        vf_origin_close(&src);
    return rc;
}

void vf_origin_close(struct vf_origin *src)
{
    if (src->map)
        src->map->ops->close(src->map);
    vf_image_close(src->image);
    vf_image_record_clear(&src->rec);
    free(src->path);
    memset(src, 0, sizeof *src);
}

int vf_origin_scan(struct vf_index *index, const struct vf_origin *src,
                   const struct vf_send_opts *opts, struct vf_error *err)
{
    struct vf_map_sink *sink = vf_index_begin(index, &src->rec, err);

    return sink ? vf_index_image(src->image, sink, opts, NULL, err) : -1;
}

struct vf_map_sink *vf_origin_sink(struct vf_index *index, const struct vf_origin *src,
                                   struct vf_error *err)
{
    return vf_index_begin(index, &src->rec, err);
}

int vf_origin_find(struct vf_index *index, const char *name, struct vf_image_record *ret,
                   struct vf_error *err)
{
    char *real = realpath(name, NULL), *cwd = NULL, *joined = NULL;
    int found = VF_ABSENT;

    if (real)
        found = vf_index_get(index, real, ret, err);
    /* The file may be gone while its record is not. */
    if (found == VF_ABSENT)
        found = vf_index_get(index, name, ret, err);
    if (found == VF_ABSENT && name[0] != '/') {
        cwd = getcwd(NULL, 0);
        joined = cwd ? vf_strf(err, "%s/%s", cwd, name) : NULL;
        if (joined)
            found = vf_index_get(index, joined, ret, err);
    }
    free(joined);
    free(cwd);
    free(real);
    return found;
}
