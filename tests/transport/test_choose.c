/* What in an ssh configuration makes the ssh program necessary; asked of the real ssh. */
#include "transport/choose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"

TEST(comparison)
{
    static const char base[] = "user root\nhostname h\nport 22\nidentityfile ~/.ssh/id_rsa\n"
                               "identityfile ~/.ssh/id_ed25519\nuserknownhostsfile /a /b\n";

    CHECK_STR(vf_choose_compare(base, base, false, false), NULL);
    CHECK_STR(vf_choose_compare("", "", false, false), NULL);
    CHECK_STR(vf_choose_compare("hostname h\n", "hostname g\n", false, false), "hostname");
    CHECK_STR(vf_choose_compare("hostname h", "hostname hh", false, false), "hostname");
    CHECK_STR(vf_choose_compare("proxyjump x\n", "", false, false), "proxyjump");
    CHECK_STR(vf_choose_compare("", "proxyjump x\n", false, false), "proxyjump");
    CHECK_STR(vf_choose_compare("ciphers a\nsendenv b\n", "ciphers c\n", false, false), NULL);
    CHECK_STR(
        vf_choose_compare("identityfile a\nidentityfile b\n", "identityfile a\n", false, false),
        "identityfile");
    CHECK_STR(vf_choose_compare("identityfile a\n", "identityfile b\n", true, false), NULL);
    CHECK_STR(vf_choose_compare("userknownhostsfile a\n", "userknownhostsfile b\n", false, true),
              NULL);
    CHECK_STR(vf_choose_compare("porto 1\nxport 2\n", "", false, false), NULL);
}

/* The reason for host "h" under such a configuration; "" if none (static). */
static const char *reason(const char *config, struct vf_conn_opts opts, unsigned port)
{
    static char text[VF_CHOOSE_REASON_MAX];
    static char host[] = "h";
    struct vf_target t = {VF_TARGET_SSH, NULL, host, port, NULL};
    struct vf_wait wait = vf_wait_in(20000, NULL, NULL);
    struct vf_error err = VF_ERROR_INIT;

    if (!vf_test_have("ssh"))
        SKIP("no ssh");
    if (config) {
        opts.ssh_config = vf_test_path("config");
        vf_test_write_file(opts.ssh_config, config, strlen(config));
    }
    text[0] = 0;
    CHECK_OK(vf_choose_by_config(&t, &opts, &wait, text, &err), &err);
    return text;
}

TEST(real_configurations)
{
    struct vf_conn_opts none = {.identity = NULL}, own = {.identity = "/i", .known_hosts = "/k"};

    CHECK_STR(reason("", none, 0), "");
    CHECK_STR(reason("Host *\n SendEnv LANG\n HashKnownHosts yes\n Ciphers aes128-ctr\n", none, 0),
              "");
    CHECK_HAS(reason("Host h\n ProxyJump gw\n", none, 0), "proxyjump");
    CHECK_HAS(reason("Host h\n ProxyCommand nc %h %p\n", none, 0), "proxycommand");
    CHECK_HAS(reason("Host h\n HostName 10.0.0.9\n", none, 0), "hostname");
    CHECK_HAS(reason("Host h\n Port 2200\n", none, 0), "port");
    CHECK_STR(reason("Host h\n Port 2200\n", none, 2200), "");
    CHECK_HAS(reason("Match host h\n User other\n", none, 0), "user");
    CHECK_HAS(reason("Host h\n IdentityFile /x/y\n", none, 0), "identityfile");
    CHECK_STR(reason("Host h\n IdentityFile /x/y\n UserKnownHostsFile /z\n", own, 0), "");
    CHECK_HAS(reason("Host h\n HostKeyAlias g\n", own, 0), "hostkeyalias");
    CHECK_STR(reason("Host g\n ProxyJump gw\n", none, 0), "");
}

TEST(broken_configuration)
{
    static char host[] = "h";
    struct vf_target t = {VF_TARGET_SSH, NULL, host, 0, NULL};
    struct vf_conn_opts opts = {.ssh_config = vf_test_path("broken")};
    struct vf_wait wait = vf_wait_in(20000, NULL, NULL);
    struct vf_error err = VF_ERROR_INIT;
    char text[VF_CHOOSE_REASON_MAX] = "";

    if (!vf_test_have("ssh"))
        SKIP("no ssh");
    vf_test_write_file(opts.ssh_config, "NoSuchOption 1\n", 15);
    CHECK_FAIL(vf_choose_by_config(&t, &opts, &wait, text, &err), &err, VF_ERR_USAGE);
    CHECK_HAS(err.msg, "ssh configuration");
}

/* No ssh program: nothing differs, and nothing fails. */
TEST(without_ssh)
{
    static char host[] = "h";
    struct vf_target t = {VF_TARGET_SSH, NULL, host, 0, NULL};
    struct vf_conn_opts opts = {.ssh_config = NULL};
    struct vf_wait wait = vf_wait_in(20000, NULL, NULL);
    struct vf_error err = VF_ERROR_INIT;
    char text[VF_CHOOSE_REASON_MAX] = "", *path = strdup(getenv("PATH"));

    CHECK(path && setenv("PATH", "/nonexistent", 1) == 0);
    CHECK_OK(vf_choose_by_config(&t, &opts, &wait, text, &err), &err);
    CHECK(setenv("PATH", path, 1) == 0);
    free(path);
    CHECK_STR(text, "");
}

TESTS(comparison, real_configurations, broken_configuration, without_ssh)
