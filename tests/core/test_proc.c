/* Child processes: real programs, started, fed, timed out and killed. */
#include "core/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/clock.h"
#include "core/fdio.h"
#include "tests/lib/check.h"

#define SH(script) ((const char *const[]){"sh", "-c", (script), NULL})

/* Waits until the process is gone or a zombie of somebody else (5 s at most). */
static bool gone(pid_t pid)
{
    for (int i = 0; i < 500; i++) {
        char path[64], state = 0, text[200] = "";
        FILE *f;

        if (kill(pid, 0) < 0 && errno == ESRCH)
            return true;
        (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid); /* always fits */
        f = fopen(path, "re");
        if (!f)
            return true;
        if (fgets(text, sizeof text, f) && strrchr(text, ')'))
            state = strrchr(text, ')')[2];
        (void)fclose(f); /* only read */
        if (state == 'Z' || state == 'X')
            return true;
        (void)usleep(10000); /* a shorter wait does no harm */
    }
    return false;
}

TEST(run_collects_output)
{
    struct vf_error err;
    char *out = NULL;

    CHECK_OK(vf_proc_run(SH("echo one; echo two; echo noise >&2"), &out, 5000, &err), &err);
    CHECK_STR(out, "one\ntwo\n");
    free(out);
    CHECK_OK(vf_proc_run((const char *const[]){"true", NULL}, &out, 5000, &err), &err);
    CHECK_STR(out, "");
    free(out);
    CHECK_OK(vf_proc_run(SH("echo lost"), NULL, 5000, &err), &err);
}

TEST(run_collects_much_output)
{
    struct vf_error err;
    char *out = NULL;

    CHECK_OK(vf_proc_run(SH("head -c 5000000 /dev/zero | tr '\\0' x"), &out, 20000, &err), &err);
    CHECK_EQ_U64(strlen(out), 5000000);
    free(out);
}

TEST(run_has_a_limit_on_output)
{
    struct vf_error err;
    char *out = NULL;

    CHECK_FAIL(vf_proc_run(SH("cat /dev/zero"), &out, 20000, &err), &err, VF_ERR_RANGE);
    CHECK(out == NULL);
}

TEST(run_tells_status_and_last_line)
{
    struct vf_error err;

    CHECK_FAIL(
        vf_proc_run(SH("echo first >&2; printf 'the reason\\n\\n' >&2; exit 3"), NULL, 5000, &err),
        &err, VF_ERR_IO);
    CHECK_STR(err.msg, "'sh' failed with status 3: the reason");
    CHECK_FAIL(vf_proc_run(SH("exit 4"), NULL, 5000, &err), &err, VF_ERR_IO);
    CHECK_STR(err.msg, "'sh' failed with status 4");
    CHECK_FAIL(vf_proc_run(SH("kill -9 $$"), NULL, 5000, &err), &err, VF_ERR_IO);
    CHECK_STR(err.msg, "'sh' failed with status 137");
    CHECK_FAIL(vf_proc_run(SH("i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done;"
                              "printf 'no newline' >&2; exit 1"),
                           NULL, 20000, &err),
               &err, VF_ERR_IO);
    CHECK_STR(err.msg, "'sh' failed with status 1: no newline");
}

TEST(run_gives_up_after_the_timeout)
{
    struct vf_error err;
    int64_t start = vf_clock_ms();
    char *out = NULL;

    CHECK_FAIL(vf_proc_run(SH("sleep 60"), &out, 200, &err), &err, VF_ERR_TIMEOUT);
    CHECK_HAS(err.msg, "'sh'");
    /* The same when its outputs are closed already. */
    CHECK_FAIL(vf_proc_run(SH("exec >&- 2>&-; sleep 60"), &out, 200, &err), &err, VF_ERR_TIMEOUT);
    CHECK(vf_clock_ms() - start < 20000);
}

/* What some programs do: they leave a daemon behind that holds the pipes open. */
TEST(run_does_not_wait_for_daemons)
{
    struct vf_error err;
    int64_t start = vf_clock_ms();
    char *out = NULL;

    if (!vf_test_have("setsid"))
        SKIP("no setsid program");
    CHECK_OK(vf_proc_run(SH("setsid sh -c 'sleep 8' & echo $!"), &out, 60000, &err), &err);
    CHECK(vf_clock_ms() - start < 7000);
    free(out);
}

