/* formats/chain.h - an image and all the files that it depends on, opened and checked.
 *
 * Thread rules: a chain belongs to one thread at a time. */
#ifndef VF_FORMATS_CHAIN_H
#define VF_FORMATS_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "formats/detect.h"
#include "formats/format.h"
#include "formats/place.h"
#include "formats/refs.h"

#define VF_CHAIN_MAX 64u /* images in a chain */

/* One image of the chain. */
struct vf_link {
    const struct vf_fmt *fmt;
    struct vf_place at;
    struct vf_place data; /* external data file; empty: none */
    bool pieces;          /* see struct vf_refs */
};

struct vf_chain {
    struct vf_link *links; /* [0] is the image, the last one has no backing file */
    size_t n;
    struct vf_qcow2_header *qcow2; /* of links[0], if that is what it is; else NULL; owned */
    uint64_t stamp;
    bool busy; /* a QEMU has one of the files open for writing */
};

/* Opens path and everything below it by the rules of formats/format.h, except that busy images are
 * only reported.  NULL with *err set as documented there. */
struct vf_chain *vf_chain_open(int dirfd, const char *path, const struct vf_open_opts *opts,
                               struct vf_error *err);
void vf_chain_free(struct vf_chain *c);

/* The chain as a block graph for QEMU ("json:{...}"), in which every file is given by a descriptor
 * of this process and nothing is left to resolve.  Usable while the chain is open.  force_share:
 * read although somebody writes.  Returns owned, or NULL. */
char *vf_chain_json(const struct vf_chain *c, bool force_share, struct vf_error *err);

/* Has another process told by QEMU's file locks that it writes this file? */
bool vf_chain_busy(int fd);

#endif
