/* The ssh program as a back end: its command line, a real connection, and its complaints. */
#include "transport/ssh_client.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/check.h"
#include "tests/lib/sshd.h"

static const char *const echo[] = {"echo", NULL};

/* ---- the command line, seen by a client that only prints it ---- */

static void expect_command(struct vf_target *t, struct vf_conn_opts *opts, const char *const *want)
{
    static const char script[] = "#!/bin/sh\nprintf '<%s>' \"$@\"\n";
    const char *path = vf_test_path("show-args");
    struct vf_error err = VF_ERROR_INIT;
    char got[8192], command[4200];
    struct vf_conn *c;
    size_t n = 0;
    long k;

    vf_test_write_file(path, script, sizeof script - 1);
    CHECK(chmod(path, 0755) == 0);
    (void)snprintf(command, sizeof command, "'%s' -v \"a b\"", path);
    opts->ssh_command = command;
    CHECK_OK(vf_transport_init(&err), &err);
    c = vf_connect(t, opts, &err);
    CHECK_OK(c, &err);
    while ((k = vf_read_some(c->rfd, got + n, sizeof got - 1 - n, &err)) > 0)
        n += (size_t)k;
    got[n] = 0;
    CHECK_OK(vf_conn_close(c, 10000, NULL, &err), &err);
    for (; *want; want++)
        CHECK_HAS(got, *want);
    opts->ssh_command = NULL;
}

TEST(command_line)
{
    static char host[] = "h.example", user[] = "root", store[] = "/srv/my store";
    struct vf_target t = {VF_TARGET_SSH, user, host, 2222, store};
    struct vf_conn_opts opts = {.identity = "/k/my %key",
                                .known_hosts = "/k/known",
                                .remote_program = "/opt/vm ferry",
                                .connect_timeout_ms = 4500};
    const char *want[] = {"<-v><a b>",
                          "<-T>",
                          "<-oBatchMode=yes>",
                          "<-oStrictHostKeyChecking=yes>",
                          "<-oConnectTimeout=5>",
                          "<-oIdentityFile=\"/k/my %%key\">",
                          "<-oUserKnownHostsFile=\"/k/known\">",
                          "<-oGlobalKnownHostsFile=none>",
                          "<-p2222><-l><root><--><h.example><'/opt/vm ferry' --store '/srv/my "
                          "store' serve>",
                          NULL};

    expect_command(&t, &opts, want);
}

TEST(plain_command_line)
{
    static char host[] = "h";
    struct vf_target t = {VF_TARGET_SSH, NULL, host, 0, NULL};
    struct vf_conn_opts opts = {.identity = NULL};
    const char *want[] = {"<--><h><vmferry serve>", NULL};

    expect_command(&t, &opts, want);
}

TEST(bad_commands)
{
    static char host[] = "h";
    struct vf_target t = {VF_TARGET_SSH, NULL, host, 0, NULL};
    struct vf_conn_opts opts = {.ssh_command = " "};
    struct vf_error err = VF_ERROR_INIT;

    CHECK_FAIL(vf_connect(&t, &opts, &err), &err, VF_ERR_USAGE);
    opts.ssh_command = "ssh 'x";
    CHECK_FAIL(vf_connect(&t, &opts, &err), &err, VF_ERR_USAGE);
    opts.ssh_command = "/nonexistent/ssh";
    CHECK_FAIL(vf_connect(&t, &opts, &err), &err, VF_ERR_NOTFOUND);
    opts.ssh_command = "ssh";
    opts.identity = "/k/\"x";
    CHECK_FAIL(vf_connect(&t, &opts, &err), &err, VF_ERR_USAGE);
    opts.identity = "/k/${HOME}";
    CHECK_FAIL(vf_connect(&t, &opts, &err), &err, VF_ERR_USAGE);
}

/* ---- real connections ---- */

static struct vf_conn_opts client_opts(const char *const *args)
{
    struct vf_conn_opts opts = vf_sshd_opts(vf_sshd(), args);

