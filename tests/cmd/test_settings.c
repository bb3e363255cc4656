/* vmferry.conf: what it may say, and that everything else is refused with its line. */
#include <stdio.h>
#include <string.h>

#include "cmd/settings.h"
#include "tests/lib/check.h"

static struct vf_error err;

static int parse(struct vf_settings *set, const char *text)
{
    vf_settings_init(set);
    return vf_settings_parse(set, text, "f", &err);
}

TEST(defaults)
{
    struct vf_settings s;

    CHECK_OK(parse(&s, ""), &err);
    CHECK(!s.images && s.allow_replace && s.accept && !s.max_image_size && !s.memory);
    CHECK(vf_settings_grants(&s, "") && vf_settings_grants(&s, "any"));
    CHECK(s.libvirt_read && !s.libvirt_checkpoints && !s.libvirt_scratch && !s.libvirt_uri &&
          !s.libvirt_accept);
    vf_settings_free(&s);
}

TEST(all_settings)
{
    struct vf_settings s;

    CHECK_OK(parse(&s,
                   "# comment\n[store]\nimages = /srv/vm\n[serve]\nallow-replace = no\n"
                   "accept = no\ngroups = a, b,default\nmax-image-size = 200G\n"
                   "[transfer]\nmemory = 640Mi\n[libvirt]\nread-guests = no\ncheckpoints = yes\n"
                   "scratch = /srv/scratch\n"),
             &err);
    CHECK(!s.libvirt_read && s.libvirt_checkpoints);
    CHECK_STR(s.libvirt_scratch, "/srv/scratch");
    CHECK_STR(s.images, "/srv/vm");
    CHECK(!s.allow_replace && !s.accept);
    CHECK_EQ_U64(s.max_image_size, UINT64_C(200000000000));
    CHECK_EQ_U64(s.memory, 640u << 20);
    CHECK(vf_settings_grants(&s, "a") && vf_settings_grants(&s, "b") && vf_settings_grants(&s, ""));
    CHECK(!vf_settings_grants(&s, "c"));
    vf_settings_free(&s);
}

TEST(the_last_of_two_counts)
{
    struct vf_settings s;

    CHECK_OK(parse(&s, "[store]\nimages = a\nimages = b\n"), &err);
    CHECK_STR(s.images, "b");
    vf_settings_free(&s);
}

TEST(refuses_with_the_line)
{
    static const char *const bad[] = {
        "\n[store]\nimage = x\n",
        "\n[stores]\nimages = x\n",
        "\n[serve]\nallow-replace = maybe\n",
        "\n[serve]\nmax-image-size = many\n",
        "\n[serve]\ngroups = a/b\n",
        "\n[store]\nimages\n",
    };
    struct vf_settings s;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_FAIL(parse(&s, bad[i]), &err, VF_ERR_USAGE);
        CHECK_HAS(err.msg, "f: line 3");
        vf_settings_free(&s);
    }
}

TEST(long_lines_are_not_cut)
{
    char text[600] = "[store]\nimages = ";
    struct vf_settings s;

    memset(text + strlen(text), 'x', 300);
    CHECK_FAIL(parse(&s, text), &err, VF_ERR_USAGE);
    CHECK_HAS(err.msg, "line 2 is too long");
    vf_settings_free(&s);
}

TEST(too_many_groups)
{
    char text[190] = "[serve]\ngroups = ";
    struct vf_settings s;

    for (int i = 0; i < 66; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "a,");
    CHECK_FAIL(parse(&s, text), &err, VF_ERR_USAGE);
    vf_settings_free(&s);
}

/* A list that is empty by mistake must not grant everything. */
TEST(no_groups)
{
    struct vf_settings s;

    CHECK_FAIL(parse(&s, "[serve]\ngroups =\n"), &err, VF_ERR_USAGE);
    CHECK_HAS(err.msg, "f: groups names no group");
    vf_settings_free(&s);
    CHECK_FAIL(parse(&s, "[serve]\ngroups = ,\naccept = no\n"), &err, VF_ERR_USAGE);
    vf_settings_free(&s);
    CHECK_OK(parse(&s, "[serve]\ngroups =\n  red,\n  blue\n"), &err);
    CHECK(vf_settings_grants(&s, "red") && vf_settings_grants(&s, "blue"));
    CHECK(!vf_settings_grants(&s, "any"));
    vf_settings_free(&s);
}

TEST(groups_of_a_key)
{
    struct vf_settings s;

    CHECK_OK(parse(&s, ""), &err);
    CHECK(vf_settings_grants(&s, "any"));
    CHECK_OK(vf_settings_narrow(&s, "red, default", &err), &err);
    CHECK(vf_settings_grants(&s, "red") && vf_settings_grants(&s, ""));
    CHECK(!vf_settings_grants(&s, "any"));
    vf_settings_free(&s);

    /* Of what the store grants, never more. */
    CHECK_OK(parse(&s, "[serve]\ngroups = red, blue\n"), &err);
    CHECK_OK(vf_settings_narrow(&s, "blue,green", &err), &err);
    CHECK(vf_settings_grants(&s, "blue"));
    CHECK(!vf_settings_grants(&s, "red") && !vf_settings_grants(&s, "green"));
    CHECK_OK(vf_settings_narrow(&s, "red", &err), &err);
    CHECK(!vf_settings_grants(&s, "red") && !vf_settings_grants(&s, "blue"));
    CHECK(!vf_settings_grants(&s, "any") && !vf_settings_grants(&s, ""));
    vf_settings_free(&s);

    CHECK_OK(parse(&s, ""), &err);
    CHECK_FAIL(vf_settings_narrow(&s, " , ", &err), &err, VF_ERR_USAGE);
    CHECK_FAIL(vf_settings_narrow(&s, "a/b", &err), &err, VF_ERR_USAGE);
    CHECK(vf_settings_grants(&s, "any"));
    vf_settings_free(&s);
}

TESTS(defaults, all_settings, the_last_of_two_counts, refuses_with_the_line, long_lines_are_not_cut,
      too_many_groups, no_groups, groups_of_a_key)
