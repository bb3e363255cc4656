/* tests/lab/holdthread.c - holdthread PID SECONDS: the first thread of a process gets no processor
 * for so long; its other threads go on. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    pid_t pid = argc == 3 ? (pid_t)atol(argv[1]) : 0;
    int status;

    if (pid <= 0) {
        fputs("holdthread PID SECONDS\n", stderr);
        return 2;
    }
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0 ||
        ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0 || waitpid(pid, &status, __WALL) < 0) {
        fprintf(stderr, "holdthread: %s\n", strerror(errno));
        return 1;
    }
    (void)sleep((unsigned)atol(argv[2]));
    return ptrace(PTRACE_DETACH, pid, NULL, NULL) < 0;
}
