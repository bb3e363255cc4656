/* tests/lib/check.c - the runner and the checks behind the macros of check.h. */
#include "tests/lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum verdict { PASSED = 1, FAILED, SKIPPED };

/* The one test that runs now.  Tests run one after another, so one set of variables is enough; it
 * is written by the main thread only. */
static const char *test_name = "";
static jmp_buf test_end;
static pthread_t test_thread;

/* ---- verdicts ---- */

static void leave(enum verdict v) __attribute__((noreturn));
static void leave(enum verdict v)
{
    (void)fflush(stdout); /* a lost line is not worth another error */
    if (pthread_equal(pthread_self(), test_thread))
        longjmp(test_end, (int)v);
    /* Another thread cannot unwind the test; ending the program is the only safe way. */
    printf("not ok %s\n", test_name);
    exit(1);
}

void vf_check_failed(const char *file, int line, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    flockfile(stdout);
    printf("%s:%d: ", file, line);
    vprintf(fmt, ap);
    printf("\n");
    funlockfile(stdout);
    va_end(ap);
    leave(FAILED);
}

void vf_check_skip(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    flockfile(stdout);
    printf("skip %s: ", test_name);
    vprintf(fmt, ap);
    printf("\n");
    funlockfile(stdout);
    va_end(ap);
    leave(SKIPPED);
}

/* ---- checks ---- */

void vf_check_u64(const char *file, int line, const char *what, uint64_t a, uint64_t b)
{
    if (a != b)
        vf_check_failed(file, line,
                        "%s: %" PRIu64 " (0x%" PRIx64 ") and %" PRIu64 " (0x%" PRIx64 ")", what, a,
                        a, b, b);
}

void vf_check_i64(const char *file, int line, const char *what, int64_t a, int64_t b)
{
    if (a != b)
        vf_check_failed(file, line, "%s: %" PRId64 " and %" PRId64, what, a, b);
}

void vf_check_str(const char *file, int line, const char *what, const char *a, const char *b)
{
    if ((a && b) ? strcmp(a, b) != 0 : a != b)
        vf_check_failed(file, line, "%s: '%s' and '%s'", what, a ? a : "(NULL)", b ? b : "(NULL)");
}

void vf_check_has(const char *file, int line, const char *what, const char *hay, const char *needle)
{
    if (!hay || !strstr(hay, needle))
        vf_check_failed(file, line, "%s: '%s' does not contain '%s'", what, hay ? hay : "(NULL)",
                        needle);
}

void vf_check_mem(const char *file, int line, const char *what, const void *a, const void *b,
                  size_t len)
{
    const uint8_t *p = a, *q = b;

    for (size_t i = 0; i < len; i++)
        if (p[i] != q[i])
            vf_check_failed(file, line, "%s: byte %zu of %zu is 0x%02x and 0x%02x", what, i, len,
                            p[i], q[i]);
}

void vf_check_error(const char *file, int line, const char *call, const struct vf_error *err,
                    enum vf_err want, const char *got_name, const char *want_name)
{
    if (err->code != want)
        vf_check_failed(file, line, "%s failed with '%s' instead of '%s': %s", call, got_name,
                        want_name, err->msg);
    if (!err->msg[0] || strchr(err->msg, '\n'))
        vf_check_failed(file, line, "%s: the message is not one phrase: '%s'", call, err->msg);
}

/* ---- files ---- */

struct path {
    struct path *next;
    char text[];
};

static char tmpdir[PATH_MAX];
static pid_t tmpdir_owner; /* a forked child must not remove it */
static struct path *paths;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    (void)remove(path); /* what stays is seen in the directory above */
    return 0;
}

static void clean_up(void)
{
    while (paths) {
        struct path *next = paths->next;

        free(paths);
        paths = next;
    }
    if (tmpdir[0] && tmpdir_owner == getpid())
        (void)nftw(tmpdir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT); /* best effort */
    tmpdir[0] = 0;
}

