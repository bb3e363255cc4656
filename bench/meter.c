/*
 * meter - counts what a program costs.
 *
 *   meter run LOG LABEL COMMAND...   runs it and appends "LABEL rc wall user sys maxrss_kib" to LOG
 *                                    (processor time of all descendants; memory of the largest)
 *   meter pipe LOG COMMAND...        runs it, passes standard input and output through, and appends
 *                                    "up down cpu" (bytes to it, bytes from it, own seconds) to LOG
 *   meter tcp PORT TARGET LOG        passes connections to PORT on to TARGET, both on loopback;
 *                                    appends "up down cpu" for each; ends on SIGTERM
 *
 * Columns are separated by tabs. `pipe` is what bench/rsh-count puts in the place of ssh. Its own
 * processor time is logged so that it can be taken off the sum that `run` reports.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RELAY_BYTES ((size_t)256 << 10)
#define PIPE_BYTES  (1 << 20) /* the most that a user may ask for by default */

static double seconds(const struct timeval *t)
{
    return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double own_cpu(void)
{
    struct rusage r;

    (void)getrusage(RUSAGE_SELF, &r); /* cannot fail with these arguments */
    return seconds(&r.ru_utime) + seconds(&r.ru_stime);
}

/* One write, so that lines of several meters do not mix. */
static int append(const char *path, const char *line)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    int rc = fd < 0 || write(fd, line, strlen(line)) != (ssize_t)strlen(line) ? -1 : 0;

    if (rc < 0)
        perror(path);
    if (fd >= 0)
        (void)close(fd); /* the write told what there is to tell */
    return rc;
}

static int exit_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static _Noreturn void start(char **argv)
{
    (void)execvp(argv[0], argv);
    perror(argv[0]);
    _exit(127);
}

/* ---- run ----------------------------------------------------------------------------------- */

static int run(const char *log, const char *label, char **argv)
{
    char line[512];
    struct rusage r;
    double began = now();
    int status, rc = 0;
    pid_t first, pid;

    /* grandchildren that outlive their parent are ours to wait for, and so counted */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    first = fork();
    if (first < 0) {
        perror("fork");
        return 1;
    }
    if (first == 0)
        start(argv);
    while ((pid = wait(&status)) > 0)
        if (pid == first)
            rc = exit_code(status);
    (void)getrusage(RUSAGE_CHILDREN, &r); /* cannot fail with these arguments */
    (void)snprintf(line, sizeof line, "%.400s\t%d\t%.2f\t%.2f\t%.2f\t%ld\n", label, rc,
                   now() - began, seconds(&r.ru_utime), seconds(&r.ru_stime), r.ru_maxrss);
    return append(log, line) < 0 ? 1 : rc;
}

/* ---- relays -------------------------------------------------------------------------------- */

struct leg {
    int from, to;
    _Atomic uint64_t bytes; /* the main thread reads it while the leg may still run */
};

/* The program at the other end may have made a shared descriptor non-blocking: wait then. */
static bool try_again(int fd, short event)
{
    struct pollfd p = {.fd = fd, .events = event};

    if (errno == EINTR)
        return true;
    return errno == EAGAIN && poll(&p, 1, -1) >= 0;
}

static bool write_all(struct leg *l, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(l->to, data, len);

        if (n < 0) {
            if (!try_again(l->to, POLLOUT))
                return false;
            continue;
        }
        data += n;
        len -= (size_t)n;
        l->bytes += (uint64_t)n;
    }
    return true;
}

static void *pass_on(void *arg)
{
    struct leg *l = arg;
    char *data = malloc(RELAY_BYTES);

    for (;;) {
        ssize_t n = data ? read(l->from, data, RELAY_BYTES) : 0;

        if (n < 0 && try_again(l->from, POLLIN))
            continue;
        if (n <= 0 || !write_all(l, data, (size_t)n))
            break;
    }
    free(data);
    if (shutdown(l->to, SHUT_WR) < 0) /* a socket hears the end so, a pipe by close */
        (void)close(l->to);
    return NULL;
}

