/* The rate, and pauses for pressure, migrations and the end. */
#include "service/pace.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/clock.h"
#include "tests/lib/check.h"

static struct vf_error err;
static volatile int stop;
static volatile int is_occupied;

static const char *occupied(void *ctx)
{
    (void)ctx;
    return is_occupied ? "a test" : NULL;
}

TEST(keeps_the_rate)
{
    const struct vf_pace_opts opts = {.rate = 10 * 1000 * 1000};
    struct vf_pace *p = vf_pace_new(&opts, &stop, &err);
    struct vf_pace_state s;
    int64_t start = vf_boot_ms(), took;

    CHECK_OK(p, &err);
    for (int i = 0; i < 60; i++) {
        CHECK_OK(vf_pace_enter(p, 100 * 1000, &err), &err);
        vf_pace_leave(p);
    }
    took = vf_boot_ms() - start;
    CHECK(took >= 480 && took < 5000); /* 6 MB, less the burst and what is still owed */
    vf_pace_state(p, &s);
    CHECK_EQ_U64(s.bytes, 6000 * 1000);
    CHECK_STR(s.paused, "");
    vf_pace_free(p);
    vf_pace_free(NULL);
}

/* Ends the pause, or all, after a while. */
__attribute__((no_sanitize("thread"))) static void *later(void *arg)
{
    usleep(400 * 1000);
    *(volatile int *)arg = !*(volatile int *)arg;
    return NULL;
}

TEST(waits_for_what_comes_first)
{
    const struct vf_pace_opts opts = {.occupied = occupied};
    struct vf_pace *p = vf_pace_new(&opts, &stop, &err);
    struct vf_pace_state s;
    int64_t start = vf_boot_ms();
    pthread_t t;
    /* pthread_create wants it without volatile; the thread puts it back. */
    int *flag = (int *)(uintptr_t)&is_occupied;

    CHECK_OK(p, &err);
    is_occupied = 1;
    CHECK(pthread_create(&t, NULL, later, flag) == 0);
    CHECK_OK(vf_pace_enter(p, 1, &err), &err);
    vf_pace_leave(p);
    CHECK(vf_boot_ms() - start >= 390);
    pthread_join(t, NULL);
    vf_pace_state(p, &s);
    CHECK(s.paused_seconds > 0.3);
    is_occupied = 1;
    flag = (int *)(uintptr_t)&stop;
    CHECK(pthread_create(&t, NULL, later, flag) == 0);
    usleep(1000); /* the answer is asked for twice a second */
    sleep(1);
    CHECK_FAIL(vf_pace_enter(p, 1, &err), &err, VF_ERR_CANCELLED);
    pthread_join(t, NULL);
    stop = is_occupied = 0;
    vf_pace_free(p);
}

/* Between two questions, but nobody has read for a while. */
TEST(asks_before_a_new_read)
{
    const struct vf_pace_opts opts = {.occupied = occupied};
    struct vf_pace *p = vf_pace_new(&opts, &stop, &err);
    struct vf_pace_state s;
    pthread_t t;
    int *flag = (int *)(uintptr_t)&is_occupied;

    CHECK_OK(p, &err);
    CHECK_OK(vf_pace_enter(p, 1, &err), &err);
    vf_pace_leave(p);
    usleep(50000);
    is_occupied = 1;
    CHECK(pthread_create(&t, NULL, later, flag) == 0);
    CHECK_OK(vf_pace_enter(p, 1, &err), &err);
    vf_pace_leave(p);
    pthread_join(t, NULL);
    vf_pace_state(p, &s);
    CHECK(s.paused_seconds > 0.3);
    is_occupied = 0;
    vf_pace_free(p);
}

static void set_pressure(const char *file, unsigned long long us)
{
    char text[80];

    snprintf(text, sizeof text, "some avg10=0.00 total=%llu\n", us);
    vf_test_write_file(vf_test_path("psi/new"), text, strlen(text));
    CHECK(rename(vf_test_path("psi/new"), vf_test_path(file)) == 0);
}

static atomic_bool seen;

/* Others wait for the disk all the time, until the reader steps back. */
static void *press(void *pace)
{
    int64_t start = vf_boot_ms();
    struct vf_pace_state s = {.paused = ""};

    while (!*s.paused && vf_boot_ms() - start < 60000) {
        set_pressure("psi/io", (unsigned long long)(vf_boot_ms() - start) * 1000);
        usleep(2000);
        vf_pace_state(pace, &s);
    }
    atomic_store(&seen, *s.paused != 0);
    return NULL;
}

TEST(steps_back_under_pressure)
{
    struct vf_pace_opts opts = {.io_percent = 50};
    struct vf_pace_state s;
    struct vf_pace *p;
    pthread_t t;

    CHECK(mkdir(vf_test_path("psi"), 0700) == 0);
    set_pressure("psi/io", 0);
    set_pressure("psi/cpu", 0);
    opts.pressure_dir = vf_test_path("psi");
    CHECK_OK(p = vf_pace_new(&opts, &stop, &err), &err);
    CHECK(pthread_create(&t, NULL, press, p) == 0);
    /* It rests now and then, and so finds out; then it waits until the pressure has gone. */
    for (int64_t start = vf_boot_ms(); !atomic_load(&seen) && vf_boot_ms() - start < 60000;) {
        CHECK_OK(vf_pace_enter(p, 1, &err), &err);
        usleep(1000);
        vf_pace_leave(p);
    }
    pthread_join(t, NULL);
    CHECK(atomic_load(&seen));
    CHECK_OK(vf_pace_enter(p, 1, &err), &err);
    vf_pace_leave(p);
    vf_pace_state(p, &s);
    CHECK_STR(s.paused, "");
    vf_pace_free(p);
}

TESTS(keeps_the_rate, waits_for_what_comes_first, asks_before_a_new_read, steps_back_under_pressure)
