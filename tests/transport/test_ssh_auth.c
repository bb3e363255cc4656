/* Logging in: which keys are offered, what is said when none will do, and when the ssh program is
 * asked instead. */
#include "transport/ssh_auth.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "tests/lib/check.h"
#include "tests/lib/sshd.h"

static const char *const echo[] = {"echo", NULL};

static struct vf_conn *connect_with(const struct vf_conn_opts *opts, struct vf_error *err)
{
    struct vf_target t = vf_sshd_target(vf_sshd());

    CHECK_OK(vf_transport_init(err), err);
    return vf_connect(&t, opts, err);
}

/* Connects, and talks over that back end. */
static void works(const struct vf_conn_opts *opts, const char *backend, const char *reason)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c = connect_with(opts, &err);

    CHECK_OK(c, &err);
    CHECK_STR(vf_conn_backend(c), backend);
    CHECK_HAS(vf_conn_backend_reason(c), reason);
    vf_conn_check_talk(c, "hello", "hello");
    CHECK_OK(vf_conn_close(c, 20000, NULL, &err), &err);
}

static struct vf_conn_opts with_key(const char *path)
{
    struct vf_conn_opts opts = vf_sshd_opts(vf_sshd(), echo);

    opts.identity = path;
    return opts;
}

/* ---- agents ---- */

/* In the foreground, as our child: it cannot outlive the test. */
struct agent {
    struct vf_proc proc;
    const char *socket;
};

/* Starts an agent with these keys and points SSH_AUTH_SOCK at it. */
static void agent_start(struct agent *a, const char *const *keys)
{
    struct vf_error err = VF_ERROR_INIT;

    if (!vf_test_have("ssh-agent") || !vf_test_have("ssh-add"))
        SKIP("no ssh-agent");
    a->socket = vf_test_path("agent");
    {
        const char *argv[] = {"ssh-agent", "-D", "-a", a->socket, NULL};

        CHECK_OK(vf_proc_start(&a->proc, argv, VF_PROC_OUT, &err), &err);
    }
    for (int i = 0; i < 500 && access(a->socket, F_OK) != 0; i++)
        (void)poll(NULL, 0, 10);
    CHECK(setenv("SSH_AUTH_SOCK", a->socket, 1) == 0);
    for (; *keys; keys++) {
        const char *add[] = {"ssh-add", "-q", *keys, NULL};

        CHECK_OK(vf_proc_run(add, NULL, 10000, &err), &err);
    }
}

static void agent_stop(struct agent *a)
{
    vf_proc_kill(&a->proc);
    (void)unlink(a->socket);
    (void)unsetenv("SSH_AUTH_SOCK");
}

/* Options without an identity, with a home that has no keys. */
static struct vf_conn_opts no_identity(void)
{
    struct vf_conn_opts opts = vf_sshd_opts(vf_sshd(), echo);

    opts.identity = NULL;
    opts.home = vf_test_path("empty-home");
    (void)mkdir(opts.home, 0700); /* may be there already */
    return opts;
}

TEST(agent)
{
    const char *keys[] = {vf_sshd_file(vf_sshd(), "stranger"), vf_sshd_file(vf_sshd(), "id_ecdsa"),
                          NULL};
    struct vf_conn_opts opts = no_identity();
    struct agent a;

    agent_start(&a, keys);
    works(&opts, "libssh2", "");
    agent_stop(&a);
}

/* The file cannot be read without its passphrase, but the agent holds the key. */
TEST(agent_for_a_locked_file)
{
    const char *key = vf_test_path("locked");
    const char *copy[] = {"cp", vf_sshd_file(vf_sshd(), "id_ed25519"), key, NULL};
    const char *lock[] = {"ssh-keygen", "-q", "-p", "-N", "secret", "-f", key, NULL};
    const char *keys[] = {vf_sshd_file(vf_sshd(), "id_ed25519"), NULL}, *none[] = {NULL};
    struct vf_conn_opts opts = with_key(key);
    struct vf_error err = VF_ERROR_INIT;
    struct agent a;

    CHECK_OK(vf_proc_run(copy, NULL, 10000, &err), &err);
    CHECK_OK(vf_proc_run(lock, NULL, 10000, &err), &err);
    agent_start(&a, none);
    CHECK_FAIL(connect_with(&opts, &err), &err, VF_ERR_AUTH);
    CHECK_HAS(err.msg, "passphrase");
    agent_stop(&a);
    agent_start(&a, keys);
    works(&opts, "libssh2", "");
    agent_stop(&a);
}

