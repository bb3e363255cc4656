/* failat.c - a library to preload: one call of the program fails.
 *
 * VF_FAIL_AT is "KIND:N": the Nth call of that kind, counted from 1, that the program itself makes
 * in one process; what libraries call does not count.  KIND is memory, open, read, write or sync.
 * VF_FAIL_MARK: a file of at least one byte, whose first one becomes 'x' when a call has failed. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);

static uintptr_t first, last; /* the program's code */
static char kind[8];
static long at;
static atomic_long calls;
static volatile char *mark;

static int find_program(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size, (void)arg;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X)) {
            first = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            last = first + info->dlpi_phdr[i].p_memsz;
        }
    return 1; /* the first one is the program */
}

__attribute__((constructor)) static void start(void)
{
    const char *where = getenv("VF_FAIL_AT"), *file = getenv("VF_FAIL_MARK");
    int fd = where && file ? open(file, O_RDWR | O_CLOEXEC) : -1;
    void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (fd >= 0)
        close(fd);
    if (p == MAP_FAILED || sscanf(where, "%7[a-z]:%ld", kind, &at) != 2)
        return;
    mark = p;
    dl_iterate_phdr(find_program, NULL);
}

/* Does the call that returns to `back` fail? */
static int fails(const char *what, const void *back, int sys)
{
    if ((uintptr_t)back < first || (uintptr_t)back >= last || strcmp(what, kind) != 0 ||
        atomic_fetch_add(&calls, 1) + 1 != at)
        return 0;
    *mark = 'x';
    errno = sys;
    return 1;
}

#define BACK       __builtin_return_address(0)
#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

void *malloc(size_t n) { return fails("memory", BACK, ENOMEM) ? NULL : __libc_malloc(n); }

void *calloc(size_t n, size_t len)
{
    return fails("memory", BACK, ENOMEM) ? NULL : __libc_calloc(n, len);
}

void *realloc(void *p, size_t n)
{
    return fails("memory", BACK, ENOMEM) ? NULL : __libc_realloc(p, n);
}

char *strdup(const char *s) { return fails("memory", BACK, ENOMEM) ? NULL : REAL(strdup)(s); }

int open64(const char *path, int flags, ...)
{
    va_list ap;
    int mode;

    va_start(ap, flags);
    mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, int) : 0;
    va_end(ap);
    return fails("open", BACK, EMFILE) ? -1 : REAL(open64)(path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
    va_list ap;
    int mode;

    va_start(ap, flags);
    mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, int) : 0;
    va_end(ap);
    return fails("open", BACK, EMFILE) ? -1 : REAL(openat64)(dir, path, flags, mode);
}

ssize_t read(int fd, void *buf, size_t n)
{
    return fails("read", BACK, EIO) ? -1 : REAL(read)(fd, buf, n);
}

ssize_t pread64(int fd, void *buf, size_t n, off_t off)
{
    return fails("read", BACK, EIO) ? -1 : REAL(pread64)(fd, buf, n, off);
}

ssize_t write(int fd, const void *buf, size_t n)
{
    return fails("write", BACK, EIO) ? -1 : REAL(write)(fd, buf, n);
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off_t off)
{
    return fails("write", BACK, ENOSPC) ? -1 : REAL(pwrite64)(fd, buf, n, off);
}

int fsync(int fd) { return fails("sync", BACK, EIO) ? -1 : REAL(fsync)(fd); }
