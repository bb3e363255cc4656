/* transport/keytext.h - SSH keys as text and as bytes: base64, key types, fingerprints, and a look
 * at the outside of a private key file.
 *
 * Thread rules: pure functions (the file ones read files), any thread. */
#ifndef VF_TRANSPORT_KEYTEXT_H
#define VF_TRANSPORT_KEYTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

#define VF_KEY_BLOB_MAX    16384u /* bytes of a public key; RSA with 16 Kibit has 2,070 */
#define VF_FINGERPRINT_MAX 64u    /* "SHA256:" and 43 characters, and a zero */

enum vf_key_kind {
    VF_KEY_OTHER, /* none of the below, or not a key at all */
    VF_KEY_ED25519,
    VF_KEY_ECDSA256,
    VF_KEY_ECDSA384,
    VF_KEY_ECDSA521,
    VF_KEY_RSA,
    VF_KEY_DSA,
    VF_KEY_SK,   /* lives in a FIDO token */
    VF_KEY_CERT, /* a certificate of any type */
};

/* The kind for an SSH key type name ("ssh-ed25519"; len bytes, need not be terminated). */
enum vf_key_kind vf_key_kind_of(const char *name, size_t len);

/* For messages: "ED25519", "RSA", "certificate"; "key" for VF_KEY_OTHER. */
const char *vf_key_kind_name(enum vf_key_kind kind);

/* The SSH name of one of the four kinds that the built-in client can use, else NULL. */
const char *vf_key_method(enum vf_key_kind kind);

/* Can libssh2 1.10 use it against a current OpenSSH, as host key or as user key? */
static inline bool vf_key_usable(enum vf_key_kind kind) { return vf_key_method(kind) != NULL; }

/* The type name at the front of a public key in wire form: sets *ret and *ret_len (borrows blob).
 * False when there is none. */
bool vf_key_blob_type(const uint8_t *blob, size_t len, const char **ret, size_t *ret_len);

/* Strict base64 (RFC 4648, padded) of len characters into ret, which has room for len / 4 * 3.
 * Number of bytes, or -1 when malformed. */
long vf_base64_decode(const char *text, size_t len, uint8_t *ret);

/* "SHA256:..." of a public key in wire form, as ssh-keygen -l prints it. */
void vf_key_fingerprint(const uint8_t *blob, size_t len, char ret[VF_FINGERPRINT_MAX]);

/* What can be seen of a private key file without its passphrase. */
struct vf_key_file {
    enum vf_key_kind kind; /* VF_KEY_OTHER: cannot be told */
    bool encrypted;        /* needs a passphrase */
    bool has_cert;         /* there is a FILE-cert.pub */
    uint8_t *blob;         /* the public key, owned; NULL if it cannot be told */
    size_t blob_len;
};

/* Looks at path.  0 with *ret owned (vf_key_file_free), or -1: VF_ERR_NOTFOUND, VF_ERR_DENIED and
 * the like, VF_ERR_AUTH when others may read the file or it is no private key. */
int vf_key_file_look(const char *path, struct vf_key_file *ret, struct vf_error *err) VF_MUST_CHECK;
void vf_key_file_free(struct vf_key_file *k);

#endif
