/*
 * mkpieces GIB OLD NEW IMAGE... - two large images of real data, for measuring how cost grows.
 *
 * NEW is made of pieces of 2 MiB of the IMAGEs, in a pseudo-random order that is always the same,
 * none twice; what they hold of one another's content does not count, because a byte of each block
 * that is not zero is changed by the number of its image. So a larger NEW is more of the same, and
 * not the same again. OLD equals it but for one piece in eight, whose blocks are all other ones.
 * Zeros become holes.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE  ((size_t)2 << 20)
#define BLOCK  512u
#define PAGE   4096u
#define IMAGES 32

static const char zeros[PAGE];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* Adds n to a byte of every block that is not zero; it does not become zero by that. */
static void change(char *piece, size_t at, unsigned n)
{
    for (size_t i = 0; i < PIECE; i += BLOCK) {
        if (memcmp(piece + i, zeros, BLOCK) == 0)
            continue;
        piece[i + at] = (char)((unsigned char)piece[i + at] + n);
        if (memcmp(piece + i, zeros, BLOCK) == 0)
            piece[i + at] = 1;
    }
}

static void write_piece(int fd, const char *piece, uint64_t off)
{
    for (size_t i = 0; i < PIECE; i += PAGE)
        if (memcmp(piece + i, zeros, PAGE) != 0 &&
            pwrite(fd, piece + i, PAGE, (off_t)(off + i)) != (ssize_t)PAGE)
            die("write");
}

static int create(const char *path, uint64_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
        die(path);
    return fd;
}

/* The pieces of all images, shuffled: image number and place, owned by the caller. */
static uint64_t *shuffled(const int *fd, int images, uint64_t *ret_n)
{
    uint64_t *list = NULL, n = 0, x = 88172645463325252u;

    for (int i = 0; i < images; i++) {
        struct stat st;

        if (fstat(fd[i], &st) < 0)
            die("look at an image");
        list = realloc(list, (n + (uint64_t)st.st_size / PIECE) * sizeof *list);
        if (!list)
            die("memory");
        for (uint64_t at = 0; at < (uint64_t)st.st_size / PIECE; at++)
            list[n++] = (uint64_t)i << 48 | at;
    }
    for (uint64_t i = n; i > 1; i--) {
        uint64_t k = next(&x) % i, t = list[k];

        list[k] = list[i - 1];
        list[i - 1] = t;
    }
    *ret_n = n;
    return list;
}

int main(int argc, char **argv)
{
    uint64_t size, n, x = 1234567, *list;
    int fd[IMAGES], old, new, images = argc - 4;
    char *piece = malloc(PIECE);

    if (images < 1 || images > IMAGES || !piece) {
        fprintf(stderr, "usage: mkpieces GIB OLD NEW IMAGE...\n");
        return 2;
    }
    for (int i = 0; i < images; i++)
        if ((fd[i] = open(argv[4 + i], O_RDONLY | O_CLOEXEC)) < 0)
            die(argv[4 + i]);
    size = strtoull(argv[1], NULL, 10) << 30;
    list = shuffled(fd, images, &n);
    if (size / PIECE > n) {
        fprintf(stderr, "mkpieces: the images have only %" PRIu64 " pieces of 2 MiB\n", n);
        return 1;
    }
    old = create(argv[2], size);
    new = create(argv[3], size);
    for (uint64_t i = 0; i < size / PIECE; i++) {
        unsigned image = (unsigned)(list[i] >> 48);
        uint64_t at = list[i] & ((UINT64_C(1) << 48) - 1);

        if (pread(fd[image], piece, PIECE, (off_t)(at * PIECE)) != (ssize_t)PIECE)
            die("read");
        change(piece, 100, image * 37);
        write_piece(new, piece, i * PIECE);
        if (next(&x) % 8 == 0)
            change(piece, 200, 1);
        write_piece(old, piece, i * PIECE);
    }
    free(list);
    free(piece);
    return close(old) < 0 || close(new) < 0;
}
