/* Which back end is chosen, and when another is tried, against a real sshd. */
#include "transport/connect.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/check.h"
#include "tests/lib/sshd.h"
#include "transport/wait.h"

static const char *const echo[] = {"echo", NULL};

static void needs_ssh(void)
{
    if (!vf_test_have("ssh"))
        SKIP("no ssh");
}

static void works(const struct vf_target *t, const struct vf_conn_opts *opts, const char *backend,
                  const char *reason)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c;

    CHECK_OK(vf_transport_init(&err), &err);
    c = vf_connect(t, opts, &err);
    CHECK_OK(c, &err);
    CHECK_STR(vf_conn_backend(c), backend);
    CHECK_HAS(vf_conn_backend_reason(c), reason);
    vf_conn_check_talk(c, "hello", "hello");
    CHECK_OK(vf_conn_close(c, 20000, NULL, &err), &err);
}

TEST(libssh2_is_the_default)
{
    struct vf_conn_opts opts = vf_sshd_opts(vf_sshd(), echo);
    struct vf_target t = vf_sshd_target(vf_sshd());

    works(&t, &opts, "libssh2", "");
}

TEST(a_named_client_is_used)
{
    struct vf_conn_opts opts = vf_sshd_opts(vf_sshd(), echo);
    struct vf_target t = vf_sshd_target(vf_sshd());

    needs_ssh();
    opts.ssh_command = "ssh -oCiphers=aes128-gcm@openssh.com";
    works(&t, &opts, "ssh", "");
}

/* A target that only the ssh configuration can resolve: the alias is no host name at all. */
TEST(an_alias_in_the_configuration)
{
    static char alias[] = "vmferry-test-alias";
    const char *config = vf_test_path("config");
    struct vf_target t = {VF_TARGET_SSH, NULL, alias, 0, NULL};
    struct vf_conn_opts opts = vf_sshd_opts(vf_sshd(), echo);
    char text[512];

    needs_ssh();
    (void)snprintf(text, sizeof text, "Host %s\n HostName 127.0.0.1\n Port %u\n", alias,
                   vf_sshd()->port);
    vf_test_write_file(config, text, strlen(text));
    opts.ssh_config = config;
    works(&t, &opts, "ssh", "hostname");
}

TEST(a_proxy_in_the_configuration)
{
    const char *config = vf_test_path("config2");
    struct vf_conn_opts opts = vf_sshd_opts(vf_sshd(), echo);
    struct vf_target t = vf_sshd_target(vf_sshd());
    char text[1024];

    needs_ssh();
    /* Through the same server, so that only ssh can have done it. */
    (void)snprintf(text, sizeof text,
                   "Match host 127.0.0.1\n ProxyCommand ssh -F none -i %s -oUserKnownHostsFile=%s "
                   "-p %u -W 127.0.0.1:%u 127.0.0.1\n",
                   opts.identity, opts.known_hosts, t.port, t.port);
    vf_test_write_file(config, text, strlen(text));
    opts.ssh_config = config;
    works(&t, &opts, "ssh", "proxycommand");
}

/* "[127.0.0.1]:PORT KEY" for one host key file. */
static void write_known(const char *path, const char *marker, const char *key_file)
{
    struct vf_error err = VF_ERROR_INIT;
    char *key = vf_read_small_file(AT_FDCWD, vf_sshd_file(vf_sshd(), key_file), 4096, NULL, &err);
    char *line;

    CHECK_OK(key, &err);
    line = vf_strf(&err, "%s[127.0.0.1]:%u %s", marker, vf_sshd()->port, key);
    CHECK_OK(line, &err);
    vf_test_write_file(path, line, strlen(line));
    free(line);
    free(key);
}

TEST(a_host_known_by_rsa_only)
{
    struct vf_conn_opts opts = vf_sshd_opts(vf_sshd(), echo);
    struct vf_target t = vf_sshd_target(vf_sshd());

    needs_ssh();
    opts.known_hosts = vf_test_path("known_rsa");
    write_known(opts.known_hosts, "", "host_rsa.pub");
    works(&t, &opts, "ssh", "RSA");
}

