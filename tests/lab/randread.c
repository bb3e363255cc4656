/* randread FILE SECONDS - reads 4 KiB at random places of the file, past the page cache, one after
 * the other, and prints reads per second, and the median and the 99th percentile of a read in
 * microseconds.  Stands for another process that needs the disk. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096u
#define MOST  10000000u

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    int fd = argc == 3 ? open(argv[1], O_RDONLY | O_DIRECT) : -1;
    double seconds = argc == 3 ? strtod(argv[2], NULL) : 0, start, at;
    float *took = calloc(MOST, sizeof *took);
    uint64_t x = 88172645463325252u;
    size_t n = 0;
    struct stat st;
    void *buf;

    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < (off_t)BLOCK || !took ||
        posix_memalign(&buf, BLOCK, BLOCK) != 0) {
        fprintf(stderr, "usage: randread FILE SECONDS (a file that can be read with O_DIRECT)\n");
        return 2;
    }
    start = at = now();
    while (at - start < seconds && n < MOST) {
        double end;

        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        if (pread(fd, buf, BLOCK, (off_t)(x % ((uint64_t)st.st_size / BLOCK) * BLOCK)) < 0) {
            perror("randread");
            return 1;
        }
        end = now();
        took[n++] = (float)((end - at) * 1e6);
        at = end;
    }
    qsort(took, n, sizeof *took, by_value);
    printf("%.0f %.0f %.0f\n", (double)n / (at - start), (double)took[n / 2],
           (double)took[n * 99 / 100]);
    return 0;
}