/* Only an RSA key is there: libssh2 cannot sign with it in a way that sshd takes. */
TEST(agent_with_rsa)
{
    const char *keys[] = {vf_sshd_file(vf_sshd(), "id_rsa"), NULL};
    struct vf_conn_opts opts = no_identity();
    struct agent a;

    agent_start(&a, keys);
    works(&opts, "ssh", "RSA");
    agent_stop(&a);
}

TEST(agent_that_does_not_exist)
{
    struct vf_conn_opts opts = with_key(vf_sshd_file(vf_sshd(), "id_ed25519"));

    CHECK(setenv("SSH_AUTH_SOCK", "/nonexistent/agent", 1) == 0);
    works(&opts, "libssh2", "");
    CHECK(unsetenv("SSH_AUTH_SOCK") == 0);
}

/* An agent that takes the connection and then says nothing costs no more than the time allowed. */
TEST(agent_that_hangs)
{
    const char *keys[] = {NULL};
    struct vf_conn_opts opts = no_identity();
    struct vf_error err = VF_ERROR_INIT;
    int64_t before = vf_clock_ms();
    struct agent a;

    agent_start(&a, keys);
    CHECK(kill(a.proc.pid, SIGSTOP) == 0);
    opts.connect_timeout_ms = 1500;
    CHECK(connect_with(&opts, &err) == NULL);
    CHECK(err.code == VF_ERR_AUTH || err.code == VF_ERR_TIMEOUT);
    CHECK(vf_clock_ms() - before < 10000);
    agent_stop(&a);
}

/* ---- files ---- */

TEST(ed25519_and_ecdsa_files)
{
    struct vf_conn_opts opts = with_key(vf_sshd_file(vf_sshd(), "id_ed25519"));

    works(&opts, "libssh2", "");
    opts.identity = vf_sshd_file(vf_sshd(), "id_ecdsa");
    works(&opts, "libssh2", "");
}

TEST(ecdsa_in_pem)
{
    const char *key = vf_test_path("pem");
    const char *copy[] = {"cp", vf_sshd_file(vf_sshd(), "id_ecdsa"), key, NULL};
    const char *convert[] = {"ssh-keygen", "-q", "-p", "-N", "", "-m", "PEM", "-f", key, NULL};
    struct vf_conn_opts opts = with_key(key);
    struct vf_error err = VF_ERROR_INIT;

    CHECK_OK(vf_proc_run(copy, NULL, 10000, &err), &err);
    CHECK_OK(vf_proc_run(convert, NULL, 10000, &err), &err);
    works(&opts, "libssh2", "");
}

TEST(rsa_file_goes_to_the_ssh_program)
{
    struct vf_conn_opts opts = with_key(vf_sshd_file(vf_sshd(), "id_rsa"));

    if (!vf_test_have("ssh"))
        SKIP("no ssh");
    works(&opts, "ssh", "kind RSA");
}

TEST(rsa_without_the_ssh_program)
{
    struct vf_conn_opts opts = with_key(vf_sshd_file(vf_sshd(), "id_rsa"));
    struct vf_error err = VF_ERROR_INIT;
    char *path = strdup(getenv("PATH"));

    CHECK(path && setenv("PATH", "/nonexistent", 1) == 0);
    CHECK_FAIL(connect_with(&opts, &err), &err, VF_ERR_UNSUPPORTED);
    CHECK(setenv("PATH", path, 1) == 0);
    CHECK_HAS(err.msg, "ssh program");
    CHECK_HAS(err.msg, "RSA");
    free(path);
}