TEST(missing_programs_are_not_found)
{
    struct vf_error err;
    struct vf_proc p = VF_PROC_INIT;

    CHECK_FAIL(vf_proc_start(&p, (const char *const[]){"no-such-program", NULL}, 0, &err), &err,
               VF_ERR_NOTFOUND);
    CHECK_HAS(err.msg, "no-such-program");
    CHECK_FAIL(vf_proc_start(&p, (const char *const[]){"/no/such/program", NULL}, 0, &err), &err,
               VF_ERR_NOTFOUND);
    CHECK_FAIL(vf_proc_start(&p, (const char *const[]){"", NULL}, 0, &err), &err, VF_ERR_NOTFOUND);
    CHECK_EQ_I64(p.pid, -1);
    CHECK_FAIL(vf_proc_start(&p, (const char *const[]){vf_test_tmpdir(), NULL}, 0, &err), &err,
               VF_ERR_DENIED);
}

/* A file that the kernel cannot execute must not end up in a shell. */
TEST(no_shell_for_strange_files)
{
    struct vf_error err;
    const char *path = vf_test_path("strange");
    struct vf_proc p = VF_PROC_INIT;

    vf_test_write_file(path, "touch ran\n", 10);
    CHECK(chmod(path, 0700) == 0);
    CHECK_FAIL(vf_proc_start(&p, (const char *const[]){path, NULL}, 0, &err), &err, VF_ERR_IO);
    CHECK_EQ_I64(err.sys, ENOEXEC);
    CHECK(chmod(path, 0600) == 0);
    CHECK_FAIL(vf_proc_start(&p, (const char *const[]){path, NULL}, 0, &err), &err, VF_ERR_DENIED);
    CHECK_EQ_I64(p.pid, -1);
}

TEST(looks_through_path)
{
    struct vf_error err;
    const char *old = getenv("PATH");
    char *save, *path, *out = NULL;
    const char *script = "#!/bin/sh\necho found\n";

    CHECK(old != NULL);
    save = vf_strdup(old, &err);
    CHECK_OK(vf_mkdir_p(vf_test_path("p1"), 0700, &err), &err);
    CHECK_OK(vf_mkdir_p(vf_test_path("p2"), 0700, &err), &err);
    vf_test_write_file(vf_test_path("p1/vf-tool"), script, strlen(script)); /* not executable */
    vf_test_write_file(vf_test_path("p2/vf-tool"), script, strlen(script));
    CHECK(chmod(vf_test_path("p2/vf-tool"), 0700) == 0);
    path = vf_strf(&err, "%s::%s:%s", vf_test_path("p1"), vf_test_path("p2"), save);
    CHECK(setenv("PATH", path, 1) == 0);
    CHECK_OK(vf_proc_run((const char *const[]){"vf-tool", NULL}, &out, 5000, &err), &err);
    CHECK_STR(out, "found\n");
    CHECK(setenv("PATH", save, 1) == 0);
    free(out);
    free(path);
    free(save);
}

TEST(pipes_connect_all_three)
{
    struct vf_error err;
    struct vf_proc p = VF_PROC_INIT;
    char buf[100];
    int status = -1;
    long n;

    CHECK_OK(vf_proc_start(&p, SH("read x; echo \"got $x\"; echo \"err $x\" >&2; exit 7"),
                           VF_PROC_IN | VF_PROC_OUT | VF_PROC_ERR, &err),
             &err);
    CHECK(p.pid > 0 && p.in >= 0 && p.out >= 0 && p.err >= 0);
    CHECK_OK(vf_write_full(p.in, "hello\n", 6, &err), &err);
    n = vf_read_some(p.out, buf, sizeof buf, &err);
    CHECK(n == 10 && memcmp(buf, "got hello\n", 10) == 0);
    n = vf_read_some(p.err, buf, sizeof buf, &err);
    CHECK(n == 10 && memcmp(buf, "err hello\n", 10) == 0);
    CHECK_OK(vf_proc_finish(&p, 5000, &status, &err), &err);
    CHECK_EQ_I64(status, 7);
    CHECK(p.pid == -1 && p.in == -1 && p.out == -1 && p.err == -1);
    CHECK_FAIL(vf_proc_finish(&p, 5000, &status, &err), &err, VF_ERR_IO);
}

