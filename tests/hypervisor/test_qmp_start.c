/* The command that a store starts guests with, and its blanks. */
#include <stdlib.h>
#include <string.h>

#include "hypervisor/hypervisor.h"
#include "tests/lib/check.h"

static json_t *request(void)
{
    return json_pack("{s:s, s:s, s:s, s:[{s:s, s:s}, {s:s, s:s}]}", "name", "g 1", "dir", "/d",
                     "qmp", "/d/qmp", "disks", "path", "/i/a b", "format", "raw", "path", "/i/c",
                     "format", "qcow2");
}

static void is(const char *start, const char *const want[])
{
    json_t *req = request();
    struct vf_error err;
    char **words = vf_qmp_start_words(start, req, &err);
    size_t n = 0;

    CHECK(words != NULL);
    for (; want[n]; n++) {
        CHECK(words[n] != NULL);
        CHECK_STR(words[n], want[n]);
    }
    CHECK(words[n] == NULL);
    vf_qmp_start_words_free(words);
    json_decref(req);
}

TEST(filled)
{
    /* A value is never more than one word, whatever is in it. */
    is("/bin/start {name} {qmp} {disk0} {format1}:{disk1} {incoming}",
       (const char *const[]){"/bin/start", "g 1", "/d/qmp", "/i/a b", "qcow2:/i/c", "-incoming",
                             "defer", "-S", NULL});
    is("  a\t{dir}/x  ", (const char *const[]){"a", "/d/x", NULL});
    is("a {\"driver\":\"x\"} {} {",
       (const char *const[]){"a", "{\"driver\":\"x\"}", "{}", "{", NULL});
}

TEST(unknown)
{
    static const char *const bad[] = {"", "  ", "a {disk2}", "a {what}", "a {disk}", "a {diskx}"};
    json_t *req = request();

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct vf_error err;

        CHECK(vf_qmp_start_words(bad[i], req, &err) == NULL);
        CHECK(err.code == VF_ERR_USAGE);
    }
    json_decref(req);
}

TESTS(filled, unknown)