TEST(a_stranger_is_refused)
{
    struct vf_conn_opts opts = with_key(vf_sshd_file(vf_sshd(), "stranger"));
    struct vf_error err = VF_ERROR_INIT;

    CHECK_FAIL(connect_with(&opts, &err), &err, VF_ERR_AUTH);
    CHECK_HAS(err.msg, "does not accept the key");
}

TEST(no_key_at_all)
{
    struct vf_conn_opts opts = no_identity();
    struct vf_error err = VF_ERROR_INIT;

    CHECK_FAIL(connect_with(&opts, &err), &err, VF_ERR_AUTH);
    CHECK_HAS(err.msg, "--identity");
}

TEST(a_key_file_that_is_not_there)
{
    struct vf_conn_opts opts = with_key("/nonexistent/key");
    struct vf_error err = VF_ERROR_INIT;

    CHECK_FAIL(connect_with(&opts, &err), &err, VF_ERR_NOTFOUND);
}

TEST(an_open_key_file)
{
    const char *key = vf_test_path("open");
    const char *copy[] = {"cp", vf_sshd_file(vf_sshd(), "id_ed25519"), key, NULL};
    struct vf_conn_opts opts = with_key(key);
    struct vf_error err = VF_ERROR_INIT;

    CHECK_OK(vf_proc_run(copy, NULL, 10000, &err), &err);
    CHECK(chmod(key, 0644) == 0);
    CHECK_FAIL(connect_with(&opts, &err), &err, VF_ERR_AUTH);
    CHECK_HAS(err.msg, "others");
}

TEST(another_user)
{
    struct vf_conn_opts opts = with_key(vf_sshd_file(vf_sshd(), "id_ed25519"));
    struct vf_target t = vf_sshd_target(vf_sshd());
    struct vf_error err = VF_ERROR_INIT;
    static char nobody[] = "no-such-user";

    t.user = nobody;
    CHECK_OK(vf_transport_init(&err), &err);
    CHECK_FAIL(vf_connect(&t, &opts, &err), &err, VF_ERR_AUTH);
    CHECK_HAS(err.msg, "no-such-user");
}

/* Default files: the first is a stranger's, the second will do. */
TEST(default_files_in_turn)
{
    const char *home = vf_test_path("home2"), *dir = vf_test_path("home2/.ssh");
    const char *first[] = {"cp", vf_sshd_file(vf_sshd(), "stranger"),
                           vf_test_path("home2/.ssh/id_ed25519"), NULL};
    const char *second[] = {"cp", vf_sshd_file(vf_sshd(), "id_ecdsa"), dir, NULL};
    struct vf_conn_opts opts = no_identity();
    struct vf_error err = VF_ERROR_INIT;

    CHECK(mkdir(home, 0700) == 0 && mkdir(dir, 0700) == 0);
    CHECK_OK(vf_proc_run(first, NULL, 10000, &err), &err);
    CHECK_OK(vf_proc_run(second, NULL, 10000, &err), &err);
    opts.home = home;
    works(&opts, "libssh2", "");
}

TEST(a_server_without_public_keys)
{
    struct vf_sshd second = {.port = 0};
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn_opts opts;
    struct vf_target t;

    vf_sshd_start(&second, "nopub", "PubkeyAuthentication no\nPasswordAuthentication yes\n");
    opts = vf_sshd_opts(&second, echo);
    t = vf_sshd_target(&second);
    CHECK_OK(vf_transport_init(&err), &err);
    CHECK_FAIL(vf_connect(&t, &opts, &err), &err, VF_ERR_AUTH);
    free(vf_sshd_run("kill", second.dir));
    CHECK_HAS(err.msg, "does not let");
    CHECK_HAS(err.msg, "password");
}

TESTS(agent, agent_for_a_locked_file, agent_with_rsa, agent_that_does_not_exist, agent_that_hangs,
      ed25519_and_ecdsa_files, ecdsa_in_pem, rsa_file_goes_to_the_ssh_program,
      rsa_without_the_ssh_program, a_stranger_is_refused, no_key_at_all,
      a_key_file_that_is_not_there, an_open_key_file, another_user, default_files_in_turn,
      a_server_without_public_keys)
