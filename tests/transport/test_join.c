/* Connections handed from process to process. */
#include "transport/join.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fdio.h"
#include "core/stream.h"
#include "tests/lib/check.h"

struct store {
    char path[300];
    int fd;
};

/* A store with a path far longer than that of a socket may be. */
static struct store make_store(void)
{
    struct store s = {.fd = -1};
    struct vf_error err;
    int n = snprintf(s.path, sizeof s.path, "%s/", vf_test_tmpdir());

    memset(s.path + n, 'x', 150);
    CHECK_OK(vf_mkdir_p(s.path, 0755, &err), &err);
    s.fd = open(s.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(s.fd >= 0);
    return s;
}

static unsigned count_sockets(const struct store *s)
{
    char path[320];
    struct dirent *e;
    unsigned n = 0;
    DIR *d;

    (void)snprintf(path, sizeof path, "%s/run", s->path); /* fits */
    d = opendir(path);
    CHECK(d != NULL);
    while ((e = readdir(d)) != NULL)
        n += strlen(e->d_name) == VF_TOKEN_LEN;
    CHECK(closedir(d) == 0);
    return n;
}

struct visit {
    int store_fd, rfd, wfd;
    const char *token;
    int rc;
    struct vf_error err;
};

static void *visit(void *arg)
{
    struct visit *v = arg;
    int sock = vf_join_connect(v->store_fd, v->token, &v->err);

    v->rc = sock < 0 ? -1 : vf_join_hand_over(sock, 7, v->rfd, v->wfd, NULL, &v->err);
    vf_close_fd(&sock);
    return NULL;
}

TEST(hands_over)
{
    struct store s = make_store();
    struct vf_error err;
    struct vf_join *j = vf_join_listen(s.fd, &err);
    struct vf_joined got;
    struct visit v;
    int a[2], b[2];
    pthread_t t;
    char c = 0;

    CHECK_OK(j, &err);
    CHECK(pipe2(a, O_CLOEXEC) == 0 && pipe2(b, O_CLOEXEC) == 0);
    v = (struct visit){.store_fd = s.fd, .rfd = a[0], .wfd = b[1], .token = vf_join_token(j)};
    CHECK(pthread_create(&t, NULL, visit, &v) == 0);
    CHECK_OK(vf_join_accept(j, &got, &err), &err);
    CHECK_EQ_U64(got.number, 7);
    CHECK(write(a[1], "q", 1) == 1 && read(got.rfd, &c, 1) == 1 && c == 'q');
    CHECK(write(got.wfd, "z", 1) == 1 && read(b[0], &c, 1) == 1 && c == 'z');
    CHECK(fcntl(got.rfd, F_GETFD) & FD_CLOEXEC);
    vf_joined_close(&got); /* ends the visitor */
    CHECK(pthread_join(t, NULL) == 0);
    CHECK_OK(v.rc, &v.err);
    for (unsigned i = 0; i < 2; i++) {
        vf_close_fd(&a[i]);
        vf_close_fd(&b[i]);
    }
    vf_join_close(j);
    CHECK_EQ_U64(count_sockets(&s), 0);
    vf_close_fd(&s.fd);
}

TEST(permissions)
{
    struct store s = make_store();
    struct vf_error err;
    struct vf_join *j;
    char path[400];
    struct stat st;

    umask(0);
    j = vf_join_listen(s.fd, &err);
    CHECK_OK(j, &err);
    (void)snprintf(path, sizeof path, "%s/run", s.path); /* fits */
    CHECK(stat(path, &st) == 0);
    CHECK_EQ_U64(st.st_mode & 07777, 0700);
    (void)snprintf(path, sizeof path, "%s/run/%s", s.path, vf_join_token(j)); /* fits */
    CHECK(stat(path, &st) == 0 && S_ISSOCK(st.st_mode));
    CHECK_EQ_U64(st.st_mode & 07777, 0600);
    vf_join_close(j);
    CHECK(stat(path, &st) < 0);
    /* A directory that others can look into is not used. */
    (void)snprintf(path, sizeof path, "%s/run", s.path); /* fits */
    CHECK(chmod(path, 0711) == 0);
    CHECK(!vf_join_listen(s.fd, &err));
    CHECK(err.code == VF_ERR_DENIED);
    CHECK(chmod(path, 0700) == 0);
    vf_close_fd(&s.fd);
}

TEST(wrong_token)
{
    static const char *const bad[] = {"", "x", "../../../../../../../../../etc/pass",
                                      "0123456789abcdef0123456789abcdeF",
                                      "0123456789abcdef0123456789abcde/"};
    struct store s = make_store();
    struct vf_error err;
    struct vf_join *j;

    /* There was never a migration. */
    CHECK_FAIL(vf_join_connect(s.fd, "0123456789abcdef0123456789abcdef", &err), &err,
               VF_ERR_NOTFOUND);
    j = vf_join_listen(s.fd, &err);
    CHECK_OK(j, &err);
    CHECK_FAIL(vf_join_connect(s.fd, "0123456789abcdef0123456789abcdef", &err), &err,
               VF_ERR_NOTFOUND);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_FAIL(vf_join_connect(s.fd, bad[i], &err), &err, VF_ERR_PROTOCOL);
    vf_join_close(j);
    vf_close_fd(&s.fd);
}

/* Sockets of processes that died go when the next migration begins; others stay. */
TEST(sweeps)
{
    struct store s = make_store();
    struct vf_error err;
    static struct vf_join *volatile dies; /* seen by valgrind as in use to the end */
    struct vf_join *j[2];
    pid_t pid = fork();
    int status;

    CHECK(pid >= 0);
    if (pid == 0) {
        dies = vf_join_listen(s.fd, NULL);
        _exit(dies ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK_EQ_U64(count_sockets(&s), 1);
    j[0] = vf_join_listen(s.fd, &err);
    CHECK_OK(j[0], &err);
    CHECK_EQ_U64(count_sockets(&s), 1);
    j[1] = vf_join_listen(s.fd, &err);
    CHECK_OK(j[1], &err);
    CHECK_EQ_U64(count_sockets(&s), 2);
    CHECK(strcmp(vf_join_token(j[0]), vf_join_token(j[1])) != 0);
    vf_join_close(j[0]);
    vf_join_close(j[1]);
    CHECK_EQ_U64(count_sockets(&s), 0);
    vf_close_fd(&s.fd);
}

/* Visitors that bring nothing, too much, or leave at once. */
TEST(odd_visitors)
{
    struct store s = make_store();
    struct vf_error err;
    struct vf_join *j = vf_join_listen(s.fd, &err);
    struct vf_joined got;
    int sock;

    CHECK_OK(j, &err);
    for (unsigned how = 0; how < 3; how++) {
        sock = vf_join_connect(s.fd, vf_join_token(j), &err);
        CHECK(sock >= 0);
        if (how == 1)
            CHECK(send(sock, "x", 1, 0) == 1);
        if (how == 2)
            CHECK(send(sock, "xyz", 3, 0) == 3);
        vf_close_fd(&sock);
        CHECK_FAIL(vf_join_accept(j, &got, &err), &err, VF_ERR_PROTOCOL);
    }
    vf_join_wake(j);
    CHECK_FAIL(vf_join_accept(j, &got, &err), &err, VF_ERR_CANCELLED);
    vf_join_close(j);
    vf_close_fd(&s.fd);
}

TESTS(hands_over, permissions, wrong_token, sweeps, odd_visitors)
