/* core/numbers.h - sorts 64-bit numbers in bounded memory: in memory while they fit, else in sorted
 * runs on disk, the last of which stays in memory.  core/sort.h does the same for records.
 *
 * Thread rules: one thread at a time. */
#ifndef VF_CORE_NUMBERS_H
#define VF_CORE_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

struct vf_numbers;

/* memory_limit: bytes for numbers, in all phases (at least 64 KiB are used).  tmpdir: where sorted
 * runs go when they do not fit (a file without a name); copied. */
struct vf_numbers *vf_numbers_new(uint64_t memory_limit, const char *tmpdir, struct vf_error *err);
void vf_numbers_free(struct vf_numbers *s); /* NULL is fine */

int vf_numbers_add(struct vf_numbers *s, const uint64_t *v, size_t n,
                   struct vf_error *err) VF_MUST_CHECK;

/* No more numbers. */
int vf_numbers_finish(struct vf_numbers *s, struct vf_error *err) VF_MUST_CHECK;

/* The next numbers in order: how many (0 at the end, -1 on error); *ret is valid until the next
 * call. */
long vf_numbers_next(struct vf_numbers *s, const uint64_t **ret, struct vf_error *err);

#endif
