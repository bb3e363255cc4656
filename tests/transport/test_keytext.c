/* Keys as text: base64, kinds, fingerprints; the outside of private key files, made by ssh-keygen.
 */
#include "transport/keytext.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "core/proc.h"
#include "tests/lib/check.h"

TEST(base64)
{
    static const struct {
        const char *text, *bytes;
    } good[] = {{"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9vYmFy", "foobar"}};
    static const char *const bad[] = {"",     "Z",    "Zg",       "Zg=",  "Zh==",   "Zm9=", "Z===",
                                      "====", "Zm9!", "Zg==Zm9v", "Z g=", "Zm9v\n", "=Zm9"};
    uint8_t got[16];

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        size_t len = strlen(good[i].bytes);

        CHECK_EQ_I64(vf_base64_decode(good[i].text, strlen(good[i].text), got), (int64_t)len);
        CHECK_MEM(got, good[i].bytes, len);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_EQ_I64(vf_base64_decode(bad[i], strlen(bad[i]), got), -1);
}

static enum vf_key_kind kind(const char *name) { return vf_key_kind_of(name, strlen(name)); }

TEST(kinds)
{
    CHECK(kind("ssh-ed25519") == VF_KEY_ED25519);
    CHECK(kind("ecdsa-sha2-nistp521") == VF_KEY_ECDSA521);
    CHECK(kind("ssh-rsa") == VF_KEY_RSA);
    CHECK(kind("sk-ssh-ed25519@openssh.com") == VF_KEY_SK);
    CHECK(kind("ssh-ed25519-cert-v01@openssh.com") == VF_KEY_CERT);
    CHECK(kind("ssh-ed2551") == VF_KEY_OTHER);
    CHECK(kind("") == VF_KEY_OTHER);
    CHECK_STR(vf_key_method(VF_KEY_ECDSA384), "ecdsa-sha2-nistp384");
    CHECK_STR(vf_key_method(VF_KEY_RSA), NULL);
    CHECK(vf_key_usable(VF_KEY_ED25519) && !vf_key_usable(VF_KEY_CERT));
}

/* Makes a key file; the arguments follow -q -f FILE. */
static const char *make_key(const char *name, const char *type, const char *pass,
                            const char *format)
{
    struct vf_error err = VF_ERROR_INIT;
    const char *path = vf_test_path(name);
    const char *argv[] = {"ssh-keygen",         "-q",   "-f", path, "-t", type, "-N", pass,
                          format ? "-m" : NULL, format, NULL};

    if (!vf_test_have("ssh-keygen"))
        SKIP("no ssh-keygen");
    CHECK_OK(vf_proc_run(argv, NULL, 60000, &err), &err);
    return path;
}

static void look(const char *path, enum vf_key_kind want, bool encrypted, bool blob)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_key_file k;

    CHECK_OK(vf_key_file_look(path, &k, &err), &err);
    CHECK_EQ_U64(k.kind, want);
    CHECK(k.encrypted == encrypted);
    CHECK((k.blob != NULL) == blob);
    CHECK(!k.has_cert);
    vf_key_file_free(&k);
}

TEST(openssh_files)
{
    look(make_key("ed", "ed25519", "", NULL), VF_KEY_ED25519, false, true);
    look(make_key("ed_pass", "ed25519", "12345", NULL), VF_KEY_ED25519, true, true);
    look(make_key("ec", "ecdsa", "", NULL), VF_KEY_ECDSA256, false, true);
    look(make_key("rsa", "rsa", "", NULL), VF_KEY_RSA, false, true);
}

TEST(pem_files)
{
    look(make_key("ec_pem", "ecdsa", "", "PEM"), VF_KEY_ECDSA256, false, false);
    look(make_key("ec_pem_pass", "ecdsa", "12345", "PEM"), VF_KEY_ECDSA256, true, false);
    look(make_key("rsa_pem", "rsa", "", "PEM"), VF_KEY_RSA, false, false);
    look(make_key("ec_pkcs8", "ecdsa", "", "PKCS8"), VF_KEY_OTHER, false, false);
    look(make_key("ec_pkcs8_pass", "ecdsa", "12345", "PKCS8"), VF_KEY_OTHER, true, false);
}

/* Our fingerprint is the one that ssh-keygen prints. */
TEST(fingerprint)
{
    struct vf_error err = VF_ERROR_INIT;
    const char *path = make_key("print", "ed25519", "", NULL);
    const char *argv[] = {"ssh-keygen", "-l", "-f", path, NULL};
    struct vf_key_file k;
    char print[VF_FINGERPRINT_MAX], *out = NULL;

    CHECK_OK(vf_key_file_look(path, &k, &err), &err);
    vf_key_fingerprint(k.blob, k.blob_len, print);
    CHECK_EQ_U64(strlen(print), 50);
    CHECK_OK(vf_proc_run(argv, &out, 10000, &err), &err);
    CHECK_HAS(out, print);
    free(out);
    vf_key_file_free(&k);
}

TEST(certificate_beside)
{
    struct vf_error err = VF_ERROR_INIT;
    const char *path = make_key("with_cert", "ed25519", "", NULL);
    char cert[4200];
    struct vf_key_file k;

    (void)snprintf(cert, sizeof cert, "%s-cert.pub", path);
    vf_test_write_file(cert, "x", 1);
    CHECK_OK(vf_key_file_look(path, &k, &err), &err);
    CHECK(k.has_cert);
    vf_key_file_free(&k);
}

TEST(files_that_will_not_do)
{
    struct vf_error err = VF_ERROR_INIT;
    const char *path = make_key("open", "ed25519", "", NULL);
    char pub[4200];
    struct vf_key_file k;

    CHECK(chmod(path, 0644) == 0);
    CHECK_FAIL(vf_key_file_look(path, &k, &err), &err, VF_ERR_AUTH);
    CHECK_HAS(err.msg, "mode 644");
    (void)snprintf(pub, sizeof pub, "%s.pub", path);
    CHECK(chmod(pub, 0600) == 0);
    CHECK_FAIL(vf_key_file_look(pub, &k, &err), &err, VF_ERR_AUTH);
    CHECK_HAS(err.msg, "not a private key");
    CHECK_FAIL(vf_key_file_look(vf_test_path("nothing"), &k, &err), &err, VF_ERR_NOTFOUND);
    CHECK_FAIL(vf_key_file_look(vf_test_tmpdir(), &k, &err), &err, VF_ERR_AUTH);
}

/* Any damage to a key file: an answer or an error, never a crash. */
TEST(damaged_files)
{
    struct vf_error err = VF_ERROR_INIT;
    const char *path = make_key("damaged", "ed25519", "", NULL), *copy = vf_test_path("copy");
    size_t len = 0;
    char *text = vf_read_small_file(AT_FDCWD, path, 65536, &len, &err);

    CHECK_OK(text, &err);
    for (size_t i = 0; i < len; i++) {
        char was = text[i];
        struct vf_key_file k;

        text[i] = i % 3 ? '=' : 'B';
        vf_test_write_file(copy, text, i % 7 ? len : i);
        CHECK(chmod(copy, 0600) == 0);
        if (vf_key_file_look(copy, &k, &err) == 0)
            vf_key_file_free(&k);
        text[i] = was;
    }
    free(text);
}

TESTS(base64, kinds, openssh_files, pem_files, fingerprint, certificate_beside,
      files_that_will_not_do, damaged_files)
