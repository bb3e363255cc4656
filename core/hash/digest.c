#include "core/hash/digest.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/hash/sha_lanes.h"

struct vf_sha {
    EVP_MD *md;
    EVP_MD_CTX *ctx;
    bool ni, avx512;
};

const uint32_t vf_sha_start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

const uint32_t vf_sha_constants[64] __attribute__((aligned(64))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static int failed(struct vf_error *err)
{
    return vf_error_set(err, VF_ERR_IO, 0, "OpenSSL cannot compute SHA-256");
}

struct vf_sha *vf_sha_new(struct vf_error *err)
{
    struct vf_sha *s = vf_calloc(1, sizeof *s, err);
    const char *forced = getenv("VF_SHA_WAY");

    if (!s)
        return NULL;
    s->ni = vf_sha_ni_ok() && !(forced && strcmp(forced, "openssl") == 0);
    s->avx512 = vf_sha_avx512_ok() && !(forced && strcmp(forced, "avx512") != 0);
    if (forced && strcmp(forced, "avx512") == 0)
        s->ni = s->ni && !s->avx512;
    s->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    s->ctx = EVP_MD_CTX_new();
    if (!s->md || !s->ctx) {
        (void)failed(err); /* the NULL says it */
        vf_sha_free(s);
        return NULL;
    }
    return s;
}

void vf_sha_free(struct vf_sha *s)
{
    if (!s)
        return;
    EVP_MD_CTX_free(s->ctx);
    EVP_MD_free(s->md);
    free(s);
}

int vf_sha_begin(struct vf_sha *s, struct vf_error *err)
{
    return EVP_DigestInit_ex2(s->ctx, s->md, NULL) == 1 ? 0 : failed(err);
}

int vf_sha_add(struct vf_sha *s, const void *p, size_t len, struct vf_error *err)
{
    return EVP_DigestUpdate(s->ctx, p, len) == 1 ? 0 : failed(err);
}

int vf_sha_add_u64(struct vf_sha *s, uint64_t v, struct vf_error *err)
{
    uint8_t b[8];

    for (int i = 0; i < 8; i++)
        b[i] = (uint8_t)(v >> (8 * i));
    return vf_sha_add(s, b, sizeof b, err);
}

int vf_sha_end(struct vf_sha *s, uint8_t ret[VF_SHA_LEN], struct vf_error *err)
{
    return EVP_DigestFinal_ex(s->ctx, ret, NULL) == 1 ? 0 : failed(err);
}

int vf_sha_of(struct vf_sha *s, const void *p, size_t len, uint8_t ret[VF_SHA_LEN],
              struct vf_error *err)
{
    if (vf_sha_begin(s, err) < 0 || vf_sha_add(s, p, len, err) < 0)
        return -1;
    return vf_sha_end(s, ret, err);
}

int vf_sha_many(struct vf_sha *s, const struct vf_sha_job *jobs, size_t n, struct vf_error *err)
{
    if (s->avx512 && n >= (s->ni ? VF_SHA_AVX512_LEAST : 2)) {
        vf_sha_avx512(jobs, n, s->ni);
        return 0;
    }
    if (s->ni) {
        vf_sha_ni(NULL, 0, jobs, n);
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        if (vf_sha_of(s, jobs[i].data, jobs[i].len, jobs[i].ret, err) < 0)
            return -1;
    return 0;
}

const char *vf_sha_way(const struct vf_sha *s)
{
    if (s->avx512)
        return s->ni ? "avx512 and ni" : "avx512";
    return s->ni ? "ni" : "openssl";
}

void vf_hex(const uint8_t *p, size_t len, char *ret)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        ret[2 * i] = digits[p[i] >> 4];
        ret[2 * i + 1] = digits[p[i] & 15];
    }
    ret[2 * len] = '\0';
}