    if (!vf_test_have("ssh"))
        SKIP("no ssh");
    opts.ssh_command = "ssh";
    return opts;
}

static struct vf_conn *connect_with(const struct vf_conn_opts *opts, struct vf_error *err)
{
    struct vf_target t = vf_sshd_target(vf_sshd());
    struct vf_conn *c;

    CHECK_OK(vf_transport_init(err), err);
    c = vf_connect(&t, opts, err);
    CHECK_OK(c, err);
    CHECK_STR(vf_conn_backend(c), "ssh");
    return c;
}

TEST(talks)
{
    struct vf_conn_opts opts = client_opts(echo);
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c = connect_with(&opts, &err);
    int status = -1;

    CHECK_STR(vf_conn_backend_reason(c), "");
    vf_conn_check_talk(c, "hello", "hello");
    CHECK_OK(vf_conn_close(c, 10000, &status, &err), &err);
    CHECK_EQ_I64(status, 0);
}

TEST(paths_with_odd_signs)
{
    const char *odd = vf_test_path("a %h b'c");
    const char *copy[] = {"cp", vf_sshd_file(vf_sshd(), "id_ed25519"),
                          vf_sshd_file(vf_sshd(), "known_hosts"), odd, NULL};
    struct vf_conn_opts opts = client_opts(echo);
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c;

    CHECK(mkdir(odd, 0700) == 0);
    CHECK_OK(vf_proc_run(copy, NULL, 10000, &err), &err);
    opts.identity = vf_test_path("a %h b'c/id_ed25519");
    opts.known_hosts = vf_test_path("a %h b'c/known_hosts");
    c = connect_with(&opts, &err);
    vf_conn_check_talk(c, "hello", "hello");
    CHECK_OK(vf_conn_close(c, 10000, NULL, &err), &err);
}

/* Connects, reads the end, and gives the explanation (static). */
static const struct vf_error *why(const struct vf_conn_opts *opts)
{
    static struct vf_error err;
    struct vf_conn *c = connect_with(opts, &err);
    char byte;

    CHECK_EQ_I64(read(c->rfd, &byte, 1), 0);
    CHECK_EQ_I64(vf_conn_why(c, 20000, &err), -1);
    vf_conn_abort(c);
    return &err;
}

TEST(refused_keys)
{
    struct vf_conn_opts opts = client_opts(echo);
    const struct vf_error *err;

    opts.identity = vf_sshd_file(vf_sshd(), "stranger");
    err = why(&opts);
    CHECK_EQ_U64(err->code, VF_ERR_AUTH);
    CHECK_HAS(err->msg, "ssh says: ");
    CHECK_HAS(err->msg, "Permission denied (publickey)");
}

TEST(refused_hosts)
{
    struct vf_conn_opts opts = client_opts(echo);
    const char *known = vf_test_path("known");
    struct vf_error e = VF_ERROR_INIT;
    char *wrong = NULL;
    const struct vf_error *err;
    char line[1024];

    opts.known_hosts = "/dev/null";
    err = why(&opts);
    CHECK_EQ_U64(err->code, VF_ERR_AUTH);
    CHECK_HAS(err->msg, "host key is known for");
    wrong = vf_read_small_file(AT_FDCWD, vf_sshd_file(vf_sshd(), "stranger.pub"), 900, NULL, &e);
    CHECK_OK(wrong, &e);
    (void)snprintf(line, sizeof line, "[127.0.0.1]:%u %s", vf_sshd()->port, wrong);
    free(wrong);
    vf_test_write_file(known, line, strlen(line));
    opts.known_hosts = known;
    err = why(&opts);
    CHECK_EQ_U64(err->code, VF_ERR_AUTH);
    CHECK_HAS(err->msg, "HAS CHANGED");
}

