/* guestcon - reads a guest's serial console and notes when each line came.
 *
 *   guestcon SOCKET LOG
 *
 * Waits until the Unix socket is there, connects, and appends each line to LOG as
 * "<seconds> <line>", the seconds with microseconds on the machine's monotonic clock, so that the
 * logs of two consoles on one machine can be compared.  Ends when the console does.  A part of a
 * line at the end is not written: what is in the log was printed whole. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int connect_to(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof to.sun_path) {
        fprintf(stderr, "guestcon: %s: no socket, or too long a path\n", path);
        return -1;
    }
    memcpy(to.sun_path, path, strlen(path) + 1);
    while (connect(fd, (const struct sockaddr *)&to, sizeof to) < 0)
        usleep(5000);
    return fd;
}

static void note(FILE *log, const char *line, size_t len)
{
    struct timespec t;

    while (len > 0 && line[len - 1] == '\r')
        len--;
    clock_gettime(CLOCK_MONOTONIC, &t);
    fprintf(log, "%" PRIu64 ".%06" PRIu64 " %.*s\n", (uint64_t)t.tv_sec, (uint64_t)t.tv_nsec / 1000,
            (int)len, line);
    fflush(log);
}

int main(int argc, char **argv)
{
    char line[4096], buf[4096];
    size_t len = 0;
    FILE *log;
    ssize_t n;
    int fd;

    if (argc != 3) {
        fprintf(stderr, "usage: guestcon SOCKET LOG\n");
        return 2;
    }
    log = fopen(argv[2], "a");
    if (!log) {
        perror(argv[2]);
        return 1;
    }
    fd = connect_to(argv[1]);
    if (fd < 0)
        return 1;
    while ((n = read(fd, buf, sizeof buf)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (buf[i] == '\n') {
                note(log, line, len);
                len = 0;
            } else if (len < sizeof line) {
                line[len++] = buf[i];
            }
        }
    }
    return 0;
}
