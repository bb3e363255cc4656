/* core/numbers.c: against qsort, in memory and through a temporary file. */
#include "core/numbers.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"

static int compare(const void *a, const void *b)
{
    uint64_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

/* What they look like: random; of three different values, the greatest among them; alike in all but
 * a few bits; one value, all of them; mostly one value, the others below and above it. */
enum shape { RANDOM, FEW, ALIKE, ONE, HEAVY };

static uint64_t shaped(uint64_t v, enum shape shape)
{
    switch (shape) {
    case RANDOM:
        break;
    case FEW:
        return v % 3 == 2 ? UINT64_MAX : v % 3 * 7;
    case ALIKE:
        return (v & 0xff) | UINT64_C(0x1234) << 40;
    case ONE:
        return 77;
    case HEAVY:
        return v % 16 ? UINT64_C(1) << 63 : v;
    }
    return v;
}

/* n numbers, given `step` at a time. */
static void check(size_t n, uint64_t limit, size_t step, enum shape shape)
{
    uint64_t *want = calloc(n + 1, sizeof *want);
    struct vf_error err;
    struct vf_numbers *s = vf_numbers_new(limit, vf_test_tmpdir(), &err);
    const uint64_t *p;
    size_t at = 0;
    long k;

    CHECK(want);
    CHECK_OK(s, &err);
    vf_test_random(n, want, n * sizeof *want);
    for (size_t i = 0; i < n; i++)
        want[i] = shaped(want[i], shape);
    for (size_t i = 0; i < n; i += step)
        CHECK_OK(vf_numbers_add(s, want + i, n - i < step ? n - i : step, &err), &err);
    CHECK_OK(vf_numbers_finish(s, &err), &err);
    qsort(want, n, sizeof *want, compare);
    while ((k = vf_numbers_next(s, &p, &err)) > 0) {
        CHECK(at + (size_t)k <= n);
        CHECK_MEM(p, want + at, (size_t)k * sizeof *p);
        at += (size_t)k;
    }
    CHECK_GE0(k, &err);
    CHECK_EQ_U64(at, n);
    CHECK(vf_numbers_next(s, &p, &err) == 0); /* and stays there */
    vf_numbers_free(s);
    free(want);
}

TEST(in_memory)
{
    for (enum shape shape = RANDOM; shape <= HEAVY; shape++) {
        check(0, 1u << 20, 100, shape);
        check(1, 1u << 20, 100, shape);
        check(5000, 1u << 20, 100, shape);
        check(60000, 1u << 20, 777, shape); /* several batches */
    }
}

/* 64 KiB hold 4096 numbers in one run. */
TEST(spilled)
{
    static const size_t n[] = {4096, 4097, 8191, 8192, 8193, 12288, 20000, 33000, 40000, 150000};

    for (enum shape shape = RANDOM; shape <= HEAVY; shape++)
        for (size_t i = 0; i < sizeof n / sizeof n[0]; i++)
            check(n[i], 0, 1000, shape);
    check(2000000, 1u << 20, 5000, RANDOM);
    check(2000000, 1u << 20, 2000000, HEAVY);
}

/* Runs that hold quite different numbers: one is used up while others have not begun. */
TEST(in_order_already)
{
    struct vf_error err;
    struct vf_numbers *s = vf_numbers_new(0, vf_test_tmpdir(), &err);
    const uint64_t *p;
    uint64_t next = 0;
    long k;

    CHECK_OK(s, &err);
    for (uint64_t i = 0; i < 30000; i++)
        CHECK_OK(vf_numbers_add(s, &i, 1, &err), &err);
    CHECK_OK(vf_numbers_finish(s, &err), &err);
    while ((k = vf_numbers_next(s, &p, &err)) > 0)
        for (long i = 0; i < k; i++)
            CHECK_EQ_U64(p[i], next++);
    CHECK_EQ_U64(next, 30000);
    vf_numbers_free(s);
}

TEST(too_many_runs)
{
    static const uint64_t some[4096];
    struct vf_error err = VF_ERROR_INIT;
    struct vf_numbers *s = vf_numbers_new(0, vf_test_tmpdir(), &err);
    int rc = 0;

    CHECK_OK(s, &err);
    for (int i = 0; rc == 0 && i < 5000; i++)
        rc = vf_numbers_add(s, some, 4096, &err);
    CHECK_FAIL(rc == 0 ? vf_numbers_finish(s, &err) : rc, &err, VF_ERR_SPACE);
    vf_numbers_free(s);
}

TEST(no_room_on_disk)
{
    static const uint64_t some[8192];
    struct vf_error err;
    struct vf_numbers *s = vf_numbers_new(0, vf_test_path("missing"), &err);

    CHECK_OK(s, &err);
    CHECK_FAIL(vf_numbers_add(s, some, 8192, &err), &err, VF_ERR_NOTFOUND);
    vf_numbers_free(s);
}

TESTS(in_memory, spilled, in_order_already, too_many_runs, no_room_on_disk)
