/* The test library itself: what a failed, skipped or crashed test does to the exit status. */
#include "tests/lib/check.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void passes(void) { CHECK(1 == 1); }
static void fails(void) { CHECK_EQ_U64(1, 2); }
static void skips(void) { SKIP("no reason"); }
static void crashes(void) { abort(); }
static void leaves_a_file(void) { puts(vf_test_tmpdir()); }

static void *fail_there(void *arg)
{
    CHECK(arg != NULL);
    return NULL;
}

static void fails_in_a_thread(void)
{
    pthread_t t;

    CHECK(pthread_create(&t, NULL, fail_there, NULL) == 0);
    CHECK(pthread_join(t, NULL) == 0);
}

static void wrong_code(void)
{
    struct vf_error err;

    CHECK_FAIL(vf_error_set(&err, VF_ERR_IO, 0, "x"), &err, VF_ERR_RANGE);
}

/* Runs such a program in a child; its output goes to out. */
static int run(const struct vf_test *tests, char *out, size_t size)
{
    char name[] = "program", *argv[] = {name, NULL};
    size_t len = 0;
    int fds[2], status;
    ssize_t n;
    pid_t pid;

    CHECK(pipe(fds) == 0 && fflush(stdout) == 0);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        if (dup2(fds[1], STDOUT_FILENO) < 0 || close(fds[0]) < 0 || close(fds[1]) < 0)
            _exit(99);
        exit(vf_test_main(tests, 1, argv));
    }
    CHECK(close(fds[1]) == 0);
    while (len < size - 1 && (n = read(fds[0], out + len, size - 1 - len)) > 0)
        len += (size_t)n;
    out[len] = 0;
    CHECK(close(fds[0]) == 0 && waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

TEST(all_passed_is_0)
{
    static const struct vf_test t[] = {{"passes", passes}, {"skips", skips}, {NULL, NULL}};
    char out[2000];

    CHECK_EQ_I64(run(t, out, sizeof out), 0);
    CHECK_STR(out, "ok passes\nskip skips: no reason\n1 passed, 0 failed, 1 skipped\n");
}

TEST(one_failed_is_1)
{
    static const struct vf_test t[] = {{"fails", fails}, {"passes", passes}, {NULL, NULL}};
    char out[2000];

    CHECK_EQ_I64(run(t, out, sizeof out), 1);
    CHECK_HAS(out, "test_check.c:");
    CHECK_HAS(out, "1 == 2");
    CHECK_HAS(out, "not ok fails\nok passes\n1 passed, 1 failed");
}

TEST(only_skipped_is_77)
{
    static const struct vf_test t[] = {{"skips", skips}, {NULL, NULL}};
    static const struct vf_test none[] = {{NULL, NULL}};
    char out[2000];

    CHECK_EQ_I64(run(t, out, sizeof out), 77);
    CHECK_EQ_I64(run(none, out, sizeof out), 1);
}

TEST(a_crash_names_its_test)
{
    static const struct vf_test t[] = {{"crashes", crashes}, {NULL, NULL}};
    char out[2000];

    CHECK(run(t, out, sizeof out) != 0);
    CHECK_HAS(out, "not ok crashes");
}

TEST(a_failure_in_a_thread_counts)
{
    static const struct vf_test t[] = {{"fails_in_a_thread", fails_in_a_thread}, {NULL, NULL}};
    char out[2000];

    CHECK_EQ_I64(run(t, out, sizeof out), 1);
    CHECK_HAS(out, "not ok fails_in_a_thread");
}

TEST(check_fail_compares_the_code)
{
    static const struct vf_test t[] = {{"wrong_code", wrong_code}, {NULL, NULL}};
    char out[2000];

    CHECK_EQ_I64(run(t, out, sizeof out), 1);
    CHECK_HAS(out, "failed with 'io' instead of 'range'");
}

TEST(the_directory_goes_away)
{
    static const struct vf_test t[] = {{"leaves_a_file", leaves_a_file}, {NULL, NULL}};
    char out[2000];

    CHECK_EQ_I64(run(t, out, sizeof out), 0);
    *strchr(out, '\n') = 0;
    CHECK_HAS(out, "vf-test-");
    CHECK(access(out, F_OK) < 0);
}

TEST(random_bytes_repeat)
{
    uint8_t a[100], b[100];

    vf_test_random(1, a, sizeof a);
    vf_test_random(1, b, sizeof b);
    CHECK_MEM(a, b, sizeof a);
    vf_test_random(2, b, sizeof b);
    CHECK(memcmp(a, b, sizeof a) != 0);
}

TEST(finds_programs)
{
    CHECK(vf_test_have("sh"));
    CHECK(!vf_test_have("no-such-program-anywhere"));
}

TESTS(all_passed_is_0, one_failed_is_1, only_skipped_is_77, a_crash_names_its_test,
      a_failure_in_a_thread_counts, check_fail_compares_the_code, the_directory_goes_away,
      random_bytes_repeat, finds_programs)
