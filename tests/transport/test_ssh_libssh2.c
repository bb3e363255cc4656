/* The built-in client against a real sshd: host keys, programs, and ends of all kinds. */
#include "transport/ssh_libssh2.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "tests/lib/check.h"
#include "tests/lib/sshd.h"
#include "transport/wait.h"

static const char *const echo[] = {"echo", NULL};

static struct vf_conn *connect_with(const struct vf_conn_opts *opts, struct vf_error *err)
{
    struct vf_target t = vf_sshd_target(vf_sshd());

    CHECK_OK(vf_transport_init(err), err);
    return vf_connect(&t, opts, err);
}

static struct vf_conn *start(const char *const *args, struct vf_error *err)
{
    struct vf_conn_opts opts = vf_sshd_opts(vf_sshd(), args);
    struct vf_conn *c = connect_with(&opts, err);

    CHECK_OK(c, err);
    CHECK_STR(vf_conn_backend(c), "libssh2");
    return c;
}
#define START(err, ...) start((const char *const[]){__VA_ARGS__, NULL}, err)

/* Options with a known_hosts file of that text. */
static struct vf_conn_opts with_known(const char *text)
{
    struct vf_conn_opts opts = vf_sshd_opts(vf_sshd(), echo);

    opts.known_hosts = vf_test_path("known");
    vf_test_write_file(opts.known_hosts, text, strlen(text));
    return opts;
}

/* "MARKER[127.0.0.1]:PORT KEY\n" with a public key file's text; owned. */
static char *line(const char *marker, const char *key_file)
{
    struct vf_error err = VF_ERROR_INIT;
    char *key = vf_read_small_file(AT_FDCWD, vf_sshd_file(vf_sshd(), key_file), 4096, NULL, &err);
    char *text;

    CHECK_OK(key, &err);
    text = vf_strf(&err, "%s[127.0.0.1]:%u %s", marker, vf_sshd()->port, key);
    CHECK_OK(text, &err);
    free(key);
    return text;
}

/* ---- host keys ---- */

static void accepted(const char *known)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn_opts opts = with_known(known);
    struct vf_conn *c = connect_with(&opts, &err);

    CHECK_OK(c, &err);
    CHECK_STR(vf_conn_backend(c), "libssh2");
    vf_conn_check_talk(c, "hello", "hello");
    CHECK_OK(vf_conn_close(c, 10000, NULL, &err), &err);
}

static void refused(const char *known, const char *why)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn_opts opts = with_known(known);

    CHECK_FAIL(connect_with(&opts, &err), &err, VF_ERR_AUTH);
    CHECK_HAS(err.msg, why);
}

TEST(known_by_one_key)
{
    char *ed = line("", "host_ed25519.pub"), *ec = line("", "host_ecdsa.pub");

    accepted(ed);
    accepted(ec); /* asks for this kind first, though the server would rather show the other */
    free(ed);
    free(ec);
}

TEST(known_by_its_hash)
{
    struct vf_error err = VF_ERROR_INIT;
    const char *path = vf_test_path("hashed");
    const char *argv[] = {"ssh-keygen", "-q", "-H", "-f", path, NULL};
    char *ed = line("", "host_ed25519.pub"), *text;

    vf_test_write_file(path, ed, strlen(ed));
    CHECK_OK(vf_proc_run(argv, NULL, 10000, &err), &err);
    text = vf_read_small_file(AT_FDCWD, path, 4096, NULL, &err);
    CHECK_OK(text, &err);
    CHECK(strncmp(text, "|1|", 3) == 0);
    accepted(text);
    free(text);
    free(ed);
}

TEST(unknown_host)
{
    struct vf_error err = VF_ERROR_INIT;
    const char *argv[] = {"ssh-keygen", "-l", "-f", vf_sshd_file(vf_sshd(), "host_ed25519.pub"),
                          NULL};
    char *print = NULL, *word;

    CHECK_OK(vf_proc_run(argv, &print, 10000, &err), &err); /* "256 SHA256:... comment (ED25519)" */
    word = strtok(strchr(print, ' '), " ");
    refused("", word);
    refused("", "ssh-keyscan -p");
    refused("other ssh-ed25519 AAAA\n", "is not known");
    free(print);
}

