/* What serve gives up is gone, and what it needs still works, for its children too. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/sandbox.h"
#include "core/fdio.h"
#include "tests/lib/check.h"

/* Runs body in a child that has entered the sandbox with the test's directory "in"; the child's
 * result is what body returns, 0 for good. */
static int confined(int (*body)(const struct vf_sandbox *))
{
    const char *dirs[] = {vf_test_path("in")};
    struct vf_error err;
    int status;
    pid_t pid;

    CHECK_OK(vf_mkdir_p(dirs[0], 0700, &err), &err);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        struct vf_sandbox box;

        _exit(vf_sandbox_enter(dirs, 1, &box, &err) == 0 ? body(&box) : 99);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool can_make(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int write_body(const struct vf_sandbox *box)
{
    if (!can_make(vf_test_path("in/new")) || !can_make("/dev/null") ||
        rename(vf_test_path("in/new"), vf_test_path("in/newer")) < 0 ||
        truncate(vf_test_path("in/newer"), 10) < 0 || unlink(vf_test_path("in/newer")) < 0 ||
        mkdir(vf_test_path("in/dir"), 0700) < 0 || rmdir(vf_test_path("in/dir")) < 0)
        return 1;
    if (!box->landlock)
        return 77;
    if (can_make(vf_test_path("outside")) || can_make(vf_test_path("in/../outside")) ||
        mkdir(vf_test_path("outdir"), 0700) == 0 || truncate(vf_test_path("there"), 0) == 0 ||
        unlink(vf_test_path("there")) == 0 || symlink("x", vf_test_path("in/link")) == 0 ||
        rename(vf_test_path("there"), vf_test_path("in/there")) == 0)
        return 2;
    return access(vf_test_path("there"), R_OK) == 0 ? 0 : 3;
}

TEST(writes_stay_inside)
{
    int rc;

    vf_test_write_file(vf_test_path("there"), "x", 1);
    rc = confined(write_body);
    if (rc == 77)
        SKIP("the kernel has no Landlock");
    CHECK_EQ_I64(rc, 0);
}

static int calls_body(const struct vf_sandbox *box)
{
    int fds[2];

    if (!box->seccomp)
        return 77;
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM)
        return 1;
    if (socket(AF_NETLINK, SOCK_RAW, 0) >= 0 || errno != EPERM)
        return 2;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0 || socket(AF_UNIX, SOCK_STREAM, 0) < 0)
        return 3;
    if (unshare(0) == 0 || errno != EPERM)
        return 4;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 5;
    return 0;
}

TEST(system_calls_are_denied)
{
    int rc = confined(calls_body);

    if (rc == 77)
        SKIP("no seccomp here");
    CHECK_EQ_I64(rc, 0);
}

static int limits_body(const struct vf_sandbox *box)
{
    struct rlimit core, files;

    if (!box->limits || getrlimit(RLIMIT_CORE, &core) < 0 || getrlimit(RLIMIT_NOFILE, &files) < 0)
        return 1;
    return core.rlim_max == 0 && (files.rlim_cur >= 4096 || files.rlim_cur == files.rlim_max) ? 0
                                                                                              : 2;
}

TEST(limits) { CHECK_EQ_I64(confined(limits_body), 0); }

static int child_body(const struct vf_sandbox *box)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        execl("/bin/sh", "sh", "-c",
              "echo x 2>/dev/null >\"$0/outside2\" && exit 9; echo x >\"$0/in/y\"",
              vf_test_tmpdir(), (char *)NULL);
        _exit(98);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return 1;
    return WEXITSTATUS(status) == 9 && !box->landlock ? 77 : WEXITSTATUS(status);
}

TEST(children_inherit_it)
{
    int rc = confined(child_body);

    if (rc == 77)
        SKIP("the kernel has no Landlock");
    CHECK_EQ_I64(rc, 0);
}

TEST(a_missing_directory_is_an_error)
{
    const char *dirs[] = {"/nonexistent/directory"};
    struct vf_error err;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct vf_sandbox box = {0};
        int rc = vf_sandbox_enter(dirs, 1, &box, &err);

        _exit(rc < 0 ? 0 : box.landlock);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TESTS(writes_stay_inside, system_calls_are_denied, limits, children_inherit_it,
      a_missing_directory_is_an_error)
