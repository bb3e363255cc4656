/* known_hosts files: every form of line, and the verdict on a key.  ssh-keygen is the judge of what
 * matches. */
#include "transport/hostkey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/proc.h"
#include "tests/lib/check.h"
#include "transport/keytext.h"

/* Three ed25519 keys, one ECDSA, one RSA: made up, but well-formed on the outside. */
#define ED_A  "AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g"
#define ED_B  "AAAAC3NzaC1lZDI1NTE5AAAAICAfHh0cGxoZGBcWFRQTEhEQDw4NDAsKCQgHBgUEAwIB"
#define EC_A  "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAAAEBAECAw=="
#define RSA_A "AAAAB3NzaC1yc2EAAAADAQABAAAABAECAwQ="

static size_t blob_of(const char *b64, uint8_t ret[128])
{
    long n = vf_base64_decode(b64, strlen(b64), ret);

    CHECK(n > 0 && n <= 128);
    return (size_t)n;
}

static struct vf_hostkeys *load(const char *host, unsigned port, const char *text)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_hostkeys *h = vf_hostkeys_new(host, port, &err);

    CHECK_OK(h, &err);
    CHECK_OK(vf_hostkeys_add_text(h, text, strlen(text), "F", &err), &err);
    return h;
}

/* The verdict on key b64 for host:port under that file: "" accepted, else the message (static). */
static const char *verdict(const char *host, unsigned port, const char *text, const char *b64)
{
    static struct vf_error err;
    struct vf_hostkeys *h = load(host, port, text);
    uint8_t blob[128];
    size_t len = blob_of(b64, blob);
    int rc;

    err = (struct vf_error)VF_ERROR_INIT;
    rc = vf_hostkeys_check(h, blob, len, &err);
    vf_hostkeys_free(h);
    CHECK(rc == 0 || err.code == VF_ERR_AUTH);
    return rc == 0 ? "" : err.msg;
}
#define ACCEPTED(host, port, text, key)   CHECK_STR(verdict(host, port, text, key), "")
#define UNKNOWN(host, port, text, key)    CHECK_HAS(verdict(host, port, text, key), "is not known")
#define CHANGED(host, port, text, key)    CHECK_HAS(verdict(host, port, text, key), "HAS CHANGED")
#define IS_REVOKED(host, port, text, key) CHECK_HAS(verdict(host, port, text, key), "is revoked")

TEST(plain_names)
{
    ACCEPTED("h", 0, "h ssh-ed25519 " ED_A "\n", ED_A);
    ACCEPTED("h", 22, "h ssh-ed25519 " ED_A, ED_A);
    ACCEPTED("H.Example", 0, "h.example ssh-ed25519 " ED_A " a comment\n", ED_A);
    ACCEPTED("h", 0, "a,H,10.0.0.1\tssh-ed25519\t" ED_A "\r\n", ED_A);
    ACCEPTED("10.0.0.1", 0, "a,h,10.0.0.1 ssh-ed25519 " ED_A "\n", ED_A);
    ACCEPTED("::1", 0, "::1 ssh-ed25519 " ED_A "\n", ED_A);
    UNKNOWN("h", 0, "", ED_A);
    UNKNOWN("h", 0, "# h ssh-ed25519 " ED_A "\n\n", ED_A);
    UNKNOWN("h", 0, "hh ssh-ed25519 " ED_A "\nx.h ssh-ed25519 " ED_A "\n", ED_A);
    CHANGED("h", 0, "h ssh-ed25519 " ED_B "\n", ED_A);
    CHANGED("h", 0, "h ecdsa-sha2-nistp256 " EC_A "\n", ED_A);
    ACCEPTED("h", 0, "h ssh-ed25519 " ED_B "\nh ssh-ed25519 " ED_A "\n", ED_A);
}

