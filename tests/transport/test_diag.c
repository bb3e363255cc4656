/* The ring of last lines, and the cleaning of what foreign programs write. */
#include "transport/diag.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"

static void expect(const char *in, size_t len, const char *want)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_diag d;
    char *text;

    vf_diag_init(&d);
    vf_diag_add(&d, in, len);
    text = vf_diag_text(&d, &err);
    CHECK_OK(text, &err);
    CHECK_STR(text, want);
    free(text);
    vf_diag_destroy(&d);
}
#define EXPECT(in, want) expect(in, sizeof(in) - 1, want)

TEST(cleaning)
{
    EXPECT("", "");
    EXPECT("one\n", "one");
    EXPECT("one\r\n\r\n  \ntwo \n", "one\ntwo");
    EXPECT("a\tb", "a b");
    EXPECT("red \033[31mink\007", "red ?[31mink?");
    EXPECT("zero\0byte", "zero?byte");
    EXPECT("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
    EXPECT("\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80");
    EXPECT("c1 \xc2\x9b x", "c1 ?? x");                  /* a C1 control, as UTF-8 */
    EXPECT("bad \xff \xc3", "bad ? ?");                  /* no UTF-8 */
    EXPECT("long \xc0\xaf \xe0\x80\xaf", "long ?? ???"); /* overlong */
    EXPECT("turn \xe2\x80\xae x", "turn ??? x");         /* right-to-left override */
    EXPECT("half \xed\xa0\x80", "half ???");             /* surrogate */
}

TEST(keeps_the_newest)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_diag d;
    char line[64], *text;

    vf_diag_init(&d);
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(line, sizeof line, "line number %d\n", i);
        vf_diag_add(&d, line, strlen(line));
    }
    text = vf_diag_text(&d, &err);
    CHECK_OK(text, &err);
    CHECK(strlen(text) > VF_DIAG_KEEP - 100 && strlen(text) <= VF_DIAG_KEEP);
    CHECK(strncmp(text, "line number ", 12) == 0); /* the cut line is left out */
    CHECK_STR(vf_diag_last_line(text), "line number 9999");
    free(text);
    vf_diag_destroy(&d);
}

TEST(one_endless_line)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_diag d;
    char *text;

    vf_diag_init(&d);
    for (int i = 0; i < 5000; i++)
        vf_diag_add(&d, "xy", 2);
    text = vf_diag_text(&d, &err);
    CHECK_OK(text, &err);
    CHECK_EQ_U64(strlen(text), VF_DIAG_KEEP);
    CHECK_STR(vf_diag_last_line(text), text);
    free(text);
    vf_diag_destroy(&d);
}

TESTS(cleaning, keeps_the_newest, one_endless_line)