TEST(changed_key)
{
    char *wrong = line("", "stranger.pub");

    refused(wrong, "HAS CHANGED");
    refused(wrong, "known:1");
    free(wrong);
}

TEST(revoked_key)
{
    char *ed = line("", "host_ed25519.pub"), *gone = line("@revoked ", "host_ed25519.pub"), *both;
    struct vf_error err = VF_ERROR_INIT;

    both = vf_strf(&err, "%s%s", ed, gone);
    CHECK_OK(both, &err);
    refused(both, "is revoked by");
    refused(gone, "is revoked by");
    free(both);
    free(ed);
    free(gone);
}

TEST(default_files)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn_opts opts = vf_sshd_opts(vf_sshd(), echo);
    const char *home = vf_test_path("home");
    const char *copy[] = {"cp", vf_sshd_file(vf_sshd(), "known_hosts"),
                          vf_sshd_file(vf_sshd(), "id_ed25519"), vf_test_path("home/.ssh"), NULL};
    struct vf_conn *c;

    CHECK(mkdir(home, 0700) == 0 && mkdir(copy[3], 0700) == 0);
    CHECK_OK(vf_proc_run(copy, NULL, 10000, &err), &err);
    opts.home = home;
    opts.identity = opts.known_hosts = NULL;
    c = connect_with(&opts, &err);
    CHECK_OK(c, &err);
    CHECK_STR(vf_conn_backend(c), "libssh2");
    vf_conn_abort(c);
}

/* ---- programs ---- */

TEST(arguments_and_store)
{
    static char store[] = "/srv/it's a store";
    static const char *const args[] = {"args", "a b", "$HOME", NULL};
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn_opts opts = vf_sshd_opts(vf_sshd(), args);
    struct vf_target t = vf_sshd_target(vf_sshd());
    struct vf_conn *c;
    int status = -1;

    t.store = store;
    CHECK_OK(vf_transport_init(&err), &err);
    c = vf_connect(&t, &opts, &err);
    CHECK_OK(c, &err);
    vf_conn_check_talk(c, "", "</srv/it's a store><serve><args><a b><$HOME>");
    CHECK_OK(vf_conn_close(c, 10000, &status, &err), &err);
    CHECK_EQ_I64(status, 0);
}

TEST(exit_statuses)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c = START(&err, "exit", "7");
    int status = -1;

    CHECK_OK(vf_conn_close(c, 10000, &status, &err), &err);
    CHECK_EQ_I64(status, 7);
    c = START(&err, "die");
    CHECK_OK(vf_conn_close(c, 10000, &status, &err), &err);
    CHECK_EQ_I64(status, 128 + SIGTERM);
}

TEST(half_close)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c = START(&err, "count");

    vf_conn_check_talk(c, "12345", "5\n");
    CHECK_OK(vf_conn_close(c, 10000, NULL, &err), &err);
}

/* The far end ends its stream first and still reads. */
TEST(half_close_by_the_far_end)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c = START(&err, "deaf");
    char buf[65536], byte;
    int status = -1;

    CHECK_EQ_I64(read(c->rfd, &byte, 1), 0);
    memset(buf, 'x', sizeof buf);
    for (int i = 0; i < 100; i++)
        CHECK_OK(vf_write_full(c->wfd, buf, sizeof buf, &err), &err);
    CHECK_OK(vf_conn_close(c, 20000, &status, &err), &err);
    CHECK_EQ_I64(status, 5);
}

