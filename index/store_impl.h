/* index/store_impl.h - shared by store.c and txn.c alone. */
#ifndef VF_INDEX_STORE_IMPL_H
#define VF_INDEX_STORE_IMPL_H

#include "index/store.h"

/* rc: what LMDB returned, not 0.  what: what was tried.  Returns -1. */
int vf_store_fail(const struct vf_store *st, int rc, const char *what, struct vf_error *err);

/* Moves to a map of that many bytes; 0: what another process has set.  The caller has no
 * transaction. */
int vf_store_remap(struct vf_store *st, uint64_t size, struct vf_error *err) VF_MUST_CHECK;

/* Doubles a map that was found too small at that size. */
int vf_store_grow(struct vf_store *st, uint64_t was, struct vf_error *err) VF_MUST_CHECK;

/* Resident pages that files back, ours and those of libraries.  false if that is not known. */
bool vf_store_file_pages(const struct vf_store *st, uint64_t *ret);

#endif
