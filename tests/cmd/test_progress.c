/* Progress: the time that is left does not count zeros, and what cannot move a cursor gets lines,
 * no bar. */
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/progress.h"
#include "core/thread.h"
#include "tests/lib/check.h"

/* Standard error goes to fd until back_to. */
static int away_to(int fd)
{
    int was = dup(STDERR_FILENO);

    CHECK(was >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    return was;
}

static void back_to(int was)
{
    fflush(stderr);
    CHECK(dup2(was, STDERR_FILENO) >= 0);
    close(was);
}

/* What --progress json says of one state, half a second and more after the beginning. */
static json_t *told(const struct vf_progress_now *now)
{
    struct vf_cli cli = {.progress = "json"};
    const char *path = vf_test_path("told");
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), was;
    struct vf_progress *p = vf_progress_new(&cli, "image");
    json_t *all, *one;

    CHECK(fd >= 0 && p);
    vf_thread_nap(600);
    was = away_to(fd);
    vf_progress_tick(p, now);
    back_to(was);
    vf_progress_end(p);
    all = json_load_file(path, 0, NULL);
    CHECK(all != NULL);
    one = json_incref(json_object_get(all, "progress"));
    CHECK(one != NULL);
    json_decref(all);
    close(fd);
    return one;
}

/* Of the time that it took so far, so much is left. */
static double left(const struct vf_progress_now *now)
{
    json_t *o = told(now);
    double seconds = json_real_value(json_object_get(o, "seconds")),
           more = json_real_value(json_object_get(o, "seconds_left"));

    CHECK(seconds > 0.5 && json_is_real(json_object_get(o, "seconds_left")));
    CHECK_EQ_U64((uint64_t)json_integer_value(json_object_get(o, "bytes_total")),
                 now->blocks * 512);
    json_decref(o);
    return more / seconds;
}

static bool about(double a, double b) { return a > b - 0.01 && a < b + 0.01; }

TEST(zeros_take_no_time)
{
    struct vf_progress_now now = {.blocks = 1000, .blocks_done = 200, .phase = "sending"};

    CHECK(about(left(&now), 4)); /* nothing is known of zeros */
    now.data_blocks = 300;
    CHECK(about(left(&now), 0.5)); /* 100 of 300 have data */
    now.zero_blocks = 100;
    CHECK(about(left(&now), 2)); /* 200 of 300 */
    now.blocks_done = 950, now.zero_blocks = 850;
    CHECK(about(left(&now), 0.5)); /* what was taken for data are zeros: no more than 50 are left */
    now.blocks_done = now.blocks;
    CHECK(about(left(&now), 0));
}

TEST(unknown_before_anything_is_done)
{
    struct vf_progress_now now = {.blocks = 1000, .data_blocks = 300, .phase = "sending"};
    json_t *o;

    now.blocks_done = now.zero_blocks = 10;
    o = told(&now);
    CHECK(json_is_null(json_object_get(o, "seconds_left")));
    json_decref(o);
}

/* Reads what the terminal got up to an END, which is cut off. */
static void read_all(int pty, char *buf, size_t max)
{
    size_t len = 0;
    char *end;

    do {
        ssize_t n = read(pty, buf + len, max - 1 - len);

        CHECK(n > 0); /* waits for more */
        len += (size_t)n;
        buf[len] = '\0';
        end = strstr(buf, "END");
    } while (!end);
    *end = '\0';
}

/* What a terminal of that type gets at once. */
static size_t drawn(const char *term, char *buf, size_t max)
{
    const struct vf_progress_now now = {.blocks = 1000, .blocks_done = 100, .phase = "sending"};
    struct vf_cli cli = {0};
    int pty = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), tty, was;
    struct vf_progress *p;

    CHECK(pty >= 0 && grantpt(pty) == 0 && unlockpt(pty) == 0);
    tty = open(ptsname(pty), O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(tty >= 0);
    if (term)
        CHECK(setenv("TERM", term, 1) == 0);
    else
        CHECK(unsetenv("TERM") == 0);
    was = away_to(tty);
    p = vf_progress_new(&cli, "image");
    CHECK(p != NULL);
    vf_progress_tick(p, &now);
    fputs("END", stderr);
    back_to(was);
    read_all(pty, buf, max);
    was = away_to(tty);
    vf_progress_end(p);
    back_to(was);
    close(tty);
    close(pty);
    return strlen(buf);
}

TEST(a_bar_needs_a_terminal_that_can)
{
    char buf[1024];

    CHECK(drawn("xterm", buf, sizeof buf) > 0);
    CHECK(strstr(buf, "10 %") && strstr(buf, "\x1b[K"));
    CHECK_EQ_U64(drawn("dumb", buf, sizeof buf), 0); /* its first line comes later */
    CHECK_EQ_U64(drawn(NULL, buf, sizeof buf), 0);
}

TESTS(zeros_take_no_time, unknown_before_anything_is_done, a_bar_needs_a_terminal_that_can)
