/* dieat.c - a library to preload: kills its process at a chosen change of a move's state.
 *
 * VF_DIE_AT is "before:NAME:TEXT" or "after:NAME:TEXT": when a file called NAME is about to be, or
 * has just been, put in its place by a rename, and holds TEXT (without one: whatever it holds).
 * VF_DIE_ONCE: a file that has to be there for that, and is removed then.  VF_STOP: a file with the
 * number of a process, which is then stopped (SIGSTOP) instead; or "self".  VF_STOP=fail, before:
 * the rename fails instead. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int renameat2_fn(int, const char *, int, const char *, unsigned);

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int renameat(int from_dir, const char *from, int to_dir, const char *to);

static int holds(int dir, const char *name, const char *text)
{
    static char buf[1 << 16];
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);

    if (fd >= 0)
        close(fd);
    if (n < 0)
        return 0;
    buf[n] = '\0';
    return strstr(buf, text) != NULL;
}

static void strike(void)
{
    const char *path = getenv("VF_STOP");
    FILE *f = path ? fopen(path, "re") : NULL;
    int pid = 0;

    if (!path || strcmp(path, "self") == 0)
        kill(getpid(), path ? SIGSTOP : SIGKILL);
    if (f && fscanf(f, "%d", &pid) == 1 && pid > 1)
        kill(pid, SIGSTOP);
    if (f)
        fclose(f);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    renameat2_fn *real = (renameat2_fn *)dlsym(RTLD_NEXT, "renameat2");
    const char *where = getenv("VF_DIE_AT"), *once = getenv("VF_DIE_ONCE");
    const char *stop = getenv("VF_STOP");
    char when[8] = "", name[64] = "", text[128] = "";
    int hit, rc;

    hit = where && sscanf(where, "%7[^:]:%63[^:]:%127[^\n]", when, name, text) >= 2 &&
          strcmp(to, name) == 0 && holds(from_dir, from, text) && (!once || unlink(once) == 0);
    if (hit && strcmp(when, "before") == 0 && stop && strcmp(stop, "fail") == 0) {
        errno = ENOSPC;
        return -1;
    }
    if (hit && strcmp(when, "before") == 0)
        strike();
    rc = real(from_dir, from, to_dir, to, flags);
    if (hit && strcmp(when, "after") == 0)
        strike();
    return rc;
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return renameat2(from_dir, from, to_dir, to, 0);
}