TEST(ports)
{
    ACCEPTED("h", 2222, "[h]:2222 ssh-ed25519 " ED_A "\n", ED_A);
    ACCEPTED("::1", 2222, "[::1]:2222 ssh-ed25519 " ED_A "\n", ED_A);
    UNKNOWN("h", 2223, "[h]:2222 ssh-ed25519 " ED_A "\n", ED_A);
    UNKNOWN("h", 22, "[h]:2222 ssh-ed25519 " ED_A "\n", ED_A);
    CHANGED("h", 2222, "[h]:2222 ssh-ed25519 " ED_B "\n", ED_A);
    /* The line without a port helps where there is none with it... */
    ACCEPTED("h", 2222, "h ssh-ed25519 " ED_A "\n", ED_A);
    UNKNOWN("h", 2222, "h ssh-ed25519 " ED_B "\n", ED_A);
    /* ...and only there. */
    CHANGED("h", 2222, "h ssh-ed25519 " ED_A "\n[h]:2222 ssh-ed25519 " ED_B "\n", ED_A);
}

TEST(patterns)
{
    ACCEPTED("a.lab", 0, "*.lab ssh-ed25519 " ED_A "\n", ED_A);
    ACCEPTED("a1.lab", 0, "a?.lab ssh-ed25519 " ED_A "\n", ED_A);
    UNKNOWN("a.lab", 0, "a?.lab ssh-ed25519 " ED_A "\n", ED_A);
    UNKNOWN("bad.lab", 0, "*.lab,!bad.lab ssh-ed25519 " ED_A "\n", ED_A);
    UNKNOWN("bad.lab", 0, "!bad.*,*.lab ssh-ed25519 " ED_A "\n", ED_A);
    UNKNOWN("a.lab", 0, "!b.lab ssh-ed25519 " ED_A "\n", ED_A);
    ACCEPTED("h", 2222, "[h]:* ssh-ed25519 " ED_A "\n", ED_A);
    ACCEPTED("a.b.c", 0, "**a*.*c** ssh-ed25519 " ED_A "\n", ED_A);
    ACCEPTED("anything", 0, "* ssh-ed25519 " ED_A "\n", ED_A);
}

TEST(hostile_patterns_take_no_time)
{
    char line[1200] = "", host[256];

    for (int i = 0; i < 250; i++)
        strcat(line, "*a*");
    strcat(line, "b ssh-ed25519 " ED_A "\n");
    memset(host, 'a', 250);
    host[250] = 0;
    UNKNOWN(host, 0, line, ED_A);
}

TEST(revoked)
{
    IS_REVOKED("h", 0, "@revoked h ssh-ed25519 " ED_A "\n", ED_A);
    IS_REVOKED("h", 0, "h ssh-ed25519 " ED_A "\n@revoked * ssh-ed25519 " ED_A "\n", ED_A);
    IS_REVOKED("h", 2222, "[h]:2222 ssh-ed25519 " ED_A "\n@revoked h ssh-ed25519 " ED_A "\n", ED_A);
    ACCEPTED("h", 0, "h ssh-ed25519 " ED_A "\n@revoked * ssh-ed25519 " ED_B "\n", ED_A);
    ACCEPTED("h", 0, "h ssh-ed25519 " ED_A "\n@revoked g ssh-ed25519 " ED_A "\n", ED_A);
    CHECK_HAS(verdict("h", 0, "\n\n@revoked h ssh-ed25519 " ED_A "\n", ED_A), "F:3");
}

TEST(a_revoked_line_that_cannot_be_read_refuses)
{
    static const char *const bad[] = {"@revoked h ssh-ed25519 AAAA", "@revoked h ssh-ed25519",
                                      "@revoked h", "@revoked * ssh-rsa " ED_A,
                                      "@revoked h ssh-ed25519 " ED_A "x"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vf_error err = VF_ERROR_INIT;
        struct vf_hostkeys *h = vf_hostkeys_new("h", 0, &err);

        CHECK_FAIL(vf_hostkeys_add_text(h, bad[i], strlen(bad[i]), "F", &err), &err, VF_ERR_AUTH);
        CHECK_HAS(err.msg, "F:1");
        vf_hostkeys_free(h);
    }
    UNKNOWN("h", 0, "@revoked g ssh-ed25519 AAAA\n", ED_A); /* not our business */
}