static int log_legs(const char *log, const struct leg *up, const struct leg *down)
{
    char line[128];

    (void)snprintf(line, sizeof line, "%" PRIu64 "\t%" PRIu64 "\t%.2f\n", up->bytes, down->bytes,
                   own_cpu());
    return append(log, line);
}

static int pipe_mode(const char *log, char **argv)
{
    int in[2], out[2], status = 0;
    struct leg up, down;
    pthread_t a, b;
    pid_t pid;

    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) {
        perror("pipe");
        return 1;
    }
    (void)fcntl(in[1], F_SETPIPE_SZ, PIPE_BYTES); /* smaller pipes only cost more switches */
    (void)fcntl(out[0], F_SETPIPE_SZ, PIPE_BYTES);
    pid = fork();
    if (pid < 0) {
        perror("fork");
        return 1;
    }
    if (pid == 0) {
        if (dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0)
            _exit(126);
        start(argv);
    }
    (void)close(in[0]);
    (void)close(out[1]);
    (void)signal(SIGPIPE, SIG_IGN);
    up = (struct leg){.from = 0, .to = in[1]};
    down = (struct leg){.from = out[0], .to = 1};
    if (pthread_create(&a, NULL, pass_on, &up) != 0 ||
        pthread_create(&b, NULL, pass_on, &down) != 0)
        return 1;
    (void)pthread_join(b, NULL); /* the program's end ends the relay, not ours */
    (void)close(1);
    if (waitpid(pid, &status, 0) < 0 || log_legs(log, &up, &down) < 0)
        return 1;
    /* the other thread may still wait for input that nobody will send */
    _exit(exit_code(status));
}

static int parse_port(const char *text)
{
    char *end;
    long port = strtol(text, &end, 10);

    return *text && !*end && port > 0 && port < 65536 ? (int)port : -1;
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static _Noreturn void serve(int client, int target, const char *log)
{
    struct sockaddr_in to = loopback(target);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct leg up, down;
    pthread_t a, b;

    if (server < 0 || connect(server, (const struct sockaddr *)&to, sizeof to) < 0) {
        perror("connect");
        _exit(1);
    }
    (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* only for speed */
    (void)setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    up = (struct leg){.from = client, .to = server};
    down = (struct leg){.from = server, .to = client};
    if (pthread_create(&a, NULL, pass_on, &up) != 0 ||
        pthread_create(&b, NULL, pass_on, &down) != 0)
        _exit(1);
    (void)pthread_join(a, NULL);
    (void)pthread_join(b, NULL);
    _exit(log_legs(log, &up, &down) < 0);
}

static int tcp_mode(int port, int target, const char *log)
{
    struct sockaddr_in at = loopback(port);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD, SIG_IGN); /* children log for themselves; nobody waits for them */
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(listener, (const struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 16) < 0) {
        perror("listen");
        return 1;
    }
    for (;;) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        pid_t pid = client < 0 ? -1 : fork();

        if (pid == 0) {
            (void)close(listener);
            serve(client, target, log);
        }
        if (client >= 0)
            (void)close(client); /* the child has it */
    }
}

int main(int argc, char **argv)
{
    if (argc >= 5 && strcmp(argv[1], "run") == 0)
        return run(argv[2], argv[3], argv + 4);
    if (argc >= 4 && strcmp(argv[1], "pipe") == 0)
        return pipe_mode(argv[2], argv + 3);
    if (argc == 5 && strcmp(argv[1], "tcp") == 0 && parse_port(argv[2]) > 0 &&
        parse_port(argv[3]) > 0)
        return tcp_mode(parse_port(argv[2]), parse_port(argv[3]), argv[4]);
    fprintf(stderr,
            "usage: meter run LOG LABEL COMMAND... | pipe LOG COMMAND... | tcp PORT TARGET LOG\n");
    return 2;
}
