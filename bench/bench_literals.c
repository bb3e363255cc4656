/* How fast literals are packed, and how small: `bench_literals [FILE [WINDOW_LOG]]`, the
 * file being literals as `blocksim missing` writes them.  One line for each level: ratio, bytes a
 * second, processor seconds for each gigabyte. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/sample.h"
#include "core/fdio.h"
#include "core/literals/literals.h"

static int count(void *ctx, uint8_t **bytes, size_t len, struct vf_error *err)
{
    (void)bytes, (void)err;
    *(uint64_t *)ctx += len;
    return 0;
}

/* Packs the whole file in records of VF_PIECE_BLOCKS blocks. */
static int pack(int fd, uint64_t blocks, const struct vf_pack_opts *o, uint64_t *ret_out,
                struct vf_error *err)
{
    static uint8_t data[VF_PIECE_BLOCKS * VF_BLOCK];
    struct vf_packer *p;
    int rc = -1;

    *ret_out = 0;
    p = vf_packer_new(o, count, ret_out, err);
    for (uint64_t at = 0, n; p && at < blocks; at += n) {
        struct vf_lit_run run;
        struct vf_pack_runs record = {.n = 1, .runs = &run, .data = data};

        n = blocks - at < VF_PIECE_BLOCKS ? blocks - at : VF_PIECE_BLOCKS;
        run = (struct vf_lit_run){{at, n}, 0};
        record.len = (size_t)n * VF_BLOCK;
        if (vf_pread_full(fd, data, (size_t)n * VF_BLOCK, at * VF_BLOCK, err) < 0 ||
            vf_packer_runs(p, 0, &record, err) < 0)
            goto out;
    }
    if (p)
        rc = vf_packer_flush(p, err);
out:
    vf_packer_free(p);
    return rc;
}

int main(int argc, char **argv)
{
    static const int levels[] = {0, 1, 3, 6, 9, 12};
    struct vf_pack_opts o = {.window_log = argc > 2 ? (unsigned)atoi(argv[2]) : 27};
    struct vf_error err = VF_ERROR_INIT;
    struct stat sb;
    int fd = argc > 1 ? open(argv[1], O_RDONLY | O_CLOEXEC) : sample_file(&err);

    if (fd < 0 || fstat(fd, &sb) < 0) {
        fprintf(stderr, "bench_literals: cannot read %s\n", argc > 1 ? argv[1] : "the sample");
        return 1;
    }
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        uint64_t out, blocks = (uint64_t)sb.st_size / VF_BLOCK;
        double w = wall(), c = cpu(), gb = (double)blocks * VF_BLOCK / 1e9;

        o.level = levels[i];
        if (pack(fd, blocks, &o, &out, &err) < 0) {
            fprintf(stderr, "bench_literals: %s\n", err.msg);
            return 1;
        }
        w = wall() - w;
        c = cpu() - c;
        printf("level %2d, window 2^%u: %llu -> %llu bytes (%.3f), %.3f GB/s, %.2f s "
               "of processor per GB\n",
               levels[i], o.window_log, (unsigned long long)(blocks * VF_BLOCK),
               (unsigned long long)out, (double)out / (double)(blocks * VF_BLOCK), gb / w, c / gb);
    }
    close(fd);
    return 0;
}
