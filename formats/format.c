/* formats/format.c - from a file name to an image. */
#include "formats/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "formats/chain.h"
#include "formats/nbd.h"
#include "formats/qcow2.h"
#include "formats/raw.h"

const char *vf_format_name(const char *name, struct vf_error *err)
{
    const struct vf_fmt *f = vf_fmt_by_name(name, err);

    return f ? f->name : NULL;
}

bool vf_format_busy(int fd) { return vf_chain_busy(fd); }

static int64_t ns(const struct timespec *t) { return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec; }

/* Everything that is known before the content is opened. */
static int describe(const struct vf_chain *c, struct vf_image_desc *ret, struct vf_error *err)
{
    const struct vf_link *l = &c->links[0];
    const struct stat *st = &l->at.st;
    uint64_t size;

    if (vf_raw_size(l->at.fd, &size, err) < 0)
        return -1;
    memset(ret, 0, sizeof *ret);
    ret->format = l->fmt->name;
    ret->backing = c->n > 1;
    ret->stamp = c->stamp;
    ret->file = (struct vf_file_stamp){(uint64_t)st->st_dev, (uint64_t)st->st_ino, size,
                                       ns(&st->st_mtim), ns(&st->st_ctim)};
    for (size_t i = 0; i < c->n; i++)
        ret->files += c->links[i].data.fd >= 0 || c->links[i].pieces ? 2 : 1;
    if (l->fmt->id == VF_FMT_RAW)
        ret->virtual_size = size;
    if (c->qcow2) {
        ret->virtual_size = c->qcow2->size;
        ret->cluster_size = 1u << c->qcow2->cluster_bits;
        (void)snprintf(ret->compat, sizeof ret->compat, "%s",
                       c->qcow2->version == 2 ? "0.10" : "1.1"); /* always fits */
    }
    return 0;
}

static struct vf_image *open_nbd(const struct vf_chain *c, const struct vf_open_opts *o,
                                 struct vf_error *err)
{
    char *json = vf_chain_json(c, o->allow_busy, err);
    struct vf_image *im = json ? vf_nbd_open(json, false, o->readers, err) : NULL;

    free(json);
    return im;
}

static struct vf_image *open_content(struct vf_chain *c, const struct vf_open_opts *o,
                                     const struct vf_image_desc *d, struct vf_error *err)
{
    struct vf_place *at = &c->links[0].at;

    if (c->busy && !o->allow_busy) {
        (void)vf_error_set(err, VF_ERR_BUSY, 0, /* the NULL says it */
                           "a running QEMU has the image open for writing");
        return NULL;
    }
    if (c->links[0].fmt->id == VF_FMT_RAW)
        return vf_raw_new(vf_steal_fd(&at->fd), false, err);
    if (c->qcow2 && vf_qcow2_header_simple(c->qcow2))
        return vf_qcow2_new(vf_steal_fd(&at->fd), d->file.size, c->qcow2, o->readers, err);
    return open_nbd(c, o, err);
}

struct vf_image *vf_format_open(int dirfd, const char *path, const struct vf_open_opts *opts,
                                struct vf_image_desc *ret_desc, struct vf_error *err)
{
    static const struct vf_open_opts none;
    const struct vf_open_opts *o = opts ? opts : &none;
    struct vf_chain *c = vf_chain_open(dirfd, path, o, err);
    struct vf_image *im = NULL;
    struct vf_image_desc d;

    if (!c)
        return NULL;
    if (describe(c, &d, err) == 0)
        im = open_content(c, o, &d, err);
    if (im && !(im->label = vf_strdup(path, err))) {
        vf_image_close(im);
        im = NULL;
    }
    if (im) {
        d.virtual_size = im->size;
        if (ret_desc)
            *ret_desc = d;
    } else {
        (void)vf_error_prefix(err, "'%s'", path); /* the NULL says it */
    }
    vf_chain_free(c);
    return im;
}

int vf_format_stat(int dirfd, const char *path, const struct vf_open_opts *opts,
                   struct vf_image_desc *ret_desc, struct vf_error *err)
{
    struct vf_chain *c = vf_chain_open(dirfd, path, opts, err);
    int rc;

    if (!c)
        return -1;
    rc = describe(c, ret_desc, err);
    vf_chain_free(c);
    return rc;
}
