/* Numbers, names and tables as people and programs read them. */
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/report.h"
#include "tests/lib/check.h"

static struct vf_error err;

static const char *bytes(uint64_t n)
{
    static char text[VF_BYTES_TEXT];

    vf_bytes_text(n, text);
    return text;
}

TEST(bytes_have_three_digits)
{
    CHECK_STR(bytes(0), "0 B");
    CHECK_STR(bytes(999), "999 B");
    CHECK_STR(bytes(1000), "1.00 kB");
    CHECK_STR(bytes(12345), "12.3 kB");
    CHECK_STR(bytes(999499), "999 kB");
    CHECK_STR(bytes(999999), "1.00 MB");
    CHECK_STR(bytes(3355443200), "3.36 GB");
    CHECK_STR(bytes(UINT64_MAX), "18.4 EB");
}

static const char *seconds(double s)
{
    static char text[VF_BYTES_TEXT];

    vf_seconds_text(s, text);
    return text;
}

TEST(seconds_are_readable)
{
    CHECK_STR(seconds(-1), "0.0 s");
    CHECK_STR(seconds(7.25), "7.2 s");
    CHECK_STR(seconds(42.4), "42 s");
    CHECK_STR(seconds(200), "3 min 20 s");
    CHECK_STR(seconds(7500), "2 h 05 min");
    CHECK(strlen(seconds(1e300)) < VF_BYTES_TEXT);
}

TEST(shares)
{
    char text[VF_BYTES_TEXT];

    vf_share_text(872923, 3819652, text);
    CHECK_STR(text, "22.85 %");
    vf_share_text(0, 0, text); /* nothing is missing */
    CHECK_STR(text, "100.00 %");
}

static char *clean(const char *in)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    vf_put_clean(f, in);
    fclose(f);
    return text;
}

TEST(names_from_outside_are_cleaned)
{
    static const char *const pairs[][2] = {
        {"plain \xc3\xa9 \xf0\x9f\x9a\xa2", "plain \xc3\xa9 \xf0\x9f\x9a\xa2"},
        {"a\x1b[2Jb\n", "a?[2Jb?"},
        {"\xff\xc0\xaf", "???"},
        {"\xed\xa0\x80", "???"}, /* a surrogate */
        {"\xc2\x9b"
         "x",
         "??x"}, /* CSI of the C1 controls */
        {"cut \xe2\x82", "cut ??"},
    };

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char *text = clean(pairs[i][0]);
        json_t *j = vf_json_text(pairs[i][0]);

        CHECK_STR(text, pairs[i][1]);
        CHECK_STR(json_string_value(j), pairs[i][1]);
        free(text);
        json_decref(j);
    }
}

/* As jansson sees it. */
TEST(what_json_can_have)
{
    static const char *const good[] = {"", "plain", "\xc3\xa9 \xe2\x82\xac \xf4\x8f\xbf\xbf",
                                       "\x1b[2J\n\x7f\xc2\x9b"};
    static const char *const bad[] = {"\xff",        "a\xe9",        "\xc0\xaf", "\xed\xa0\x80",
                                      "\xe2\x82",    "\xe0\x80\xaf", "\xc2",     "\xf4\x90\x80\x80",
                                      "\xf8\x88\x80"};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        json_t *j = json_string(good[i]);

        CHECK(vf_is_utf8(good[i]) && j);
        json_decref(j);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!vf_is_utf8(bad[i]) && !json_string(bad[i]));
}

TEST(digests)
{
    uint8_t sha[32] = {0x01, 0xab};
    char text[VF_DIGEST_TEXT];

    vf_digest_text(sha, text);
    CHECK_STR(text, "sha256:01ab000000000000000000000000000000000000000000000000000000000000");
}

TEST(errors_join_a_report)
{
    struct vf_error e = {VF_ERR_SPACE, 0, "full"};
    json_t *o = vf_report_error(json_pack("{s:i}", "done", 3), &e), *inner;

    inner = json_object_get(o, "error");
    CHECK_STR(json_string_value(json_object_get(inner, "code")), "space");
    CHECK_STR(json_string_value(json_object_get(inner, "message")), "full");
    CHECK_EQ_I64(json_integer_value(json_object_get(o, "done")), 3);
    json_decref(o);
}

TEST(tables_align)
{
    struct vf_table *t = vf_table_new("lrl", &err);
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    static const char *const cells[] = {"NAME", "N",         "X", "\xc3\xa9", "12345",
                                        "",     "long name", "1", "y"};

    for (size_t i = 0; i < 9; i++)
        CHECK_OK(vf_table_add(t, &err, "%s", cells[i]), &err);
    vf_table_print(t, f);
    fclose(f);
    CHECK_STR(text, "NAME           N  X\n"
                    "\xc3\xa9          12345\n"
                    "long name      1  y\n");
    free(text);
    vf_table_free(t);
}

TESTS(bytes_have_three_digits, seconds_are_readable, shares, names_from_outside_are_cleaned,
      what_json_can_have, digests, errors_join_a_report, tables_align)
