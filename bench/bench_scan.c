/* How fast an image is read, hashed, cut and made into a tree, without an index: `bench_scan IMAGE
 * [WORKERS]`.  The image is read once before, so that it comes from the page cache if it fits
 * there.  Prints the median of five runs: bytes of non-zero data a second, and processor seconds
 * for each gigabyte of it. */
#include <stdio.h>
#include <stdlib.h>

#include <fcntl.h>

#include "bench/clock.h"
#include "bench/sample.h"
#include "core/hash/md5_lanes.h"
#include "core/map/build.h"
#include "core/map/scan.h"
#include "formats/format.h"

#define RUNS 5

static int take(void *ctx, const struct vf_node *segs, size_t n, const uint8_t (*md5)[VF_MD5_LEN],
                uint64_t upto, struct vf_error *err)
{
    (void)upto;
    return vf_build_add(ctx, segs, n, md5, err);
}

/* One run.  Returns 0, or -1 with *err set. */
static int run(struct vf_image *im, unsigned workers, double *ret_wall, double *ret_cpu,
               struct vf_map_info *ret_info, struct vf_error *err)
{
    struct vf_build *b = vf_build_new(im->size, NULL, NULL, NULL, err);
    double w = wall(), c = cpu();
    int rc = -1;

    if (b &&
        vf_scan(im, (struct vf_run){0, vf_blocks_of(im->size)}, workers, take, b, NULL, err) == 0)
        rc = vf_build_finish(b, ret_info, err);
    *ret_wall = wall() - w;
    *ret_cpu = cpu() - c;
    vf_build_free(b);
    return rc;
}

static int by_value(const void *a, const void *b)
{
    return *(const double *)a < *(const double *)b ? -1 : *(const double *)a > *(const double *)b;
}

int main(int argc, char **argv)
{
    unsigned workers = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    double w[RUNS + 1], c[RUNS + 1], gb;
    struct vf_error err = VF_ERROR_INIT;
    struct vf_map_info info;
    struct vf_image *im;

    char path[64];
    int fd = -1;

    if (argc < 2) {
        fd = sample_file(&err);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    im = vf_format_open(AT_FDCWD, argc > 1 ? argv[1] : path,
                        &(struct vf_open_opts){.format = argc > 1 ? NULL : "raw"}, NULL, &err);
    for (int i = 0; im && i <= RUNS; i++)
        if (run(im, workers, &w[i], &c[i], &info, &err) < 0) {
            vf_image_close(im);
            im = NULL;
        }
    if (!im) {
        fprintf(stderr, "bench_scan: %s\n", err.msg);
        return 1;
    }
    vf_image_close(im);
    vf_close_fd(&fd);
    qsort(w + 1, RUNS, sizeof *w, by_value); /* the first run warms the cache */
    qsort(c + 1, RUNS, sizeof *c, by_value);
    gb = (double)info.nodes[0] * VF_BLOCK / 1e9;
    printf("scan, %u worker(s), MD5 %s: %.2f GB of data, %llu segments, %.2f GB/s, %.2f s of "
           "processor per GB\n",
           workers, vf_simd_name(vf_simd_best()), gb, (unsigned long long)info.nodes[1],
           gb / w[1 + RUNS / 2], c[1 + RUNS / 2] / gb);
    return 0;
}
