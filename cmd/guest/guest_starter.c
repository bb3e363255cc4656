/* cmd/guest/guest_starter.c - a small program behind a socket: start, keep, kill. */
#include "cmd/guest/guest_starter.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/dest.h"
#include "cmd/guest/guest_rehearse.h"
#include "cmd/guest/guest_talk.h"
#include "cmd/member.h"
#include "core/checked.h"
#include "core/fdio.h"
#include "core/thread.h"
#include "hypervisor/qmp.h"

#define MESSAGE_MAX (256u << 10)
#define LOG_MAX     (256u << 10)
#define END_MS      5000 /* for a guest to end by itself */

extern char **environ;

struct client {
    struct vf_starter starter; /* first */
    int fd;
    pid_t pid;
};

/* ---- the process ---- */

struct server {
    int fd;
    char *start, *images_dir, *run_dir; /* run_dir: STORE/run */
    pid_t guest;                        /* -1: none */
    char *qmp;
    bool kept;
};

/* Is it a single name in that directory? */
static bool lies_in(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    return strncmp(path, dir, len) == 0 && path[len] == '/' &&
           vf_dest_name_check(path + len + 1, NULL) == 0;
}

/* What a guest's command gets may only be what lies in this store: its images, or what stands in
 * for them in the guest's own directory. */
static int check_request(const struct server *s, const json_t *req, struct vf_error *err)
{
    const char *name = vf_member_text(req, "name");
    char *dir = vf_strf(err, "%s/vm-%s", s->run_dir, name), *qmp = vf_strf(err, "%s/qmp", dir);
    size_t i, len = strlen(VF_STAND_IN);
    const json_t *d;
    int rc = dir && qmp ? vf_guest_name_check(name, err) : -1;

    if (rc == 0 && (strcmp(vf_member_text(req, "dir"), dir) != 0 ||
                    strcmp(vf_member_text(req, "qmp"), qmp) != 0))
        rc = vf_error_set(err, VF_ERR_DENIED, 0, "a guest's directory is not where it belongs");
    json_array_foreach(json_object_get(req, "disks"), i, d)
    {
        const char *path = vf_member_text(d, "path");

        if (rc == 0 && *path && !lies_in(path, s->images_dir) &&
            !(lies_in(path, dir) && strncmp(path + strlen(dir) + 1, VF_STAND_IN, len) == 0))
            rc = vf_error_set(err, VF_ERR_DENIED, 0, "a guest's disk is not in this store");
    }
    free(qmp);
    free(dir);
    return rc;
}

static int spawn(struct server *s, char *const argv[], const char *dir, struct vf_error *err)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    char *log = vf_strf(err, "%s/log", dir);
    sigset_t none, defaults;
    int rc;

    if (!log)
        return -1;
    (void)posix_spawn_file_actions_init(&fa); /* cannot fail with glibc, as the next ones */
    (void)posix_spawnattr_init(&attr);
    sigemptyset(&none);
    sigfillset(&defaults);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setsigdefault(&attr, &defaults);
    rc = posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(&fa, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&fa, 1, 2);
    if (rc == 0)
        rc = posix_spawnp(&s->guest, argv[0], &fa, &attr, argv, environ);
    if (rc) {
        s->guest = -1;
        (void)vf_error_sys(err, rc, "start '%s'", argv[0]); /* the -1 says it */
    }
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&fa);
    free(log);
    return rc ? -1 : 0;
}

static int do_start(struct server *s, json_t *req, struct vf_error *err)
{
    char **words;
    int rc;

    if (s->guest > 0)
        return vf_error_set(err, VF_ERR_EXISTS, 0, "a guest was started already");
    if (check_request(s, req, err) < 0)
        return -1;
    words = vf_qmp_start_words(s->start, req, err);
    if (!words)
        return -1;
    free(s->qmp);
    s->qmp = vf_strdup(vf_member_text(req, "qmp"), err);
    rc = s->qmp ? spawn(s, words, vf_member_text(req, "dir"), err) : -1;
    vf_qmp_start_words_free(words);
    return rc;
}

/* The last line that the command has printed; owned, may be NULL. */
static char *last_words(const struct server *s)
{
    const char *slash = strrchr(s->qmp, '/');
    char *path = vf_strf(NULL, "%.*s/log", (int)(slash ? slash - s->qmp : 0), s->qmp);
    char *text = path ? vf_read_small_file(AT_FDCWD, path, LOG_MAX, NULL, NULL) : NULL, *line;

    free(path);
    if (!text)
        return NULL;
    for (size_t n = strlen(text); n && text[n - 1] == '\n'; n--)
        text[n - 1] = '\0';
    line = strrchr(text, '\n');
    if (line)
        memmove(text, line + 1, strlen(line));
    return text;
}

/* A command that puts QEMU into the background ends well; one that failed is the end of it. */
static int do_look(struct server *s, struct vf_error *err)
{
    char *said;
    int status;

    if (s->guest <= 0 || waitpid(s->guest, &status, WNOHANG) != s->guest)
        return 0;
    s->guest = 0; /* gone; its QEMU may live */
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    said = last_words(s);
    (void)vf_error_set(err, VF_ERR_IO, 0, "the command ended with status %d%s%s", /* -1 below */
                       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
                       said && *said ? ": " : "", said ? said : "");
    free(said);
    return -1;
}

static bool gone(pid_t pid, int ms)
{
    for (; ms > 0; ms -= 50) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return true;
        vf_thread_nap(50);
    }
    return false;
}