const char *vf_test_tmpdir(void)
{
    const char *base = getenv("TMPDIR");

    if (tmpdir[0])
        return tmpdir;
    (void)snprintf(tmpdir, sizeof tmpdir, "%s/vf-test-XXXXXX", base && base[0] ? base : "/tmp");
    if (!mkdtemp(tmpdir)) {
        tmpdir[0] = 0;
        vf_check_failed(__FILE__, __LINE__, "cannot make a temporary directory: %s",
                        strerror(errno));
    }
    tmpdir_owner = getpid();
    return tmpdir;
}

const char *vf_test_path(const char *name)
{
    const char *dir = vf_test_tmpdir();
    size_t len = strlen(dir) + 1 + strlen(name) + 1;
    struct path *p = malloc(sizeof *p + len);

    if (!p)
        vf_check_failed(__FILE__, __LINE__, "out of memory");
    (void)snprintf(p->text, len, "%s/%s", dir, name); /* sized above */
    p->next = paths;
    paths = p;
    return p->text;
}

void vf_test_write_file(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "we");

    if (!f || (len && fwrite(data, len, 1, f) != 1) || fclose(f) != 0)
        vf_check_failed(__FILE__, __LINE__, "cannot write '%s': %s", path, strerror(errno));
}

void vf_test_random(uint64_t seed, void *ret, size_t len)
{
    uint8_t *p = ret;

    /* The splitmix64 sequence: one 64-bit state, a strong mix of it as output. */
    for (size_t i = 0; i < len; i += 8) {
        uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        z ^= z >> 31;
        for (size_t k = 0; k < 8 && i + k < len; k++)
            p[i + k] = (uint8_t)(z >> (8 * k));
    }
}

bool vf_test_have(const char *program)
{
    const char *path = getenv("PATH");
    char file[PATH_MAX];

    while (path && *path) {
        size_t len = strcspn(path, ":");

        if (snprintf(file, sizeof file, "%.*s/%s", (int)len, path, program) < (int)sizeof file &&
            len && access(file, X_OK) == 0)
            return true;
        path += len + (path[len] == ':');
    }
    return false;
}

/* ---- the runner ---- */

/* A crash ends the program, but not without saying which test it was. */
static void crashed(int sig)
{
    static const char head[] = "not ok ", tail[] = " (crashed)\n";

    if (write(STDOUT_FILENO, head, sizeof head - 1) < 0 ||
        write(STDOUT_FILENO, test_name, strlen(test_name)) < 0 ||
        write(STDOUT_FILENO, tail, sizeof tail - 1) < 0)
        _exit(1);
    (void)raise(sig); /* the handler is reset: this ends the program */
}

static void catch_crashes(void)
{
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction sa = {.sa_handler = crashed, .sa_flags = (int)SA_RESETHAND}, old;

    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            (void)sigaction(signals[i], &sa, NULL); /* a sanitizer's own handler stays */
}

static bool wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc < 2;
}

static enum verdict run_one(const struct vf_test *t)
{
    int v;

    test_name = t->name;
    v = setjmp(test_end);
    if (v == 0) {
        t->run();
        v = PASSED;
    }
    if (v != SKIPPED)
        printf("%s %s\n", v == PASSED ? "ok" : "not ok", t->name);
    return (enum verdict)v;
}

int vf_test_main(const struct vf_test *tests, int argc, char **argv)
{
    unsigned count[4] = {0};

    if (setvbuf(stdout, NULL, _IOLBF, 0) != 0 || atexit(clean_up) != 0)
        return 1;
    test_thread = pthread_self();
    catch_crashes();
    for (const struct vf_test *t = tests; t->name; t++)
        if (wanted(t->name, argc, argv))
            count[run_one(t)]++;
    printf("%u passed, %u failed, %u skipped\n", count[PASSED], count[FAILED], count[SKIPPED]);
    if (count[FAILED])
        return 1;
    if (count[PASSED])
        return 0;
    return count[SKIPPED] ? 77 : 1;
}
