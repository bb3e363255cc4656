#include "core/digest.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/sha_ni.h"

struct vf_sha {
    EVP_MD *md;
    EVP_MD_CTX *ctx;
    bool ni;
};

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
    if (s->ni) {
        vf_sha_ni(jobs, n);
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        if (vf_sha_of(s, jobs[i].data, jobs[i].len, jobs[i].ret, err) < 0)
            return -1;
    return 0;
}

const char *vf_sha_way(const struct vf_sha *s) { return s->ni ? "ni" : "openssl"; }

void vf_hex(const uint8_t *p, size_t len, char *ret)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        ret[2 * i] = digits[p[i] >> 4];
        ret[2 * i + 1] = digits[p[i] & 15];
    }
    ret[2 * len] = '\0';
}
