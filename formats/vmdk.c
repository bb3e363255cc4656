/* formats/vmdk.c - which files a VMDK image consists of (declared in refs.h).
 *
 * A descriptor names its extents in a text that QEMU follows anywhere, pseudo-protocols included;
 * so only plain names beside the descriptor are let through. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/be.h"
#include "core/checked.h"
#include "core/fdio.h"
#include "formats/refs.h"

#define TEXT_MAX   65536u /* descriptors have a few hundred bytes */
#define EXTENT_MAX 4096u  /* files; one for each 2 GiB at the worst */
#define NAME_MAX_  511u   /* as long as QEMU reads them */

static const char descriptor[] = "# Disk DescriptorFile";

static int depends(struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                        "VMDK snapshots that depend on a parent cannot be read; consolidate or "
                        "convert them first");
}

static const char *skip_space(const char *p)
{
    while (isspace((unsigned char)*p))
        p++;
    return p;
}

/* If QEMU would take an extent's file name from the line (or lines: it skips line ends as blanks)
 * at p, its place and length.  Rather too much is taken for an extent than too little. */
static size_t extent_name(const char *p, const char **ret)
{
    p = skip_space(p);
    if (strncmp(p, "RW", 2) != 0 || !isspace((unsigned char)p[2]))
        return 0;
    p = skip_space(p + 2);
    if (*p == '-' || *p == '+')
        p++;
    while (isdigit((unsigned char)*p))
        p++;
    p = skip_space(p);
    while (*p && *p != '"' && !isspace((unsigned char)*p))
        p++;
    p = skip_space(p);
    if (*p != '"')
        return 0;
    *ret = p + 1;
    return strcspn(p + 1, "\"\r\n");
}

/* One header: not a descriptor in disguise, which QEMU would follow, and not a child. */
static int check_sparse(int fd, uint64_t size, struct vf_error *err)
{
    uint8_t h[512];
    uint64_t at, len;
    char *text;
    int rc = -1;

    if (size < sizeof h)
        return 0;
    if (vf_pread_full(fd, h, sizeof h, 0, err) < 0)
        return -1;
    if (memcmp(h, "KDMV", 4) != 0)
        return 0;
    if (vf_le64(h + 12) == 0)
        return vf_error_set(err, VF_ERR_UNSUPPORTED, 0,
                            "VMDK files with an embedded list of other files are not supported");
    at = vf_le64(h + 28);
    len = vf_le64(h + 36);
    if (at == 0 || at > size / 512 || len > TEXT_MAX / 512 || len > size / 512 - at)
        return 0; /* without a descriptor: a piece; or damaged, which QEMU says better */
    text = vf_calloc((size_t)len * 512 + 1, 1, err);
    if (!text || vf_pread_full(fd, text, (size_t)len * 512, at * 512, err) < 0)
        goto out;
    rc = strstr(text, "parentFileNameHint") ? depends(err) : 0;
out:
    free(text);
    return rc;
}

static int check_piece(int dirfd, const char *name, struct vf_refs *ret, struct vf_error *err)
{
    struct stat st;
    int fd = -1, rc = -1;

    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strpbrk(name, "/:"))
        return vf_error_set(err, VF_ERR_DENIED, 0,
                            "it names '%s', which is not a plain file beside it", name);
    fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return vf_error_sys(err, errno, "open '%s'", name);
    if (fstat(fd, &st) < 0) {
        (void)vf_error_sys(err, errno, "look at '%s'", name); /* rc is -1 already */
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        (void)vf_error_set(err, VF_ERR_DENIED, 0, "it names '%s', which is not a regular file",
                           name); /* as above */
        goto out;
    }
    ret->stamp = vf_stamp_mix(ret->stamp, &st);
    rc = check_sparse(fd, (uint64_t)st.st_size, err);
out:
    vf_close_fd(&fd);
    return rc;
}

static int check_text(const char *text, int dirfd, struct vf_refs *ret, struct vf_error *err)
{
    char name[NAME_MAX_ + 1];
    unsigned n = 0;

    if (strstr(text, "parentFileNameHint"))
        return depends(err);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        const char *at;
        size_t len;

        line += *line == '\n';
        len = extent_name(line, &at);
        if (!len)
            continue;
        if (len > NAME_MAX_ || ++n > EXTENT_MAX)
            return vf_error_set(err, VF_ERR_FORMAT, 0, "malformed VMDK descriptor");
        memcpy(name, at, len);
        name[len] = 0;
        if (check_piece(dirfd, name, ret, err) < 0)
            return -1;
    }
    ret->pieces = true;
    return 0;
}

int vf_vmdk_refs(int fd, uint64_t size, int dirfd, struct vf_refs *ret, struct vf_error *err)
{
    size_t len = size < TEXT_MAX ? (size_t)size : TEXT_MAX;
    char *text = vf_calloc(len + 1, 1, err);
    int rc = -1;

    if (!text || vf_pread_full(fd, text, len, 0, err) < 0)
        goto out;
    if (len >= 4 && (memcmp(text, "KDMV", 4) == 0 || memcmp(text, "COWD", 4) == 0)) {
        rc = check_sparse(fd, size, err);
        goto out;
    }
    /* QEMU takes anything else for a descriptor; that needs the usual first line here. */
    if (strncmp(skip_space(text), descriptor, sizeof descriptor - 1) != 0)
        (void)vf_error_set(err, VF_ERR_FORMAT, 0, "no VMDK header"); /* rc is -1 already */
    else if (size > TEXT_MAX) /* what follows a zero byte is nothing to QEMU either */
        (void)vf_error_set(err, VF_ERR_FORMAT, 0, "malformed VMDK descriptor"); /* as above */
    else
        rc = check_text(text, dirfd, ret, err);
out:
    free(text);
    return rc;
}
