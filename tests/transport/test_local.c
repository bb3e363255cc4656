/* The local back end, with a script in the place of the program; and what all back ends share. */
#include "transport/local.h"

#include <errno.h>
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

static struct vf_conn *start(const char *const *args, struct vf_error *err)
{
    static char store[] = "/srv/a store";
    struct vf_target t = {VF_TARGET_LOCAL, NULL, NULL, 0, store};
    struct vf_conn_opts opts = {.self_program = vf_tests_file("lib/farend.sh"), .serve_args = args};

    CHECK_OK(vf_transport_init(err), err);
    return vf_connect(&t, &opts, err);
}
#define START(err, ...) start((const char *const[]){__VA_ARGS__, NULL}, err)

TEST(talks)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c = START(&err, "echo");
    int status = -1;

    CHECK_OK(c, &err);
    CHECK_STR(vf_conn_backend(c), "local");
    CHECK_STR(vf_conn_peer(c), "/srv/a store");
    CHECK_STR(vf_conn_backend_reason(c), "");
    vf_conn_check_talk(c, "hello", "hello");
    CHECK_OK(vf_conn_close(c, 5000, &status, &err), &err);
    CHECK_EQ_I64(status, 0);
}

TEST(arguments)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c = START(&err, "args", "a b", "");

    CHECK_OK(c, &err);
    vf_conn_check_talk(c, "", "</srv/a store><serve><args><a b><>");
    CHECK_OK(vf_conn_close(c, 5000, NULL, &err), &err);
}

TEST(exit_status)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c = START(&err, "exit", "7");
    int status = -1;

    CHECK_OK(c, &err);
    CHECK_OK(vf_conn_close(c, 5000, &status, &err), &err);
    CHECK_EQ_I64(status, 7);
    c = START(&err, "die");
    CHECK_OK(c, &err);
    CHECK_OK(vf_conn_close(c, 5000, &status, &err), &err);
    CHECK_EQ_I64(status, 128 + SIGTERM);
}

/* This program, started as the far end of a store called "self", says so and ends. */
__attribute__((constructor)) static void as_far_end(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "--store") == 0 && strcmp(argv[2], "/self") == 0)
        _exit(write(1, argv[3], strlen(argv[3])) == 5 ? 9 : 1);
}

TEST(our_own_program)
{
    static char store[] = "/self";
    struct vf_error err = VF_ERROR_INIT;
    struct vf_target t = {VF_TARGET_LOCAL, NULL, NULL, 0, store};
    struct vf_conn_opts opts = {.self_program = NULL};
    struct vf_conn *c;
    const char *preload = getenv("LD_PRELOAD");
    int status = -1;

    if (preload && strstr(preload, "vgpreload"))
        return; /* what the kernel takes for our own program is valgrind */
    CHECK_OK(vf_transport_init(&err), &err);
    c = vf_connect(&t, &opts, &err);
    CHECK_OK(c, &err);
    vf_conn_check_talk(c, "", "serve");
    CHECK_OK(vf_conn_close(c, 5000, &status, &err), &err);
    CHECK_EQ_I64(status, 9);
}

TEST(half_close)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c = START(&err, "count");

    CHECK_OK(c, &err);
    vf_conn_check_talk(c, "12345", "5\n"); /* wc answers only after the end of its input */
    CHECK_OK(vf_conn_close(c, 5000, NULL, &err), &err);
}

TEST(explains_an_early_end)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c = START(&err, "complain", "3");
    char *text, byte;
    int status = 0;

    CHECK_OK(c, &err);
    CHECK_EQ_I64(read(c->rfd, &byte, 1), 0);
    CHECK_FAIL(vf_conn_why(c, 5000, &err), &err, VF_ERR_UNREACHABLE);
    CHECK_HAS(err.msg, "/srv/a store ended early with status 3: the last ?[31mline?");
    text = vf_conn_diagnosis(c);
    CHECK_HAS(text, "line 1999 of the complaint\nthe last ?[31mline?");
    free(text);
    CHECK_OK(vf_conn_close(c, 5000, &status, &err), &err);
    CHECK_EQ_I64(status, 3);
}

TEST(no_such_program)
{
    static char store[] = "/srv";
    struct vf_error err = VF_ERROR_INIT;
    struct vf_target t = {VF_TARGET_LOCAL, NULL, NULL, 0, store};
    struct vf_conn_opts opts = {.self_program = "/nonexistent/vmferry"};

    CHECK_FAIL(vf_connect(&t, &opts, &err), &err, VF_ERR_NOTFOUND);
}

TEST(a_far_end_that_writes_on_does_not_block_close)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c = START(&err, "flood", "3000000");
    int status = -1;

    CHECK_OK(c, &err);
    CHECK_OK(vf_conn_close(c, 10000, &status, &err), &err);
    CHECK_EQ_I64(status, 0);
}

TEST(a_far_end_that_hangs)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c = START(&err, "hold");
    struct pollfd p = {c ? c->rfd : -1, POLLIN, 0};
    int64_t before = vf_clock_ms();

    CHECK_OK(c, &err);
    CHECK_EQ_I64(poll(&p, 1, 200), 0); /* the caller's own deadline works */
    CHECK_FAIL(vf_conn_why(c, 100, &err), &err, VF_ERR_TIMEOUT);
    CHECK_FAIL(vf_conn_close(c, 200, NULL, &err), &err, VF_ERR_TIMEOUT);
    CHECK(vf_clock_ms() - before < 5000);
}

TEST(abort_does_not_wait)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c = START(&err, "hold");
    int64_t before = vf_clock_ms();

    CHECK_OK(c, &err);
    vf_conn_abort(c);
    CHECK(vf_clock_ms() - before < 2000);
    vf_conn_abort(NULL);
    CHECK_OK(vf_conn_close(NULL, 0, NULL, &err), &err);
}

TEST(writing_to_one_that_has_gone)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_conn *c = START(&err, "exit", "0");
    ssize_t n;

    CHECK_OK(c, &err);
    CHECK_FAIL(vf_conn_why(c, 5000, &err), &err, VF_ERR_UNREACHABLE);
    n = write(c->wfd, "x", 1);
    CHECK(n == -1 && errno == EPIPE);
    vf_conn_abort(c);
}

TESTS(talks, arguments, exit_status, our_own_program, half_close, explains_an_early_end,
      no_such_program, a_far_end_that_writes_on_does_not_block_close, a_far_end_that_hangs,
      abort_does_not_wait, writing_to_one_that_has_gone)
