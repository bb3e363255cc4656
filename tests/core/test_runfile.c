#include "core/runfile.h"

#include "tests/lib/check.h"

/* Two runs, read in pieces and in turns. */
TEST(runs_are_read_as_they_were_written)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_runfile f;
    struct vf_run a, b;
    char buf[8];
    size_t n;

    CHECK_OK(vf_runfile_init(&f, vf_test_tmpdir(), &err), &err);
    CHECK_OK(vf_runfile_append(&f, "abcde", 5, &a, &err), &err);
    CHECK_OK(vf_runfile_append(&f, "xyz", 3, &b, &err), &err);
    CHECK_OK(vf_runfile_read(&f, &a, buf, 4, &n, &err), &err);
    CHECK_EQ_U64(n, 4);
    CHECK_MEM(buf, "abcd", 4);
    CHECK_OK(vf_runfile_read(&f, &b, buf, 8, &n, &err), &err);
    CHECK_EQ_U64(n, 3);
    CHECK_MEM(buf, "xyz", 3);
    CHECK_OK(vf_runfile_read(&f, &a, buf, 4, &n, &err), &err);
    CHECK_EQ_U64(n, 1);
    CHECK_MEM(buf, "e", 1);
    CHECK_OK(vf_runfile_read(&f, &a, buf, 4, &n, &err), &err);
    CHECK_EQ_U64(n, 0);
    vf_runfile_close(&f);
}

TEST(only_so_many_runs)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_runfile f;
    struct vf_run run;

    CHECK_OK(vf_runfile_init(&f, vf_test_tmpdir(), &err), &err);
    for (unsigned i = 0; i < VF_RUNS_MAX; i++)
        CHECK_OK(vf_runfile_append(&f, "r", 1, &run, &err), &err);
    CHECK_FAIL(vf_runfile_append(&f, "r", 1, &run, &err), &err, VF_ERR_SPACE);
    vf_runfile_close(&f);
}

/* Nothing is made before the first run comes. */
TEST(a_directory_that_is_not_there)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_runfile f;
    struct vf_run run;

    CHECK_OK(vf_runfile_init(&f, vf_test_path("missing"), &err), &err);
    CHECK_FAIL(vf_runfile_append(&f, "r", 1, &run, &err), &err, VF_ERR_NOTFOUND);
    vf_runfile_close(&f);
}

TESTS(runs_are_read_as_they_were_written, only_so_many_runs, a_directory_that_is_not_there)
