/* cmd/ratefile.c: what a file with a rate limit may say. */
#include "cmd/ratefile.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "core/fdio.h"
#include "tests/lib/check.h"

static struct vf_error err;
static char path[] = "/tmp/vf-ratefile-XXXXXX";

static void write_file(const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    CHECK(fd >= 0);
    CHECK_OK(vf_write_full(fd, text, strlen(text), &err), &err);
    vf_close_fd(&fd);
}

/* What it says when it holds that text. */
static int reads(const char *text, uint64_t *ret)
{
    write_file(text);
    return vf_ratefile_read(path, ret, &err);
}

TEST(contents)
{
    uint64_t rate = 7;
    int fd = mkostemp(path, O_CLOEXEC);

    CHECK(fd >= 0);
    vf_close_fd(&fd);
    CHECK(reads("10M\n", &rate) == 1 && rate == 10000000);
    CHECK(reads("  1Mi \r\n", &rate) == 1 && rate == 1 << 20);
    CHECK(reads("2500000 # a word behind it\n", &rate) == 1 && rate == 2500000);
    CHECK(reads("none", &rate) == 1 && rate == 0);
    rate = 7;
    CHECK(reads("", &rate) == 0 && reads(" \n\n", &rate) == 0 && rate == 7);
    CHECK(reads("999", &rate) < 0 && err.code == VF_ERR_USAGE);
    CHECK(reads("-5M", &rate) < 0 && err.code == VF_ERR_USAGE);
    CHECK(reads("fast", &rate) < 0 && err.code == VF_ERR_USAGE);
    CHECK(reads("1000000000000000000000000000000000000000000000000000000000000000000000", &rate) <
          0);
    CHECK(vf_ratefile_read("/tmp", &rate, &err) < 0 && err.code == VF_ERR_USAGE);
    CHECK(unlink(path) == 0);
    CHECK(vf_ratefile_read(path, &rate, &err) == 0 && rate == 7);
}

/* Does the rate become one at which n bytes take between low and high? */
static bool becomes(struct vf_ratelimit *limit, uint64_t n, uint64_t low_ns, uint64_t high_ns)
{
    for (int i = 0; i < 100; i++) {
        uint64_t wait;

        (void)vf_ratelimit_take_at(limit, n, UINT64_C(1000000000));
        wait = vf_ratelimit_take_at(limit, 1, UINT64_C(1000000000));
        vf_ratelimit_set(limit, 1); /* so that only a new rate is seen */
        if (wait >= low_ns && wait <= high_ns)
            return true;
        (void)usleep(100000);
    }
    return false;
}

TEST(is_followed)
{
    const uint64_t second = 1000000000;
    struct vf_cli cli = {.quiet = true};
    struct vf_ratelimit *limit = vf_ratelimit_new(0, &err);
    struct vf_ratefile *r;

    CHECK_OK(limit, &err);
    write_file("1M");
    r = vf_ratefile_start(&cli, path, 4000000, limit, &err);
    CHECK_OK(r, &err);
    CHECK(becomes(limit, 2000000, second, 2 * second));
    write_file("500k");
    CHECK(becomes(limit, 2000000, 3 * second, 4 * second));
    write_file("nonsense");
    (void)usleep(700000);
    CHECK(unlink(path) == 0);
    CHECK(becomes(limit, 2000000, second / 5, second / 2));
    vf_ratefile_end(r);
    write_file("nonsense");
    CHECK(!vf_ratefile_start(&cli, path, 0, limit, &err) && err.code == VF_ERR_USAGE);
    CHECK(unlink(path) == 0);
    vf_ratefile_end(NULL);
    vf_ratelimit_free(limit);
}

TESTS(contents, is_followed)