TEST(refused_port)
{
    struct vf_conn_opts opts = client_opts(echo);
    struct vf_target t = vf_sshd_target(vf_sshd());
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c;

    t.port = 1;
    CHECK_OK(vf_transport_init(&err), &err);
    c = vf_connect(&t, &opts, &err);
    CHECK_OK(c, &err);
    CHECK_FAIL(vf_conn_why(c, 20000, &err), &err, VF_ERR_UNREACHABLE);
    CHECK_HAS(err.msg, "Connection refused");
    CHECK_FAIL(vf_conn_close(c, 10000, NULL, &err), &err, VF_ERR_UNREACHABLE);
}

TEST(no_such_program)
{
    struct vf_conn_opts opts = client_opts(NULL);
    const struct vf_error *err;

    opts.remote_program = "vmferry-is-not-here";
    err = why(&opts);
    CHECK_EQ_U64(err->code, VF_ERR_UNREACHABLE);
    CHECK_HAS(err->msg, "'vmferry-is-not-here' is not installed on 127.0.0.1:");
}

TEST(exit_status)
{
    static const char *const args[] = {"exit", "7", NULL};
    struct vf_conn_opts opts = client_opts(args);
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c = connect_with(&opts, &err);
    int status = -1;

    CHECK_OK(vf_conn_close(c, 10000, &status, &err), &err);
    CHECK_EQ_I64(status, 7);
}

TEST(server_killed)
{
    struct vf_sshd second = {.port = 0};
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn_opts opts = client_opts(echo);
    struct vf_target t;
    struct vf_conn *c;
    char byte;

    vf_sshd_start(&second, "second", "");
    opts = vf_sshd_opts(&second, echo);
    opts.ssh_command = "ssh";
    t = vf_sshd_target(&second);
    CHECK_OK(vf_transport_init(&err), &err);
    c = vf_connect(&t, &opts, &err);
    CHECK_OK(c, &err);
    CHECK_OK(vf_write_full(c->wfd, "x", 1, &err), &err);
    CHECK_EQ_I64(read(c->rfd, &byte, 1), 1);
    free(vf_sshd_run("kill", second.dir));
    CHECK_EQ_I64(read(c->rfd, &byte, 1), 0);
    CHECK_FAIL(vf_conn_why(c, 20000, &err), &err, VF_ERR_UNREACHABLE);
    vf_conn_abort(c);
}

/* ---- complaints by text alone ---- */

static void explained(const char *text, enum vf_err code, const char *msg)
{
    struct vf_error err = VF_ERROR_INIT;

    vf_ssh_client_explain(text, "h:22", "", &err);
    CHECK_EQ_U64(err.code, code);
    CHECK_STR(err.msg, msg);
}

TEST(explanations)
{
    struct vf_error err = VF_ERROR_INIT;

    explained("", VF_ERR_UNREACHABLE, "h:22: ssh says: nothing");
    explained("ssh: connect to host h port 22: No route to host", VF_ERR_UNREACHABLE,
              "h:22: ssh says: ssh: connect to host h port 22: No route to host");
    explained("@@@@\n@  WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!   @\n@@@@\n"
              "Host key verification failed.",
              VF_ERR_AUTH, "h:22: ssh says: WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!");
    explained("noise\nroot@h: Permission denied (publickey,password).", VF_ERR_AUTH,
              "h:22: ssh says: root@h: Permission denied (publickey,password).");
    explained("ssh: connect to host h port 22: Connection timed out", VF_ERR_TIMEOUT,
              "h:22: ssh says: ssh: connect to host h port 22: Connection timed out");
    explained("kex_exchange_identification: read: Connection reset by peer", VF_ERR_BUSY,
              "h:22: ssh says: kex_exchange_identification: read: Connection reset by peer");
    vf_ssh_client_explain("x", "h", "the reason", &err);
    CHECK_STR(err.msg, "h: ssh (used because the reason) says: x");
}

TESTS(command_line, plain_command_line, bad_commands, talks, paths_with_odd_signs, refused_keys,
      refused_hosts, refused_port, no_such_program, exit_status, server_killed, explanations)