TEST(unasked_descriptors_are_null)
{
    struct vf_error err;
    char *out = NULL;

    CHECK_OK(vf_proc_run(SH("readlink /proc/self/fd/0"), &out, 5000, &err), &err);
    CHECK_STR(out, "/dev/null\n");
    free(out);
    CHECK_FAIL(
        vf_proc_run(SH("x=$(readlink /proc/$$/fd/1); echo \"$x\" >&2; exit 1"), NULL, 5000, &err),
        &err, VF_ERR_IO);
    CHECK_HAS(err.msg, "/dev/null");
}

/* Also descriptors without close-on-exec stay here. */
TEST(no_other_descriptor_is_inherited)
{
    struct vf_error err;
    char *out = NULL;
    int fds[40];

    for (int i = 0; i < 40; i++)
        CHECK((fds[i] = open("/dev/zero", O_RDONLY)) >= 0);
    CHECK_OK(vf_proc_run(SH("ls -l /proc/$$/fd"), &out, 5000, &err), &err);
    CHECK(strstr(out, "/dev/zero") == NULL);
    free(out);
    for (int i = 0; i < 40; i++)
        vf_close_fd(&fds[i]);
}

/* A program that was started with 0, 1 or 2 closed must not mix up its pipes. */
TEST(works_with_closed_standard_descriptors)
{
    pid_t pid;
    int status;

    CHECK(fflush(stdout) == 0);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        struct vf_error err;
        struct vf_proc p = VF_PROC_INIT;
        char buf[10];

        if (close(0) < 0 || close(1) < 0 || close(2) < 0)
            _exit(10);
        if (vf_proc_start(&p, SH("cat; readlink /proc/$$/fd/2 >&2"), VF_PROC_IN | VF_PROC_OUT,
                          &err) < 0)
            _exit(11);
        if (vf_write_full(p.in, "abc", 3, &err) < 0)
            _exit(12);
        vf_close_fd(&p.in);
        if (vf_read_some(p.out, buf, sizeof buf, &err) != 3 || memcmp(buf, "abc", 3) != 0)
            _exit(13);
        if (vf_proc_finish(&p, 5000, &status, &err) < 0 || status != 0)
            _exit(14);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_EQ_I64(status, 0);
}

TEST(signals_are_default_in_the_child)
{
    uint64_t blocked = 1, ignored = 1;
    struct vf_error err;
    sigset_t set, old;
    char *out = NULL;

    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR && signal(SIGUSR1, SIG_IGN) != SIG_ERR);
    CHECK(sigemptyset(&set) == 0 && sigaddset(&set, SIGUSR2) == 0);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, &old) == 0);
    CHECK_OK(
        vf_proc_run((const char *const[]){"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL},
                    &out, 5000, &err),
        &err);
    CHECK(sscanf(out, "SigBlk: %" SCNx64 " SigIgn: %" SCNx64, &blocked, &ignored) == 2);
    CHECK_EQ_U64(blocked, 0);
    /* 32 and 33 are the C library's own; posix_spawn, and so make, starts children without them */
    CHECK_EQ_U64(ignored & ~(UINT64_C(3) << 31), 0);
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &set) == 0 && sigismember(&set, SIGUSR2) == 1);
    CHECK(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    CHECK(signal(SIGPIPE, SIG_DFL) == SIG_IGN && signal(SIGUSR1, SIG_DFL) == SIG_IGN);
    free(out);
}

TEST(own_process_group)
{
    struct vf_error err;
    struct vf_proc p = VF_PROC_INIT;

    CHECK_OK(vf_proc_start(&p, SH("sleep 60"), 0, &err), &err);
    CHECK_EQ_I64(getpgid(p.pid), p.pid);
    vf_proc_kill(&p);
}

TEST(finish_terminates_what_does_not_end)
{
    struct vf_error err;
    struct vf_proc p = VF_PROC_INIT;
    int status = 0;

    CHECK_OK(vf_proc_start(&p, (const char *const[]){"sleep", "60", NULL}, 0, &err), &err);
    CHECK_OK(vf_proc_finish(&p, 50, &status, &err), &err);
    CHECK_EQ_I64(status, 128 + SIGTERM);
}

