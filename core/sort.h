/* core/sort.h - sorts records of a fixed size in bounded memory: in memory while they fit, else in
 * sorted runs on disk.
 *
 * A record's key is its first key_len bytes, compared as by memcmp (numbers in keys are therefore
 * big-endian).  Records with equal keys keep the order in which they were added.
 *
 * Numbers of eight bytes: core/numbers.h is faster.
 *
 * Thread rules: one thread at a time. */
#ifndef VF_CORE_SORT_H
#define VF_CORE_SORT_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

#define VF_SORT_RECORD_MAX 64u

struct vf_sorter;

/* record_len 1..VF_SORT_RECORD_MAX, key_len 1..record_len.  memory_limit: bytes for records, in all
 * phases (at least 64 KiB are used). tmpdir: where sorted runs go when they do not fit (files
 * without a name); copied. */
struct vf_sorter *vf_sorter_new(size_t record_len, size_t key_len, uint64_t memory_limit,
                                const char *tmpdir, struct vf_error *err);
void vf_sorter_free(struct vf_sorter *s); /* NULL is fine */

/* n records, one after the other; copied. */
int vf_sorter_add(struct vf_sorter *s, const void *records, size_t n,
                  struct vf_error *err) VF_MUST_CHECK;

/* No more records. */
int vf_sorter_finish(struct vf_sorter *s, struct vf_error *err) VF_MUST_CHECK;

/* The next records in order: how many (0 at the end, -1 on error); *ret is valid until the next
 * call. */
long vf_sorter_next(struct vf_sorter *s, const void **ret, struct vf_error *err);

#endif
