/* formats/format.h - opening images of any format, safely.
 *
 * Which format a file has is never guessed from its content alone: a guest can write the header of
 * another format into its raw disk.  The format is the one asked for, or the one that our own
 * records say, or the one that the file's name and its header agree on; otherwise opening fails and
 * asks for --format.
 *
 * An image may depend on other files (backing file, external data file).  These must lie in the
 * image's own directory, whatever their names look like, or be allowed by name; all of them are
 * opened here, and QEMU gets nothing to resolve itself.
 *
 * Thread rules: any thread, but an image that is read through QEMU loses its server when the
 * *thread* that opened it ends (see core/proc.h): open from a thread that lives as long as the
 * image. */
#ifndef VF_FORMATS_FORMAT_H
#define VF_FORMATS_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/image.h"

/* All zero is a good default. */
struct vf_open_opts {
    const char *format;         /* asked for by the user; NULL: decide */
    const char *trusted_format; /* from our own records of this very file; NULL: none */
    /* Files outside the image's directory that it may depend on, or directories of such files. */
    const char *const *allow_backing;
    size_t n_allow_backing;
    bool beneath;     /* the path must stay below dirfd and pass no symbolic link: far end */
    bool allow_busy;  /* open although a running QEMU has it open for writing */
    unsigned readers; /* threads that will read at the same time; 0: one */
};

/* Tells whether a file is the same as before. */
struct vf_file_stamp {
    uint64_t dev, ino, size;
    int64_t mtime_ns, ctime_ns;
};

struct vf_image_desc {
    const char *format;    /* "raw", "qcow2", ...; static */
    uint64_t virtual_size; /* bytes of content; vf_format_stat: 0 when only QEMU could tell */
    uint32_t cluster_size; /* of qcow2; 0: no clusters, or unknown */
    char compat[8];        /* of qcow2: "0.10" or "1.1"; else "" */
    unsigned files; /* that the content lies in: 1 without backing, data files and pieces; no less
                       than 2 with them */
    bool backing;   /* has a backing file */
    struct vf_file_stamp file; /* of the file itself */
    uint64_t stamp;            /* changes when any of those files does (all of file's fields) */
};

/* Opens the image at path (relative to dirfd, AT_FDCWD for the working directory) for reading.
 * opts may be NULL.  *ret_desc may be NULL.  NULL with *err on failure:
 * USAGE        the format must be asked for, or its name is unknown
 * FORMAT       it is not of that format, damaged, truncated, or its chain of backing files loops
 * UNSUPPORTED  encrypted, depends on what cannot be read here, not a file or block device, or QEMU
 *              is needed and not installed
 * DENIED       it depends on a file that it may not depend on; or by access rights
 * BUSY         a running QEMU has it open for writing
 * NOTFOUND     it, or a file that it depends on, does not exist. */
struct vf_image *vf_format_open(int dirfd, const char *path, const struct vf_open_opts *opts,
                                struct vf_image_desc *ret_desc, struct vf_error *err);

/* As vf_format_open without reading content: decides the format, follows the chain, starts no
 * QEMU.  Cheap enough to ask whether something changed.  A busy image is no error here. */
int vf_format_stat(int dirfd, const char *path, const struct vf_open_opts *opts,
                   struct vf_image_desc *ret_desc, struct vf_error *err) VF_MUST_CHECK;

/* Has a running QEMU the open file open for writing?  By QEMU's own locks: not when these are
 * switched off. */
bool vf_format_busy(int fd);

/* The name as vf_image_desc.format has it ("vhd" becomes "vpc"); NULL with *err USAGE for an
 * unknown format. */
const char *vf_format_name(const char *name, struct vf_error *err);

#endif
