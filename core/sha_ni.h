/* core/sha_ni.h - SHA-256 of many messages with the processor's own instructions; for
 * core/digest.c, which has the choice.
 *
 * Thread rules: pure functions. */
#ifndef VF_CORE_SHA_NI_H
#define VF_CORE_SHA_NI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/digest.h"

/* Does this processor have them? */
bool vf_sha_ni_ok(void);

/* All n digests; only where vf_sha_ni_ok. */
void vf_sha_ni(const struct vf_sha_job *jobs, size_t n);

#endif
