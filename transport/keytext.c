/* transport/keytext.c - SSH keys as text and as bytes. */
#include "transport/keytext.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/be.h"
#include "core/checked.h"
#include "core/fdio.h"

#define KEY_FILE_MAX  65536u           /* bytes of a private key file */
#define OPENSSH_MAGIC "openssh-key-v1" /* and its terminating zero */

static const struct {
    const char *method;
    enum vf_key_kind kind;
    const char *name;
} kinds[] = {
    {"ssh-ed25519", VF_KEY_ED25519, "ED25519"},
    {"ecdsa-sha2-nistp256", VF_KEY_ECDSA256, "ECDSA"},
    {"ecdsa-sha2-nistp384", VF_KEY_ECDSA384, "ECDSA"},
    {"ecdsa-sha2-nistp521", VF_KEY_ECDSA521, "ECDSA"},
    {"ssh-rsa", VF_KEY_RSA, "RSA"},
    {"ssh-dss", VF_KEY_DSA, "DSA"},
    {"sk-ssh-ed25519@openssh.com", VF_KEY_SK, "FIDO token"},
    {"sk-ecdsa-sha2-nistp256@openssh.com", VF_KEY_SK, "FIDO token"},
    {NULL, VF_KEY_CERT, "certificate"},
};
#define N_KINDS (sizeof kinds / sizeof kinds[0])

enum vf_key_kind vf_key_kind_of(const char *name, size_t len)
{
    for (size_t i = 0; i < N_KINDS; i++)
        if (kinds[i].method && strlen(kinds[i].method) == len &&
            memcmp(kinds[i].method, name, len) == 0)
            return kinds[i].kind;
    return memmem(name, len, "-cert-v0", 8) ? VF_KEY_CERT : VF_KEY_OTHER;
}

const char *vf_key_kind_name(enum vf_key_kind kind)
{
    for (size_t i = 0; i < N_KINDS; i++)
        if (kinds[i].kind == kind)
            return kinds[i].name;
    return "key";
}

const char *vf_key_method(enum vf_key_kind kind)
{
    return kind >= VF_KEY_ED25519 && kind <= VF_KEY_ECDSA521 ? kinds[kind - VF_KEY_ED25519].method
                                                             : NULL;
}

/* ---- wire form ---- */

/* A string of the SSH wire form (32-bit big-endian length, bytes) off the front of [*p, end). */
static bool take_string(const uint8_t **p, const uint8_t *end, const uint8_t **ret, size_t *ret_len)
{
    size_t len;

    if (end - *p < 4)
        return false;
    len = vf_be32(*p);
    if ((size_t)(end - *p) - 4 < len)
        return false;
    *ret = *p + 4;
    *ret_len = len;
    *p += 4 + len;
    return true;
}

bool vf_key_blob_type(const uint8_t *blob, size_t len, const char **ret, size_t *ret_len)
{
    const uint8_t *p = blob, *name;
    size_t n;

    if (!take_string(&p, blob + len, &name, &n) || n == 0 || n > 64)
        return false;
    *ret = (const char *)name;
    *ret_len = n;
    return true;
}

/* ---- base64 ---- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int sextet(char c)
{
    const char *at = c ? strchr(alphabet, c) : NULL;

    return at ? (int)(at - alphabet) : -1;
}

long vf_base64_decode(const char *text, size_t len, uint8_t *ret)
{
    size_t pad = len && text[len - 1] == '=' ? (len > 1 && text[len - 2] == '=' ? 2 : 1) : 0;
    uint8_t *to = ret;

    if (len == 0 || len % 4 || len > (1u << 30))
        return -1;
    for (size_t i = 0; i < len; i += 4) {
        size_t here = i + 4 == len ? 4 - pad : 4; /* characters with a value in this group */
        uint32_t bits = 0;

        for (size_t k = 0; k < 4; k++) {
            int v = k < here ? sextet(text[i + k]) : 0;

            if (v < 0)
                return -1;
            bits = bits << 6 | (uint32_t)v;
        }
        for (size_t k = 0; k + 1 < here; k++)
            *to++ = (uint8_t)(bits >> (16 - 8 * k));
        if (here < 4 && (bits & (here == 2 ? 0xffffu : 0xffu)))
            return -1; /* bits that no byte takes must be 0: one text per value */
    }
    return to - ret;
}

void vf_key_fingerprint(const uint8_t *blob, size_t len, char ret[VF_FINGERPRINT_MAX])
{
    uint8_t sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    char *to = ret;

    memcpy(to, "SHA256:", 8);
    to += 7;
    if (EVP_Digest(blob, len, sum, &n, EVP_sha256(), NULL) != 1)
        n = 0; /* no SHA-256 in this library: an empty fingerprint, which nobody accepts */
    for (unsigned i = 0; i < n * 8; i += 6) {
        unsigned v = (unsigned)sum[i / 8] << 8 | (i / 8 + 1 < n ? sum[i / 8 + 1] : 0u);

        *to++ = alphabet[v >> (10 - i % 8) & 63];
    }
    *to = 0;
}

/* ---- private key files ---- */