TEST(authorities)
{
    UNKNOWN("h", 0, "@cert-authority * ssh-ed25519 " ED_A "\n", ED_A); /* a CA key is no host key */
}

TEST(malformed_lines_are_passed_over)
{
    static const char text[] = "h\nh ssh-ed25519\nh ssh-ed25519 !!!!\nh ssh-rsa " ED_A "\n"
                               "@unknown h ssh-ed25519 " ED_A "\nh 1024 35 123456789\n"
                               "|1|x|y ssh-ed25519 " ED_A "\n"
                               "|2|aaaa|bbbb ssh-ed25519 " ED_A "\n|1| ssh-ed25519 " ED_A "\n";

    UNKNOWN("h", 0, text, ED_A);
}

TEST(zero_bytes)
{
    static const char text[] = "h ssh-ed25519 " ED_A "\0\nh\0x ssh-ed25519 " ED_A "\n";
    struct vf_error err = VF_ERROR_INIT;
    struct vf_hostkeys *h = vf_hostkeys_new("h", 0, &err);
    uint8_t blob[128];
    size_t len = blob_of(ED_A, blob);

    CHECK_OK(vf_hostkeys_add_text(h, text, sizeof text - 1, "F", &err), &err);
    CHECK_FAIL(vf_hostkeys_check(h, blob, len, &err), &err, VF_ERR_AUTH);
    vf_hostkeys_free(h);
}

static const char *needs(const char *text)
{
    struct vf_hostkeys *h = load("h", 0, text);
    const char *why = vf_hostkeys_needs_client(h);

    vf_hostkeys_free(h);
    return why ? why : "";
}

TEST(when_the_ssh_program_is_needed)
{
    CHECK_STR(needs(""), "");
    CHECK_STR(needs("h ssh-ed25519 " ED_A "\n"), "");
    CHECK_STR(needs("h ssh-rsa " RSA_A "\nh ssh-ed25519 " ED_A "\n"), "");
    CHECK_HAS(needs("h ssh-rsa " RSA_A "\n"), "RSA");
    CHECK_STR(needs("g ssh-rsa " RSA_A "\n"), "");
    CHECK_HAS(needs("@cert-authority * ssh-rsa " RSA_A "\n"), "authority");
    CHECK_STR(needs("@cert-authority * ssh-rsa " RSA_A "\nh ssh-ed25519 " ED_A "\n"), "");
    CHECK_HAS(
        needs("h ssh-rsa " RSA_A "\nh ssh-ed25519 " ED_A "\n@revoked h ssh-ed25519 " ED_A "\n"),
        "RSA");
}

TEST(methods_known_ones_first)
{
    static const char rest[] = "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,"
                               "ecdsa-sha2-nistp521";
    struct vf_hostkeys *h = load("h", 0, "");
    char got[128];

    vf_hostkeys_methods(h, got, sizeof got);
    CHECK_STR(got, rest);
    vf_hostkeys_free(h);
    h = load("h", 0, "h ecdsa-sha2-nistp256 " EC_A "\ng ssh-ed25519 " ED_A "\n");
    vf_hostkeys_methods(h, got, sizeof got);
    CHECK_STR(got, "ecdsa-sha2-nistp256,ssh-ed25519,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521");
    vf_hostkeys_free(h);
}

TEST(advice)
{
    const char *msg = verdict("h", 2222, "", ED_A);
    char print[VF_FINGERPRINT_MAX];
    uint8_t blob[128];

    vf_key_fingerprint(blob, blob_of(ED_A, blob), print);
    CHECK_HAS(msg, print);
    CHECK_HAS(msg, "[h]:2222");
    CHECK_HAS(msg, "ED25519");
    CHECK_HAS(msg, "ssh-keyscan -p 2222 h >>");
    msg = verdict("h", 0, "\nh ssh-ed25519 " ED_B "\n", ED_A);
    CHECK_HAS(msg, print);
    CHECK_HAS(msg, "F:2");
}

