/* Questions through the socket. */
#include "service/control.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/fdio.h"
#include "tests/lib/check.h"

static struct vf_error err;
static atomic_bool stop;

static char *answer(void *ctx, const char *question, const char **ret_type)
{
    (void)ctx;
    *ret_type = "text/x-test";
    if (strcmp(question, "large") == 0) {
        char *s = calloc(1, 3000001);

        memset(s, 'x', s ? 3000000 : 0);
        return s;
    }
    return strcmp(question, "who") == 0 ? vf_strdup("me", NULL) : NULL;
}

static void *serve(void *arg)
{
    struct vf_control *c = arg;

    while (!atomic_load(&stop)) {
        struct pollfd p[VF_CONTROL_FDS];
        size_t n = vf_control_polls(c, p);

        if (poll(p, n, 20) > 0)
            vf_control_serve(c, p, n, answer, NULL);
    }
    return NULL;
}

/* Sends raw bytes, returns what comes back. */
static char *talk(const char *bytes)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char *ret = calloc(1, 4096);
    size_t got = 0;
    ssize_t n;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(a.sun_path, sizeof a.sun_path, "%s", vf_test_path("s"));
    CHECK(ret && connect(fd, (const struct sockaddr *)&a, sizeof a) == 0);
    CHECK(write(fd, bytes, strlen(bytes)) == (ssize_t)strlen(bytes));
    while (got < 4095 && (n = read(fd, ret + got, 4095 - got)) > 0)
        got += (size_t)n;
    close(fd);
    return ret;
}

TEST(answers)
{
    int dir = open(vf_test_tmpdir(), O_RDONLY | O_DIRECTORY);
    struct vf_control *c;
    struct stat st;
    pthread_t t;
    char *text;
    int idle;
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    CHECK(dir >= 0);
    CHECK_FAIL(vf_control_ask(dir, "s", "who", 1000, &err), &err, VF_ERR_NOTFOUND);
    CHECK_OK(c = vf_control_listen(dir, "s", &err), &err);
    CHECK(fstatat(dir, "s", &st, 0) == 0 && (st.st_mode & 0777) == 0600);
    CHECK(pthread_create(&t, NULL, serve, c) == 0);
    CHECK_OK(text = vf_control_ask(dir, "s", "who", 5000, &err), &err);
    CHECK_STR(text, "me");
    free(text);
    CHECK_OK(text = vf_control_ask(dir, "s", "large", 5000, &err), &err);
    CHECK_EQ_U64(strlen(text), 3000000);
    free(text);
    CHECK_FAIL(vf_control_ask(dir, "s", "what", 5000, &err), &err, VF_ERR_UNSUPPORTED);
    text = talk("GET /who HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK_HAS(text, "HTTP/1.0 200 OK\r\nContent-Type: text/x-test\r\nContent-Length: 2\r\n");
    CHECK_HAS(text, "\r\n\r\nme");
    free(text);
    text = talk("GET /nothing HTTP/1.1\r\n\r\n");
    CHECK_HAS(text, "404 Not Found");
    free(text);
    /* Those who only connect keep nobody else out. */
    snprintf(a.sun_path, sizeof a.sun_path, "%s", vf_test_path("s"));
    for (int i = 0; i < 10; i++) {
        idle = socket(AF_UNIX, SOCK_STREAM, 0);
        CHECK(connect(idle, (const struct sockaddr *)&a, sizeof a) == 0);
    }
    CHECK_OK(text = vf_control_ask(dir, "s", "who", 5000, &err), &err);
    free(text);
    atomic_store(&stop, true);
    pthread_join(t, NULL);
    vf_control_free(c);
    CHECK(fstatat(dir, "s", &st, 0) < 0);
    vf_close_fd(&dir);
}

TESTS(answers)