TEST(no_such_program)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn_opts opts = vf_sshd_opts(vf_sshd(), NULL);
    struct vf_conn *c;
    char byte;

    opts.remote_program = "vmferry-is-not-here";
    c = connect_with(&opts, &err);
    CHECK_OK(c, &err);
    CHECK_EQ_I64(read(c->rfd, &byte, 1), 0);
    CHECK_FAIL(vf_conn_why(c, 10000, &err), &err, VF_ERR_UNREACHABLE);
    CHECK_HAS(err.msg, "'vmferry-is-not-here' is not installed on 127.0.0.1:");
    CHECK_HAS(err.msg, "--remote-program");
    vf_conn_abort(c);
}

TEST(complaints)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c = START(&err, "complain", "3");
    char *text, byte;

    CHECK_EQ_I64(read(c->rfd, &byte, 1), 0);
    CHECK_FAIL(vf_conn_why(c, 10000, &err), &err, VF_ERR_UNREACHABLE);
    CHECK_HAS(err.msg, "status 3: the last ?[31mline?");
    text = vf_conn_diagnosis(c);
    CHECK_HAS(text, "line 1999 of the complaint\n");
    free(text);
    vf_conn_abort(c);
}

/* 40 MB on stderr, past the window, while the caller reads stdout only. */
TEST(stderr_does_not_stop_the_data)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c = START(&err, "noisy", "40000000");
    char buf[65536];
    uint64_t got = 0;
    long n;

    while ((n = vf_read_some(c->rfd, buf, sizeof buf, &err)) > 0)
        got += (uint64_t)n;
    CHECK_EQ_U64(got, 40000000);
    CHECK_OK(vf_conn_close(c, 10000, NULL, &err), &err);
}

/* ---- ends ---- */

TEST(a_flood_that_nobody_reads)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c = START(&err, "flood", "100000000");
    int status = -1;

    (void)poll(NULL, 0, 300); /* let the window fill */
    CHECK_OK(vf_conn_close(c, 60000, &status, &err), &err);
    CHECK_EQ_I64(status, 0);
}

TEST(abort_does_not_wait)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c = START(&err, "hold");
    int64_t before = vf_clock_ms();

    vf_conn_abort(c);
    CHECK(vf_clock_ms() - before < 2000);
    c = START(&err, "flood", "100000000");
    (void)poll(NULL, 0, 200);
    before = vf_clock_ms();
    vf_conn_abort(c);
    CHECK(vf_clock_ms() - before < 2000);
}

TEST(a_far_end_that_hangs)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c = START(&err, "hold");
    int64_t before = vf_clock_ms();

    CHECK_FAIL(vf_conn_close(c, 300, NULL, &err), &err, VF_ERR_TIMEOUT);
    CHECK(vf_clock_ms() - before < 5000);
}

TEST(server_killed_in_the_middle)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_sshd second = {.port = 0};
    struct vf_conn_opts opts;
    struct vf_target t;
    struct vf_conn *c;
    char buf[65536];
    long n;

    vf_sshd_start(&second, "second", "");
    opts = vf_sshd_opts(&second, echo);
    t = vf_sshd_target(&second);
    CHECK_OK(vf_transport_init(&err), &err);
    c = vf_connect(&t, &opts, &err);
    CHECK_OK(c, &err);
    memset(buf, 'x', sizeof buf);
    CHECK_OK(vf_write_full(c->wfd, buf, sizeof buf, &err), &err);
    CHECK(vf_read_some(c->rfd, buf, sizeof buf, &err) > 0);
    free(vf_sshd_run("kill", second.dir));
    do
        n = vf_read_some(c->rfd, buf, sizeof buf, &err); /* what was under way, then the end */
    while (n > 0);
    CHECK_EQ_I64(n, 0);
    CHECK_FAIL(vf_conn_why(c, 10000, &err), &err, VF_ERR_UNREACHABLE);
    CHECK_HAS(err.msg, "connection lost");
    n = write(c->wfd, buf, 1);
    CHECK(n == -1 && errno == EPIPE);
    CHECK_FAIL(vf_conn_close(c, 10000, NULL, &err), &err, VF_ERR_UNREACHABLE);
}

