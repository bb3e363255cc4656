/* Targets: what is understood, what is refused, and that printing reads back. */
#include "transport/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"

static void expect(const char *text, const char *user, const char *host, unsigned port,
                   const char *store)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_target t = VF_TARGET_INIT, again = VF_TARGET_INIT;
    char *canonical;

    CHECK_OK(vf_target_parse(text, &t, &err), &err);
    CHECK_EQ_U64(t.kind, host ? VF_TARGET_SSH : VF_TARGET_LOCAL);
    CHECK_STR(t.user, user);
    CHECK_STR(t.host, host);
    CHECK_EQ_U64(t.port, port);
    CHECK_STR(t.store, store);
    canonical = vf_target_text(&t, &err);
    CHECK_OK(canonical, &err);
    CHECK_OK(vf_target_parse(canonical, &again, &err), &err);
    CHECK_STR(again.user, user);
    CHECK_STR(again.host, host);
    CHECK_EQ_U64(again.port, port);
    CHECK_STR(again.store, store);
    free(canonical);
    vf_target_free(&again);
    vf_target_free(&t);
}

static void refuse(const char *text, const char *why)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_target t = VF_TARGET_INIT;

    CHECK_FAIL(vf_target_parse(text, &t, &err), &err, VF_ERR_USAGE);
    CHECK_HAS(err.msg, why);
    CHECK(t.host == NULL && t.user == NULL && t.store == NULL);
}

TEST(local_paths)
{
    expect("/var/lib/vmferry", NULL, NULL, 0, "/var/lib/vmferry");
    expect("/with blank%20/and 100%", NULL, NULL, 0, "/with blank%20/and 100%");
    expect("/", NULL, NULL, 0, "/");
}

TEST(ssh_forms)
{
    expect("ssh://b", NULL, "b", 0, NULL);
    expect("ssh://b/", NULL, "b", 0, NULL);
    expect("ssh://b.example.org:2222", NULL, "b.example.org", 2222, NULL);
    expect("ssh://root@B.Example", "root", "b.example", 0, NULL);
    expect("ssh://root@b:65535/srv/store", "root", "b", 65535, "/srv/store");
    expect("ssh://10.0.0.1/a", NULL, "10.0.0.1", 0, "/a");
    expect("ssh://[::1]", NULL, "::1", 0, NULL);
    expect("ssh://u@[2001:DB8::1]:22/s", "u", "2001:db8::1", 22, "/s");
    expect("ssh://[fe80::1%25eth0]:22", NULL, "fe80::1%eth0", 22, NULL);
    expect("ssh://[fe80::1%2525]", NULL, "fe80::1%25", 0, NULL); /* a zone called "25" */
    expect("ssh://[fe80::1%eth0]", NULL, "fe80::1%eth0", 0, NULL);
    expect("ssh://admin@realm@host/x", "admin@realm", "host", 0, "/x");
}

TEST(percent)
{
    expect("ssh://h/a%20b", NULL, "h", 0, "/a b");
    expect("ssh://h/%25%3f%23", NULL, "h", 0, "/%?#");
    expect("ssh://a%40b@h/x", "a@b", "h", 0, "/x");
    expect("ssh://h/gr\xc3\xb6\xc3\x9f"
           "e",
           NULL, "h", 0,
           "/gr\xc3\xb6\xc3\x9f"
           "e");
    refuse("ssh://h/a%2", "hex digits");
    refuse("ssh://h/a%", "hex digits");
    refuse("ssh://h/a%zz", "hex digits");
    refuse("ssh://h/a%00b", "control character");
    refuse("ssh://h/a%0ab", "control character");
    refuse("ssh://h/a%1bb", "control character");
    refuse("ssh://h/a b", "%20");
    refuse("ssh://h/a?b", "%3F");
    refuse("ssh://h/a#b", "%23");
    refuse("ssh://a%2fb@h", "not a user name");
    refuse("ssh://a%20b@h", "not a user name");
    refuse("ssh://%24(id)@h", "user name");
}

