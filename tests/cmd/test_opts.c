/* The command line is read by tables: types, ranges, lists, hints. */
#include <string.h>

#include "cmd/opts.h"
#include "tests/lib/check.h"

struct opts {
    bool loud, quiet;
    const char *name, *how;
    uint64_t count, size;
    struct vf_opt_list items;
};

static const struct vf_opt table[] = {
    {"loud", 'l', VF_OPT_FLAG, offsetof(struct opts, loud), NULL, "", 0, 0, NULL},
    {"quiet", 'q', VF_OPT_FLAG, offsetof(struct opts, quiet), NULL, "", 0, 0, NULL},
    {"name", 0, VF_OPT_TEXT, offsetof(struct opts, name), "NAME", "", 0, 0, NULL},
    {"how", 0, VF_OPT_TEXT, offsetof(struct opts, how), "HOW", "", 0, 0, "fast|slow"},
    {"count", 0, VF_OPT_NUMBER, offsetof(struct opts, count), "N", "", 1, 10, NULL},
    {"size", 0, VF_OPT_SIZE, offsetof(struct opts, size), "N", "", 1, 1000000000, NULL},
    {"item", 0, VF_OPT_LIST, offsetof(struct opts, items), "X", "", 0, 0, NULL},
    {NULL, 0, VF_OPT_FLAG, 0, NULL, NULL, 0, 0, NULL},
};

enum { ARGS = 16 };

struct line {
    char *argv[ARGS + 1];
    int argc, operands;
    struct opts o;
    struct vf_opt_set set;
    struct vf_error err;
};

static char *writable(const char *text)
{
    char *p;

    memcpy(&p, &text, sizeof p); /* argv is writable by type, though nobody writes it */
    return p;
}

static int parse(struct line *l, bool stop, const char *const words[])
{
    memset(l, 0, sizeof *l);
    for (; words[l->argc]; l->argc++)
        l->argv[l->argc] = writable(words[l->argc]);
    l->set = (struct vf_opt_set){table, &l->o};
    return vf_opts_parse(&l->set, 1, l->argc, l->argv, stop, &l->operands, &l->err);
}
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

TEST(values_and_operands)
{
    struct line l;

    CHECK_OK(parse(&l, false, WORDS("a", "--name", "x", "b", "--count=7", "--size", "2k", "-lq")),
             &l.err);
    CHECK(l.o.loud && l.o.quiet);
    CHECK_STR(l.o.name, "x");
    CHECK_EQ_U64(l.o.count, 7);
    CHECK_EQ_U64(l.o.size, 2000);
    CHECK_EQ_I64(l.operands, 2);
    CHECK_STR(l.argv[0], "a");
    CHECK_STR(l.argv[1], "b");
}

TEST(two_dashes_end_options)
{
    struct line l;

    CHECK_OK(parse(&l, false, WORDS("--", "--name", "-q")), &l.err);
    CHECK_EQ_I64(l.operands, 2);
    CHECK_STR(l.argv[0], "--name");
    CHECK(!l.o.quiet);
}

TEST(single_dash_is_an_operand)
{
    struct line l;

    CHECK_OK(parse(&l, false, WORDS("-")), &l.err);
    CHECK_EQ_I64(l.operands, 1);
}

TEST(lists_collect)
{
    struct line l;

    CHECK_OK(parse(&l, false, WORDS("--item", "a", "--item=b")), &l.err);
    CHECK_EQ_U64(l.o.items.n, 2);
    CHECK_STR(l.o.items.item[1], "b");
    vf_opts_free(&l.set);
    CHECK_EQ_U64(l.o.items.n, 0);
}

TEST(tells_what_was_given)
{
    const size_t off = offsetof(struct opts, name), rest = sizeof(struct opts) - off;
    struct line l;

    CHECK_OK(parse(&l, false, WORDS("--loud", "--quiet")), &l.err);
    CHECK(!vf_opts_given(table, &l.o, off, rest));
    CHECK_STR(vf_opts_given(table, &l.o, 0, sizeof l.o)->name, "loud");
    CHECK_OK(parse(&l, false, WORDS("--loud", "--name=x", "--size=5")), &l.err);
    CHECK_STR(vf_opts_given(table, &l.o, off, rest)->name, "name");
    CHECK(!vf_opts_given(table, &l.o, off, 0));
    CHECK_OK(parse(&l, false, WORDS("--size=5")), &l.err);
    CHECK_STR(vf_opts_given(table, &l.o, off, rest)->name, "size");
    CHECK_OK(parse(&l, false, WORDS("--item=a")), &l.err);
    CHECK_STR(vf_opts_given(table, &l.o, off, rest)->name, "item");
    vf_opts_free(&l.set);
    CHECK(!vf_opts_given(NULL, &l.o, off, rest));
}

