/* formats/chain.c - following backing and data files without trusting their names. */
#include "formats/chain.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/checked.h"
#include "core/fdio.h"
#include "formats/raw.h"

/* QEMU marks what it does with a file by locking single bytes: 100 + n is "I do n"; 1 is writing.
 */
#define QEMU_WRITES 101

bool vf_chain_busy(int fd)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = QEMU_WRITES, .l_len = 1};

    return fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

void vf_chain_free(struct vf_chain *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++) {
        vf_place_close(&c->links[i].at);
        vf_place_close(&c->links[i].data);
    }
    free(c->links);
    free(c->qcow2);
    free(c);
}

/* ---- deciding the format ---- */

static const struct vf_fmt *detect(const struct vf_place *at, struct vf_error *err)
{
    uint8_t head[VF_DETECT_HEAD], tail[VF_DETECT_TAIL];
    size_t n_head, n_tail;
    uint64_t size;

    if (vf_raw_size(at->fd, &size, err) < 0)
        return NULL;
    n_head = size < sizeof head ? (size_t)size : sizeof head;
    n_tail = size < sizeof tail ? (size_t)size : sizeof tail;
    if (vf_pread_full(at->fd, head, n_head, 0, err) < 0 ||
        vf_pread_full(at->fd, tail, n_tail, size - n_tail, err) < 0)
        return NULL;
    return vf_detect(at->name, head, n_head, tail, n_tail, err);
}

/* For the last link; format: what somebody trustworthy says, or NULL or "". */
static int decide(struct vf_chain *c, const char *format, struct vf_error *err)
{
    struct vf_link *l = &c->links[c->n - 1];
    struct vf_error why = VF_ERROR_INIT;

    l->fmt = format && *format ? vf_fmt_by_name(format, &why) : detect(&l->at, &why);
    if (l->fmt)
        return 0;
    if (why.code == VF_ERR_USAGE && c->n > 1) /* --format is about the image, not about this file */
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                            "'%s' does not say that its backing file '%s' has a format known here; "
                            "record it with qemu-img rebase -u -F",
                            c->links[c->n - 2].at.name, l->at.name);
    (void)vf_error_prefix(&why, "'%s'", l->at.name); /* the -1 below says it */
    return vf_error_pass(err, &why);
}

/* ---- the chain ---- */

/* One more link; takes *at, on failure too. */
static int add_link(struct vf_chain *c, struct vf_place *at, struct vf_error *err)
{
    struct vf_link *links = NULL, l = {.at = *at, .data = VF_PLACE_INIT};

    *at = (struct vf_place)VF_PLACE_INIT;
    for (size_t i = 0; i < c->n; i++) {
        const struct stat *st = &c->links[i].at.st;

        if (st->st_dev == l.at.st.st_dev && st->st_ino == l.at.st.st_ino) {
            (void)vf_error_set(err, VF_ERR_FORMAT, 0,
                               "the chain of backing files is a loop at '%s'",
                               l.at.name); /* the goto says it */
            goto fail;
        }
    }
    if (c->n == VF_CHAIN_MAX) {
        (void)vf_error_set(err, VF_ERR_FORMAT, 0, "more than %u images in one chain",
                           VF_CHAIN_MAX); /* as above */
        goto fail;
    }
    links = realloc(c->links, (c->n + 1) * sizeof *links);
    if (!links) {
        (void)vf_error_nomem(err); /* as above */
        goto fail;
    }
    c->links = links;
    c->links[c->n++] = l;
    return 0;
fail:
    vf_place_close(&l.at);
    return -1;
}

/* What the last link adds to what is known of the whole. */
static int note(struct vf_chain *c, const struct vf_refs *refs, struct vf_error *err)
{
    struct vf_link *l = &c->links[c->n - 1];

    l->pieces = refs->pieces;
    c->stamp = vf_stamp_mix(c->stamp, &l->at.st) ^ refs->stamp;
    c->busy |= vf_chain_busy(l->at.fd);
    if (l->data.fd >= 0) {
        c->stamp = vf_stamp_mix(c->stamp, &l->data.st);
        c->busy |= vf_chain_busy(l->data.fd);
    }
    if (c->n > 1 || l->fmt->id != VF_FMT_QCOW2)
        return 0;
    c->qcow2 = vf_calloc(1, sizeof *c->qcow2, err);
    if (!c->qcow2)
        return -1;
    *c->qcow2 = refs->qcow2;
    return 0;
}

/* Reads the metadata of the last link and opens what it names.  1: there is one more link now; 0:
 * the chain is complete; -1. */
