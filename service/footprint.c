#include "service/footprint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/fdio.h"

#define GRAIN  (UINT64_C(2) << 20)   /* what is kept or dropped together */
#define WINDOW (UINT64_C(256) << 20) /* asked for at once */

struct vf_footprint {
    int fd;
    size_t n;
    bool *kept; /* for each grain: something of it was there */
};

static int open_file(const char *path, uint64_t *ret_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)))
        vf_close_fd(&fd);
    if (fd >= 0)
        *ret_size = (uint64_t)st.st_size;
    return fd;
}

/* The kernel tells only those who may write the file; to others everything seems to be there. */
static bool may_know(int fd)
{
    struct stat st;
    char link[32] = "/proc/self/fd/";
    size_t at = strlen(link);
    char digits[12];
    int n = 0;

    if (geteuid() == 0 || (fstat(fd, &st) == 0 && st.st_uid == geteuid()))
        return true;
    do
        digits[n++] = (char)('0' + fd % 10);
    while ((fd /= 10));
    while (n)
        link[at++] = digits[--n];
    return access(link, W_OK) == 0;
}

/* Calls for every page of a window of the file; the mapping is never touched. */
static bool window(int fd, uint64_t off, size_t len, unsigned char *vec)
{
    void *map = mmap(NULL, len, PROT_NONE, MAP_SHARED, fd, (off_t)off);
    bool ok;

    if (map == MAP_FAILED)
        return false;
    ok = mincore(map, len, vec) == 0;
    (void)munmap(map, len); /* ours, so it works */
    return ok;
}

/* Where data begins at off or behind it, on a page: a hole may be a thousand times the disk.
 * Nothing of a hole is read, and nothing of it has to be dropped. */
static uint64_t next_data(int fd, uint64_t off, uint64_t size, size_t page)
{
    off_t at = lseek(fd, (off_t)off, SEEK_DATA);

    if (at < 0)
        return errno == ENXIO ? size : off; /* else the file system cannot tell */
    return (uint64_t)at / page * page;
}

/* Marks in kept (may be NULL) the grains with cached pages; returns their bytes.  What cannot be
 * known is taken for cached. */
static uint64_t look(int fd, uint64_t size, bool *kept)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *vec = malloc(WINDOW / page);
    uint64_t bytes = 0, off = 0;

    for (; vec && (off = next_data(fd, off, size, page)) < size; off += WINDOW) {
        size_t len = size - off < WINDOW ? (size_t)(size - off) : (size_t)WINDOW;

        if (!window(fd, off, len, vec))
            break;
        for (size_t i = 0; i < (len + page - 1) / page; i++) {
            if (!(vec[i] & 1))
                continue;
            bytes += page;
            if (kept)
                kept[(off + i * page) / GRAIN] = true;
        }
    }
    for (; kept && off < size; off += GRAIN)
        kept[off / GRAIN] = true;
    free(vec);
    return bytes;
}

uint64_t vf_footprint_cached(const char *path)
{
    uint64_t size = 0, bytes;
    int fd = open_file(path, &size);

    if (fd < 0)
        return 0;
    bytes = look(fd, size, NULL);
    vf_close_fd(&fd);
    return bytes;
}

struct vf_footprint *vf_footprint_new(const char *path)
{
    struct vf_footprint *f = vf_calloc(1, sizeof *f, NULL);
    uint64_t size = 0;

    if (!f)
        return NULL;
    f->fd = open_file(path, &size);
    f->n = (size_t)(size / GRAIN + 1);
    f->kept = vf_calloc(f->n, sizeof *f->kept, NULL);
    if (f->fd < 0 || !f->kept) {
        vf_footprint_free(f);
        return NULL;
    }
    if (may_know(f->fd))
        (void)look(f->fd, size, f->kept); /* how much does not matter */
    return f;
}

void vf_footprint_drop(struct vf_footprint *f)
{
    for (size_t i = 0, n; f && i < f->n; i += n) {
        n = 1;
        while (i + n < f->n && f->kept[i + n] == f->kept[i])
            n++;
        if (!f->kept[i]) /* only advice */
            (void)posix_fadvise(f->fd, (off_t)(i * GRAIN), (off_t)(n * GRAIN), POSIX_FADV_DONTNEED);
    }
}

void vf_footprint_free(struct vf_footprint *f)
{
    if (!f)
        return;
    vf_close_fd(&f->fd);
    free(f->kept);
    free(f);
}