TEST(options_and_controls_are_refused)
{
    refuse("ssh://-oProxyCommand=id", "host");
    refuse("ssh://-oProxyCommand=id/x", "host");
    refuse("ssh://-l@h", "not a user name");
    refuse("ssh://%2dl@h", "not a user name");
    refuse("ssh://h\n", "control character");
    refuse("ssh://h/x\x1b[0m", "control character");
    refuse("/srv/\x07", "control character");
    refuse("ssh://h\x7f", "control character");
}

TEST(bad_hosts_and_ports)
{
    refuse("ssh://", "no host");
    refuse("ssh:///srv", "no host");
    refuse("ssh://@h", "empty user");
    refuse("ssh://u@", "no host");
    refuse("ssh://u@:22", "no host");
    refuse("ssh://h:", "port");
    refuse("ssh://h:0", "port");
    refuse("ssh://h:65536", "port");
    refuse("ssh://h:99999999999999999999", "port");
    refuse("ssh://h:22x", "port");
    refuse("ssh://h:+22", "port");
    refuse("ssh://h: 22", "port");
    refuse("ssh://h_;id", "host");
    refuse("ssh://$(id)", "host");
    refuse("ssh://.h", "host");
    refuse("ssh://h%41", "host");
    refuse("ssh://::1", "no host");
    refuse("ssh://fe80::1", "port");
}

TEST(bad_addresses)
{
    refuse("ssh://[::1", "']'");
    refuse("ssh://[]", "no host");
    refuse("ssh://[h]", "not a host name");
    refuse("ssh://[::g]", "not a host name");
    refuse("ssh://[::1]x", "port");
    refuse("ssh://[::1]:", "port");
    refuse("ssh://[fe80::1%]", "not a host name");
    refuse("ssh://[fe80::1%-x]", "not a host name");
    refuse("ssh://[-1::2]", "not a host name");
}

TEST(passwords_are_refused_and_not_repeated)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_target t = VF_TARGET_INIT;

    CHECK_FAIL(vf_target_parse("ssh://root:s3cret@h", &t, &err), &err, VF_ERR_USAGE);
    CHECK_HAS(err.msg, "password");
    CHECK(strstr(err.msg, "s3cret") == NULL);
}

TEST(other_forms)
{
    refuse("", "ssh://");
    refuse("host", "ssh://");
    refuse("relative/store", "ssh://");
    refuse("http://h/", "ssh://");
    refuse("SSH://h", "ssh://");
    refuse("host:/store", "ssh://");
}

TEST(lengths)
{
    char text[VF_TARGET_TEXT_MAX + 64];

    (void)snprintf(text, sizeof text, "ssh://%0256d", 0);
    refuse(text, "host");
    (void)snprintf(text, sizeof text, "ssh://%0256d@h", 0);
    refuse(text, "user");
    memset(text, 'a', sizeof text);
    text[0] = '/';
    text[VF_TARGET_TEXT_MAX + 1] = 0;
    refuse(text, "bytes");
    text[VF_TARGET_TEXT_MAX] = 0;
    expect(text, NULL, NULL, 0, text);
}

static void peer(const char *text, const char *want)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_target t = VF_TARGET_INIT;
    char *got;

    CHECK_OK(vf_target_parse(text, &t, &err), &err);
    got = vf_target_peer(&t, &err);
    CHECK_STR(got, want);
    free(got);
    vf_target_free(&t);
}

TEST(peers)
{
    peer("/srv/x", "/srv/x");
    peer("ssh://u@h/x", "h");
    peer("ssh://h:2200", "h:2200");
    peer("ssh://[::1]:2200", "[::1]:2200");
    peer("ssh://[::1]", "::1");
}

TESTS(local_paths, ssh_forms, percent, options_and_controls_are_refused, bad_hosts_and_ports,
      bad_addresses, passwords_are_refused_and_not_repeated, other_forms, lengths, peers)