/* Whatever was started ends: the program that we know of, and a QEMU that went its own way. */
static void do_kill(struct server *s)
{
    struct vf_error why;
    struct vf_qmp *q;

    if (!s->qmp)
        return;
    q = vf_qmp_open(s->qmp, 0, NULL, &why);
    if (q)
        (void)vf_qmp_call(q, "quit", NULL, NULL, &why); /* it may be gone before it answers */
    vf_qmp_close(q);
    if (s->guest > 0 && !gone(s->guest, q ? END_MS : 50)) {
        (void)kill(-s->guest, SIGTERM); /* it may be gone */
        if (!gone(s->guest, END_MS)) {
            (void)kill(-s->guest, SIGKILL);
            (void)gone(s->guest, END_MS);
        }
    }
    s->guest = -1;
}

/* One request.  Its answer: a zero byte and nothing, or the code and the text of an error. */
static int serve_one(struct server *s, const char *text, size_t len)
{
    json_t *req = json_loadb(text, len, 0, NULL);
    const char *what = vf_member_text(req, "do");
    struct vf_error err = VF_ERROR_INIT;
    char answer[sizeof err.msg + 1];
    int rc = 0;

    if (strcmp(what, "start") == 0)
        rc = do_start(s, req, &err);
    else if (strcmp(what, "look") == 0)
        rc = do_look(s, &err);
    else if (strcmp(what, "keep") == 0)
        s->kept = true;
    else if (!s->kept)
        do_kill(s);
    json_decref(req);
    answer[0] = rc < 0 ? (char)err.code : 0;
    memcpy(answer + 1, err.msg, sizeof err.msg);
    return send(s->fd, answer, rc < 0 ? 1 + strlen(err.msg) : 1, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static _Noreturn void serve_all(struct server *s)
{
    char *buf = malloc(MESSAGE_MAX);
    ssize_t n;

    /* A terminal's signals are for serve, which then ends us. */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)prctl(PR_SET_NAME, "vf-starter"); /* for people only */
    while (buf && (n = recv(s->fd, buf, MESSAGE_MAX, 0)) > 0)
        if (serve_one(s, buf, (size_t)n) < 0)
            break;
    if (!s->kept)
        do_kill(s);
    _exit(0);
}

/* ---- the other end ---- */

/* Sends {"do": what} with the members of with (may be NULL), and waits for the answer. */
static int request(struct client *c, const char *what, json_t *with, struct vf_error *err)
{
    json_t *req = with ? json_deep_copy(with) : json_object();
    char answer[sizeof err->msg + 1], *text = NULL;
    ssize_t n = -1;

    if (req && json_object_set_new(req, "do", json_string(what)) == 0)
        text = json_dumps(req, JSON_COMPACT);
    json_decref(req);
    if (!text)
        return vf_error_nomem(err);
    if (strlen(text) <= MESSAGE_MAX && send(c->fd, text, strlen(text), MSG_NOSIGNAL) > 0)
        n = recv(c->fd, answer, sizeof answer - 1, 0);
    free(text);
    if (n <= 0)
        return vf_error_set(err, VF_ERR_IO, 0, "the process that starts guests is gone");
    answer[n] = '\0';
    if (answer[0] == 0)
        return 0;
    return vf_error_set(err, (enum vf_err)answer[0], 0, "%s", answer + 1);
}

static int op_start(struct vf_starter *s, json_t *req, struct vf_error *err)
{
    return request((struct client *)s, "start", req, err);
}

static int op_look(struct vf_starter *s, struct vf_error *err)
{
    return request((struct client *)s, "look", NULL, err);
}

static int op_keep(struct vf_starter *s, struct vf_error *err)
{
    return request((struct client *)s, "keep", NULL, err);
}

static void op_kill(struct vf_starter *s)
{
    struct vf_error why;

    (void)request((struct client *)s, "kill", NULL, &why); /* it does so at its own end, too */
}

static int make_server(const struct vf_storedir *store, struct server *s, struct vf_error *err)
{
    s->guest = -1;
    s->start = vf_strdup(store->set.qmp_start, err);
    s->images_dir = vf_strdup(store->images_dir, err);
    s->run_dir = vf_strf(err, "%s/run", store->path);
    return s->start && s->images_dir && s->run_dir ? 0 : -1;
}

struct vf_starter *vf_guest_starter_fork(const struct vf_storedir *store, const int *close_fds,
                                         size_t n, struct vf_error *err)
{
    struct server s = {0};
    struct client *c = vf_calloc(1, sizeof *c, err);
    int fd[2] = {-1, -1};

    if (!c || make_server(store, &s, err) < 0)
        goto failed;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) < 0) {
        (void)vf_error_sys(err, errno, "socket pair"); /* the NULL says it */
        goto failed;
    }
    c->pid = fork();
    if (c->pid < 0) {
        (void)vf_error_sys(err, errno, "fork"); /* the NULL says it */
        goto failed;
    }
    if (c->pid == 0) {
        for (size_t i = 0; i < n; i++)
            (void)close(close_fds[i]);
        (void)close(fd[0]);
        s.fd = fd[1];
        serve_all(&s);
    }
    vf_close_fd(&fd[1]);
    c->fd = fd[0];
    c->starter = (struct vf_starter){op_start, op_look, op_keep, op_kill};
    free(s.start);
    free(s.images_dir);
    free(s.run_dir);
    return &c->starter;
failed:
    vf_close_fd(&fd[0]);
    vf_close_fd(&fd[1]);
    free(s.start);
    free(s.images_dir);
    free(s.run_dir);
    free(c);
    return NULL;
}

void vf_guest_starter_end(struct vf_starter *starter)
{
    struct client *c = (struct client *)starter;

    if (!c)
        return;
    vf_close_fd(&c->fd);
    (void)waitpid(c->pid, NULL, 0); /* it ends by itself */
    free(c);
}
