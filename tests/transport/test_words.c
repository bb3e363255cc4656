/* Words: splitting a command line without a shell, quoting for one. */
#include "transport/words.h"

#include <stdlib.h>
#include <string.h>

#include "core/proc.h"
#include "tests/lib/check.h"

static void split(const char *text, const char *const *want)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_words w = VF_WORDS_INIT;
    size_t n = 0;

    CHECK_OK(vf_words_split(&w, text, &err), &err);
    for (; want[n]; n++) {
        CHECK(n < w.n);
        CHECK_STR(w.v[n], want[n]);
    }
    CHECK_EQ_U64(w.n, n);
    vf_words_free(&w);
}
#define SPLIT(text, ...) split(text, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

TEST(splitting)
{
    SPLIT("");
    SPLIT("  \t ");
    SPLIT("ssh", "ssh");
    SPLIT(" ssh  -p 22\t", "ssh", "-p", "22");
    SPLIT("a 'b c' \"d e\"", "a", "b c", "d e");
    SPLIT("a'b c'd\"e f\"", "ab cde f");
    SPLIT("'' \"\" x", "", "", "x");
    SPLIT("a\\ b \"c\\\"d\" 'e\\f'", "a b", "c\"d", "e\\f");
    SPLIT("$HOME `id` * ; | & > ~", "$HOME", "`id`", "*", ";", "|", "&", ">", "~");
}

TEST(open_quotes)
{
    static const char *const bad[] = {"'", "a 'b", "\"", "a \"b c", "a\\", "\"a\\\""};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vf_error err = VF_ERROR_INIT;
        struct vf_words w = VF_WORDS_INIT;

        CHECK_FAIL(vf_words_split(&w, bad[i], &err), &err, VF_ERR_USAGE);
        vf_words_free(&w);
    }
}

TEST(quoting)
{
    static const char *const args[] = {"a b", "it's", "", "-x", "$(id)", "a=b", NULL};
    struct vf_error err = VF_ERROR_INIT;
    struct vf_words w = VF_WORDS_INIT;
    char *line;

    CHECK_OK(vf_words_serve(&w, "/usr/bin/vm ferry", "/srv/x", args, &err), &err);
    line = vf_words_shell(&w, &err);
    CHECK_STR(line, "'/usr/bin/vm ferry' --store /srv/x serve 'a b' 'it'\\''s' '' -x '$(id)' a=b");
    free(line);
    vf_words_free(&w);
    CHECK_OK(vf_words_serve(&w, "vmferry", NULL, NULL, &err), &err);
    line = vf_words_shell(&w, &err);
    CHECK_STR(line, "vmferry serve");
    free(line);
    vf_words_free(&w);
}

/* The judge of quoting is a shell: every byte that a word may have comes back. */
TEST(a_shell_agrees)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_words w = VF_WORDS_INIT;
    char word[256], *line, *out;
    size_t n = 0;

    for (unsigned c = 1; c < 256; c++)
        word[n++] = (char)c;
    word[n] = 0;
    CHECK_OK(vf_words_add(&w, "printf", &err), &err);
    CHECK_OK(vf_words_add(&w, "%s.", &err), &err);
    CHECK_OK(vf_words_add(&w, word, &err), &err);
    for (unsigned c = 1; c < 256; c++)
        CHECK_OK(vf_words_addf(&w, &err, "%c", (int)c), &err);
    CHECK_OK(vf_words_add(&w, "~root", &err), &err);
    line = vf_words_shell(&w, &err);
    CHECK_OK(line, &err);
    {
        const char *argv[] = {"sh", "-c", line, NULL};

        CHECK_OK(vf_proc_run(argv, &out, 10000, &err), &err);
    }
    CHECK(strncmp(out, word, n) == 0 && out[n] == '.');
    for (unsigned c = 1; c < 256; c++) {
        CHECK_EQ_U64((unsigned char)out[n + 1 + 2 * (c - 1)], c);
        CHECK(out[n + 2 + 2 * (c - 1)] == '.');
    }
    CHECK_STR(out + n + 1 + 2 * 255, "~root.");
    free(out);
    free(line);
    vf_words_free(&w);
}

TESTS(splitting, open_quotes, quoting, a_shell_agrees)