/* The lines between the BEGIN line and the next '-', blanks taken out, decoded.  Owned. */
static uint8_t *pem_body(const char *text, size_t *ret_len)
{
    const char *nl = strchr(text, '\n');
    size_t n = 0;
    char *flat = nl ? malloc(strlen(nl) + 1) : NULL;
    uint8_t *bytes = nl ? malloc(strlen(nl) + 1) : NULL;
    long len = -1;

    if (flat && bytes) {
        for (const char *p = nl; *p && *p != '-'; p++)
            if (!strchr(" \t\r\n", *p))
                flat[n++] = *p;
        len = vf_base64_decode(flat, n, bytes);
    }
    if (flat)
        explicit_bzero(flat, n);
    free(flat);
    if (len < 0) {
        free(bytes);
        return NULL;
    }
    *ret_len = (size_t)len;
    return bytes;
}

/* OpenSSH's own format: the public key stands in clear before the (perhaps encrypted) private part.
 */
static void look_openssh(const char *text, struct vf_key_file *k)
{
    const uint8_t *p, *end, *cipher, *skip, *blob;
    size_t len = 0, cipher_len, skip_len, blob_len, name_len;
    uint8_t *body = pem_body(text, &len);
    const char *name;

    if (!body)
        return;
    p = body;
    end = body + len;
    if (len > sizeof OPENSSH_MAGIC && memcmp(p, OPENSSH_MAGIC, sizeof OPENSSH_MAGIC) == 0) {
        p += sizeof OPENSSH_MAGIC;
        if (take_string(&p, end, &cipher, &cipher_len) && take_string(&p, end, &skip, &skip_len) &&
            take_string(&p, end, &skip, &skip_len) && end - p >= 4) {
            p += 4; /* number of keys: always 1 */
            k->encrypted = cipher_len != 4 || memcmp(cipher, "none", 4) != 0;
            if (take_string(&p, end, &blob, &blob_len) && blob_len <= VF_KEY_BLOB_MAX &&
                vf_key_blob_type(blob, blob_len, &name, &name_len)) {
                k->kind = vf_key_kind_of(name, name_len);
                k->blob = malloc(blob_len);
                if (k->blob) {
                    memcpy(k->blob, blob, blob_len);
                    k->blob_len = blob_len;
                } /* without it only a check for doubles is lost */
            }
        }
    }
    explicit_bzero(body, len);
    free(body);
}

static int look_text(const char *path, const char *text, struct vf_key_file *k,
                     struct vf_error *err)
{
    const char *begin = strstr(text, "-----BEGIN ");

    if (!begin)
        goto no_key;
    begin += strlen("-----BEGIN ");
    if (strncmp(begin, "OPENSSH PRIVATE KEY", 19) == 0) {
        look_openssh(begin, k);
    } else if (strncmp(begin, "RSA PRIVATE KEY", 15) == 0) {
        k->kind = VF_KEY_RSA;
    } else if (strncmp(begin, "DSA PRIVATE KEY", 15) == 0) {
        k->kind = VF_KEY_DSA;
    } else if (strncmp(begin, "EC PRIVATE KEY", 14) == 0) {
        k->kind = VF_KEY_ECDSA256; /* or a longer one: all the same to us */
    } else if (strncmp(begin, "ENCRYPTED PRIVATE KEY", 21) == 0) {
        k->encrypted = true;
    } else if (strncmp(begin, "PRIVATE KEY", 11) != 0) {
        goto no_key;
    }
    if (strstr(begin, "Proc-Type: 4,ENCRYPTED"))
        k->encrypted = true;
    return 0;
no_key:
    return vf_error_set(err, VF_ERR_AUTH, 0, "'%s' is not a private key file", path);
}

int vf_key_file_look(const char *path, struct vf_key_file *ret, struct vf_error *err)
{
    struct vf_key_file k = {VF_KEY_OTHER, false, false, NULL, 0};
    char *text = NULL, *cert = NULL;
    size_t len = 0;
    struct stat st;
    int rc = -1;

    if (stat(path, &st) < 0)
        return vf_error_sys(err, errno, "identity '%s'", path);
    if (!S_ISREG(st.st_mode))
        return vf_error_set(err, VF_ERR_AUTH, 0, "identity '%s' is not a file", path);
    if (st.st_uid == geteuid() && (st.st_mode & 077))
        return vf_error_set(err, VF_ERR_AUTH, 0, "identity '%s' can be read by others (mode %03o)",
                            path, (unsigned)st.st_mode & 0777);
    text = vf_read_small_file(AT_FDCWD, path, KEY_FILE_MAX, &len, err);
    if (!text)
        goto out;
    if (look_text(path, text, &k, err) < 0)
        goto out;
    cert = vf_strf(err, "%s-cert.pub", path);
    if (!cert)
        goto out;
    k.has_cert = access(cert, F_OK) == 0;
    *ret = k;
    k.blob = NULL;
    rc = 0;
out:
    if (text)
        explicit_bzero(text, len);
    free(text);
    free(cert);
    vf_key_file_free(&k);
    return rc;
}

void vf_key_file_free(struct vf_key_file *k)
{
    free(k->blob);
    *k = (struct vf_key_file){VF_KEY_OTHER, false, false, NULL, 0};
}
