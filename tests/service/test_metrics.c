/* Numbers for Prometheus. */
#include "service/metrics.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/fdio.h"
#include "tests/lib/check.h"

static struct vf_error err;

static struct vf_metrics sample(void)
{
    struct vf_metrics m = {.indexed = 12, .read_bytes = UINT64_C(5000000000000), .reading = 1};

    m.keeper.hold_why = "";
    m.pace.paused = "a migration is running";
    m.keeper.state[VF_FILE_FRESH] = 1000;
    return m;
}

/* Every sample has its HELP and its TYPE before it, once. */
TEST(is_well_formed)
{
    struct vf_metrics m = sample();
    char *text = vf_metrics_text(&m), *save = NULL, typed[128] = "";

    CHECK(text);
    CHECK_HAS(text, "\nvmferry_indexd_images{state=\"fresh\"} 1000\n");
    CHECK_HAS(text, "\nvmferry_indexd_read_bytes_total 5000000000000\n");
    CHECK_HAS(text, "\nvmferry_indexd_paused 1\n");
    CHECK(text[strlen(text) - 1] == '\n');
    for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        if (strncmp(l, "# TYPE ", 7) == 0) {
            size_t n = strcspn(l + 7, " ");

            CHECK(n < sizeof typed);
            memcpy(typed, l + 7, n);
            typed[n] = '\0';
        } else if (l[0] != '#') {
            CHECK(strncmp(l, typed, strlen(typed)) == 0);
            CHECK(strchr("{ ", l[strlen(typed)]));
        }
    }
    free(text);
}

TEST(replaces_its_file)
{
    struct stat st;
    char *text;

    CHECK_OK(vf_metrics_write(vf_test_path("m.prom"), "a 1\n", &err), &err);
    CHECK_OK(vf_metrics_write(vf_test_path("m.prom"), "a 2\n", &err), &err);
    text = vf_read_small_file(AT_FDCWD, vf_test_path("m.prom"), 100, NULL, &err);
    CHECK_STR(text, "a 2\n");
    free(text);
    CHECK(stat(vf_test_path("m.prom"), &st) == 0 && (st.st_mode & 0777) == 0644);
    CHECK_FAIL(vf_metrics_write(vf_test_path("no/m.prom"), "a 1\n", &err), &err, VF_ERR_NOTFOUND);
}

TESTS(is_well_formed, replaces_its_file)