/* Everything at the server stands still: the descriptors can be waited for with a deadline, writing
 * blocks no longer than the caller wants, and the connection goes on when the server does. */
TEST(server_frozen)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_sshd second = {.port = 0};
    struct vf_conn_opts opts;
    struct vf_target t;
    struct vf_conn *c;
    struct pollfd p;
    char buf[65536];
    uint64_t sent = 0, got = 0;
    int64_t before;
    long n;

    vf_sshd_start(&second, "frozen", "");
    opts = vf_sshd_opts(&second, echo);
    t = vf_sshd_target(&second);
    CHECK_OK(vf_transport_init(&err), &err);
    c = vf_connect(&t, &opts, &err);
    CHECK_OK(c, &err);
    CHECK_OK(vf_write_full(c->wfd, "x", 1, &err), &err);
    CHECK_EQ_I64(vf_read_some(c->rfd, buf, 1, &err), 1);
    free(vf_sshd_run("freeze", second.dir));
    CHECK(fcntl(c->wfd, F_SETFL, O_NONBLOCK) == 0);
    memset(buf, 'y', sizeof buf);
    for (p = (struct pollfd){c->wfd, POLLOUT, 0}; poll(&p, 1, 500) == 1;) {
        n = write(c->wfd, buf, sizeof buf);
        CHECK(n > 0);
        sent += (uint64_t)n;
        CHECK(sent < 200000000); /* something must push back */
    }
    p = (struct pollfd){c->rfd, POLLIN, 0};
    CHECK_EQ_I64(poll(&p, 1, 200), 0);
    CHECK_FAIL(vf_conn_why(c, 100, &err), &err, VF_ERR_TIMEOUT);
    free(vf_sshd_run("thaw", second.dir));
    vf_conn_end_writing(c);
    while ((n = vf_read_some(c->rfd, buf, sizeof buf, &err)) > 0)
        got += (uint64_t)n;
    CHECK_EQ_U64(got, sent);
    free(vf_sshd_run("freeze", second.dir));
    before = vf_clock_ms();
    vf_conn_abort(c);
    CHECK(vf_clock_ms() - before < 3000);
    free(vf_sshd_run("kill", second.dir));
}

TEST(server_frozen_before_the_greeting)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_sshd second = {.port = 0};
    struct vf_conn_opts opts;
    struct vf_target t;
    int64_t before;

    vf_sshd_start(&second, "silent", "");
    opts = vf_sshd_opts(&second, echo);
    opts.connect_timeout_ms = 700;
    t = vf_sshd_target(&second);
    CHECK_OK(vf_transport_init(&err), &err);
    free(vf_sshd_run("freeze", second.dir));
    before = vf_clock_ms();
    CHECK_FAIL(vf_connect(&t, &opts, &err), &err, VF_ERR_TIMEOUT);
    CHECK_HAS(err.msg, "key exchange");
    CHECK(vf_clock_ms() - before < 5000);
    free(vf_sshd_run("kill", second.dir));
}

TEST(refused_port)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn_opts opts = vf_sshd_opts(vf_sshd(), echo);
    struct vf_target t = vf_sshd_target(vf_sshd());

    t.port = 1; /* nobody listens there */
    CHECK_OK(vf_transport_init(&err), &err);
    CHECK_FAIL(vf_connect(&t, &opts, &err), &err, VF_ERR_UNREACHABLE);
    CHECK_HAS(err.msg, "127.0.0.1:1");
    CHECK_HAS(err.msg, "refused");
}

TESTS(known_by_one_key, known_by_its_hash, unknown_host, changed_key, revoked_key, default_files,
      arguments_and_store, exit_statuses, half_close, half_close_by_the_far_end, no_such_program,
      complaints, stderr_does_not_stop_the_data, a_flood_that_nobody_reads, abort_does_not_wait,
      a_far_end_that_hangs, server_killed_in_the_middle, server_frozen,
      server_frozen_before_the_greeting, refused_port)
