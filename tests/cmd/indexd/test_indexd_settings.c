/* The section [indexd]. */
#include "cmd/indexd/indexd_settings.h"

#include <stdio.h>

#include "cmd/settings.h"
#include "tests/lib/check.h"

static struct vf_error err;

static int parse(struct vf_settings *set, const char *text)
{
    vf_settings_init(set);
    return vf_settings_parse(set, text, "f", &err);
}

TEST(durations)
{
    int64_t ms = 0;

    CHECK_OK(vf_parse_duration("500ms", "t", 0, 1000, &ms, &err), &err);
    CHECK_EQ_I64(ms, 500);
    CHECK_OK(vf_parse_duration("10", "t", 0, 100000, &ms, &err), &err);
    CHECK_EQ_I64(ms, 10000);
    CHECK_OK(vf_parse_duration("7d", "t", 0, INT64_MAX, &ms, &err), &err);
    CHECK_EQ_I64(ms, INT64_C(604800000));
    CHECK_FAIL(vf_parse_duration("2s", "t", 0, 1000, &ms, &err), &err, VF_ERR_USAGE);
    CHECK_FAIL(vf_parse_duration("s", "t", 0, 1000, &ms, &err), &err, VF_ERR_USAGE);
    CHECK_FAIL(vf_parse_duration("1 s", "t", 0, 1000, &ms, &err), &err, VF_ERR_USAGE);
    CHECK_FAIL(vf_parse_duration("-1s", "t", 0, 1000, &ms, &err), &err, VF_ERR_USAGE);
    CHECK_FAIL(vf_parse_duration("999999999999d", "t", 0, INT64_MAX, &ms, &err), &err,
               VF_ERR_USAGE);
}

TEST(all_settings)
{
    struct vf_settings s;
    struct vf_indexd_settings *x = &s.indexd;

    CHECK_OK(parse(&s,
                   "[indexd]\ndirectories = /a , /b c\ndirectories = /d\nrecursive = yes\n"
                   "qmp-sockets = /run/q/*.qmp\n"
                   "follow-links = yes\nlibvirt-pools = no\nexclude = *.iso, default\n"
                   "group = g1\nsettle = 1m\nscan-interval = 2h\npoll-interval = 5\nretry = 1s\n"
                   "moving-interval = 1d\nforget-after = 0\nread-rate = 0\nfiles = 3\n"
                   "io-pressure = 0\ncpu-pressure = 99\nmax-load = 2.5\nmetrics-file = /m\n"),
             &err);
    CHECK_EQ_U64(x->directories.n, 3);
    CHECK_STR(x->directories.item[1], "/b c");
    CHECK(x->qmp.n == 1);
    CHECK_STR(x->qmp.item[0], "/run/q/*.qmp");
    CHECK(x->recursive && x->follow_links && !x->libvirt_pools);
    CHECK_STR(x->exclude.item[0], "*.iso");
    CHECK(x->exclude.n > 5);
    vf_settings_free(&s);
}

TEST(lists_have_defaults)
{
    struct vf_settings s;

    CHECK_OK(parse(&s, ""), &err);
    CHECK_EQ_U64(s.indexd.exclude.n, 0);
    CHECK_OK(vf_indexd_settings_finish(&s.indexd, &err), &err);
    CHECK(s.indexd.exclude.n > 5);
    vf_settings_free(&s);
    CHECK_OK(parse(&s, "[indexd]\nexclude = *.iso\nexclude = default\n"), &err);
    CHECK_OK(vf_indexd_settings_finish(&s.indexd, &err), &err);
    CHECK(s.indexd.exclude.n > 5);
    CHECK_STR(s.indexd.exclude.item[0], "*.iso");
    vf_settings_free(&s);
}

TEST(refuses)
{
    static const char *const bad[] = {"directories = a",   "settle = soon", "files = 0",
                                      "files = 99",        "recursive = 1", "group = a/b",
                                      "io-pressure = 101", "max-load = x",  "metrics-file = m.prom",
                                      "nonsense = 1"};
    struct vf_settings s;
    char text[80];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "[indexd]\n%s\n", bad[i]);
        CHECK_FAIL(parse(&s, text), &err, VF_ERR_USAGE);
        CHECK_HAS(err.msg, "line 2");
        vf_settings_free(&s);
    }
}

TESTS(durations, all_settings, lists_have_defaults, refuses)
