/* tests/lib/sshd.h - a private sshd for C tests, through tests/lib/sshd.sh.
 *
 * One server for each test program; it ends with the program. */
#ifndef VF_TESTS_LIB_SSHD_H
#define VF_TESTS_LIB_SSHD_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "core/proc.h"
#include "tests/lib/check.h"
#include "transport/connect.h"

/* libssh2 1.10 forgets the old host key (51 bytes) at each new key exchange, and a number (56
 * bytes) of each ECDSA user key that it reads; a run with the leak checker must not fail for that.
 */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libssh2.so\nleak:libcrypto.so"; }

/* The directory of the tests: $VF_TESTS, else "tests" below the current directory. */
static inline const char *vf_tests_dir(void)
{
    const char *dir = getenv("VF_TESTS");

    return dir ? dir : "tests";
}

/* An absolute path inside it; never freed (tests are short-lived; reachable until exit). */
static inline const char *vf_tests_file(const char *name)
{
    static char path[8][4096];
    static unsigned next;
    char *dir = realpath(vf_tests_dir(), NULL), *ret = path[next++ % 8];

    CHECK(dir != NULL);
    CHECK((size_t)snprintf(ret, 4096, "%s/%s", dir, name) < 4096);
    free(dir);
    return ret;
}

/* Runs `sshd.sh VERB DIR`; output owned. */
static inline char *vf_sshd_run(const char *verb, const char *dir)
{
    struct vf_error err = VF_ERROR_INIT;
    char owner[24], *out = NULL;
    const char *argv[] = {"sh", vf_tests_file("lib/sshd.sh"), verb, dir, owner, NULL};

    (void)snprintf(owner, sizeof owner, "%ld", (long)getpid());
    CHECK_OK(vf_proc_run(argv, &out, 60000, &err), &err);
    return out;
}

struct vf_sshd {
    char dir[512];
    unsigned port;
};

static struct vf_sshd vf_sshd_one; /* the program's server; port 0: not started */

static inline void vf_sshd_atexit(void)
{
    if (vf_sshd_one.port)
        free(vf_sshd_run("kill", vf_sshd_one.dir));
    vf_sshd_one.port = 0;
}

/* Starts another server with these lines of configuration ("" for none) in a directory of that
 * name. Skips the test without sshd. */
static inline void vf_sshd_start(struct vf_sshd *s, const char *name, const char *config)
{
    char path[600], *out;

    if (access("/usr/sbin/sshd", X_OK) != 0)
        SKIP("no /usr/sbin/sshd");
    (void)snprintf(s->dir, sizeof s->dir, "%s", vf_test_path(name));
    CHECK(mkdir(s->dir, 0700) == 0);
    (void)snprintf(path, sizeof path, "%s/extra_config", s->dir);
    vf_test_write_file(path, config, strlen(config));
    out = vf_sshd_run("start", s->dir);
    s->port = (unsigned)strtoul(out, NULL, 10);
    CHECK(s->port != 0);
    free(out);
}

/* The one server of this program, started at the first call. */
static inline struct vf_sshd *vf_sshd(void)
{
    if (!vf_sshd_one.port) {
        vf_sshd_start(&vf_sshd_one, "sshd", "");
        CHECK(atexit(vf_sshd_atexit) == 0);
    }
    return &vf_sshd_one;
}

/* The path of a file of the server; a few stay valid at a time. */
static inline const char *vf_sshd_file(const struct vf_sshd *s, const char *name)
{
    static char path[8][1024];
    static unsigned next;
    char *ret = path[next++ % 8];

    (void)snprintf(ret, 1024, "%s/%s", s->dir, name);
    return ret;
}

/* The server as a target; the strings borrow from it or are constant: do not free. */
static inline struct vf_target vf_sshd_target(const struct vf_sshd *s)
{
    static char host[] = "127.0.0.1";

    return (struct vf_target){VF_TARGET_SSH, NULL, host, s->port, NULL};
}

/* Options to reach it with its ed25519 key and run farend.sh with args (NULL-terminated). */
static inline struct vf_conn_opts vf_sshd_opts(const struct vf_sshd *s, const char *const *args)
{
    return (struct vf_conn_opts){.identity = vf_sshd_file(s, "id_ed25519"),
                                 .known_hosts = vf_sshd_file(s, "known_hosts"),
                                 .remote_program = vf_tests_file("lib/farend.sh"),
                                 .ssh_config = "none",
                                 .home = s->dir,
                                 .serve_args = args};
}

/* Writes text, ends writing, and compares all that comes back. */
static inline void vf_conn_check_talk(struct vf_conn *c, const char *text, const char *want)
{
    struct vf_error err = VF_ERROR_INIT;
    char got[4096];
    size_t n = 0;
    long k;

    CHECK_OK(vf_write_full(c->wfd, text, strlen(text), &err), &err);
    vf_conn_end_writing(c);
    while ((k = vf_read_some(c->rfd, got + n, sizeof got - 1 - n, &err)) > 0)
        n += (size_t)k;
    CHECK_EQ_I64(k, 0);
    got[n] = 0;
    CHECK_STR(got, want);
}

#endif