TEST(finish_kills_what_ignores_sigterm)
{
    struct vf_error err;
    struct vf_proc p = VF_PROC_INIT;
    int64_t start;
    int status = 0;
    char c;

    CHECK_OK(
        vf_proc_start(&p, SH("trap '' TERM; echo; while :; do sleep 60; done"), VF_PROC_OUT, &err),
        &err);
    CHECK_EQ_I64(vf_read_some(p.out, &c, 1, &err), 1); /* the trap is set */
    start = vf_clock_ms();
    CHECK_OK(vf_proc_finish(&p, 50, &status, &err), &err);
    CHECK_EQ_I64(status, 128 + SIGKILL);
    CHECK(vf_clock_ms() - start >= 2000);
}

TEST(kill_takes_the_whole_group)
{
    struct vf_error err;
    struct vf_proc p = VF_PROC_INIT;
    char buf[32] = "";
    pid_t grandchild;

    CHECK_OK(vf_proc_start(&p, SH("sleep 60 & echo $!; wait"), VF_PROC_OUT, &err), &err);
    CHECK(vf_read_some(p.out, buf, sizeof buf - 1, &err) > 0);
    grandchild = (pid_t)atoi(buf);
    CHECK(grandchild > 1);
    vf_proc_kill(&p);
    CHECK(gone(grandchild));
    vf_proc_kill(&p); /* empty now: harmless */
}

TEST(the_child_dies_with_its_parent)
{
    int fds[2], status;
    pid_t parent, child = -1;

    CHECK(pipe(fds) == 0 && fflush(stdout) == 0);
    parent = fork();
    CHECK(parent >= 0);
    if (parent == 0) {
        struct vf_error err;
        struct vf_proc p = VF_PROC_INIT;

        if (vf_proc_start(&p, (const char *const[]){"sleep", "60", NULL}, 0, &err) < 0 ||
            vf_write_full(fds[1], &p.pid, sizeof p.pid, &err) < 0)
            _exit(1);
        (void)kill(getpid(), SIGKILL); /* without any chance to clean up */
        _exit(2);
    }
    CHECK(waitpid(parent, &status, 0) == parent && WIFSIGNALED(status));
    CHECK(read(fds[0], &child, sizeof child) == (ssize_t)sizeof child && child > 1);
    CHECK(gone(child));
    CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
}

static void *start_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        struct vf_error err;
        char *out = NULL;

        CHECK_OK(vf_proc_run((const char *const[]){"echo", "x", NULL}, &out, 20000, &err), &err);
        CHECK_STR(out, "x\n");
        free(out);
    }
    return NULL;
}

TEST(many_threads_start_children)
{
    pthread_t t[4];

    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&t[i], NULL, start_many, NULL) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
}

TEST(no_descriptor_leaks)
{
    struct vf_error err;
    struct vf_proc p = VF_PROC_INIT;
    int before = open("/dev/null", O_RDONLY | O_CLOEXEC), after;

    for (int i = 0; i < 20; i++) {
        CHECK_FAIL(vf_proc_start(&p, (const char *const[]){"/no/such", NULL}, 7, &err), &err,
                   VF_ERR_NOTFOUND);
        CHECK_FAIL(vf_proc_run(SH("exit 1"), NULL, 5000, &err), &err, VF_ERR_IO);
    }
    after = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK_EQ_I64(after, before + 1);
    vf_close_fd(&before);
    vf_close_fd(&after);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD); /* no zombies either */
}

TESTS(run_collects_output, run_collects_much_output, run_has_a_limit_on_output,
      run_tells_status_and_last_line, run_gives_up_after_the_timeout, run_does_not_wait_for_daemons,
      missing_programs_are_not_found, no_shell_for_strange_files, looks_through_path,
      pipes_connect_all_three, unasked_descriptors_are_null, no_other_descriptor_is_inherited,
      works_with_closed_standard_descriptors, signals_are_default_in_the_child, own_process_group,
      finish_terminates_what_does_not_end, finish_kills_what_ignores_sigterm,
      kill_takes_the_whole_group, the_child_dies_with_its_parent, many_threads_start_children,
      no_descriptor_leaks)