/* A host certificate: sign the host's key with an authority, and know only that. */
TEST(a_host_known_by_its_authority)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_sshd second = {.port = 0};
    const char *ca = vf_test_path("ca"), *known = vf_test_path("known_ca");
    const char *make[] = {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ca, NULL};
    char host[600], config[1300], *key, *line;
    struct vf_conn_opts opts;
    struct vf_target t;

    needs_ssh();
    CHECK_OK(vf_proc_run(make, NULL, 10000, &err), &err);
    (void)snprintf(host, sizeof host, "%s", vf_test_path("host_key"));
    {
        const char *one[] = {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host, NULL};
        const char *sign[] = {"ssh-keygen", "-q",   "-s", ca,          "-h",
                              "-I",         "test", "-n", "127.0.0.1", vf_test_path("host_key.pub"),
                              NULL};

        CHECK_OK(vf_proc_run(one, NULL, 10000, &err), &err);
        CHECK_OK(vf_proc_run(sign, NULL, 10000, &err), &err);
    }
    (void)snprintf(config, sizeof config, "HostKey %s\nHostCertificate %s-cert.pub\n", host, host);
    vf_sshd_start(&second, "with-ca", config);
    key = vf_read_small_file(AT_FDCWD, vf_test_path("ca.pub"), 4096, NULL, &err);
    CHECK_OK(key, &err);
    line = vf_strf(&err, "@cert-authority * %s", key);
    CHECK_OK(line, &err);
    vf_test_write_file(known, line, strlen(line));
    free(line);
    free(key);
    opts = vf_sshd_opts(&second, echo);
    opts.known_hosts = known;
    t = vf_sshd_target(&second);
    works(&t, &opts, "ssh", "authority");
    free(vf_sshd_run("kill", second.dir));
}

TEST(no_algorithm_in_common)
{
    struct vf_sshd second = {.port = 0};
    struct vf_conn_opts opts;
    struct vf_target t;

    needs_ssh();
    vf_sshd_start(&second, "gcm", "Ciphers aes256-gcm@openssh.com,chacha20-poly1305@openssh.com\n");
    opts = vf_sshd_opts(&second, echo);
    t = vf_sshd_target(&second);
    works(&t, &opts, "ssh", "no algorithms in common");
    free(vf_sshd_run("kill", second.dir));
}

/* A refusal is a refusal: no other back end is tried that might be less strict. */
TEST(refusals_are_final)
{
    struct vf_conn_opts opts = vf_sshd_opts(vf_sshd(), echo);
    struct vf_target t = vf_sshd_target(vf_sshd());
    struct vf_error err = VF_ERROR_INIT;

    CHECK_OK(vf_transport_init(&err), &err);
    opts.known_hosts = vf_test_path("known_wrong");
    write_known(opts.known_hosts, "", "stranger.pub");
    CHECK_FAIL(vf_connect(&t, &opts, &err), &err, VF_ERR_AUTH);
    write_known(opts.known_hosts, "@revoked ", "host_ed25519.pub");
    CHECK_FAIL(vf_connect(&t, &opts, &err), &err, VF_ERR_AUTH);
}

static bool stop_at_once(void *arg)
{
    *(int *)arg += 1;
    return true;
}

TEST(giving_up)
{
    struct vf_conn_opts opts = vf_sshd_opts(vf_sshd(), echo);
    struct vf_target t = vf_sshd_target(vf_sshd());
    struct vf_error err = VF_ERROR_INIT;
    int calls = 0;

    CHECK_OK(vf_transport_init(&err), &err);
    opts.stopped = stop_at_once;
    opts.stopped_arg = &calls;
    CHECK_FAIL(vf_connect(&t, &opts, &err), &err, VF_ERR_CANCELLED);
    CHECK(calls > 0);
}

TEST(ipv6_and_names)
{
    static char name[] = "localhost";
    struct vf_conn_opts opts = vf_sshd_opts(vf_sshd(), echo);
    struct vf_target t = vf_sshd_target(vf_sshd());
    struct vf_error err = VF_ERROR_INIT;

    /* A name that has both ::1 (nobody there) and 127.0.0.1, and that is not in the file. */
    CHECK_OK(vf_transport_init(&err), &err);
    t.host = name;
    CHECK_FAIL(vf_connect(&t, &opts, &err), &err, VF_ERR_AUTH);
    CHECK_HAS(err.msg, "[localhost]:");
    CHECK_HAS(err.msg, "is not known");
}

TESTS(libssh2_is_the_default, a_named_client_is_used, an_alias_in_the_configuration,
      a_proxy_in_the_configuration, a_host_known_by_rsa_only, a_host_known_by_its_authority,
      no_algorithm_in_common, refusals_are_final, giving_up, ipv6_and_names)
