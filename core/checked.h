/* core/checked.h - sizes that come from outside, without overflow; allocation helpers.
 *
 * All functions are pure or allocate; any thread. */
#ifndef VF_CORE_CHECKED_H
#define VF_CORE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/error.h"

/* *ret = a * b (a + b); false on overflow, *ret then unchanged. */
#define vf_mul_ok(a, b, ret) (!__builtin_mul_overflow((a), (b), (ret)))
#define vf_add_ok(a, b, ret) (!__builtin_add_overflow((a), (b), (ret)))

/* n objects of size bytes each, zeroed; NULL with *err set when that overflows or memory is out.
 * n == 0 gives a valid pointer.  free() releases. */
static inline void *vf_calloc(size_t n, size_t size, struct vf_error *err)
{
    void *p = NULL;
    size_t bytes;

    /* Also what no allocator can give: some abort the program instead of refusing it. */
    if (vf_mul_ok(n, size, &bytes) && bytes <= PTRDIFF_MAX)
        p = calloc(n ? n : 1, size ? size : 1);
    if (!p)
        (void)vf_error_nomem(err); /* the NULL says it */
    return p;
}

/* n bytes as vf_calloc, for a table that is read and written all over: in large pages where the
 * system has them. */
void *vf_calloc_table(size_t n, struct vf_error *err);

/* Gets the memory of such a table from the system now, instead of page by page when it is first
 * used: 0.2 s for 100 MiB on a virtual machine. */
void vf_table_touch(void *table, size_t n);

/* A printf'd string, owned by the caller; NULL with *err set when memory is out. */
char *vf_strf(struct vf_error *err, const char *fmt, ...) VF_PRINTF(2, 3);

/* A copy of s, owned by the caller; NULL with *err set when memory is out. */
char *vf_strdup(const char *s, struct vf_error *err);

/* Decimal text to number with range check.  Accepts digits only, no sign, no blanks.
 * Returns 0, or -1 with VF_ERR_USAGE "what must be a number from lo to hi, not 'text'". */
int vf_parse_u64(const char *text, const char *what, uint64_t lo, uint64_t hi, uint64_t *ret,
                 struct vf_error *err) VF_MUST_CHECK;

/* As above with an optional suffix k, M, G, T (powers of 1000) or Ki, Mi, Gi, Ti (of 1024). */
int vf_parse_size(const char *text, const char *what, uint64_t lo, uint64_t hi, uint64_t *ret,
                  struct vf_error *err) VF_MUST_CHECK;

#endif