static int follow(struct vf_chain *c, const char *format, char next_format[32],
                  const struct vf_open_opts *o, struct vf_error *err)
{
    struct vf_link *l = &c->links[c->n - 1];
    struct vf_refs *refs = vf_calloc(1, sizeof *refs, err);
    struct vf_place backing = VF_PLACE_INIT;
    int rc = -1;

    if (!refs || decide(c, format, err) < 0)
        goto out;
    if (vf_refs_read(l->fmt, l->at.fd, l->at.dirfd, refs, err) < 0 ||
        (*refs->data_file &&
         vf_place_find(&l->data, &l->at, refs->data_file, &c->links[0].at, o, err) < 0) ||
        note(c, refs, err) < 0 ||
        (*refs->backing &&
         vf_place_find(&backing, &l->at, refs->backing, &c->links[0].at, o, err) < 0)) {
        (void)vf_error_prefix(err, "'%s'", l->at.name); /* rc is -1 already */
        goto out;
    }
    rc = 0;
    if (*refs->backing) {
        memcpy(next_format, refs->backing_format, sizeof refs->backing_format);
        rc = add_link(c, &backing, err) < 0 ? -1 : 1;
    }
out:
    free(refs);
    return rc;
}

struct vf_chain *vf_chain_open(int dirfd, const char *path, const struct vf_open_opts *opts,
                               struct vf_error *err)
{
    static const struct vf_open_opts none;
    const struct vf_open_opts *o = opts ? opts : &none;
    struct vf_chain *c = vf_calloc(1, sizeof *c, err);
    const char *format = o->format ? o->format : o->trusted_format;
    struct vf_place top = VF_PLACE_INIT;
    char next_format[32] = "";
    int more = -1;

    if (!c || vf_place_top(&top, dirfd, path, o->beneath, err) < 0 || add_link(c, &top, err) < 0)
        goto out;
    do {
        more = follow(c, format, next_format, o, err);
        format = next_format;
    } while (more > 0);
out:
    if (more < 0) {
        vf_chain_free(c);
        c = NULL;
    }
    return c;
}

/* ---- for QEMU ---- */

static int add(struct vf_buf *b, struct vf_error *err, const char *text)
{
    return vf_buf_add(b, text, strlen(text), err);
}

/* text as the inside of a JSON string. */
static int add_escaped(struct vf_buf *b, struct vf_error *err, const char *text)
{
    static const char hex[] = "0123456789abcdef";

    for (; *text; text++) {
        unsigned char ch = (unsigned char)*text;
        char esc[] = {'\\', 'u', '0', '0', hex[ch >> 4], hex[ch & 15], 0};
        char one[] = {(char)ch, 0};

        if (add(b, err, ch < 32 || ch == '"' || ch == '\\' ? esc : one) < 0)
            return -1;
    }
    return 0;
}

/* The protocol node of one file.  It is named by our descriptor, so it is the file that was
 * checked; only a VMDK in pieces needs a name in its directory. */
static int add_file(struct vf_buf *b, const struct vf_place *p, bool pieces, struct vf_error *err)
{
    char *path = vf_strf(err, "/proc/%ld/fd/%d%s", (long)getpid(), pieces ? p->dirfd : p->fd,
                         pieces ? "/" : "");
    int rc = -1;

    if (!path)
        return -1;
    if (add(b, err, "{\"driver\":\"") == 0 &&
        add(b, err, S_ISBLK(p->st.st_mode) ? "host_device" : "file") == 0 &&
        add(b, err, "\",\"filename\":\"") == 0 && add(b, err, path) == 0 &&
        (!pieces || add_escaped(b, err, p->name) == 0) && add(b, err, "\"}") == 0)
        rc = 0;
    free(path);
    return rc;
}

char *vf_chain_json(const struct vf_chain *c, bool force_share, struct vf_error *err)
{
    struct vf_buf b = VF_BUF_INIT;
    const char *end = "";

    if (add(&b, err, "json:") < 0)
        goto fail;
    for (size_t i = 0; i < c->n; i++) {
        const struct vf_link *l = &c->links[i];

        if (add(&b, err, "{\"driver\":\"") < 0 || add(&b, err, l->fmt->name) < 0 ||
            add(&b, err,
                i == 0 && force_share ? "\",\"force-share\":true,\"file\":" : "\",\"file\":") < 0 ||
            add_file(&b, &l->at, l->pieces, err) < 0)
            goto fail;
        if (l->data.fd >= 0 &&
            (add(&b, err, ",\"data-file\":") < 0 || add_file(&b, &l->data, false, err) < 0))
            goto fail;
        end = l->fmt->has_backing ? ",\"backing\":null" : "";
        if (i + 1 < c->n && add(&b, err, ",\"backing\":") < 0)
            goto fail;
    }
    if (add(&b, err, end) < 0)
        goto fail;
    for (size_t i = 0; i < c->n; i++)
        if (add(&b, err, "}") < 0)
            goto fail;
    return vf_buf_text(&b, err);
fail:
    vf_buf_free(&b);
    return NULL;
}
