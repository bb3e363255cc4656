/* formats/refs.h - which other files an image's metadata names, for every format that can name any.
 *
 * Nothing named is followed here, except that the pieces of a VMDK are looked at: formats/chain.h
 * decides what may be opened.
 *
 * Thread rules: any thread. */
#ifndef VF_FORMATS_REFS_H
#define VF_FORMATS_REFS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "core/error.h"
#include "formats/detect.h"
#include "formats/qcow2_layout.h"

struct vf_refs {
    char backing[VF_QCOW2_NAME_MAX + 1];   /* "" for none */
    char backing_format[32];               /* "" if not recorded */
    char data_file[VF_QCOW2_NAME_MAX + 1]; /* "" for none */
    bool pieces;    /* VMDK: the content lies in files beside this one, all checked to be plain
                       names of regular files in dirfd; to be opened by name in that directory */
    uint64_t stamp; /* of those files, as vf_stamp_mix; 0 without any */
    struct vf_qcow2_header qcow2; /* fmt qcow2 only */
};

/* Reads the metadata of the open file, which lies in dirfd.  0, or -1: FORMAT (not of that format,
 * malformed), UNSUPPORTED (encrypted, a kind that nothing here can read), DENIED (names files
 * elsewhere). */
int vf_refs_read(const struct vf_fmt *fmt, int fd, int dirfd, struct vf_refs *ret,
                 struct vf_error *err) VF_MUST_CHECK;

/* A number that changes when the file does: inode, size and times of st mixed into seed. */
uint64_t vf_stamp_mix(uint64_t seed, const struct stat *st);

/* VMDK's part of vf_refs_read (formats/vmdk.c). */
int vf_vmdk_refs(int fd, uint64_t size, int dirfd, struct vf_refs *ret,
                 struct vf_error *err) VF_MUST_CHECK;

#endif
