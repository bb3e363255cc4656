/* The QMP client against a real QEMU without a machine, and its lines by themselves. */
#include "hypervisor/qmp.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/proc.h"
#include "tests/lib/check.h"

struct env {
    struct vf_proc qemu;
    char dir[64];
    char *path;
};

static void up(struct env *e)
{
    struct vf_error err;
    char *arg;
    const char *argv[] = {
        "qemu-system-x86_64", "-S",   "-nodefaults", "-no-user-config", "-machine", "none",
        "-display",           "none", "-qmp",        NULL /*9*/,        NULL};

    (void)snprintf(e->dir, sizeof e->dir, "%s/qmp.XXXXXX",
                   getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    CHECK(mkdtemp(e->dir) != NULL);
    e->path = vf_strf(&err, "%s/s", e->dir);
    arg = vf_strf(&err, "unix:%s,server=on,wait=off", e->path);
    argv[9] = arg;
    e->qemu = (struct vf_proc)VF_PROC_INIT;
    if (vf_proc_start(&e->qemu, argv, 0, &err) < 0)
        SKIP("qemu-system-x86_64 is not installed");
    free(arg);
}

static void down(struct env *e)
{
    vf_proc_kill(&e->qemu);
    (void)unlink(e->path);
    CHECK(rmdir(e->dir) == 0);
    free(e->path);
}

TEST(commands)
{
    struct env e;
    struct vf_error err;
    struct vf_qmp *q;
    json_t *ret = NULL;

    up(&e);
    q = vf_qmp_open(e.path, 10000, NULL, &err);
    CHECK(q != NULL);
    CHECK_OK(vf_qmp_call(q, "query-version", NULL, &ret, &err), &err);
    CHECK(vf_qmp_number(json_object_get(ret, "qemu"), "major") >= 5);
    CHECK_STR(vf_qmp_text(ret, "nothing"), "");
    json_decref(ret);
    /* A line of some hundred kilobytes. */
    CHECK_OK(vf_qmp_call(q, "query-qmp-schema", NULL, &ret, &err), &err);
    CHECK(json_array_size(ret) > 500);
    json_decref(ret);
    CHECK_FAIL(vf_qmp_callf(q, NULL, &err, "blockdev-del", "{s:s}", "node-name", "none"), &err,
               VF_ERR_IO);
    CHECK_HAS(err.msg, "blockdev-del");
    CHECK_FAIL(vf_qmp_call(q, "no-such-command", NULL, NULL, &err), &err, VF_ERR_IO);
    CHECK_OK(vf_qmp_call(q, "query-status", NULL, NULL, &err), &err);
    vf_qmp_close(q);
    down(&e);
}

static bool is_reason(const json_t *event, const void *arg)
{
    return strcmp(vf_qmp_text(json_object_get(event, "data"), "reason"), arg) == 0;
}

TEST(events)
{
    struct env e;
    struct vf_error err;
    struct vf_qmp *q;
    json_t *event = NULL;

    up(&e);
    q = vf_qmp_open(e.path, 10000, NULL, &err);
    CHECK(q != NULL);
    CHECK(vf_qmp_event(q, "SHUTDOWN", NULL, NULL, 50, NULL, &err) == 0);
    /* What comes while an answer is waited for is kept, in order. */
    CHECK_OK(vf_qmp_call(q, "cont", NULL, NULL, &err), &err);
    CHECK_OK(vf_qmp_call(q, "stop", NULL, NULL, &err), &err);
    CHECK(vf_qmp_event(q, "STOP", NULL, NULL, 5000, NULL, &err) == 1);
    CHECK(vf_qmp_event(q, NULL, NULL, NULL, 5000, &event, &err) == 1);
    CHECK_STR(vf_qmp_text(event, "event"), "RESUME");
    json_decref(event);
    CHECK_OK(vf_qmp_call(q, "cont", NULL, NULL, &err), &err);
    vf_qmp_forget(q, "RESUME");
    CHECK(vf_qmp_event(q, "RESUME", NULL, NULL, 0, NULL, &err) == 0);
    CHECK_OK(vf_qmp_call(q, "quit", NULL, NULL, &err), &err);
    CHECK(vf_qmp_event(q, "SHUTDOWN", is_reason, "host-qmp-quit", 5000, NULL, &err) == 1);
    for (int i = 0; i < 100; i++)
        if (vf_qmp_call(q, "query-status", NULL, NULL, &err) < 0)
            break;
    CHECK(err.code == VF_ERR_UNREACHABLE);
    vf_qmp_close(q);
    down(&e);
}

TEST(who_is_there)
{
    volatile int stop = 0;
    struct env e;
    struct vf_error err;
    struct vf_qmp *q;

    up(&e);
    q = vf_qmp_open(e.path, 10000, &stop, &err);
    CHECK(q != NULL);
    CHECK(vf_qmp_open(e.path, 100, NULL, &err) == NULL);
    CHECK(err.code == VF_ERR_BUSY);
    stop = 1;
    CHECK_FAIL(vf_qmp_event(q, "RESUME", NULL, NULL, 5000, NULL, &err), &err, VF_ERR_CANCELLED);
    vf_qmp_mind_stop(q, false);
    CHECK_OK(vf_qmp_call(q, "query-status", NULL, NULL, &err), &err);
    vf_qmp_close(q);
    CHECK(vf_qmp_open("/nonexistent/socket", 0, NULL, &err) == NULL);
    CHECK(err.code == VF_ERR_UNREACHABLE);
    down(&e);
}

/* Its main thread waits until somebody reads from there. */
static void hold_up(struct vf_qmp *q, const char *fifo)
{
    struct vf_error err;

    CHECK(mkfifo(fifo, 0600) == 0);
    CHECK_FAIL(vf_qmp_callf(q, NULL, &err, "chardev-add", "{s:s, s:{s:s, s:{s:s}}}", "id", "c",
                            "backend", "type", "file", "data", "out", fifo),
               &err, VF_ERR_TIMEOUT);
}

/* A QEMU that is held up hears what is out of band, also from who goes on with the connection. */
TEST(out_of_band)
{
    char *fifo;
    struct env e;
    struct vf_error err;
    struct vf_qmp *q;
    int fd, reader;

    up(&e);
    q = vf_qmp_open(e.path, 10000, NULL, &err);
    CHECK(q != NULL);
    fifo = vf_strf(&err, "%s/fifo", e.dir);
    vf_qmp_patience(q, 300);
    hold_up(q, fifo);
    CHECK_FAIL(vf_qmp_call(q, "query-status", NULL, NULL, &err), &err, VF_ERR_TIMEOUT);
    for (int i = 0; i < 3; i++) { /* it is refused, but answered */
        CHECK_FAIL(
            vf_qmp_call_oob(q, "migrate-recover", json_pack("{s:s}", "uri", "unix:x"), NULL, &err),
            &err, VF_ERR_IO);
        CHECK_HAS(err.msg, "migrate-recover");
    }
    fd = dup(vf_qmp_fd(q));
    vf_qmp_close(q);
    q = vf_qmp_adopt(fd, NULL, &err);
    CHECK(q != NULL);
    vf_qmp_patience(q, 300);
    for (int i = 0; i < 20; i++) /* what waits does not become more */
        CHECK_FAIL(vf_qmp_call(q, "query-status", NULL, NULL, &err), &err, VF_ERR_TIMEOUT);
    CHECK_FAIL(
        vf_qmp_call_oob(q, "migrate-recover", json_pack("{s:s}", "uri", "unix:x"), NULL, &err),
        &err, VF_ERR_IO);
    reader = open(fifo, O_RDONLY | O_CLOEXEC);
    CHECK(reader >= 0);
    vf_qmp_patience(q, VF_QMP_CALL_MS);
    CHECK_OK(vf_qmp_call(q, "query-status", NULL, NULL, &err), &err);
    close(reader);
    CHECK(unlink(fifo) == 0);
    free(fifo);
    vf_qmp_close(q);
    down(&e);
}

/* What an earlier process had begun to read is no error; later nonsense is. */
TEST(torn)
{
    static const char text[] = "rn\": {}, \"id\": 7}\r\n{\"event\": \"STOP\"}\r\nnonsense\r\n";
    struct vf_error err;
    struct vf_qmp *q;
    int fd[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    q = vf_qmp_adopt(fd[0], NULL, &err);
    CHECK(q != NULL);
    CHECK(send(fd[1], text, strlen(text), 0) == (ssize_t)strlen(text));
    CHECK(vf_qmp_event(q, "STOP", NULL, NULL, 5000, NULL, &err) == 1);
    CHECK_FAIL(vf_qmp_event(q, "STOP", NULL, NULL, 5000, NULL, &err), &err, VF_ERR_PROTOCOL);
    vf_qmp_close(q);
    close(fd[1]);
}

static void refused(const char *line)
{
    enum vf_qmp_kind kind;
    struct vf_error err;
    json_t *obj;

    CHECK_FAIL(vf_qmp_parse(line, strlen(line), &kind, &obj, &err), &err, VF_ERR_PROTOCOL);
}

TEST(lines)
{
    static const char *const good[] = {"{\"QMP\": {\"version\": {}}}", "{\"return\": {}}",
                                       "{\"error\": {\"desc\": \"x\"}, \"id\": 3}",
                                       "{\"event\": \"STOP\"}\r"};
    static const enum vf_qmp_kind kinds[] = {VF_QMP_GREETING, VF_QMP_RETURN, VF_QMP_ERROR,
                                             VF_QMP_EVENT};
    char deep[400];

    for (size_t i = 0; i < 4; i++) {
        enum vf_qmp_kind kind;
        struct vf_error err;
        json_t *obj = NULL;

        CHECK_OK(vf_qmp_parse(good[i], strlen(good[i]), &kind, &obj, &err), &err);
        CHECK(kind == kinds[i]);
        json_decref(obj);
    }
    refused("");
    refused("[]");
    refused("{}");
    refused("{\"return\": {}");
    refused("{\"return\": 1, \"return\": 2}");
    refused("{\"event\": 7}");
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    refused(deep);
}

TESTS(commands, events, who_is_there, out_of_band, torn, lines)
