/* Errors as values: codes, phrases, cutting. */
#include "core/error.h"

#include <errno.h>
#include <string.h>

#include "tests/lib/check.h"

TEST(sets_and_returns_minus_one)
{
    struct vf_error err = VF_ERROR_INIT;

    CHECK_EQ_I64(vf_error_set(&err, VF_ERR_RANGE, 0, "block %d", 7), -1);
    CHECK_EQ_U64(err.code, VF_ERR_RANGE);
    CHECK_EQ_I64(err.sys, 0);
    CHECK_STR(err.msg, "block 7");
}

TEST(null_is_allowed)
{
    const struct vf_error own = VF_ERROR_INIT;

    CHECK_EQ_I64(vf_error_set(NULL, VF_ERR_IO, EIO, "x"), -1);
    CHECK_EQ_I64(vf_error_sys(NULL, EIO, "x"), -1);
    CHECK_EQ_I64(vf_error_nomem(NULL), -1);
    CHECK_EQ_I64(vf_error_prefix(NULL, "x"), -1);
    CHECK_EQ_I64(vf_error_pass(NULL, &own), -1);
}

TEST(appends_the_systems_text)
{
    struct vf_error err;

    (void)vf_error_set(&err, VF_ERR_IO, EIO, "read 'x'"); /* the result is fixed */
    CHECK_STR(err.msg, "read 'x': Input/output error");
    CHECK_EQ_I64(err.sys, EIO);
}

TEST(classifies_errno)
{
    static const struct {
        int sys;
        enum vf_err code;
    } cases[] = {
        {EIO, VF_ERR_IO},        {ENOSPC, VF_ERR_SPACE},    {EDQUOT, VF_ERR_SPACE},
        {EFBIG, VF_ERR_SPACE},   {EMFILE, VF_ERR_SPACE},    {ENFILE, VF_ERR_SPACE},
        {ENOMEM, VF_ERR_NOMEM},  {ENOENT, VF_ERR_NOTFOUND}, {EEXIST, VF_ERR_EXISTS},
        {EACCES, VF_ERR_DENIED}, {EPERM, VF_ERR_DENIED},    {EROFS, VF_ERR_DENIED},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vf_error err;

        CHECK_EQ_I64(vf_error_sys(&err, cases[i].sys, "x"), -1);
        CHECK_EQ_U64(err.code, cases[i].code);
        CHECK_EQ_I64(err.sys, cases[i].sys);
    }
}

TEST(passes_on_what_it_got)
{
    struct vf_error own, err;

    (void)vf_error_sys(&own, ENOENT, "open 'x'"); /* the result is fixed */
    CHECK_EQ_I64(vf_error_pass(&err, &own), -1);
    CHECK_STR(err.msg, "open 'x': No such file or directory");
    CHECK_EQ_U64(err.code, VF_ERR_NOTFOUND);
    CHECK_EQ_I64(err.sys, ENOENT);
}

TEST(prefix_keeps_code_and_sys)
{
    struct vf_error err;

    (void)vf_error_sys(&err, ENOSPC, "write");          /* the result is fixed */
    (void)vf_error_prefix(&err, "image '%s'", "a.raw"); /* as above */
    CHECK_STR(err.msg, "image 'a.raw': write: No space left on device");
    CHECK_EQ_U64(err.code, VF_ERR_SPACE);
    CHECK_EQ_I64(err.sys, ENOSPC);
}

TEST(arguments_may_point_into_the_message)
{
    struct vf_error err;

    (void)vf_error_set(&err, VF_ERR_IO, 0, "inner");              /* the result is fixed */
    (void)vf_error_set(&err, VF_ERR_IO, 0, "outer: %s", err.msg); /* as above */
    CHECK_STR(err.msg, "outer: inner");
    (void)vf_error_prefix(&err, "[%s]", err.msg); /* as above */
    CHECK_STR(err.msg, "[outer: inner]: outer: inner");
}

TEST(cuts_what_is_too_long)
{
    struct vf_error err;
    char text[1000];

    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    (void)vf_error_set(&err, VF_ERR_IO, EIO, "%s", text); /* the result is fixed */
    CHECK_EQ_U64(strlen(err.msg), sizeof err.msg - 1);
    for (int i = 0; i < 5; i++)
        (void)vf_error_prefix(&err, "%s", text); /* as above */
    CHECK_EQ_U64(strlen(err.msg), sizeof err.msg - 1);
    CHECK_EQ_I64(err.sys, EIO);
}

/* Two-, three- and four-byte characters at every distance from the cut. */
TEST(a_cut_leaves_no_half_character)
{
    static const char *const chars[] = {"\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};

    for (size_t c = 0; c < 3; c++)
        for (size_t lead = sizeof((struct vf_error *)0)->msg - 8;
             lead < sizeof((struct vf_error *)0)->msg + 2; lead++) {
            struct vf_error err;
            char text[300];
            size_t len;

            memset(text, 'a', lead);
            strcpy(text + lead, chars[c]);
            (void)vf_error_set(&err, VF_ERR_IO, 0, "%s", text); /* the result is fixed */
            len = strlen(err.msg);
            CHECK(len == lead || len == lead + strlen(chars[c]) || lead >= sizeof err.msg);
            CHECK_MEM(err.msg, text, len);
            CHECK(len < lead ? len == sizeof err.msg - 1 : true);
        }
}

TEST(one_line_without_control_characters)
{
    struct vf_error err;

    (void)vf_error_set(&err, VF_ERR_IO, 0, "a\nb\rc\033[1md\177"); /* the result is fixed */
    CHECK_STR(err.msg, "a?b?c?[1md?");
}

TEST(names_go_both_ways)
{
    for (int i = 0; i < VF_ERR_COUNT_; i++) {
        CHECK(vf_err_name((enum vf_err)i)[0]);
        CHECK_EQ_U64(vf_err_by_name(vf_err_name((enum vf_err)i)), (unsigned)i);
    }
    CHECK_STR(vf_err_name(VF_ERR_MISMATCH), "mismatch");
    CHECK_EQ_U64(vf_err_by_name("no such word"), VF_ERR_NONE);
    CHECK_STR(vf_err_name(VF_ERR_COUNT_), "unknown");
}

TESTS(sets_and_returns_minus_one, null_is_allowed, appends_the_systems_text, classifies_errno,
      passes_on_what_it_got, prefix_keeps_code_and_sys, arguments_may_point_into_the_message,
      cuts_what_is_too_long, a_cut_leaves_no_half_character, one_line_without_control_characters,
      names_go_both_ways)
