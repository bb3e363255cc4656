/* Strings, overflow checks and numbers from text. */
#include "core/checked.h"

#include <string.h>

#include "tests/lib/check.h"

TEST(strings_are_owned_copies)
{
    struct vf_error err;
    char *a = vf_strf(&err, "%s-%d", "x", 5), *b;

    CHECK_STR(a, "x-5");
    b = vf_strdup(a, &err);
    CHECK_STR(b, "x-5");
    CHECK(a != b);
    free(a);
    free(b);
}

TEST(sums_and_products_notice_overflow)
{
    uint64_t v = 7;
    uint32_t small = 7;

    CHECK(vf_mul_ok(UINT64_C(1) << 32, UINT64_C(1) << 31, &v));
    CHECK_EQ_U64(v, UINT64_C(1) << 63);
    CHECK(!vf_mul_ok(UINT64_C(1) << 32, UINT64_C(1) << 32, &v));
    CHECK(vf_add_ok(UINT64_MAX - 1, UINT64_C(1), &v));
    CHECK(!vf_add_ok(UINT64_MAX, UINT64_C(1), &v));
    CHECK(vf_add_ok(UINT64_C(0xfffffffe), UINT64_C(1), &small));
    CHECK_EQ_U64(small, 0xffffffffu);
    CHECK(!vf_add_ok(UINT64_C(0xffffffff), UINT64_C(1), &small));
}

TEST(calloc_is_zeroed_and_refuses_overflow)
{
    struct vf_error err;
    volatile size_t huge = SIZE_MAX / 2; /* volatile: or the compiler warns of it */
    uint8_t *p = vf_calloc(4, 4, &err);

    CHECK_OK(p, &err);
    for (int i = 0; i < 16; i++)
        CHECK_EQ_U64(p[i], 0);
    free(p);
    p = vf_calloc(0, 8, &err);
    CHECK_OK(p, &err);
    free(p);
    CHECK_FAIL(vf_calloc(huge, 4, &err), &err, VF_ERR_NOMEM);
    CHECK_FAIL(vf_calloc(huge, 2, &err), &err, VF_ERR_NOMEM);
}

TEST(numbers_in_range)
{
    struct vf_error err;
    uint64_t v = 0;

    CHECK_OK(vf_parse_u64("0", "x", 0, 10, &v, &err), &err);
    CHECK_EQ_U64(v, 0);
    CHECK_OK(vf_parse_u64("007", "x", 0, 10, &v, &err), &err);
    CHECK_EQ_U64(v, 7);
    CHECK_OK(vf_parse_u64("18446744073709551615", "x", 0, UINT64_MAX, &v, &err), &err);
    CHECK_EQ_U64(v, UINT64_MAX);
}

TEST(not_numbers)
{
    static const char *const bad[] = {"",
                                      " 1",
                                      "1 ",
                                      "+1",
                                      "-1",
                                      "0x10",
                                      "1.5",
                                      "1k",
                                      "a",
                                      "11",
                                      "1\n",
                                      "1e1",
                                      "1,0",
                                      "18446744073709551616",
                                      "99999999999999999999999"};
    struct vf_error err;
    uint64_t v = 77;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_FAIL(vf_parse_u64(bad[i], "streams", 1, 10, &v, &err), &err, VF_ERR_USAGE);
        CHECK_EQ_U64(v, 77);
    }
    CHECK_FAIL(vf_parse_u64("0", "streams", 1, 10, &v, &err), &err, VF_ERR_USAGE);
    CHECK_STR(err.msg, "streams must be a number from 1 to 10, not '0'");
    CHECK_FAIL(vf_parse_u64("18446744073709551616", "x", 0, UINT64_MAX, &v, &err), &err,
               VF_ERR_USAGE);
}

TEST(sizes_with_suffixes)
{
    static const struct {
        const char *text;
        uint64_t want;
    } cases[] = {
        {"12", 12},
        {"12k", 12000},
        {"12Ki", 12 * 1024},
        {"3M", 3000000},
        {"3Mi", 3 << 20},
        {"3G", UINT64_C(3000000000)},
        {"3Gi", UINT64_C(3) << 30},
        {"1T", UINT64_C(1000000000000)},
        {"1Ti", UINT64_C(1) << 40},
        {"0T", 0},
        {"16777215Ti", UINT64_C(16777215) << 40},
    };
    static const char *const bad[] = {"k",   "1K",  "1m", "1 k",  "1kB",        "1Kib", "1i",
                                      "-1k", "1kk", "",   "1.5G", "16777216Ti", "1MiB"};
    struct vf_error err;
    uint64_t v = 0;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_OK(vf_parse_size(cases[i].text, "x", 0, UINT64_MAX, &v, &err), &err);
        CHECK_EQ_U64(v, cases[i].want);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_FAIL(vf_parse_size(bad[i], "x", 0, UINT64_MAX, &v, &err), &err, VF_ERR_USAGE);
    CHECK_FAIL(vf_parse_size("2k", "x", 0, 1999, &v, &err), &err, VF_ERR_USAGE);
    CHECK_FAIL(vf_parse_size("1k", "x", 1001, 1999, &v, &err), &err, VF_ERR_USAGE);
}

TESTS(strings_are_owned_copies, sums_and_products_notice_overflow,
      calloc_is_zeroed_and_refuses_overflow, numbers_in_range, not_numbers, sizes_with_suffixes)