TEST(rules)
{
    static const struct vf_opt_rule rules[] = {
        {"loud", false, "quiet|item"}, {"how", true, "loud|name"}, {NULL, false, NULL}};
    struct line l;

    CHECK_OK(parse(&l, false, WORDS("--quiet", "--item=a", "--name=x")), &l.err);
    CHECK_OK(vf_opts_check(table, rules, &l.o, &l.err), &l.err);
    vf_opts_free(&l.set);
    CHECK_OK(parse(&l, false, WORDS("--how=fast", "--loud", "--name=x")), &l.err);
    CHECK_OK(vf_opts_check(table, rules, &l.o, &l.err), &l.err);
    CHECK_OK(parse(&l, false, WORDS("--item=a", "--loud")), &l.err);
    CHECK_FAIL(vf_opts_check(table, rules, &l.o, &l.err), &l.err, VF_ERR_USAGE);
    CHECK_STR(l.err.msg, "--item does not go with --loud");
    vf_opts_free(&l.set);
    CHECK_OK(parse(&l, false, WORDS("--loud", "--size=5", "--how=slow")), &l.err);
    CHECK_FAIL(vf_opts_check(table, rules, &l.o, &l.err), &l.err, VF_ERR_USAGE);
    CHECK_STR(l.err.msg, "--size does not go with --how");
}

TEST(stops_at_the_first_operand)
{
    struct line l;

    CHECK_OK(parse(&l, true, WORDS("-q", "verb", "--unknown")), &l.err);
    CHECK_EQ_I64(l.operands, 1);
    CHECK_STR(l.argv[1], "verb");
    CHECK_OK(parse(&l, true, WORDS("-q")), &l.err);
    CHECK_EQ_I64(l.operands, 1); /* the end */
}

TEST(refuses)
{
    struct line l;

    CHECK_FAIL(parse(&l, false, WORDS("--nam", "x")), &l.err, VF_ERR_USAGE);
    CHECK_HAS(l.err.msg, "did you mean '--name'");
    CHECK_FAIL(parse(&l, false, WORDS("--zzzzzzzz")), &l.err, VF_ERR_USAGE);
    CHECK(!strstr(l.err.msg, "did you mean"));
    CHECK_FAIL(parse(&l, false, WORDS("-x")), &l.err, VF_ERR_USAGE);
    CHECK_FAIL(parse(&l, false, WORDS("--name")), &l.err, VF_ERR_USAGE);
    CHECK_FAIL(parse(&l, false, WORDS("--name=")), &l.err, VF_ERR_USAGE);
    CHECK_FAIL(parse(&l, false, WORDS("--loud=yes")), &l.err, VF_ERR_USAGE);
    CHECK_FAIL(parse(&l, false, WORDS("--how", "fas")), &l.err, VF_ERR_USAGE);
    CHECK_FAIL(parse(&l, false, WORDS("--how", "fast|slow")), &l.err, VF_ERR_USAGE);
    CHECK_FAIL(parse(&l, false, WORDS("--count", "0")), &l.err, VF_ERR_USAGE);
    CHECK_FAIL(parse(&l, false, WORDS("--count", "11")), &l.err, VF_ERR_USAGE);
    CHECK_FAIL(parse(&l, false, WORDS("--count", "1k")), &l.err, VF_ERR_USAGE);
    CHECK_FAIL(parse(&l, false, WORDS("--size", "2G")), &l.err, VF_ERR_USAGE);
}

TEST(long_words_do_no_harm)
{
    static char word[5000];
    struct line l;

    memset(word, 'a', sizeof word - 1);
    memcpy(word, "--", 2);
    CHECK_FAIL(parse(&l, false, WORDS(word)), &l.err, VF_ERR_USAGE);
}

TEST(nearest_word)
{
    static const char *const words[] = {"index", "similar", "migrate", "node"};

    CHECK_STR(vf_opts_nearest("migarte", words, 4), "migrate");
    CHECK_STR(vf_opts_nearest("nod", words, 4), "node");
    CHECK(!vf_opts_nearest("copy", words, 4));
}

TESTS(values_and_operands, two_dashes_end_options, single_dash_is_an_operand, lists_collect,
      tells_what_was_given, rules, stops_at_the_first_operand, refuses, long_words_do_no_harm,
      nearest_word)
