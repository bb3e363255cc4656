/* core/hash/digest.h - SHA-256 (FIPS 180-4) through OpenSSL, without an implicit algorithm fetch
 * for every call; many messages at once through core/hash/sha_lanes.h where the processor has the
 * means.
 *
 * Thread rules: an object belongs to one thread at a time. */
#ifndef VF_CORE_DIGEST_H
#define VF_CORE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "core/block.h"
#include "core/error.h"

struct vf_sha;

struct vf_sha *vf_sha_new(struct vf_error *err);
void vf_sha_free(struct vf_sha *s); /* NULL is fine */

/* Starts a message; adds to it; ends it.  OpenSSL can fail only for lack of memory or a broken
 * provider. */
int vf_sha_begin(struct vf_sha *s, struct vf_error *err) VF_MUST_CHECK;
int vf_sha_add(struct vf_sha *s, const void *p, size_t len, struct vf_error *err) VF_MUST_CHECK;
int vf_sha_add_u64(struct vf_sha *s, uint64_t v,
                   struct vf_error *err) VF_MUST_CHECK; /* little-endian */
int vf_sha_end(struct vf_sha *s, uint8_t ret[VF_SHA_LEN], struct vf_error *err) VF_MUST_CHECK;

/* All three in one. */
int vf_sha_of(struct vf_sha *s, const void *p, size_t len, uint8_t ret[VF_SHA_LEN],
              struct vf_error *err) VF_MUST_CHECK;

struct vf_sha_job {
    const uint8_t *data;
    size_t len;
    uint8_t *ret; /* VF_SHA_LEN bytes */
};

/* The digests of n messages; faster than one after the other unless vf_sha_way says "openssl", most
 * so when there are many and long ones come first. */
int vf_sha_many(struct vf_sha *s, const struct vf_sha_job *jobs, size_t n,
                struct vf_error *err) VF_MUST_CHECK;

/* "avx512 and ni", "avx512", "ni" or "openssl".  VF_SHA_WAY in the environment forces one of the
 * last three, where the processor has it. */
const char *vf_sha_way(const struct vf_sha *s);

/* len bytes as lower-case hex, NUL-terminated: ret holds 2 * len + 1. */
void vf_hex(const uint8_t *p, size_t len, char *ret);

#endif
