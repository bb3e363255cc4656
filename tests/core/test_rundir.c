/* core/rundir.c: where it is, who may use it, and its locks. */
#include "core/rundir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fdio.h"
#include "tests/lib/check.h"

static struct vf_error err;

static void use(const char *dir) { CHECK(setenv("VMFERRY_RUN_DIR", dir, 1) == 0); }

TEST(is_named_by_the_environment)
{
    char *path;

    use("/x/y");
    path = vf_rundir_path(&err);
    CHECK_STR(path, "/x/y");
    free(path);
    CHECK(unsetenv("VMFERRY_RUN_DIR") == 0 && setenv("XDG_RUNTIME_DIR", "/r", 1) == 0);
    path = vf_rundir_path(&err);
    CHECK_STR(path, geteuid() == 0 ? "/run/vmferry" : "/r/vmferry");
    free(path);
}

TEST(is_made_and_must_be_private)
{
    char dir[] = "/tmp/vf-rundir.XXXXXX", below[64];
    struct stat st;
    int fd;

    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(below, sizeof below, "%s/run", dir);
    use(below);
    fd = vf_rundir_open(&err);
    CHECK(fd >= 0 && stat(below, &st) == 0 && (st.st_mode & 0777) == 0700);
    vf_close_fd(&fd);
    CHECK(chmod(below, 0777) == 0);
    CHECK_FAIL(vf_rundir_open(&err), &err, VF_ERR_DENIED);
    CHECK(rmdir(below) == 0 && symlink(dir, below) == 0);
    CHECK(vf_rundir_open(&err) < 0); /* a link to somewhere else */
    CHECK(unlink(below) == 0 && rmdir(dir) == 0);
    use("/does/not/exist");
    CHECK_FAIL(vf_rundir_open(&err), &err, VF_ERR_NOTFOUND);
}

TEST(locks_are_shared_or_not)
{
    char dir[] = "/tmp/vf-rundir.XXXXXX", name[64];
    int fd, a, b;

    CHECK(mkdtemp(dir) != NULL);
    use(dir);
    fd = vf_rundir_open(&err);
    CHECK(fd >= 0 && !vf_rundir_locked(fd, "l"));
    a = vf_rundir_lock(fd, "l", true, &err);
    b = vf_rundir_lock(fd, "l", true, &err);
    CHECK(a >= 0 && b >= 0 && vf_rundir_locked(fd, "l"));
    CHECK_FAIL(vf_rundir_lock(fd, "l", false, &err), &err, VF_ERR_BUSY);
    vf_close_fd(&a);
    CHECK(vf_rundir_locked(fd, "l"));
    vf_close_fd(&b);
    CHECK(!vf_rundir_locked(fd, "l")); /* it goes with its holder, the file stays */
    a = vf_rundir_lock(fd, "l", false, &err);
    CHECK(a >= 0);
    CHECK_FAIL(vf_rundir_lock(fd, "l", true, &err), &err, VF_ERR_BUSY);
    vf_close_fd(&a);
    vf_close_fd(&fd);
    (void)snprintf(name, sizeof name, "%s/l", dir);
    CHECK(unlink(name) == 0 && rmdir(dir) == 0);
}

TESTS(is_named_by_the_environment, is_made_and_must_be_private, locks_are_shared_or_not)