TEST(files)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_hostkeys *h = vf_hostkeys_new("h", 0, &err);
    const char *home = vf_test_path("home"), *dir = vf_test_path("home/.ssh");
    static const char line[] = "h ssh-ed25519 " ED_A "\n";
    uint8_t blob[128];
    size_t len = blob_of(ED_A, blob);

    CHECK(mkdir(home, 0700) == 0 && mkdir(dir, 0700) == 0);
    CHECK_OK(vf_hostkeys_add_defaults(h, home, &err), &err); /* none of the user's is there */
    CHECK_FAIL(vf_hostkeys_check(h, blob, len, &err), &err, VF_ERR_AUTH);
    CHECK_HAS(err.msg, "home/.ssh/known_hosts");
    vf_test_write_file(vf_test_path("home/.ssh/known_hosts2"), line, sizeof line - 1);
    CHECK_OK(vf_hostkeys_add_defaults(h, home, &err), &err);
    CHECK_OK(vf_hostkeys_check(h, blob, len, &err), &err);
    CHECK(vf_hostkeys_add_file(h, dir, &err) == -1); /* a directory cannot be read: no silence */
    vf_hostkeys_free(h);
}

TEST(too_many_lines)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_hostkeys *h = vf_hostkeys_new("h", 0, &err);
    static const char line[] = "* ssh-ed25519 " ED_A "\n";

    for (unsigned i = 0; i < VF_HOSTKEYS_LINES_MAX; i++)
        CHECK_OK(vf_hostkeys_add_text(h, line, sizeof line - 1, "F", &err), &err);
    CHECK_FAIL(vf_hostkeys_add_text(h, line, sizeof line - 1, "F", &err), &err, VF_ERR_RANGE);
    vf_hostkeys_free(h);
}

/* Hashed by ssh-keygen, for names with and without a port. */
TEST(hashed_by_ssh_keygen)
{
    static const char text[] =
        "h.example ssh-ed25519 " ED_A "\n[g.example]:2222 ssh-ed25519 " ED_B "\n";
    const char *path = vf_test_path("hashed");
    const char *argv[] = {"ssh-keygen", "-q", "-H", "-f", path, NULL};
    struct vf_error err = VF_ERROR_INIT;
    static const struct {
        const char *host;
        unsigned port;
        const char *key;
        bool ok;
    } cases[] = {{"h.example", 0, ED_A, true},  {"H.EXAMPLE", 0, ED_A, true},
                 {"h.example", 0, ED_B, false}, {"g.example", 2222, ED_B, true},
                 {"g.example", 0, ED_B, false}, {"x.example", 0, ED_A, false}};

    if (!vf_test_have("ssh-keygen"))
        SKIP("no ssh-keygen");
    vf_test_write_file(path, text, sizeof text - 1);
    if (vf_proc_run(argv, NULL, 10000, &err) < 0)
        SKIP("this ssh-keygen looks into the keys"); /* ours are made up */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vf_hostkeys *h = vf_hostkeys_new(cases[i].host, cases[i].port, &err);
        uint8_t blob[128];
        size_t len = blob_of(cases[i].key, blob);

        CHECK_OK(vf_hostkeys_add_file(h, path, &err), &err);
        CHECK((vf_hostkeys_check(h, blob, len, &err) == 0) == cases[i].ok);
        vf_hostkeys_free(h);
    }
}

TESTS(plain_names, ports, patterns, hostile_patterns_take_no_time, revoked,
      a_revoked_line_that_cannot_be_read_refuses, authorities, malformed_lines_are_passed_over,
      zero_bytes, when_the_ssh_program_is_needed, methods_known_ones_first, advice, files,
      too_many_lines, hashed_by_ssh_keygen)
