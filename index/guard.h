/* index/guard.h - checks the structure of an LMDB file before LMDB trusts it.
 *
 * LMDB follows page numbers and offsets in its file without looking at them; a damaged one ends in
 * a signal or an abort.  These calls read the file by themselves and refuse what LMDB could fall
 * over. They look at every page of the trees, not at the values (which have checksums of their
 * own).
 *
 * Thread rules: any thread. */
#ifndef VF_INDEX_GUARD_H
#define VF_INDEX_GUARD_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

/* Before the file is opened: its two head pages.  0, or -1 (VF_ERR_FORMAT, VF_ERR_IO). */
int vf_guard_head(int fd, struct vf_error *err) VF_MUST_CHECK;

/* The trees of the snapshot with this transaction number, which a read transaction must hold.  0,
 * -1 (VF_ERR_FORMAT, VF_ERR_IO), or 1 when its head page has been overwritten meanwhile: try again
 * with a new one. */
int vf_guard_trees(int fd, uint64_t txnid, struct vf_error *err) VF_MUST_CHECK;

/* A value of the current transaction, len bytes: are the pages that hold it the ones that LMDB will
 * take for free when it is deleted?  0, or -1 (VF_ERR_FORMAT). */
int vf_guard_value(const void *value, size_t len, size_t page_size,
                   struct vf_error *err) VF_MUST_CHECK;

#endif
