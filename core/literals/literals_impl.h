/* core/literals/literals_impl.h - what the two sides of the literal stream share; nobody else
 * includes it.
 */
#ifndef VF_CORE_LITERALS_IMPL_H
#define VF_CORE_LITERALS_IMPL_H

#include <stddef.h>
#include <zstd_errors.h>

#include "core/error.h"

enum { REC_RUNS = 1, REC_SEAL = 2, REC_QUOTING = 4 };
enum { CODE_PLAIN = 0, CODE_ZSTD = 1 };

/* A failed zstd call as an error.  Returns -1. */
static inline int vf_zstd_failed(size_t rc, struct vf_error *err)
{
    if (ZSTD_getErrorCode(rc) == ZSTD_error_memory_allocation)
        return vf_error_nomem(err);
    return vf_error_set(err, VF_ERR_IO, 0, "zstd: %s", ZSTD_getErrorString(ZSTD_getErrorCode(rc)));
}

#endif
